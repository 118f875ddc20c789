"""Recovery in place on real clusters, exact to the commit."""

from datetime import timedelta

import pytest

from support.recoveries import Protected
from wedsync.backup import BackupKind
from wedsync.errors import NothingToUndo

PLAN_KEYS = {"asked", "target_at", "base", "wal", "lost", "forecast_s", "notes"}
RESULT_KEYS = {"restored_to", "last_commit_at", "took_s", "forecast_s", "undo_label"}


async def test_every_commit_before_the_moment_is_there_and_none_after(protected: Protected) -> None:
    for _ in range(3):
        await protected.commit()
    moment = await protected.moment()
    for _ in range(4):
        await protected.commit()
    plan = await protected.plan(moment)
    assert plan.loss.exact
    assert plan.loss.commits == 4
    assert set(plan.to_json()) >= PLAN_KEYS
    done = await protected.carry_out(plan)
    assert await protected.rows() == [1, 2, 3]
    assert set(done.to_json()) >= RESULT_KEYS
    assert done.archiving
    assert done.timeline == 2
    assert done.last_commit_at is not None
    assert done.last_commit_at <= moment
    # archiving goes on, and the next backup works
    await protected.commit()
    segment = await protected.archive()
    assert segment.startswith("00000002")
    await protected.backup(BackupKind.INCR)
    recorded = protected.platform.state.rows("select job from measurements")
    assert {row["job"] for row in recorded} >= {"secure", "stop", "restore", "replay", "promote", "confirm"}


async def test_undo_brings_everything_back_and_can_be_undone_itself(protected: Protected) -> None:
    await protected.commit()
    moment = await protected.moment()
    await protected.commit()
    await protected.recover(moment)
    protected.number = 10
    await protected.commit()
    await protected.undo()
    assert await protected.rows() == [1, 2]
    await protected.undo()
    assert await protected.rows() == [1, 11]


