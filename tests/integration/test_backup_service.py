"""The keeper's side: what is due is taken, retention follows, holds hold, the heart beats."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.rows import dict_row

from support.backups import BackedUp, backed_up_cluster
from support.clusters import small_config
from wedsync.backup import (
    BackupKind,
    BackupRuns,
    BackupService,
    HeartbeatService,
    RunReason,
    TimelineBook,
    contiguous_spans,
    read_live_cluster,
)
from wedsync.cluster import Engine
from wedsync.config import BackupConfig, Home
from wedsync.errors import BackupKept, BackupUnknown
from wedsync.process import FileLock


@dataclass
class SetClock:
    """A clock that is set by hand, ahead of the real one."""

    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def sleep(self, pause: timedelta) -> None:
        self.ahead += pause


@pytest.fixture
async def own(engine: Engine, template: Home, home: Home) -> AsyncIterator[BackedUp]:
    backup = BackupConfig(recovery_window=timedelta(days=2), keep_weekly=timedelta(0))
    async with backed_up_cluster(engine, template, home, small_config(backup=backup)) as made:
        yield made


async def test_what_is_due_is_taken_and_old_things_go(own: BackedUp) -> None:
    clock = SetClock()
    runs = BackupRuns(pgbackrest=own.pgbackrest, state=own.state, clock=clock)
    service = BackupService(
        pgbackrest=own.pgbackrest, runs=runs, monitor=own.server.target("wedsync_monitor"), clock=clock
    )

    # nothing while a recovery is under way
    with FileLock(own.home.run / "recovery.lock", purpose="test"):
        assert await service.step() is None
    # the first full backups, one after the other, then a rest
    first, second = await service.step(), await service.step()
    assert first is not None
    assert second is not None
    assert [(due.repo, due.kind) for due in (first, second)] == [(1, BackupKind.FULL), (2, BackupKind.FULL)]
    assert [run.reason for run in runs.records.runs()] == [RunReason.FIRST, RunReason.FIRST]
    coming = await service.step()
    assert coming is not None
    assert coming.at > clock.now()
    assert len(runs.records.runs()) == 2
    # an hour later: an incremental one
    await own.commit()
    clock.ahead = timedelta(hours=1, minutes=1)
    taken = await service.step()
    assert taken is not None
    assert (taken.repo, taken.kind) == (1, BackupKind.INCR)
    # a held backup stays when its time is over, and what it is built on
    (full, incr) = (await own.pgbackrest.catalogue()).of_repo(1)
    await runs.hold(repo=1, label=incr.label, reason="audit 2026")
    assert next(item for item in runs.records.backups() if item.label == incr.label).held == "audit 2026"
    await own.archive()
    newer = await runs.take(BackupKind.FULL, repo=1, reason=RunReason.OPERATOR)
    await own.archive()
    clock.ahead = timedelta(days=5)
    await runs.apply_retention()
    assert [item.label for item in (await own.pgbackrest.catalogue()).of_repo(1)] == [
        full.label,
        incr.label,
        newer.label,
    ]
    with pytest.raises(BackupKept, match="stays"):
        await runs.remove(repo=1, label=incr.label)
    with pytest.raises(BackupUnknown):
        await runs.hold(repo=1, label="20200101-000000F", reason="x")
    # the WAL from the base on is whole; before it only what makes the held ones consistent
    (archive,) = await own.pgbackrest.archives(1)
    needed = {full.wal_start, full.wal_stop, incr.wal_start, incr.wal_stop}
    assert {name for name in archive.segments if name < newer.wal_start} == needed
    assert (
        contiguous_spans(name for name in archive.segments if name >= newer.wal_start)[0].first == newer.wal_start
    )
    # released, it goes, and so does what was only there for it
    await runs.hold(repo=1, label=incr.label, reason=None)
    await runs.apply_retention()
    assert [item.label for item in (await own.pgbackrest.catalogue()).of_repo(1)] == [newer.label]
    assert [item.label for item in runs.records.backups() if item.repo == 1] == [newer.label]
    # a state file that has lost the timelines learns them before anything is judged
    own.state.write("delete from timelines")
    await runs.plan_retention()
    assert TimelineBook(pgbackrest=own.pgbackrest, state=own.state).of_system(newer.system_id).keys() == {1}


async def test_a_repository_in_a_new_place_gets_its_first_backup_at_once(own: BackedUp) -> None:
    def keeper() -> BackupService:
        runs = BackupRuns(pgbackrest=own.pgbackrest, state=own.state, clock=SetClock())
        monitor = own.server.target("wedsync_monitor")
        return BackupService(pgbackrest=own.pgbackrest, runs=runs, monitor=monitor, clock=SetClock())

    service = keeper()
    assert await service.step() is not None
    assert await service.step() is not None
    (former,) = (await own.pgbackrest.catalogue()).of_repo(2)
    second = own.pgbackrest.config.repo2
    assert second is not None
    own.home.resolve(second.path).rename(own.home.root / "former")

    taken = await keeper().step()
    assert taken is not None
    assert (taken.repo, taken.kind) == (2, BackupKind.FULL)
    (begun,) = (await own.pgbackrest.catalogue()).of_repo(2)
    assert begun.label != former.label


async def test_the_live_cluster_says_who_it_is(own: BackedUp) -> None:
    live = await read_live_cluster(own.server.target("wedsync_monitor"))
    assert live is not None
    assert live.timeline == 1
    (archive, *_) = [*await own.pgbackrest.archives(1)]
    assert live.system_id == archive.system_id


async def test_the_heart_beats_for_the_first_time_after_writes_and_seldom_when_idle(own: BackedUp) -> None:
    clock = SetClock()
    heart = HeartbeatService(
        owner=own.server.target("wedsync_owner", own.server.config.database.name),
        state=own.state,
        clock=clock,
        every=timedelta(seconds=10),
        keep=timedelta(days=2),
    )
    target = own.server.target("wedsync_owner", own.server.config.database.name)
    async with await target.connect() as connection:
        connection.row_factory = dict_row
        await heart.prepare(connection)
        assert await heart.beat_once(connection) is True
        clock.ahead += timedelta(seconds=11)
        assert await heart.beat_once(connection) is None
        await own.commit()
        assert await heart.beat_once(connection) is True
        clock.ahead += timedelta(minutes=14)
        assert await heart.beat_once(connection) is None
        clock.ahead += timedelta(minutes=2)
        assert await heart.beat_once(connection) is True
    beats = own.state.rows("select * from heartbeats order by at")
    assert len(beats) == 3
    assert {row["timeline"] for row in beats} == {1}
