"""What may happen to a cluster before it is recovered: what comes back, and what the operator is told."""

import asyncio
import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.clusters import START
from support.events import eventually
from support.recoveries import Protected, load, sheltering
from wedsync.app import Platform
from wedsync.app.services import why_server_must_wait
from wedsync.backup import number_of
from wedsync.cluster import ServerState
from wedsync.cluster.datadir import processes_in
from wedsync.errors import Busy, RecoveryFailed, RecoveryRefused, TargetUnreachable, WedsyncError
from wedsync.process import FileLock, run
from wedsync.recovery import Phase
from wedsync.recovery.plan import Present


async def test_a_data_directory_deleted_under_load_comes_back_with_every_acknowledged_commit(
    protected: Protected,
) -> None:
    """Lost: nothing that was acknowledged.
    Seen: a recovery that can be undone.
    """
    before = await protected.commit()
    async with sheltering(protected), load(protected) as ledger:
        await protected.archive()
        await eventually(lambda: len(ledger.acknowledged) > 500, what="some load")
        shutil.rmtree(protected.home.pgdata, ignore_errors=True)
        done = await protected.recover(None)
    rows = set(await protected.rows())
    assert rows >= {before, *ledger.acknowledged}
    assert rows <= {before, *ledger.acknowledged, *ledger.unknown}
    assert done.archiving
    # and the state before can be had again
    await protected.undo()
    assert set(await protected.rows()) == rows


async def test_a_data_directory_deleted_under_load_comes_back_though_its_server_ended_first(
    protected: Protected,
) -> None:
    """Lost: nothing that was acknowledged.
    Seen: a recovery that can be undone.
    """
    before = await protected.commit()
    async with sheltering(protected), load(protected) as ledger:
        segment = await protected.archive()
        following = protected.home.sheltered / f"{segment[:16]}{int(segment[16:], 16) + 1:08X}"
        await eventually(lambda: len(ledger.acknowledged) > 500 and following.exists(), what="some load")
        shutil.rmtree(protected.home.pgdata, ignore_errors=True)
        for pid in processes_in(protected.home.pgdata):  # as if its WAL writer had panicked
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not processes_in(protected.home.pgdata), what="nobody has the WAL open")
    done = await protected.recover(None)
    rows = set(await protected.rows())
    assert rows >= {before, *ledger.acknowledged}
    assert rows <= {before, *ledger.acknowledged, *ledger.unknown}
    assert done.archiving
    await protected.undo()
    assert set(await protected.rows()) == rows


async def test_a_half_deleted_data_directory_is_taken_back_without_being_asked_twice(protected: Protected) -> None:
    """Lost: nothing.
    Seen: a recovery that can be undone.
    """
    await protected.commit()
    moment = await protected.moment()
    await protected.commit()
    pgdata = protected.home.pgdata
    (pgdata / "PG_VERSION").unlink()
    shutil.rmtree(pgdata / "base")
    (pgdata / "base").mkdir()
    await protected.recover(moment)
    assert await protected.rows() == [1]
    await protected.undo()
    assert await protected.rows() == [1, 2]


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage"])
async def test_a_destroyed_pg_control_is_no_obstacle(protected: Protected, damage: str) -> None:
    """Lost: nothing.
    Seen: a recovery like any other.
    """
    await protected.commit()
    await protected.platform.server.stop("immediate")
    control = protected.home.pgdata / "global/pg_control"
    match damage:
        case "missing":
            control.unlink()
        case "empty":
            control.write_bytes(b"")
        case _:
            control.write_bytes(b"\x5a" * 8192)
    await protected.recover(None)
    assert await protected.rows() == [1]


async def test_a_damaged_pg_version_is_no_obstacle(protected: Protected) -> None:
    """Lost: nothing.
    Seen: a recovery like any other.
    """
    await protected.commit()
    await protected.platform.server.stop()
    (protected.home.pgdata / "PG_VERSION").write_text("fifteen\n")
    await protected.recover(None)
    assert await protected.rows() == [1]


