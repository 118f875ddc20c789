"""The keeper's watch over the receiver: who is waited for, and what would be lost."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from sqlite3 import Error as StateError
from time import monotonic
from typing import ClassVar

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg.rows import TupleRow, class_row

from wedsync.clock import Clock
from wedsync.config import ZeroLossConfig, ZeroLossMode
from wedsync.database import SEGMENT_BYTES, ConnectionTarget, Lsn
from wedsync.errors import WedsyncError
from wedsync.events import Event, observe
from wedsync.sql import statements
from wedsync.state import StateStore, as_moment
from wedsync.zero_loss.exposure import CommitLog, Protection, Sample
from wedsync.zero_loss.guard import Guard, Receiving, after
from wedsync.zero_loss.receiver import RECEIVER
from wedsync.zero_loss.records import Measured, record

_LOOK_EVERY = timedelta(seconds=1)
_LOOKS_WITHIN_S = 10.0
"""A server process that does not answer is not waited for: another one may."""
_RECORD_EVERY_S = 10.0
_PER_LOG = 0x1_0000_0000 // SEGMENT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionChanged(Event):
    """Commits are protected in another way than before."""

    level: ClassVar[str] = "warning"
    before: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureNotMeasured(Event):
    """What would be lost is not known: the server could not be asked, or the answer not be kept."""

    level: ClassVar[str] = "warning"
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One answer of the server."""

    at: datetime
    flushed: str
    last_commit_at: datetime | None
    segment: str
    unarchived: str | None
    lacks_from: str | None
    """The first segment that the second region may lack while it is given up: this machine alone may have it."""
    receives: bool
    received: str | None
    receive_lag_s: float | None
    slot_lsn: str | None
    slot_status: str | None
    slot_bytes: int | None
    is_sync: bool
    """Whether the server itself takes the receiver for one that commits wait for, in every process of its own."""

    @property
    def archived(self) -> Lsn:
        """Up to where all WAL is in the archive: before the first segment that waits or that a region lacks, or
        the present one.
        """
        if self.lacks_from is not None and self.lacks_from[:8] != self.segment[:8]:
            return Lsn(0)  # a timeline that began since, and where its parent was left is not known yet
        first = min(filter(None, (self.unarchived, self.lacks_from, self.segment)), key=_start_of)
        return Lsn(_start_of(first))