async def test_undo_has_the_commits_made_between_the_restore_point_and_the_stop(
    protected: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    await protected.commit()
    moment = await protected.moment()
    stop = protected.platform.server.stop

    async def commit_and_stop(mode: str = "fast") -> None:
        if await protected.rows() != [1, 2]:
            await protected.commit()
        await stop(mode)

    monkeypatch.setattr(protected.platform.server, "stop", commit_and_stop)
    plan = await protected.plan(moment)
    await protected.carry_out(plan)
    monkeypatch.undo()
    assert await protected.rows() == [1]
    await protected.undo()
    assert await protected.rows() == [1, 2]


async def test_undo_without_a_recovery_says_so(protected: Protected) -> None:
    with pytest.raises(NothingToUndo, match="no recovery was made"):
        await protected.undo()


async def test_moments_of_all_timelines_stay_within_reach(protected: Protected) -> None:
    await protected.commit()
    before = await protected.moment()
    at_the_fork = await protected.transactions()
    await protected.commit()
    await protected.commit()
    abandoned = await protected.moment()
    await protected.commit()
    await protected.recover(before)  # timeline 2: row 1
    protected.number = 10
    await protected.commit()
    on_the_new = await protected.moment()
    await protected.commit()
    plan = await protected.plan(abandoned)
    assert plan.timeline == 1
    assert any("timeline 1" in note for note in plan.notes)
    # one transaction less: row 2 was inserted before the fork, and its commit came after it
    assert plan.loss.commits == await protected.transactions() - at_the_fork - 1
    await protected.carry_out(plan)
    assert await protected.rows() == [1, 2, 3]
    protected.number = 20
    await protected.commit()
    await protected.recover(on_the_new)
    assert await protected.rows() == [1, 11]
    await protected.recover(before)
    assert await protected.rows() == [1]


async def test_lost_commits_of_an_ancestor_are_counted_once(protected: Protected) -> None:
    await protected.commit()
    early = await protected.moment()
    so_far = await protected.transactions()
    await protected.commit()
    await protected.commit()
    fork = await protected.moment()
    await protected.commit()
    await protected.recover(fork)
    await protected.commit()
    plan = await protected.plan(early)
    # rows 2 and 3 before the fork and what came after it; not row 4, which was taken back
    assert plan.loss.commits == await protected.transactions() - so_far - 1
    assert plan.loss.exact


async def test_latest_of_a_running_server_loses_nothing(protected: Protected) -> None:
    for _ in range(3):
        await protected.commit()
    plan = await protected.plan(None)
    assert plan.loss.commits == 0
    done = await protected.carry_out(plan)
    assert await protected.rows() == [1, 2, 3]
    assert done.to_json()["undo_label"].startswith("wedsync_before_")


async def test_latest_after_a_recovery_stays_on_the_new_timeline(protected: Protected) -> None:
    await protected.commit()
    moment = await protected.moment()
    for _ in range(3):
        await protected.commit()
        await protected.archive()
    await protected.recover(moment)
    protected.number = 10
    await protected.commit()
    await protected.archive()
    await protected.platform.server.stop()
    await protected.recover(None)
    assert await protected.rows() == [1, 11]


async def test_a_server_that_was_stopped_is_recovered_and_undone(protected: Protected) -> None:
    await protected.commit()
    moment = await protected.moment()
    await protected.commit()
    await protected.platform.server.stop()
    await protected.recover(moment)
    assert await protected.rows() == [1]
    await protected.undo()
    assert await protected.rows() == [1, 2]


async def test_a_moment_after_the_last_commit_is_the_last_commit(protected: Protected) -> None:
    await protected.commit()
    await protected.archive()
    await protected.platform.server.stop()
    plan = await protected.plan(protected.platform.clock.now())
    assert plan.last_commit_at is not None
    assert plan.clamped
    assert plan.target_at == plan.last_commit_at
    assert "the last commit that still exists" in plan.notes[0]
    done = await protected.carry_out(plan)
    assert await protected.rows() == [1]
    assert done.last_commit_at == plan.last_commit_at


async def test_a_recovery_to_the_very_last_commit_counts_it(protected: Protected) -> None:
    await protected.commit()
    await protected.archive()
    windows = (await protected.platform.surveyor.survey()).windows.windows
    newest = max(window.to_at for window in windows)
    done = await protected.recover(newest)
    assert await protected.rows() == [1]
    assert done.last_commit_at == newest


async def test_the_forecast_is_learnt_from_what_recoveries_took(protected: Protected) -> None:
    first = await protected.plan(None)
    assert first.forecast.runs == 0
    for _ in range(3):
        await protected.recover(None)
    plan = await protected.plan(None)
    assert plan.forecast.runs == 3
    assert plan.forecast.low_s <= plan.forecast.total_s <= plan.forecast.high_s
    done = await protected.carry_out(plan)
    assert done.forecast_s == pytest.approx(plan.forecast.total_s, abs=0.06)
    assert done.took_s < 3 * done.forecast_s  # how near it comes is measured in bench/recovery.py


async def test_what_was_kept_goes_when_it_is_outside_the_recovery_window(protected: Protected) -> None:
    await protected.commit()
    await protected.recover(None)
    await protected.recover(None)
    state, kept = protected.platform.state, protected.home.kept
    assert len(list(kept.iterdir())) == 2
    assert protected.platform.recoverer.tidy_kept() == []
    long_ago = (protected.platform.clock.now() - timedelta(days=31)).isoformat(timespec="microseconds")
    state.write("update recoveries set started_at = ?", (long_ago,))
    removed = protected.platform.recoverer.tidy_kept()
    assert len(removed) == 1  # the newest can still be undone
    assert [path.name for path in kept.iterdir()] != removed


async def test_a_moment_before_all_commits_of_the_tail_is_exact(protected: Protected) -> None:
    await protected.commit()
    await protected.archive()
    moment = await protected.moment()
    await protected.commit()
    await protected.kill()
    plan = await protected.plan(moment)
    assert not plan.clamped
    await protected.carry_out(plan)
    assert await protected.rows() == [1]


async def test_the_end_of_a_backup_without_wal_behind_it_is_reached(protected: Protected) -> None:
    """As it is with old weekly backups, of which no later WAL is kept."""
    numbers = [await protected.commit() for _ in range(2)]
    label = await protected.backup(BackupKind.FULL)
    await protected.kill()
    survey = await protected.platform.surveyor.survey()
    (single,) = [moment for moment in survey.windows.moments if moment.label == label]
    plan = await protected.plan(single.at)
    assert plan.base.label == label
    await protected.carry_out(plan)
    assert await protected.rows() == numbers