async def test_killed_under_load_a_plain_start_loses_nothing_and_neither_does_a_recovery(
    protected: Protected,
) -> None:
    """Lost: nothing that was acknowledged.
    Seen: a recovery whose undo has every commit.
    """
    async with load(protected) as ledger:
        await eventually(lambda: len(ledger.acknowledged) > 500, what="some load")
        kept = len(ledger.acknowledged)  # first: what is acknowledged meanwhile may lie behind the moment
        moment = await protected.moment()
        await eventually(lambda: len(ledger.acknowledged) > kept + 300, what="more of it")
        await protected.kill()
    all_rows = set(ledger.acknowledged)
    await protected.recover(moment)  # before any start: the tail is only in the data directory
    early = set(await protected.rows())
    assert early >= set(ledger.acknowledged[:kept])
    assert not early >= all_rows
    await protected.undo()
    assert set(await protected.rows()) >= all_rows
    await protected.kill()
    await protected.start()
    assert set(await protected.rows()) >= all_rows


async def test_the_tail_of_an_abandoned_timeline_stays_within_reach(protected: Protected) -> None:
    """Lost: nothing: moments of the abandoned timeline can be had.
    Seen: a recovery to a moment on it.
    """
    await protected.commit()
    moment = await protected.moment()
    await protected.archive()
    await protected.commit()
    in_the_tail = await protected.moment()
    await protected.commit()
    await protected.kill()
    await protected.recover(moment)
    await protected.recover(in_the_tail)
    assert await protected.rows() == [1, 2]


async def test_a_tail_behind_a_hole_is_left_out_and_that_is_said(protected: Protected) -> None:
    """Lost: nothing that can be read: behind the hole nothing can.
    Seen: the last commit before the hole.
    """
    await protected.commit()
    await protected.archive()
    await protected.platform.server.stop()
    pgdata = protected.home.pgdata
    last = max(path for path in (pgdata / "pg_wal").iterdir() if len(path.name) == 24)
    tail = pgdata / "pg_wal" / f"{last.name[:16]}{int(last.name[16:], 16) + 2:08X}"
    content = bytearray(last.read_bytes())
    content[8:16] = (number_of(tail.name) * 16 * 1024 * 1024).to_bytes(8, "little")
    tail.write_bytes(content)
    await protected.recover(None)
    assert await protected.rows() == [1]


async def test_with_repo1_and_the_data_directory_gone_repo2_serves_untold(
    protected: Protected,
) -> None:
    """Lost: nothing that had reached repo2.
    Seen: the note `repo1 cannot be used`.
    """
    for _ in range(3):
        await protected.commit()
    moment = await protected.moment()
    await protected.commit()
    await protected.archive()
    shutil.rmtree(protected.home.root / "repo1")
    shutil.rmtree(protected.home.pgdata, ignore_errors=True)
    plan = await protected.plan(moment)
    assert plan.repo == 2
    assert any(note.startswith("repo1 cannot be used") for note in plan.notes)
    await protected.carry_out(plan)
    assert await protected.rows() == [1, 2, 3]


async def test_the_repository_that_has_the_moment_wins_over_one_that_falls_short(protected: Protected) -> None:
    """Lost: nothing.
    Seen: the plan names repo2.
    """
    await protected.commit()
    await protected.archive()
    await protected.commit()
    last = await protected.archive()
    await protected.platform.server.stop()
    shutil.rmtree(protected.home.pgdata)
    for path in (protected.home.root / "repo1/archive").rglob(f"{last}*"):
        path.unlink()
    plan = await protected.plan(None)
    assert plan.repo == 2
    await protected.carry_out(plan)
    assert await protected.rows() == [1, 2]


async def test_a_moment_before_the_window_is_refused_with_the_nearest_one(protected: Protected) -> None:
    """Lost: nothing: it is refused.
    Seen: `no backup is older`, and the nearest moment.
    """
    await protected.commit()
    long_ago = await protected.moment() - timedelta(days=1)
    with pytest.raises(TargetUnreachable, match="no backup is older") as caught:
        await protected.plan(long_ago)
    windows = (await protected.platform.surveyor.survey()).windows.windows
    assert str(caught.value.hint) == f"the nearest moments: {windows[0].from_at.isoformat(sep=' ')}"
    await protected.plan(windows[0].from_at)  # and that one can be had


