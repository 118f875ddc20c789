"""How far a region is behind the primary, and when the primary's disk would be full: plain decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wedsync.backup.wal import number_of, segment_name, timeline_of
from wedsync.database import SEGMENT_BYTES, Lsn

_FORECAST_FROM = timedelta(hours=1)
_FORECAST_LEAST = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryWal:
    """Where the primary writes, and the finished segments of its timeline that it still has."""

    system_id: str
    current_segment: str
    lsn: Lsn
    finished: Mapping[str, datetime]
    """When each was written to last."""
    waiting: int
    """Finished segments that some repository still lacks: they cannot be removed."""
    unarchived: str | None = None
    """The first of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What a region lacks of the primary's WAL."""

    segments: int
    """Finished ones."""
    size_bytes: int
    """All behind its newest segment, the unfinished one too."""
    since: datetime | None
    """When the oldest finished one was finished; `None`: none is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSample:
    """WAL that waits to be archived, and the room on its disk, at one moment."""

    at: datetime
    waiting_bytes: int
    free_bytes: int


def behind(primary: PrimaryWal, newest: str | None, *, newest_commit_at: datetime | None) -> Behind:
    """How far a repository is behind whose newest segment of the primary's timeline is `newest`.

    `newest_commit_at` stands for the age of segments that the primary has no longer.
    """
    timeline, current = timeline_of(primary.current_segment), number_of(primary.current_segment)
    if newest is not None:
        first = number_of(newest) + 1
    else:
        first = min((number_of(name) for name in primary.finished), default=current)
    missing = range(first, current)
    since = min((at for name, at in primary.finished.items() if number_of(name) >= first), default=None)
    if missing and segment_name(timeline, first) not in primary.finished:
        since = newest_commit_at or since
    return Behind(
        segments=len(missing),
        size_bytes=max(primary.lsn.position - first * SEGMENT_BYTES, 0),
        since=since if missing else None,
    )


def full_at(samples: Sequence[QueueSample]) -> datetime | None:
    """When the disk of the WAL is full if the queue goes on growing as it did; `None`: it does not grow.

    `samples` are oldest first. Of the queue's and the disk's pace the faster one counts: the first repository
    often fills the same disk.
    """
    if len(samples) < 2:
        return None
    last = samples[-1]
    first = next(item for item in samples if last.at - item.at <= _FORECAST_FROM)
    took_s = (last.at - first.at).total_seconds()
    grown = last.waiting_bytes - first.waiting_bytes
    if took_s < _FORECAST_LEAST.total_seconds() or grown <= 0:
        return None
    a_second = max(grown, first.free_bytes - last.free_bytes) / took_s
    return last.at + timedelta(seconds=min(last.free_bytes / a_second, 10**9))
