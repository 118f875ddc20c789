"""The database's copy of what the state file knows of backups."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wedsync.backup import (
    Backup,
    BackupKind,
    BackupMirror,
    BackupRecords,
    Catalogue,
    Problem,
    RepositoryStatus,
    Verification,
)
from wedsync.backup.mirror import Mirrored
from wedsync.clock import SystemClock
from wedsync.config import Home
from wedsync.database import ConnectionTarget
from wedsync.migrations import up
from wedsync.state import open_state

NOON = datetime(2026, 6, 13, 12, tzinfo=UTC)


def backup(hours: int, *, damaged: bool = False) -> Backup:
    at = NOON + timedelta(hours=hours)
    return Backup(
        repo=1,
        label=f"20260613-{12 + hours:02d}0000F",
        kind=BackupKind.FULL,
        started_at=at,
        finished_at=at + timedelta(minutes=1),
        wal_start="000000010000000000000002",
        wal_stop="000000010000000000000002",
        lsn_start=None,
        lsn_stop=None,
        timeline=1,
        prior=None,
        references=(),
        database_bytes=1000,
        repo_bytes=100,
        damaged=damaged,
        system_id="1",
    )


@pytest.fixture
def records(home: Home) -> BackupRecords:
    return BackupRecords(open_state(home.state_db))


def keep(records: BackupRecords, *backups: Backup) -> None:
    records.save(Catalogue(backups=backups, repositories=(RepositoryStatus(repo=1, ok=True),)))


async def ask(target: ConnectionTarget, question: str) -> Any:
    async with await target.connect() as connection:
        row = await (await connection.execute(question)).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


async def test_the_newest_backup_is_told_and_a_removed_one_forgotten(
    database: ConnectionTarget, records: BackupRecords
) -> None:
    mirror = BackupMirror(records=records, owner=database, clock=SystemClock())
    keep(records, backup(0), backup(1))
    assert await mirror.step() is None, "the schema is not there yet"
    await up(database)
    assert (await ask(database, "select get_last_backup_time()"))["last_backup"] is None
    assert await mirror.step() == Mirrored(backups=2)
    told = await ask(database, "select get_last_backup_time()")
    assert datetime.fromisoformat(told["last_backup"]) == NOON + timedelta(hours=1, minutes=1)
    assert told["label"] == "20260613-130000F"

    # the newest one turns out to be damaged, the oldest one is removed
    keep(records, backup(1, damaged=True))
    assert await mirror.step() == Mirrored(forgotten=1, backups=1)
    assert (await ask(database, "select get_last_backup_time()"))["last_backup"] is None
    assert await mirror.step() == Mirrored(), "nothing is written where nothing differs"


async def test_nothing_differs_means_no_transaction_id(database: ConnectionTarget, records: BackupRecords) -> None:
    await up(database)
    keep(records, backup(0))
    records.verified(Verification(checked=3, problems=()), repos=[1], at=NOON, took_s=1.5)
    mirror = BackupMirror(records=records, owner=database, clock=SystemClock())
    await mirror.step()
    next_xid = "select pg_snapshot_xmax(pg_current_snapshot())::text"
    before = await ask(database, next_xid)
    assert await mirror.step() == Mirrored()
    assert await ask(database, next_xid) == before


async def test_verifications_are_told_and_told_again_after_a_recovery(
    database: ConnectionTarget, records: BackupRecords
) -> None:
    await up(database)
    problem = Problem(repo=2, label="20260613-120000F", file="backup.manifest", problem="it is missing")
    records.verified(Verification(checked=10, problems=()), repos=[1, 2], at=NOON, took_s=1.5)
    records.verified(
        Verification(checked=9, problems=(problem,)), repos=[2], at=NOON + timedelta(days=1), took_s=1
    )
    mirror = BackupMirror(records=records, owner=database, clock=SystemClock())
    assert await mirror.step() == Mirrored(verifications=2)
    details = await ask(
        database, "select details from backup_verification_log where not status and service = 'backups'"
    )
    assert details["problems"] == [
        {"repo": 2, "label": "20260613-120000F", "file": "backup.manifest", "problem": "it is missing"}
    ]
    async with await replace(database).connect() as connection:  # as a recovery to before it would
        await connection.execute("delete from ops.backup_verification_log where not status")
    assert await mirror.step() == Mirrored(verifications=1)
    assert await ask(database, "select count(*) from backup_verification_log") == 2
