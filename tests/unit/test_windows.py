"""Which moments can be restored, by backups, WAL and timelines."""

from datetime import timedelta

import pytest

from support.backup_values import (
    SYSTEM,
    archive,
    at,
    backup,
    commits_each_minute,
    timeline,
    timelines,
)
from wedsync.backup import Archive, Backup, BackupKind, SegmentCommits, Windows, recovery_windows, segment_name
from wedsync.database import SEGMENT_BYTES, Lsn

ONE = timelines(timeline(1))
MINUTE = timedelta(minutes=1)


def base(minute: int, *, repo: int = 1, line: int = 1, damaged: bool = False) -> Backup:
    """A full backup of one minute, in the WAL segment of that minute."""
    return backup(at(minute), wal=(minute, minute), repo=repo, timeline=line, damaged=damaged)


def windows(
    backups: list[Backup], *archives: Archive, known: object = ONE, promised_from: object = None
) -> Windows:
    return recovery_windows(
        backups,
        archives,
        known,  # type: ignore[arg-type]
        commits_each_minute,
        promised_from=promised_from,  # type: ignore[arg-type]
    )


def test_no_backup_means_no_window_and_no_gap() -> None:
    found = windows([], archive((1, 1, 5), (1, 9, 12)))
    assert found == Windows(windows=(), per_repo=(), moments=(), gaps=())


def test_a_window_runs_from_the_end_of_the_backup_to_the_last_archived_commit() -> None:
    (window,) = windows([base(2)], archive((1, 1, 9))).windows
    assert window.from_at == at(3)
    assert window.to_at == at(9.5)
    assert window.to_segment == segment_name(1, 9)
    assert window.to_lsn == Lsn(9 * SEGMENT_BYTES + 5000)


def test_the_oldest_usable_backup_opens_the_window() -> None:
    (window,) = windows([base(2), base(5)], archive((1, 1, 9))).windows
    assert window.from_at == at(3)


def test_a_missing_segment_splits_the_window_until_the_next_backup() -> None:
    found = windows([base(2), base(7)], archive((1, 1, 4), (1, 6, 9)))
    assert [(item.from_at, item.to_at) for item in found.windows] == [(at(3), at(4.5)), (at(8), at(9.5))]
    (gap,) = found.gaps
    assert (gap.first, gap.last, gap.segments) == (segment_name(1, 5), segment_name(1, 5), 1)
    assert (gap.from_at, gap.to_at) == (at(4.5), at(8))


def test_behind_a_gap_nothing_can_be_restored_before_another_backup() -> None:
    found = windows([base(2)], archive((1, 1, 4), (1, 6, 9)))
    assert [(item.from_at, item.to_at) for item in found.windows] == [(at(3), at(4.5))]
    assert found.gaps[0].to_at is None


def test_a_backup_whose_own_wal_is_missing_opens_nothing() -> None:
    torn = backup(at(2), wal=(2, 4))
    found = windows([torn], archive((1, 1, 2), (1, 4, 9)))
    assert found.windows == ()
    assert found.moments == ()
    assert [gap.first for gap in found.gaps] == [segment_name(1, 3)]


def test_a_backup_whose_chain_is_broken_opens_nothing() -> None:
    full = base(2)
    incr = backup(at(5), BackupKind.INCR, on=full, wal=(5, 5))
    assert windows([incr], archive((1, 1, 9))).windows == ()
    assert windows([full, incr], archive((1, 4, 9))).windows[0].from_at == at(6)


def test_damaged_backups_open_nothing() -> None:
    found = windows([base(2, damaged=True), base(5)], archive((1, 1, 9)))
    assert found.windows[0].from_at == at(6)


def test_a_backup_without_a_later_commit_is_a_single_moment() -> None:
    found = windows([base(9)], archive((1, 1, 9)))
    assert found.windows == ()
    assert [(item.label, item.at) for item in found.moments] == [(base(9).label, at(10))]


def test_weekly_backups_without_their_wal_are_moments_and_leave_no_gap() -> None:
    weekly, daily = base(2), base(20)
    found = windows([weekly, daily], archive((1, 2, 2), (1, 20, 25)), promised_from=at(22))
    assert [item.label for item in found.moments] == [weekly.label]
    assert [(item.from_at, item.to_at) for item in found.windows] == [(at(21), at(25.5))]
    assert found.gaps == ()


def test_a_hole_inside_the_promise_is_a_gap() -> None:
    found = windows([base(2), base(20)], archive((1, 2, 8), (1, 20, 25)), promised_from=at(5))
    assert [(gap.first, gap.segments) for gap in found.gaps] == [(segment_name(1, 9), 11)]


