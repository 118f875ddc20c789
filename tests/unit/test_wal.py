"""Names of WAL segments and the gaps between them."""

from hypothesis import given
from hypothesis import strategies as st

from wedsync.backup import contiguous_spans, find_gaps, number_of, segment_name, timeline_of
from wedsync.backup.wal import is_segment_name
from wedsync.database import SEGMENT_BYTES, Lsn

timelines = st.integers(1, 0xFFFFFFFF)
numbers = st.integers(0, (1 << 40) - 1)


@given(timelines, numbers)
def test_a_name_says_timeline_and_number(timeline: int, number: int) -> None:
    name = segment_name(timeline, number)
    assert is_segment_name(name)
    assert (timeline_of(name), number_of(name)) == (timeline, number)


@given(timelines, st.integers(0, (1 << 63) - 1))
def test_a_name_is_the_one_postgresql_gives_the_position(timeline: int, position: int) -> None:
    assert segment_name(timeline, position // SEGMENT_BYTES) == Lsn(position).segment_file(timeline)


def test_the_segment_after_ff_is_the_first_of_the_next_log_file() -> None:
    assert number_of("000000010000000100000000") == number_of("0000000100000000000000FF") + 1


@given(st.sets(st.tuples(st.integers(1, 3), st.integers(250, 270))))
def test_spans_and_gaps_fill_each_timeline_from_its_first_to_its_last(pairs: set[tuple[int, int]]) -> None:
    names = {segment_name(*pair) for pair in pairs}
    spans, gaps = contiguous_spans(names), find_gaps(names)
    assert {name for span in spans for name in span.names()} == names
    assert not {name for gap in gaps for name in gap.names()} & names
    for timeline in {timeline for timeline, _ in pairs}:
        own = sorted(number for line, number in pairs if line == timeline)
        covered = sum(len(part) for part in (*spans, *gaps) if part.timeline == timeline)
        assert covered == own[-1] - own[0] + 1


def test_partial_and_backup_files_are_no_segments() -> None:
    assert not is_segment_name("00000001000000000000000A.partial")
    assert not is_segment_name("000000010000000000000003.00000028.backup")
    assert not is_segment_name("00000002.history")


def test_a_span_contains_its_ends_and_nothing_of_other_timelines() -> None:
    (span,) = contiguous_spans([segment_name(1, 5), segment_name(1, 6)])
    assert segment_name(1, 5) in span
    assert segment_name(1, 6) in span
    assert segment_name(1, 7) not in span
    assert segment_name(2, 5) not in span