async def test_a_moment_in_a_gap_is_refused_with_both_sides_of_it(protected: Protected) -> None:
    """Lost: nothing: it is refused.
    Seen: which WAL is missing, and the moments on both sides.
    """
    await protected.commit()
    await protected.archive()
    await protected.commit()
    inside = await protected.moment()
    await protected.commit()
    missing = await protected.archive()
    for repo in (1, 2):
        await protected.backup(repo=repo)
    await protected.commit()
    await protected.archive()
    for path in protected.home.root.glob(f"repo?/archive/**/{missing}*"):
        path.unlink()
    with pytest.raises(TargetUnreachable, match=f"WAL {missing} to {missing} is missing in repo") as caught:
        await protected.plan(inside)
    assert str(caught.value.hint).count("+00:00") == 2
    assert await protected.rows() == [1, 2, 3, 4]


async def test_a_moment_in_the_future_is_refused(protected: Protected) -> None:
    """Lost: nothing: it is refused.
    Seen: `is in the future`.
    """
    with pytest.raises(TargetUnreachable, match="is in the future"):
        await protected.plan(protected.platform.clock.now() + timedelta(hours=1))


async def test_with_a_wrong_key_the_repository_is_named_and_nothing_is_touched(protected: Protected) -> None:
    """Lost: nothing: it is refused.
    Seen: each repository, and that its key is another one.
    """
    await protected.commit()
    for repo in (1, 2):
        (protected.home.secrets / f"repo{repo}_key").write_text("not the key that it was made with")
    with pytest.raises(TargetUnreachable, match="no repository that can be read holds a backup") as caught:
        await protected.plan(None)
    assert "repo1" in str(caught.value.detail)
    assert "repo2" in str(caught.value.detail)
    assert await protected.rows() == [1]


async def test_a_data_directory_of_another_version_is_not_replaced(protected: Protected) -> None:
    """Lost: nothing: it is refused.
    Seen: which version it is of, and to move it away.
    """
    await protected.platform.server.stop()
    (protected.home.pgdata / "PG_VERSION").write_text("13\n")
    with pytest.raises(RecoveryRefused, match="not of PostgreSQL") as caught:
        await protected.recover(None)
    assert "13" in str(caught.value.detail)
    assert protected.platform.recoverer.journal.unfinished() is None


async def test_a_data_directory_of_another_cluster_is_not_replaced(protected: Protected, tmp_path: Path) -> None:
    """Lost: nothing: it is refused.
    Seen: `of another cluster`, and to move it away.
    """
    await protected.commit()
    plan = await protected.plan(None)
    await protected.platform.server.stop()
    pgdata = protected.home.pgdata
    pgdata.rename(tmp_path / "ours")
    program = protected.platform.engine.program("initdb")
    (await run([program, "-D", pgdata, "--no-sync", "-A", "trust"], deadline=START)).check()
    with pytest.raises(RecoveryRefused, match="of another cluster") as caught:
        await protected.carry_out(plan)
    assert "move it away" in str(caught.value.hint)
    assert (pgdata / "PG_VERSION").exists()


async def test_a_stale_pid_file_with_a_foreign_pid_is_no_obstacle(protected: Protected) -> None:
    """Lost: nothing.
    Seen: a recovery like any other.
    """
    await protected.commit()
    await protected.kill()
    noted = protected.home.pgdata / "postmaster.pid"
    lines = noted.read_text().splitlines()
    noted.write_text("\n".join(["1", *lines[1:]]) + "\n")  # after a reboot: somebody else's pid
    assert protected.platform.server.state() is ServerState.FOREIGN
    await protected.recover(None)
    assert await protected.rows() == [1]


