"""A job of the queue, and what follows from how it went: plain decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

ATTEMPTS = 6
"""A job that was begun this often without an end is given up."""
_FIRST_WAIT = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(minutes=15)
_WORTH_TRYING_AGAIN = frozenset(
    {
        "55P03",  # lock_not_available: lock_timeout ran out
        "40P01",  # deadlock_detected
        "55006",  # object_in_use
        "57014",  # query_canceled: an administrator, or autovacuum had to give way
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "53200",  # out_of_memory
        "53300",  # too_many_connections
    }
)


class JobKind(StrEnum):
    """What a job does."""

    ANALYZE = "analyze"
    VACUUM = "vacuum"
    REINDEX = "reindex"
    MIGRATION = "migration"


class JobState(StrEnum):
    """How a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that a worker has begun."""

    id: int
    kind: JobKind
    target: str
    payload: Mapping[str, object]
    attempts: int
    """How often it was begun, this time included."""
    requested_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt ended."""

    state: JobState
    result: Mapping[str, object] | None = None
    error: str | None = None
    wait: timedelta = timedelta(0)
    """Queued again: how long it stays alone."""


def after_failure(job: Job, error: str, *, sqlstate: str | None) -> Outcome:
    """Whether a job that met an error is tried again, and when.

    Again: where somebody else was in the way, or the server went away (`sqlstate` is `None` then). A change
    of the schema is never repeated by itself: its runner has done that with each lock already.
    """
    passing = sqlstate is None or sqlstate in _WORTH_TRYING_AGAIN
    if passing and job.kind is not JobKind.MIGRATION and job.attempts < ATTEMPTS:
        wait = min(_FIRST_WAIT * 2 ** (job.attempts - 1), _LONGEST_WAIT)
        return Outcome(state=JobState.QUEUED, error=error, wait=wait)
    return Outcome(state=JobState.FAILED, error=error)


def is_given_up(job: Job) -> bool:
    """Whether a job was begun too often: its workers died of it."""
    return job.attempts > ATTEMPTS