class ZeroLossService:
    """Measures each second, and lets commits wait for the receiver as the configuration says."""

    def __init__(
        self,
        *,
        monitor: ConnectionTarget,
        state: StateStore,
        clock: Clock,
        config: ZeroLossConfig,
        waits_for: Callable[[], str],
        wait_for: Callable[[str], Awaitable[None]],
    ) -> None:
        """`monitor` is a member of pg_monitor; `wait_for` tells the server whom commits wait for, or nobody."""
        self._monitor = monitor
        self._state = state
        self._clock = clock
        self._config = config
        self._waits_for = waits_for
        self._wait_for = wait_for
        self._guard = Guard(waits=False)
        self._commits = CommitLog()
        self._received: Lsn | None = None
        self._worst: Measured | None = None
        self._recorded_s = float("-inf")
        self._protection: Protection | None = None
        self._is_seeded = False
        self._in_force: Lsn | None = None
        """From here on each commit waited; `None`: the server has not said so since it was told to."""

    async def run(self) -> None:
        """Look each second, until cancelled."""
        told = False
        while True:
            try:
                async with await self._monitor.connect(connect_timeout=timedelta(seconds=5)) as connection:
                    while True:
                        async with asyncio.timeout(_LOOKS_WITHIN_S):
                            await self.look(connection)
                        told = False
                        await self._clock.sleep(_LOOK_EVERY)
            except (WedsyncError, DatabaseError, StateError, OSError) as error:
                if not told:
                    observe(ExposureNotMeasured(message=" ".join(str(error).split()) or "it did not answer"))
                told = True
            await self._clock.sleep(_LOOK_EVERY)

    async def look(self, connection: AsyncConnection[TupleRow]) -> Measured | None:
        """Look once, act, measure; `None` while the server is in recovery."""
        async with connection.cursor(row_factory=class_row(Sight)) as cursor:
            await cursor.execute(statements("zero_loss")["sight"], {"name": RECEIVER})
            sight = await cursor.fetchone()
        if sight is None:
            self._in_force = None
            self._received = None  # positions of the timeline to come compare with nothing before
            return None
        await self._act(sight)
        return self._measure(sight)

    async def _act(self, sight: Sight) -> None:
        seen = Receiving(
            at_s=monotonic(),
            connected=sight.receives,
            flushed=Lsn.parse(sight.flushed),
            received=Lsn.parse(sight.received) if sight.received else None,
        )
        waits = bool(self._waits_for())
        self._guard = after(replace(self._guard, waits=waits), seen, self._config)
        if self._guard.waits != waits:
            self._in_force = None
            await self._wait_for(RECEIVER if self._guard.waits else "")
        elif not waits:
            self._in_force = None
        elif self._in_force is None and sight.is_sync:
            self._in_force = seen.flushed

    def _measure(self, sight: Sight) -> Measured:
        self._seed()
        flushed = Lsn.parse(sight.flushed)
        self._commits.add(Sample(at=sight.at, lsn=flushed, last_commit_at=sight.last_commit_at))
        protection = self._guard.protection(self._config.mode)
        safe = self._safe(sight)
        if protection is Protection.SYNC and (self._in_force is None or safe < self._in_force):
            # What was committed before commits began to wait is not there yet.
            protection = Protection.ASYNC
        at_stake = self._commits.at_stake(safe)
        seconds = 0.0 if protection.loses_nothing else at_stake.seconds
        if protection is Protection.ASYNC:
            # Between two looks the receiver is as far behind as the server measures by the commits that it sends.
            seconds = min(seconds, sight.receive_lag_s) if sight.receive_lag_s is not None else seconds
        measured = Measured(
            at=sight.at,
            protection=protection,
            at_stake_s=seconds,
            at_stake_bytes=at_stake.size_bytes,
            slot_status=sight.slot_status,
            slot_bytes=sight.slot_bytes,
        )
        self._keep(measured)
        return measured

    def _safe(self, sight: Sight) -> Lsn:
        """The newest place up to which everything is elsewhere."""
        if self._config.mode is ZeroLossMode.OFF:
            return sight.archived
        known = [Lsn.parse(text) for text in (sight.received, sight.slot_lsn) if text]
        self._received = max([*known, *([self._received] if self._received is not None else [])], default=None)
        return max(sight.archived, self._received) if self._received is not None else sight.archived

    def _keep(self, measured: Measured) -> None:
        """Write down the worst of some seconds, and each change at once."""
        worst = self._worst
        if worst is None or measured.at_stake_s >= worst.at_stake_s:
            self._worst = measured
        changed = measured.protection is not self._protection
        if changed and self._protection is not None:
            observe(ProtectionChanged(before=self._protection.value, now=measured.protection.value))
        if changed or monotonic() - self._recorded_s >= _RECORD_EVERY_S:
            kept = measured if changed or self._worst is None else replace(self._worst, at=measured.at)
            record(self._state, kept)
            self._protection, self._recorded_s, self._worst = measured.protection, monotonic(), None

    def _seed(self) -> None:
        """Commits of ours from before this process began: their places are known."""
        if self._is_seeded:
            return
        self._is_seeded = True
        rows = self._state.rows(
            "select at, lsn from heartbeats"
            " where timeline = (select timeline from heartbeats order by at desc limit 1)"
            " order by at desc limit 500"
        )
        for row in reversed(rows):
            at = as_moment(row["at"])
            self._commits.add(Sample(at=at, lsn=Lsn.parse(row["lsn"]), last_commit_at=at))


def _start_of(segment: str) -> int:
    """The position at which a segment begins, whatever its timeline."""
    return (int(segment[8:16], 16) * _PER_LOG + int(segment[16:24], 16)) * SEGMENT_BYTES
