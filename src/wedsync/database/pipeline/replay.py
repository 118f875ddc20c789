"""A server in recovery serves reads as soon as it is consistent: of when they are, and until when."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from wedsync.config import ReadsInRecovery
from wedsync.database.pipeline.failure import ServerError
from wedsync.database.pipeline.work import Result, Statement, Work
from wedsync.errors import BeingTakenBack, WedsyncError
from wedsync.events import Event, observe
from wedsync.sql import statements

_LOOK_EVERY_S = 0.1
_STAYS_S = 0.3
"""An answer that was read a moment before the end of recovery is still told of."""
_READ_ONLY, _NOT_NOW, _CONFLICT = "25006", "55000", "40001"
_NEEDS_PRIMARY = frozenset({"GetNewTransactionId", "AssignTransactionId", "GetNewMultiXactId"})
RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A server in recovery, as it was a moment ago."""

    as_of: datetime | None
    """Of when the newest transaction is that it shows; `None`: none was replayed yet."""
    at_target: bool
    """Whether it has paused where it was told to stop."""

    @property
    def words(self) -> str:
        """The moment in ISO 8601, UTC; or that it is not known."""
        return "not known" if self.as_of is None else self.as_of.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedInRecovery(Event):
    """Connections go to a server in recovery: reads are answered, writes have to wait."""

    level: ClassVar[str] = "warning"
    as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryLeft(Event):
    """The server has left recovery and takes writes."""

    as_of: str


LOOK = Work(
    role="none",
    settings=(),
    statements=(Statement(statements("pipeline")["replay"]),),
    read_only=True,
    statement_timeout_ms=2000,
)
"""The question of the watch; it is asked also while other reads are held."""


class RecoveryWatch:
    """Knows how a server in recovery is, from the first connection to it until it has left recovery."""

    def __init__(self, run: Callable[[Work], Awaitable[list[Result]]], *, reads: ReadsInRecovery) -> None:
        self._run = run
        self._reads = reads
        self._task: asyncio.Task[None] | None = None
        self.now: Replay | None = None
        """How it is; `None`: the server takes writes."""
        self.first: Replay | None = None
        """How it was at first."""

    def found(self, replay: Replay) -> None:
        """A connection to a server in recovery came about."""
        if self.now is None:
            self.first = replay
        self.now = replay
        if self._task is None or self._task.done():
            observe(ServedInRecovery(as_of=replay.words))
            self._task = asyncio.create_task(self._follow())

    def require_readable(self, work: Work) -> None:
        """Raise `BeingTakenBack` for a read that the configuration lets wait."""
        now = self.now
        if now is None or work is LOOK or self._reads is ReadsInRecovery.CONSISTENT:
            return
        if self._reads is ReadsInRecovery.NEVER or not now.at_target:
            raise being_taken_back(None)

    def refusal(self, said: ServerError, *, read_only: bool) -> BeingTakenBack | None:
        """What a caller is told whose statement the server refused because of its recovery; else `None`."""
        now = self.now
        if now is None or not is_because_of_recovery(said, read_only=read_only):
            return None
        return being_taken_back(now)

    def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            with suppress(WedsyncError):  # it went away again: whatever comes next will say what it is
                in_recovery, as_of, at_target = (await self._run(LOOK))[0].rows[0]
                found = replay_of(
                    in_recovery=in_recovery == b"t",
                    as_of=None if as_of is None else as_of.decode(),
                    at_target=at_target == b"t",
                )
                if found is None:
                    break
                self.now = found
        observe(RecoveryLeft(as_of=self.now.words if self.now is not None else ""))
        await asyncio.sleep(_STAYS_S)
        self.now = None


def replay_of(*, in_recovery: bool, as_of: str | None, at_target: bool | None) -> Replay | None:
    """What the statement `replay` said; `None` of a server that is not in recovery."""
    if not in_recovery:
        return None
    return Replay(as_of=None if as_of is None else datetime.fromisoformat(as_of), at_target=bool(at_target))


def is_because_of_recovery(said: ServerError, *, read_only: bool) -> bool:
    """Whether a statement that a server in recovery refused would do on one that takes writes.

    What only reads is refused for what it is, but for a conflict with what is replayed: it was cancelled then.
    """
    if said.sqlstate == _CONFLICT:
        return True
    return not read_only and (said.sqlstate in {_READ_ONLY, _NOT_NOW} or said.routine in _NEEDS_PRIMARY)


def being_taken_back(now: Replay | None) -> BeingTakenBack:
    """The refusal of what has to wait for the end of recovery."""
    if now is None:
        return BeingTakenBack(
            "the database is being taken back: it is not read from yet",
            hint=f"come again in {RETRY_AFTER_S} s",
        )
    return BeingTakenBack(
        "the database is being taken back and takes no writes yet; reads are served as of "
        + (now.words if now.as_of is not None else "an earlier moment"),
        hint=f"nothing was changed: come again in {RETRY_AFTER_S} s",
    )
