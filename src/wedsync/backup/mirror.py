"""What the state file knows of backups, told to the database: for those who ask by SQL.

The copy may lag and may be lost: it is made again from the state file, after a recovery too, which took the
tables back in time with everything else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from wedsync.backup.model import Backup
from wedsync.backup.records import BackupRecords, VerificationRecord
from wedsync.clock import Clock
from wedsync.database import ConnectionTarget
from wedsync.errors import WedsyncError
from wedsync.events import Event, observe
from wedsync.sql import statements

_LOOK_EVERY = timedelta(seconds=5)
_COMPARE_EVERY = timedelta(minutes=1)
_VERIFICATIONS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupsNotMirrored(Event):
    """The database was not told of backups and verifications; it is tried again."""

    level: ClassVar[str] = "warning"

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """How many rows the database's copy needed."""

    forgotten: int = 0
    backups: int = 0
    verifications: int = 0
    drills: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDrill:
    """A drill that passed or failed, as the verification log tells of it."""

    at: datetime
    passed: bool
    details: Mapping[str, object]


class BackupMirror:
    """Keeps `ops.backups` and the verification log like the state file, until it is cancelled."""

    def __init__(
        self,
        *,
        records: BackupRecords,
        owner: ConnectionTarget,
        clock: Clock,
        drills: Callable[[], Sequence[LoggedDrill]] = tuple,
    ) -> None:
        """`owner` may write the tables of the schema `ops`; `drills` are the last ones that said something."""
        self._drills = drills
        self._records = records
        self._owner = owner
        self._clock = clock
        self._told: _Known | None = None
        self._compared_at: datetime | None = None

    async def run(self) -> None:
        """Tell the database of each change, and compare once a minute, until cancelled."""
        told = False
        while True:
            if self._is_due():
                try:
                    await self.step()
                    told = False
                except (WedsyncError, DatabaseError, OSError) as error:
                    if not told:
                        observe(BackupsNotMirrored(message=str(error)))
                    told = True
            await self._clock.sleep(_LOOK_EVERY)

    def _is_due(self) -> bool:
        now = self._clock.now()
        known = self._known()
        late = self._compared_at is None or not timedelta(0) <= now - self._compared_at < _COMPARE_EVERY
        return late or known != self._told

    def _known(self) -> "_Known":
        return (
            self._records.backups(),
            self._records.verifications(limit=_VERIFICATIONS),
            tuple(self._drills()),
        )

    async def step(self) -> Mirrored | None:
        """Compare and write what differs; `None` where there is nothing to write to."""
        known = self._known()
        backups, verifications, drills = known
        async with await self._owner.connect() as connection:
            row = await (await connection.execute(_sql("has_mirror"))).fetchone()
            done = None
            if row is not None and row[0]:
                async with connection.transaction():
                    forgotten, added = await _mirror_backups(connection, backups)
                    read = await _mirror_verifications(connection, verifications)
                    drilled = await _mirror_drills(connection, drills)
                done = Mirrored(forgotten=forgotten, backups=added, verifications=read, drills=drilled)
        self._told = known
        self._compared_at = self._clock.now()
        return done


_Known = tuple[tuple[Backup, ...], tuple[VerificationRecord, ...], tuple[LoggedDrill, ...]]


async def _mirror_backups(connection: AsyncConnection[TupleRow], backups: Sequence[Backup]) -> tuple[int, int]:
    """Make the table hold these backups; gives how many rows went and how many came or changed."""
    rows = await (await connection.execute(_sql("mirrored_backups"))).fetchall()
    there = {(repo, label): damaged for repo, label, damaged in rows}
    wanted = {(backup.repo, backup.label): backup for backup in backups}
    gone = [{"repo": repo, "label": label} for repo, label in there.keys() - wanted.keys()]
    new = [_values(backup) for key, backup in wanted.items() if there.get(key) is not backup.damaged]
    async with connection.cursor() as cursor:
        await cursor.executemany(_sql("forget_backup"), gone)
        await cursor.executemany(_sql("mirror_backup"), new)
    return len(gone), len(new)


def _values(backup: Backup) -> Mapping[str, object]:
    return {
        "repo": backup.repo,
        "label": backup.label,
        "kind": backup.kind.value,
        "started_at": backup.started_at,
        "finished_at": backup.finished_at,
        "database_bytes": backup.database_bytes,
        "repo_bytes": backup.repo_bytes,
        "damaged": backup.damaged,
    }


async def _mirror_verifications(
    connection: AsyncConnection[TupleRow], verifications: Sequence[VerificationRecord]
) -> int:
    if not verifications:
        return 0
    since = min(record.at for record in verifications)
    rows = await (await connection.execute(_sql("mirrored_verifications"), {"since": since})).fetchall()
    there = {at for (at,) in rows}
    new = [record for record in verifications if record.at not in there]
    async with connection.cursor() as cursor:
        await cursor.executemany(
            _sql("mirror_verification"),
            [{"at": record.at, "status": record.found.ok, "details": Jsonb(_details(record))} for record in new],
        )
    return len(new)


async def _mirror_drills(connection: AsyncConnection[TupleRow], drills: Sequence[LoggedDrill]) -> int:
    if not drills:
        return 0
    since = min(drill.at for drill in drills)
    rows = await (await connection.execute(_sql("mirrored_drills"), {"since": since})).fetchall()
    there = {at for (at,) in rows}
    new = [drill for drill in drills if drill.at not in there]
    async with connection.cursor() as cursor:
        await cursor.executemany(
            _sql("mirror_drill"),
            [{"at": drill.at, "status": drill.passed, "details": Jsonb(dict(drill.details))} for drill in new],
        )
    return len(new)


def _details(record: VerificationRecord) -> Mapping[str, object]:
    return {
        "repos": record.repos,
        "checked": record.found.checked,
        "took_s": round(record.took_s, 3),
        "problems": [
            {"repo": item.repo, "label": item.label, "file": item.file, "problem": item.problem}
            for item in record.found.problems
        ],
    }


def _sql(name: str) -> bytes:
    return statements("backup")[name]
