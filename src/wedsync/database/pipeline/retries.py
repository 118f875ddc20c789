"""What is run again after it failed, and what is not."""

from dataclasses import dataclass
from enum import StrEnum

from wedsync.database.pipeline.failure import ServerError

TRIES = 3
_SERIALIZATION = frozenset({"40001", "40P01"})
_SHUTDOWN = frozenset({"57P01", "57P02", "57P03"})
_UNKNOWN_NAME, _NOT_SUPPORTED, _CANCELLED = "26000", "0A000", "57014"


class Verdict(StrEnum):
    """What becomes of a batch that did not succeed."""

    FAIL = "fail"
    """The caller hears of it."""
    LATER = "later"
    """Again after a short random pause: others are after the same rows, or the server ends one connection after
    the other."""
    WITHOUT_NAMES = "without_names"
    """Again, and the connection's names are forgotten."""
    ALONE = "alone"
    """Again, on a connection with nothing behind it: it was cancelled because others waited."""
    UNKNOWN = "unknown"
    """Whether it is committed cannot be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How a batch ended."""

    changes_nothing: bool
    """It is read-only, or rolled back in any case."""
    tries: int
    """How often it was sent."""
    was_cancelled: bool = False
    """We asked the server to cancel what runs on this connection."""
    is_sent_whole: bool = True
    is_at_commit: bool = False
    """Every statement was answered; what failed is the commit itself."""


def after_refusal(refusal: ServerError, attempt: Attempt) -> Verdict:
    """What follows when the server refused: its error undid the transaction, so running it again is safe.

    With one exception: the server ended the connection while it committed.
    """
    if refusal.ends_connection and attempt.is_at_commit and not attempt.changes_nothing:
        return Verdict.UNKNOWN
    verdict = Verdict.FAIL
    if attempt.tries < TRIES:
        if refusal.sqlstate in _SERIALIZATION or (refusal.sqlstate in _SHUTDOWN and refusal.ends_connection):
            verdict = Verdict.LATER
        elif refusal.sqlstate == _UNKNOWN_NAME or _is_stale_plan(refusal):
            verdict = Verdict.WITHOUT_NAMES
        elif refusal.sqlstate == _CANCELLED and attempt.was_cancelled:
            verdict = Verdict.ALONE
    return verdict


def after_loss(attempt: Attempt) -> Verdict:
    """What follows when the connection ended without a word.

    A write whose last byte never left us is not committed: its Sync is that byte.
    """
    if not attempt.changes_nothing and attempt.is_sent_whole:
        return Verdict.UNKNOWN
    return Verdict.LATER if attempt.tries < TRIES else Verdict.FAIL


def _is_stale_plan(refusal: ServerError) -> bool:
    """`cached plan must not change result type`, in any language: the function that raises it."""
    return refusal.sqlstate == _NOT_SUPPORTED and refusal.routine == "RevalidateCachedQuery"