async def test_a_backup_that_cannot_be_restored_changes_nothing_and_the_server_runs_again(
    protected: Protected,
) -> None:
    """Lost: nothing.
    Seen: `nothing was changed, and PostgreSQL runs again`.
    """
    await protected.commit()
    plan = await protected.plan(None)
    for path in protected.home.root.glob(f"repo{plan.repo}/backup/*/{plan.base.label}/backup.manifest*"):
        path.unlink()
    with pytest.raises(RecoveryRefused, match="nothing was changed, and PostgreSQL runs again"):
        await protected.carry_out(plan)
    assert await protected.rows() == [1]
    assert protected.platform.recoverer.journal.unfinished() is None
    assert list(protected.home.kept.glob("*/*")) == []
    await protected.commit()  # goes on in the segment that had been put aside
    await protected.archive()


async def test_while_a_backup_runs_a_recovery_waits_and_then_goes_on(protected: Protected) -> None:
    """Lost: nothing.
    Seen: `waiting for the end of: full backup`.
    """
    await protected.commit()
    plan = await protected.plan(None)
    lock = FileLock(protected.home.run / "backup.lock", purpose="full backup to repo1")
    with lock:
        going = asyncio.create_task(protected.carry_out(plan))
        await eventually(lambda: any("waiting for the end of: full" in words for words in protected.said))
    await going
    assert await protected.rows() == [1]


async def test_two_recoveries_at_once_the_second_is_refused_and_says_who(protected: Protected) -> None:
    """Lost: nothing.
    Seen: who is at work, and at what.
    """
    await protected.commit()
    plan = await protected.plan(None)
    busy: list[WedsyncError] = []

    def report(phase: Phase, words: str) -> None:
        del words
        if phase is Phase.RESTORE and not busy:
            with pytest.raises(Busy, match="recovery to latest") as caught:
                FileLock(protected.home.run / "recovery.lock", purpose="recovery to latest").__enter__()
            busy.append(caught.value)

    await protected.platform.recoverer.run(plan, report=report)
    assert "recovery to latest" in str(busy[0].detail)


async def test_during_a_recovery_nobody_may_start_the_server(protected: Protected) -> None:
    """Lost: nothing.
    Seen: `a recovery is under way`.
    """
    other = Platform(protected.home, {})
    said: list[str | None] = []

    def report(phase: Phase, words: str) -> None:
        del words
        if phase in {Phase.STOP, Phase.RESTORE, Phase.PROMOTE}:
            said.append(why_server_must_wait(other))

    await protected.commit()
    await protected.platform.recoverer.run(await protected.plan(None), report=report)
    assert said
    assert all(reason is not None and "a recovery is under way" in reason for reason in said)
    assert why_server_must_wait(other) is None
    other.state.close()


async def test_the_state_before_comes_from_the_archive_alone_when_this_machine_kept_nothing(
    protected: Protected,
) -> None:
    """Lost: nothing.
    Seen: an undo that works.
    """
    await protected.commit()
    await protected.archive()
    moment = await protected.moment()
    await protected.commit()  # in no archive, and the server ends without a chance to archive it
    await protected.platform.server.stop("immediate")
    await protected.recover(moment)
    assert await protected.rows() == [1]
    shutil.rmtree(protected.home.kept)
    await protected.undo()
    assert await protected.rows() == [1, 2]


