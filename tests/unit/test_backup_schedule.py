"""Which backup is due when."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from support.backup_values import START, SYSTEM, backup
from wedsync.backup import (
    Backup,
    BackupKind,
    BackupRun,
    Due,
    LiveCluster,
    RunOutcome,
    RunReason,
    next_due,
    retry_at,
)
from wedsync.config import BackupConfig, RepositoryConfig

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LIVE = LiveCluster(system_id=SYSTEM, timeline=1)
ONE = BackupConfig(repo2=None)
TWO = BackupConfig()


def run(number: int, outcome: RunOutcome, ended_at: datetime, repo: int = 1) -> BackupRun:
    return BackupRun(
        id=number,
        repo=repo,
        kind=BackupKind.INCR,
        reason=RunReason.SCHEDULE,
        started_at=ended_at - MINUTE,
        finished_at=ended_at,
        outcome=outcome,
    )


def due(
    backups: list[Backup],
    now: datetime,
    *,
    runs: list[BackupRun] | None = None,
    config: BackupConfig = ONE,
    live: LiveCluster = LIVE,
) -> Due:
    found = next_due(backups, runs or [], config, live=live, now=now)
    assert found is not None
    return found


def test_an_empty_repository_wants_a_full_backup_now() -> None:
    found = due([], START)
    assert (found.repo, found.kind, found.at) == (1, BackupKind.FULL, START)


def test_switched_off_nothing_is_due() -> None:
    assert next_due([], [], BackupConfig(enabled=False), live=LIVE, now=START) is None


def test_an_hour_after_the_last_backup_an_incremental_is_due() -> None:
    full = backup(START)
    found = due([full], START + HOUR)
    assert (found.kind, found.at) == (BackupKind.INCR, START + HOUR)
    assert due([full], START + 59 * MINUTE).at > START + 59 * MINUTE


def test_a_day_after_the_last_full_one_a_full_one_is_due_whatever_came_between() -> None:
    full = backup(START)
    incr = backup(START + 23 * HOUR, BackupKind.INCR, on=full)
    found = due([full, incr], START + 24 * HOUR)
    assert found.kind is BackupKind.FULL


def test_after_a_week_of_sleep_one_backup_is_due_and_then_no_other() -> None:
    now = START + timedelta(days=7)
    assert due([backup(START)], now).kind is BackupKind.FULL
    assert due([backup(START), backup(now)], now + MINUTE).at == now + HOUR


def test_a_new_timeline_wants_a_full_backup_at_once() -> None:
    found = due([backup(START)], START + MINUTE, live=LiveCluster(system_id=SYSTEM, timeline=2))
    assert (found.kind, found.at) == (BackupKind.FULL, START + MINUTE)


def test_backups_of_another_cluster_do_not_count() -> None:
    assert due([backup(START, system_id="8")], START + MINUTE).kind is BackupKind.FULL


def test_a_repository_without_any_backup_comes_before_one_that_is_late() -> None:
    found = due([backup(START, repo=1)], START + timedelta(days=3), config=TWO)
    assert found.repo == 2


def test_the_second_repository_has_a_rhythm_of_its_own() -> None:
    both = [backup(START, repo=1), backup(START, repo=2)]
    now = START + HOUR
    assert due(both, now, config=TWO).repo == 1
    later = [*both, backup(START + 6 * HOUR, BackupKind.INCR, on=both[0])]
    found = due(later, START + 6 * HOUR + MINUTE, config=TWO)
    assert (found.repo, found.kind) == (2, BackupKind.INCR)


def test_a_repository_without_incrementals_gets_none() -> None:
    config = BackupConfig(repo1=RepositoryConfig(path="r", incr_every=None), repo2=None)
    found = due([backup(START)], START + 5 * HOUR, config=config)
    assert (found.kind, found.at) == (BackupKind.FULL, START + 24 * HOUR)


def test_a_failed_run_is_tried_again_after_a_minute_then_two_then_four() -> None:
    for failures, pause in ((1, MINUTE), (2, 2 * MINUTE), (3, 4 * MINUTE), (7, HOUR), (500, HOUR)):
        runs = [run(number, RunOutcome.FAILED, START) for number in range(failures)]
        assert due([], START, runs=runs).at == START + pause


def test_a_run_that_went_well_ends_the_waiting() -> None:
    runs = [run(1, RunOutcome.FAILED, START), run(2, RunOutcome.DONE, START + MINUTE)]
    assert retry_at(runs, MINUTE) is None


def test_a_repository_that_fails_does_not_hold_up_the_other() -> None:
    runs = [run(number, RunOutcome.FAILED, START, repo=1) for number in range(3)]
    assert due([], START, runs=runs, config=TWO).repo == 2


def test_a_clock_that_was_wrong_does_not_stop_backups() -> None:
    future = backup(START + timedelta(days=300))
    assert due([future], START).at == START


def test_damaged_backups_keep_their_rhythm() -> None:
    assert due([backup(START, damaged=True)], START + MINUTE).at == START + HOUR


@given(st.lists(st.integers(1, 72), max_size=30), st.integers(0, 200))
def test_what_is_due_is_never_sooner_than_an_hour_after_the_last(gaps: list[int], later_min: int) -> None:
    moment, backups = START, [backup(START)]
    for hours in gaps:
        moment += timedelta(hours=hours)
        backups.append(backup(moment, BackupKind.INCR, on=backups[0]))
    now = moment + timedelta(minutes=later_min)
    found = due(backups, now)
    if found.kind is BackupKind.INCR:
        assert found.at == moment + HOUR
    else:
        assert found.at == START + 24 * HOUR
