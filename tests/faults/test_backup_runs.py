"""Runs that meet trouble: two at once, killed, no space, archiving broken, a foreign cluster, repo2 away."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from support.backups import BackedUp, backed_up_cluster
from support.clusters import START, make_cluster, new_home, remove_cluster, small_config
from support.events import eventually
from wedsync.backup import BackupKind, BackupRuns, PgBackRest, RunOutcome, RunReason, contiguous_spans
from wedsync.clock import SystemClock
from wedsync.cluster import Engine
from wedsync.config import Home, RepositoryConfig
from wedsync.errors import Busy, ForeignCluster, RepositoryFull, RepositoryUnreachable, WedsyncError
from wedsync.process import FileLock

_TAKE = """
import asyncio, sys
from pathlib import Path
from wedsync.backup import BackupKind, BackupRuns, PgBackRest, RunReason
from wedsync.clock import SystemClock
from wedsync.cluster import find_engine
from wedsync.config import Config, Home
from wedsync.state import open_state
import msgspec
home = Home(Path(sys.argv[1]))
config = msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=Config)
pgbackrest = PgBackRest(engine=find_engine(home), home=home, config=config)
runs = BackupRuns(pgbackrest=pgbackrest, state=open_state(home.state_db), clock=SystemClock())
asyncio.run(runs.take(BackupKind.FULL, repo=1, reason=RunReason.OPERATOR))
"""


@pytest.fixture
async def own(engine: Engine, template: Home, home: Home) -> AsyncIterator[BackedUp]:
    async with backed_up_cluster(engine, template, home, small_config()) as made:
        yield made


def runs_of(own: BackedUp) -> BackupRuns:
    return BackupRuns(pgbackrest=own.pgbackrest, state=own.state, clock=SystemClock())


async def test_the_second_of_two_at_once_says_who_is_at_work(own: BackedUp) -> None:
    """Lost: nothing.
    Seen: which process holds the lock, for what, since when.
    """
    first, second = runs_of(own), runs_of(own)
    task = asyncio.create_task(first.take(BackupKind.FULL, repo=1, reason=RunReason.SCHEDULE))
    await eventually(lambda: second.under_way() is not None, what="the first run has begun")
    with pytest.raises(Busy) as caught:
        await second.take(BackupKind.FULL, repo=2, reason=RunReason.OPERATOR)
    assert f"process {os.getpid()} holds backup.lock for: full backup to repo1" in str(caught.value)
    backup = await task
    assert [run.outcome for run in second.records.runs()] == [RunOutcome.DONE]
    assert second.records.runs()[0].label == backup.label


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_after_a_kill_in_the_middle_the_next_run_works_and_the_first_is_on_record_as_failed(
    own: BackedUp, tmp_path: Path
) -> None:
    """Lost: nothing: the next run is whole.
    Seen: the killed run as failed: `ended in the middle of the run`.
    """
    settings = tmp_path / "config.json"
    settings.write_bytes(msgspec.json.encode(own.server.config))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _TAKE,
        str(own.home.root),
        str(settings),
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    lock_file = own.home.run / "pgbackrest" / f"{own.stanza}-backup.lock"
    await eventually(lambda: lock_file.exists() and lock_file.stat().st_size > 0, what="pgBackRest is at work")
    for pid in (process.pid, *children_of(process.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await process.wait()
    runs = runs_of(own)
    assert runs.under_way() is None
    assert runs.records.runs()[0].outcome is RunOutcome.RUNNING
    backup = await runs.take(BackupKind.FULL, repo=1, reason=RunReason.SCHEDULE)
    newest, killed = runs.records.runs()
    assert (newest.outcome, newest.label) == (RunOutcome.DONE, backup.label)
    assert killed.outcome is RunOutcome.FAILED
    assert killed.error == f"process {process.pid} ended in the middle of the run"


async def test_a_cancelled_run_is_on_record_and_leaves_nothing_running(own: BackedUp) -> None:
    """Lost: nothing.
    Seen: the run as failed; no process is left.
    """
    runs = runs_of(own)
    task = asyncio.create_task(runs.take(BackupKind.FULL, repo=1, reason=RunReason.OPERATOR))
    await eventually(lambda: runs.records.runs() != (), what="the run is on record")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runs.records.runs()[0].error == "stopped before its end (CancelledError)"
    await runs.take(BackupKind.FULL, repo=1, reason=RunReason.OPERATOR)


async def test_a_full_disk_is_told_by_name_and_the_next_run_works(
    engine: Engine, template: Home, home: Home, small_disk: Path
) -> None:
    """Lost: nothing: backups that were there stay restorable.
    Seen: `no space left in repo2`, and to make room.
    """
    place = small_disk / "repo2"
    ballast = small_disk / "ballast"
    config = small_config(backup=_with_repo2(RepositoryConfig(path=str(place))))
    async with backed_up_cluster(engine, template, home, config) as own:
        runs = runs_of(own)
        first = await runs.take(BackupKind.FULL, repo=2, reason=RunReason.OPERATOR)
        # room for a WAL segment, not for a backup
        free = shutil.disk_usage(small_disk).free - 2_000_000
        ballast.write_bytes(bytes(free))
        with pytest.raises(RepositoryFull, match="no space left in repo2") as caught:
            await runs.take(BackupKind.FULL, repo=2, reason=RunReason.OPERATOR)
        assert caught.value.hint
        assert "make room" in caught.value.hint
        assert runs.records.runs()[0].outcome is RunOutcome.FAILED
        ballast.unlink()
        await runs.take(BackupKind.FULL, repo=2, reason=RunReason.OPERATOR)
        assert first.label in {backup.label for backup in runs.records.backups()}


def _with_repo2(repo2: RepositoryConfig | None) -> object:
    return msgspec.structs.replace(small_config().backup, repo2=repo2)


async def test_archiving_that_failed_catches_up_and_the_window_with_it(own: BackedUp) -> None:
    """Lost: nothing: PostgreSQL keeps the WAL until it is archived.
    Seen: a window that ends where archiving stopped, then goes on without a gap.
    """
    await own.backup()
    await own.server.write_configuration("/bin/false pgbackrest")
    await own.server.reload()
    for _ in range(3):
        await own.commit()
        await own.execute("select pg_switch_wal()")
    last = await own.commit()
    before = (await own.surveyor.survey()).windows.windows
    await own.server.write_configuration(own.pgbackrest.archive_command())
    await own.server.reload()
    await own.archive()
    (window,) = (await own.surveyor.survey()).windows.windows
    assert window.to_at <= last
    assert last - window.to_at < timedelta(seconds=1)
    assert all(item.to_at < window.to_at for item in before)
    assert not (await own.surveyor.survey()).windows.gaps


async def test_while_repo2_is_away_repo1_goes_on_and_repo2_catches_up_later(own: BackedUp) -> None:
    """Lost: nothing.
    Seen: `repo2 cannot be used`, and no gap once it is back.
    """
    runs = runs_of(own)
    await runs.take(BackupKind.FULL, repo=2, reason=RunReason.OPERATOR)
    away = own.repository(2)
    away.chmod(0)
    try:
        for _ in range(3):
            await own.commit()
            await own.execute("select pg_switch_wal()")
        last = await own.commit()
        await own.execute("select pg_switch_wal()")
        backup = await runs.take(BackupKind.FULL, repo=1, reason=RunReason.OPERATOR)
        assert backup.repo == 1
        with pytest.raises(RepositoryUnreachable, match="repo2 cannot be used"):
            await runs.take(BackupKind.FULL, repo=2, reason=RunReason.OPERATOR)
        survey = await own.surveyor.survey()
        assert [status.repo for status in survey.problems] == [2]
        assert {item.repo for item in runs.records.backups()} == {1, 2}
        (archive,) = await own.pgbackrest.archives(1)
        assert contiguous_spans(archive.segments)[-1].last >= backup.wal_stop
    finally:
        away.chmod(0o700)
    await own.archive()

    async def repo2_has_all() -> bool:
        (found,) = await own.pgbackrest.archives(2)
        return len(contiguous_spans(found.segments)) == 1 and found.segments[-1] >= backup.wal_stop

    await eventually(repo2_has_all, what="repo2 has every segment again")
    survey = await own.surveyor.survey()
    assert survey.problems == ()
    assert survey.windows.gaps == ()
    assert any(
        window.repos == (2,) and window.to_at >= last - timedelta(seconds=1) for window in survey.windows.per_repo
    )


async def test_a_foreign_cluster_is_refused_by_name(own: BackedUp, engine: Engine, tmp_path: Path) -> None:
    """Lost: nothing: the repository is not written to.
    Seen: `belongs to another cluster`.
    """
    await own.backup()
    other = await make_cluster(engine, new_home(tmp_path / "other"), small_config())
    try:
        shutil.copytree(own.home.secrets, other.home.secrets, dirs_exist_ok=True)
        backup = msgspec.structs.replace(
            other.config.backup, repo1=RepositoryConfig(path=str(own.repository(1))), repo2=None
        )
        pgbackrest = PgBackRest(
            engine=engine, home=other.home, config=msgspec.structs.replace(other.config, backup=backup)
        )
        pgbackrest.write_config()
        await other.write_configuration(pgbackrest.archive_command())
        await other.reload()
        with pytest.raises(ForeignCluster, match="belongs to another cluster"):
            await pgbackrest.stanza_create()
        with pytest.raises(ForeignCluster, match="belongs to another cluster"):
            await pgbackrest.backup(BackupKind.FULL, repo=1)
        (archive,) = await own.pgbackrest.archives(1)
        with pytest.raises(ForeignCluster, match="belongs to another cluster"):
            await pgbackrest.archive_push(other.home.pgdata / "pg_wal" / archive.segments[0])
        assert (await own.pgbackrest.archives(1)) == (archive,)
    finally:
        await remove_cluster(other)


async def test_without_the_server_a_backup_says_so_and_the_lock_is_free_again(own: BackedUp) -> None:
    """Lost: nothing.
    Seen: that the server does not answer.
    """
    await own.server.stop("immediate", deadline=START)
    runs = runs_of(own)
    with pytest.raises(WedsyncError) as caught:
        await runs.take(BackupKind.FULL, repo=1, reason=RunReason.OPERATOR)
    assert caught.value.detail
    assert FileLock(own.home.run / "backup.lock", purpose="test").holder() is None