async def test_a_repository_that_fails_under_replay_is_no_end_of_the_wal(
    protected: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost: nothing: the server takes no writes.
    Seen: `less WAL than there is`, and it took no writes; the same command goes on.
    """
    await protected.commit()
    await protected.archive()
    await protected.commit()
    await protected.archive()
    await protected.commit()
    plan = await protected.plan(None)
    hidden: list[tuple[Path, Path]] = []
    restore = protected.platform.pgbackrest.restore

    async def restore_then_hide(**options: Any) -> object:
        done = await restore(**options)
        (protected.home.pgdata / "pg_wal" / plan.wal_last).unlink(missing_ok=True)
        for path in protected.home.root.glob(f"repo{plan.repo}/archive/**/{plan.wal_last}*"):
            hidden.append((path, path.with_name(f".{path.name}")))
            path.rename(hidden[-1][1])
        return done

    monkeypatch.setattr(protected.platform.pgbackrest, "restore", restore_then_hide)
    with pytest.raises(RecoveryFailed, match="less WAL than there is"):
        await protected.carry_out(plan)
    assert protected.platform.server.state() is ServerState.STOPPED
    monkeypatch.undo()
    for path, away in hidden:
        away.rename(path)
    await protected.recover(None)
    assert await protected.rows() == [1, 2, 3]


async def lose_from_the_repositories(own: Protected) -> str:
    """Archive a segment, then delete it in both repositories; its name."""
    name = await own.archive()
    for path in own.home.root.glob(f"repo?/archive/**/{name}*"):
        path.unlink()
    return name


async def test_a_segment_lost_from_the_archive_is_kept_from_pg_wal(protected: Protected) -> None:
    """Lost: nothing.
    Seen: an undo that works.
    """
    await protected.commit()
    moment = await protected.moment()
    await protected.archive()
    await protected.commit()
    await lose_from_the_repositories(protected)
    await protected.commit()
    plan = await protected.plan(moment)
    assert plan.present is Present.UNDO
    await protected.carry_out(plan)
    assert await protected.rows() == [1]
    await protected.undo()
    assert await protected.rows() == [1, 2, 3]


async def test_where_nothing_leads_to_the_present_a_backup_is_taken_first(protected: Protected) -> None:
    """Lost: nothing.
    Seen: `backup`: one is taken first, and undo works.
    """
    await protected.commit()
    moment = await protected.moment()
    await protected.archive()
    await protected.commit()
    (protected.home.pgdata / "pg_wal" / await lose_from_the_repositories(protected)).unlink()
    await protected.commit()
    plan = await protected.plan(moment)
    assert plan.present is Present.BACKUP
    done = await protected.carry_out(plan)
    assert done.can_be_undone
    assert await protected.rows() == [1]
    await protected.undo()
    assert await protected.rows() == [1, 2, 3]


async def test_where_nothing_leads_to_the_present_of_a_stopped_server_its_files_are_put_aside(
    protected: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost: nothing: the old files are kept whole.
    Seen: `aside`; refused where there is no room for them.
    """
    await protected.commit()
    moment = await protected.moment()
    await protected.archive()
    await protected.commit()
    (protected.home.pgdata / "pg_wal" / await lose_from_the_repositories(protected)).unlink()
    await protected.platform.server.stop()
    plan = await protected.plan(moment)
    assert plan.present is Present.ASIDE
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
        with pytest.raises(RecoveryRefused, match="which no backup leads to"):
            await protected.carry_out(plan)
    done = await protected.carry_out(plan)
    assert not done.can_be_undone
    assert await protected.rows() == [1]
    before = protected.home.kept / done.id / "pgdata.before"
    await protected.platform.server.stop()
    shutil.rmtree(protected.home.pgdata)
    before.rename(protected.home.pgdata)
    await protected.start()
    assert await protected.rows() == [1, 2]


async def test_the_history_of_a_timeline_that_is_in_no_archive_is_kept(protected: Protected) -> None:
    """Lost: nothing.
    Seen: an undo that works.
    """
    await protected.commit()
    moment = await protected.moment()
    await protected.commit()
    await protected.recover(moment)
    await protected.commit()
    await protected.platform.server.stop()
    for path in protected.home.root.glob("repo?/archive/**/00000002.history*"):
        if path.is_file():
            path.unlink()
    done = await protected.recover(moment)
    assert done.timeline == 3
    await protected.undo()
    assert await protected.rows() == [1, 3]


async def test_a_plan_made_before_another_recovery_is_refused(protected: Protected) -> None:
    """Lost: nothing: it is refused.
    Seen: `it holds no more`.
    """
    await protected.commit()
    plan = await protected.plan(await protected.moment())
    await protected.commit()
    await protected.recover(None)
    with pytest.raises(RecoveryRefused, match="it holds no more"):
        await protected.carry_out(plan)
    assert await protected.rows() == [1, 2]