def test_two_repositories_together_cover_what_either_can_alone() -> None:
    found = windows([base(2), base(6, repo=2)], archive((1, 1, 9)), archive((1, 6, 12), repo=2))
    (window,) = found.windows
    assert (window.from_at, window.to_at, window.repos) == (at(3), at(12.5), (1, 2))
    assert [(item.from_at, item.to_at, item.repos) for item in found.per_repo] == [
        (at(3), at(9.5), (1,)),
        (at(7), at(12.5), (2,)),
    ]


def test_backup_in_one_repository_and_wal_in_the_other_do_not_add_up() -> None:
    found = windows([base(2)], archive((1, 2, 4)), archive((1, 1, 12), repo=2))
    assert [(item.to_at, item.repos) for item in found.windows] == [(at(4.5), (1,))]


def test_a_gap_says_which_repository_has_what_is_missing() -> None:
    found = windows([base(2)], archive((1, 1, 4), (1, 6, 9)), archive((1, 1, 9), repo=2))
    assert found.gaps[0].covered_by == (2,)


RECOVERED = timelines(timeline(1), timeline(2, parent=1, fork=5, live_from=at(10)))
"""At minute 10 somebody went back to minute 5."""


def test_moments_belong_to_the_timeline_that_was_live_then() -> None:
    found = windows([base(2)], archive((1, 1, 9), (2, 5, 5), (2, 6, 14)), known=RECOVERED)
    assert [(item.timeline, item.from_at, item.to_at) for item in found.windows] == [
        (1, at(3), at(9.5)),
        (2, at(10), at(14.5)),
    ]


def test_the_new_timeline_can_be_reached_over_the_fork_from_the_old_backup_only_before_it() -> None:
    abandoned = base(7)
    found = windows([abandoned], archive((1, 1, 9), (2, 5, 14)), known=RECOVERED)
    assert [(item.timeline, item.from_at, item.to_at) for item in found.windows] == [(1, at(8), at(9.5))]


def test_the_new_timeline_needs_its_own_segment_at_the_fork() -> None:
    found = windows([base(2)], archive((1, 1, 9), (2, 6, 14)), known=RECOVERED)
    assert [item.timeline for item in found.windows] == [1]


def test_segments_of_the_parent_before_the_fork_are_part_of_the_way() -> None:
    found = windows([base(2)], archive((1, 1, 3), (2, 5, 14)), known=RECOVERED)
    assert [(item.timeline, item.to_at) for item in found.windows] == [(1, at(3.5))]


def test_another_cluster_in_the_same_repository_is_another_story() -> None:
    other = backup(at(1), wal=(1, 1), system_id="8")
    found = windows([base(2), other], archive((1, 1, 9)), archive((1, 1, 4), system_id="8"))
    assert {(item.system_id, item.to_at) for item in found.windows} == {(SYSTEM, at(9.5)), ("8", at(4.5))}


def test_segments_to_read_are_asked_for() -> None:
    known = {segment_name(1, 9): commits_each_minute(SYSTEM, segment_name(1, 9))}
    found = recovery_windows([base(2)], [archive((1, 1, 9))], ONE, lambda _, segment: known.get(segment))
    assert [item.segment for item in found.unread] == [segment_name(1, 2)]
    assert found.windows == ()


def test_segments_without_commits_are_passed_over() -> None:
    def commits(system_id: str, segment: str) -> SegmentCommits:
        if segment > segment_name(1, 6):
            return SegmentCommits(segment=segment, commits=0, first_at=None, last_at=None, last_lsn=None)
        return commits_each_minute(system_id, segment)

    (window,) = recovery_windows([base(2)], [archive((1, 1, 9))], ONE, commits).windows
    assert window.to_at == at(6.5)


def test_a_damaged_segment_ends_the_window_like_a_missing_one() -> None:
    found = recovery_windows(
        [base(2)],
        [archive((1, 1, 9))],
        ONE,
        commits_each_minute,
        unreadable={(1, segment_name(1, 9)), (1, segment_name(1, 8))},
    )
    assert found.windows[0].to_at == at(7.5)


@pytest.mark.parametrize(("last_commit_s", "opens_s"), [(-5.0, 0.0), (0.25, 0.25), (0.9, 0.9), (1.7, 1.0)])
def test_the_second_that_pgbackrest_cuts_off_is_found_in_the_wal(last_commit_s: float, opens_s: float) -> None:
    finished_at = base(2).finished_at

    def commits(system_id: str, segment: str) -> SegmentCommits:
        if segment == segment_name(1, 2):
            last_at = finished_at + timedelta(seconds=last_commit_s)
            return SegmentCommits(segment=segment, commits=1, first_at=last_at, last_at=last_at, last_lsn=Lsn(1))
        return commits_each_minute(system_id, segment)

    (window,) = recovery_windows([base(2)], [archive((1, 1, 9))], ONE, commits).windows
    assert window.from_at == finished_at + timedelta(seconds=opens_s)
