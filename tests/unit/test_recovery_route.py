"""From a backup to a moment, over timelines and gaps."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from support.backup_values import archive, at, backup, timeline, timelines
from wedsync.backup import BackupKind, Timeline, number_of, segment_name, timeline_of
from wedsync.recovery.route import find_route, on_the_way, segments_between

ONE = dict(timelines(timeline(1)))["7000000000000000001"]
FORKED = dict(timelines(timeline(1), timeline(2, parent=1, fork=20, live_from=at(25))))["7000000000000000001"]


def test_the_newest_backup_before_the_moment_is_the_base() -> None:
    backups = [backup(at(0), wal=(1, 1)), backup(at(10), wal=(10, 11))]
    route = find_route(backups, archive((1, 1, 30)), last_segment=segment_name(1, 15), timeline=1, known=ONE)
    assert route is not None
    assert route.base == backups[1]
    assert route.segments == tuple(segment_name(1, number) for number in range(10, 16))


def test_a_backup_that_is_named_is_the_base_with_all_it_is_built_on() -> None:
    full = backup(at(0), wal=(1, 1))
    incr = backup(at(5), BackupKind.INCR, on=full, wal=(5, 5))
    later = backup(at(10), wal=(10, 10))
    held = archive((1, 1, 30))
    for named in (full, incr, later):
        route = find_route(
            [full, incr, later],
            held,
            last_segment=segment_name(1, 15),
            timeline=1,
            known=ONE,
            label=named.label,
        )
        assert route is not None
        assert route.base == named
    assert find_route([incr], held, last_segment=segment_name(1, 15), timeline=1, known=ONE) is None


def test_a_gap_behind_the_newest_backup_leaves_no_route_from_an_older_one_either() -> None:
    backups = [backup(at(0), wal=(1, 1)), backup(at(10), wal=(10, 11))]
    held = archive((1, 1, 12), (1, 14, 30))
    assert find_route(backups, held, last_segment=segment_name(1, 15), timeline=1, known=ONE) is None
    assert find_route(backups, held, last_segment=segment_name(1, 12), timeline=1, known=ONE) is not None


def test_a_gap_before_the_newest_backup_does_not_matter() -> None:
    backups = [backup(at(0), wal=(1, 1)), backup(at(10), wal=(10, 11))]
    held = archive((1, 1, 5), (1, 10, 30))
    route = find_route(backups, held, last_segment=segment_name(1, 15), timeline=1, known=ONE)
    assert route is not None
    assert route.base == backups[1]


def test_wal_of_this_machine_closes_a_route() -> None:
    backups = [backup(at(0), wal=(1, 1))]
    here = [segment_name(1, 4), segment_name(1, 5)]
    route = find_route(backups, archive((1, 1, 3)), last_segment=here[-1], timeline=1, known=ONE, also_here=here)
    assert route is not None
    assert route.segments[-2:] == tuple(here)
    hole = find_route(
        backups, archive((1, 1, 3)), last_segment=here[-1], timeline=1, known=ONE, also_here=here[1:]
    )
    assert hole is None


def test_the_child_has_the_segment_in_which_it_leaves_its_parent() -> None:
    names = list(segments_between(18, 22, timeline=2, known=FORKED))
    assert names == [segment_name(1, 18), segment_name(1, 19), *(segment_name(2, n) for n in (20, 21, 22))]
    assert list(segments_between(18, 22, timeline=1, known=FORKED)) == [
        segment_name(1, number) for number in range(18, 23)
    ]


def test_what_the_parent_wrote_behind_the_fork_is_not_on_the_way() -> None:
    names = [*archive((1, 15, 40), (2, 20, 22)).segments]
    assert on_the_way(names, timeline=2, known=FORKED)[-4:] == [
        segment_name(1, 19),
        *(segment_name(2, n) for n in (20, 21, 22)),
    ]
    assert on_the_way(names, timeline=1, known=FORKED)[-1] == segment_name(1, 40)


def test_a_backup_taken_after_the_fork_is_no_base_for_the_other_branch() -> None:
    early = backup(at(0), wal=(1, 1))
    abandoned = backup(at(22), wal=(22, 23))
    held = archive((1, 1, 30), (2, 20, 40))
    route = find_route([early, abandoned], held, last_segment=segment_name(2, 30), timeline=2, known=FORKED)
    assert route is not None
    assert route.base == early
    route = find_route([early, abandoned], held, last_segment=segment_name(1, 24), timeline=1, known=FORKED)
    assert route is not None
    assert route.base == abandoned


def test_damaged_backups_and_those_that_miss_their_ground_are_no_base() -> None:
    whole = backup(at(0), wal=(1, 1))
    damaged = backup(at(5), wal=(5, 5), damaged=True)
    orphan = backup(at(8), BackupKind.INCR, on=backup(at(6), wal=(6, 6)), wal=(8, 8))
    elsewhere = backup(at(9), wal=(9, 9), repo=2)
    route = find_route(
        [whole, damaged, orphan, elsewhere],
        archive((1, 1, 30)),
        last_segment=segment_name(1, 12),
        timeline=1,
        known=ONE,
    )
    assert route is not None
    assert route.base == whole


def test_replay_goes_at_least_to_where_the_backup_is_consistent() -> None:
    base = backup(at(10), wal=(10, 14), took=timedelta(minutes=4))
    route = find_route([base], archive((1, 1, 30)), last_segment=segment_name(1, 12), timeline=1, known=ONE)
    assert route is not None
    assert route.segments[-1] == segment_name(1, 14)


@given(st.lists(st.integers(1, 30), min_size=0, max_size=5, unique=True), st.integers(0, 40))
def test_a_way_never_goes_back_and_never_skips(forks: list[int], length: int) -> None:
    known: dict[int, Timeline] = {1: timeline(1)}
    for number, fork in enumerate(sorted(forks), start=2):
        known[number] = timeline(number, parent=number - 1, fork=fork)
    names = list(segments_between(1, length, timeline=max(known), known=known))
    assert [number_of(name) for name in names] == list(range(1, length + 1))
    assert sorted(timeline_of(name) for name in names) == [timeline_of(name) for name in names]
    assert on_the_way(names, timeline=max(known), known=known) == names
