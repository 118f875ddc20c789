"""Names of WAL segments, and which of them are missing (PostgreSQL manual, 30.6 WAL Internals)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from wedsync.database import SEGMENT_BYTES, Lsn

_PER_LOG = 0x1_0000_0000 // SEGMENT_BYTES
_NAME = re.compile(r"[0-9A-F]{24}")


def is_segment_name(text: str) -> bool:
    """Whether `text` is the name of a complete segment: 24 hexadecimal digits."""
    return _NAME.fullmatch(text) is not None


def timeline_of(segment: str) -> int:
    """The timeline a segment belongs to."""
    return int(segment[:8], 16)


def number_of(segment: str) -> int:
    """The segment's place in the WAL, counted from the beginning of the cluster, whatever its timeline."""
    return int(segment[8:16], 16) * _PER_LOG + int(segment[16:24], 16)


def segment_name(timeline: int, number: int) -> str:
    """The name of a timeline's segment."""
    return f"{timeline:08X}{number // _PER_LOG:08X}{number % _PER_LOG:08X}"


def number_at(lsn: Lsn) -> int:
    """The number of the segment that holds the byte at this position."""
    return lsn.position // SEGMENT_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class WalSpan:
    """A run of segments of one timeline with none missing, both ends included."""

    timeline: int
    first: str
    last: str

    def __len__(self) -> int:
        return number_of(self.last) - number_of(self.first) + 1

    def __contains__(self, segment: str) -> bool:
        return timeline_of(segment) == self.timeline and self.first <= segment <= self.last

    def names(self) -> Iterator[str]:
        """Every segment of the run, in order."""
        for number in range(number_of(self.first), number_of(self.last) + 1):
            yield segment_name(self.timeline, number)


def contiguous_spans(segments: Iterable[str]) -> tuple[WalSpan, ...]:
    """The runs without a missing segment that `segments` form, by timeline, oldest first."""
    spans: list[WalSpan] = []
    first = previous = ""
    for segment in sorted(set(segments)):
        follows = (
            previous != ""
            and timeline_of(segment) == timeline_of(previous)
            and number_of(segment) == number_of(previous) + 1
        )
        if not follows:
            if previous:
                spans.append(WalSpan(timeline=timeline_of(first), first=first, last=previous))
            first = segment
        previous = segment
    if previous:
        spans.append(WalSpan(timeline=timeline_of(first), first=first, last=previous))
    return tuple(spans)


def find_gaps(segments: Iterable[str]) -> tuple[WalSpan, ...]:
    """The runs that are missing between the segments of each timeline."""
    spans = contiguous_spans(segments)
    return tuple(
        WalSpan(
            timeline=before.timeline,
            first=segment_name(before.timeline, number_of(before.last) + 1),
            last=segment_name(before.timeline, number_of(after.first) - 1),
        )
        for before, after in pairwise(spans)
        if before.timeline == after.timeline
    )
