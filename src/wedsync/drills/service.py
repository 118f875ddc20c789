"""The keeper's drills: looks what is due, runs it, until it is cancelled."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from psycopg import Error as DatabaseError

from wedsync.backup import BackupRecords
from wedsync.clock import Clock
from wedsync.config import Config
from wedsync.drills.drill import Drill, Part
from wedsync.drills.order import DrillOrder, Pick
from wedsync.drills.rotation import DrillPolicy, NextDrill, Rotation, next_drill
from wedsync.drills.run import Driller, scheduled_effort
from wedsync.errors import Busy, WedsyncError
from wedsync.events import Event, observe

_LOOK_EVERY = timedelta(seconds=30)
_REMEMBERED = 2000
_LOOKED_BACK = 50
_UNKNOWN_S = 60.0
_SPARE = 1.5
"""A drill begins only if so many times its expected duration is left until a backup falls due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillServiceFailed(Event):
    """The service met an error outside a drill; it goes on."""

    level: ClassVar[str] = "error"

    message: str


class DrillService:
    """Schedules drills. What it knows is in the state file: it may die at any time."""

    def __init__(
        self,
        *,
        driller: Driller,
        backups: BackupRecords,
        config: Config,
        clock: Clock,
        busy_day: Callable[[], Awaitable[bool]],
        next_backup_at: Callable[[], Awaitable[datetime | None]],
    ) -> None:
        """`busy_day`: whether a wedding is near; `next_backup_at`: when the next backup falls due, where known."""
        self._driller = driller
        self._backups = backups
        self._config = config
        self._clock = clock
        self._busy_day = busy_day
        self._next_backup_at = next_backup_at

    async def run(self) -> None:
        """Run each drill when it is due, until cancelled."""
        while True:
            try:
                await self.step()
            except Busy:
                pass  # somebody else is at work: what is due then is judged again
            except (WedsyncError, DatabaseError, OSError) as error:
                observe(DrillServiceFailed(message=str(error)))
            await self._clock.sleep(_LOOK_EVERY)

    async def step(self) -> Drill | None:
        """Look once; run what is due. What could not be run is on record and is not raised."""
        if self._driller.under_way() is not None:
            return None
        await self._driller.settle_killed()
        busy_day = await self._busy_day()
        due = self.rotation(busy_day=busy_day).next
        if due is None or due.at > self._clock.now() or not await self._fits(due):
            return None
        try:
            return await self._driller.run(
                DrillOrder(repo=due.repo, backup=due.label, moment=Pick.RANDOM),
                reason=due.reason,
                by="keeper",
                effort=scheduled_effort(self._config.drills, busy_day=busy_day),
            )
        except Busy:
            raise
        except WedsyncError:
            return None  # it is on record, and tried again after a pause

    def rotation(self, *, busy_day: bool = False) -> Rotation:
        """What is drilled next, by what the state file knows."""
        return next_drill(
            self._backups.backups(),
            self._driller.records.newest(limit=_REMEMBERED),
            self._clock.now(),
            DrillPolicy.of(self._config),
            busy_day=busy_day,
        )

    async def _fits(self, due: NextDrill) -> bool:
        """Whether the drill ends before the next backup, as far as both are known.

        One that has never made it between two backups is begun all the same: it would wait for ever.
        """
        backup_at = await self._next_backup_at()
        if backup_at is None:
            return True
        left_s = (backup_at - self._clock.now()).total_seconds()
        if left_s <= 0:
            return False
        needed_s = _SPARE * self._expected_s(due.repo)
        return needed_s <= left_s or needed_s > self._shortest_pause_s()

    def _expected_s(self, repo: int) -> float:
        """How long a drill takes in all: like the last one of this repository, or of another, or a minute."""
        ended = [
            drill
            for drill in self._driller.records.newest(limit=_LOOKED_BACK)
            if drill.source is not None and Part.PROMOTE in drill.phases_s
        ]
        own = [drill for drill in ended if drill.source is not None and drill.source.repo == repo]
        like = next(iter(own or ended), None)
        return sum(like.phases_s.values()) if like is not None else _UNKNOWN_S

    def _shortest_pause_s(self) -> float:
        backup = self._config.backup
        repos = [item for item in (backup.repo1, backup.repo2) if item is not None]
        return min((item.incr_every or item.full_every).total_seconds() for item in repos)
