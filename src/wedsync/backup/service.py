"""The keeper's backup service: takes what is due, one at a time, until it is cancelled."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Error as DatabaseError
from psycopg.rows import class_row

from wedsync.backup.model import LiveCluster, RunReason
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.runs import BackupRuns
from wedsync.backup.schedule import Due, next_due
from wedsync.clock import Clock
from wedsync.database import ConnectionTarget
from wedsync.errors import Busy, WedsyncError
from wedsync.events import Event, observe
from wedsync.process import FileLock
from wedsync.sql import statements

_LOOK_EVERY = timedelta(seconds=15)
_REFRESH_EVERY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupServiceFailed(Event):
    """The service met an error outside a run; it goes on."""

    level = "error"

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryPrepared(Event):
    """A repository that had been empty or away was given its stanza."""

    repo: int


async def read_live_cluster(target: ConnectionTarget) -> LiveCluster | None:
    """Who the running cluster is; `None` while it is in recovery. Raises `CannotConnect`."""
    async with (
        await target.connect() as connection,
        connection.cursor(row_factory=class_row(LiveCluster)) as cursor,
    ):
        await cursor.execute(statements("backup")["live_cluster"])
        return await cursor.fetchone()


class BackupService:
    """Schedules backups. What it knows is in the repositories and the state file: it may die at any time."""

    def __init__(
        self, *, pgbackrest: PgBackRest, runs: BackupRuns, monitor: ConnectionTarget, clock: Clock
    ) -> None:
        """`monitor` is any role that may ask the server who it is."""
        self._pgbackrest = pgbackrest
        self._runs = runs
        self._monitor = monitor
        self._clock = clock
        self._refreshed_at: datetime | None = None

    async def run(self) -> None:
        """Take each backup when it falls due, until cancelled."""
        while True:
            try:
                await self.step()
            except Busy:
                pass  # somebody else takes one: what is due then is judged again
            except (WedsyncError, DatabaseError, OSError) as error:
                observe(BackupServiceFailed(message=str(error)))
            await self._clock.sleep(_LOOK_EVERY)

    async def step(self) -> Due | None:
        """Look once; take what is due. Gives what was taken, or what comes next (its `at` is in the future).

        Does nothing while a recovery is under way or the server is away. A failed run is on record and is
        not raised.
        """
        if self._recovering() or self._runs.under_way() is not None:
            return None
        try:
            live = await read_live_cluster(self._monitor)
        except WedsyncError:
            return None  # the server's absence is somebody else's alarm, and no failed backup
        if live is None:
            return None
        await self._refresh_if_old()
        due = self.next_due(live)
        if due is None or due.at > self._clock.now():
            return due
        first = not any(backup.repo == due.repo for backup in self._runs.records.backups())
        try:
            await self._runs.take(due.kind, repo=due.repo, reason=RunReason.FIRST if first else RunReason.SCHEDULE)
        except Busy:
            raise
        except WedsyncError:
            self._refreshed_at = None  # the repository may be away or empty: look at it before the next try
        return due

    def next_due(self, live: LiveCluster) -> Due | None:
        """What is taken next, by what the state file knows."""
        records = self._runs.records
        return next_due(
            records.backups(),
            records.runs(),
            self._pgbackrest.config,
            live=live,
            now=self._clock.now(),
        )

    async def _refresh_if_old(self) -> None:
        now = self._clock.now()
        known = bool(self._runs.records.backups())  # none are, when the state file is new
        if known and self._refreshed_at is not None and now - self._refreshed_at < _REFRESH_EVERY:
            return
        catalogue = await self._runs.refresh()
        self._refreshed_at = now
        missing = [status.repo for status in catalogue.repositories if not status.ok]
        if not missing:
            return
        prepared = [status.repo for status in await self._pgbackrest.stanza_create() if status.ok]
        for repo in set(prepared).intersection(missing):
            observe(RepositoryPrepared(repo=repo))
        await self._runs.refresh()  # the backups that one of them had, in its former place, count no more

    def _recovering(self) -> bool:
        lock = FileLock(self._pgbackrest.home.run / "recovery.lock", purpose="look for a recovery")
        return lock.holder() is not None
