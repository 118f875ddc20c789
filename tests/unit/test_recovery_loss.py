"""Which commits a recovery takes away."""

from support.backup_values import at
from wedsync.backup import Commit, Leg, segment_name
from wedsync.database import SEGMENT_BYTES, Lsn
from wedsync.recovery.loss import Cut, cuts

FORK = Lsn(20 * SEGMENT_BYTES + 4096)
LATER = Lsn(30 * SEGMENT_BYTES + 4096)


def leg(timeline: int, until: Lsn | None = None) -> Leg:
    return Leg(timeline=timeline, until=until)


def test_back_on_the_live_timeline_all_later_commits_go() -> None:
    assert cuts([leg(1)], [leg(1)], moment=at(5)) == [Cut(timeline=1, begin=None, end=None, after=at(5))]


def test_to_the_end_of_the_live_timeline_nothing_goes() -> None:
    assert cuts([leg(1)], [leg(1)], moment=None) == []


def test_back_to_before_a_fork_the_way_to_it_goes_as_well() -> None:
    assert cuts([leg(1, FORK), leg(2)], [leg(1)], moment=at(5)) == [
        Cut(timeline=2, begin=FORK, end=None),
        Cut(timeline=1, begin=None, end=FORK, after=at(5)),
    ]


def test_to_the_end_of_the_abandoned_timeline_only_the_new_one_goes() -> None:
    assert cuts([leg(1, FORK), leg(2)], [leg(1)], moment=None) == [Cut(timeline=2, begin=FORK, end=None)]


def test_between_two_branches_all_since_they_parted_goes() -> None:
    live = [leg(1, LATER), leg(3)]
    stop = [leg(1, FORK), leg(2)]
    assert cuts(live, stop, moment=at(5)) == [
        Cut(timeline=3, begin=LATER, end=None),
        Cut(timeline=1, begin=FORK, end=LATER),
    ]


def test_the_segment_of_a_fork_counts_from_the_fork_on() -> None:
    cut = Cut(timeline=2, begin=FORK, end=None)
    before = Commit(at=at(1), lsn=Lsn(FORK.position - 8), size_bytes=34)
    behind = Commit(at=at(1), lsn=FORK, size_bytes=34)
    assert not cut.takes(before)
    assert cut.takes(behind)
    assert not cut.is_inside(20)
    assert cut.is_inside(21)
    names = [segment_name(2, 19), segment_name(2, 20), segment_name(2, 21), segment_name(1, 22)]
    assert cut.numbers(names) == [21, 20]
