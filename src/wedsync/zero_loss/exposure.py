"""How much would be lost if the machine went now, found from commits that really happened."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from wedsync.database import Lsn

_MOST_SAMPLES = 4096


class Protection(StrEnum):
    """What keeps acknowledged commits when the machine goes."""

    ARCHIVE = "archive"
    """The archive alone: a segment at a time, each `archive_timeout` at the latest."""
    ASYNC = "async"
    """A receiver that follows, with a delay of milliseconds."""
    SYNC = "sync"
    """A receiver that each commit waits for."""
    WAITING = "waiting"
    """The same, and it is away: nothing is acknowledged."""
    DEGRADED = "degraded"
    """The archive alone, because the receiver is away."""

    @property
    def loses_nothing(self) -> bool:
        """Whether no acknowledged commit can be lost."""
        return self in {Protection.SYNC, Protection.WAITING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the server: where its WAL ended, and when its newest commit was."""

    at: datetime
    lsn: Lsn
    last_commit_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AtStake:
    """What only this machine has: commits of so many seconds, in so many bytes of WAL."""

    seconds: float
    size_bytes: int


class CommitLog:
    """The samples from the newest safe place on: by them the oldest commit is found that is not safe."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def add(self, sample: Sample) -> None:
        """Remember a look; one without a newer commit than the last says nothing new but that."""
        last = self._samples[-1] if self._samples else None
        if last is not None and sample.lsn < last.lsn:
            self._samples.clear()  # another timeline: nothing of the old one is comparable
        elif last is not None and last.last_commit_at == sample.last_commit_at and len(self._samples) > 1:
            before = self._samples[-2]
            if before.last_commit_at == sample.last_commit_at:
                self._samples.pop()
        self._samples.append(sample)
        if len(self._samples) > _MOST_SAMPLES:
            self._samples = deque([*list(self._samples)[:-2:2], *list(self._samples)[-2:]])

    def at_stake(self, safe: Lsn) -> AtStake:
        """What would be lost if all up to `safe` is elsewhere. An upper bound, by the distance of two looks."""
        while len(self._samples) > 1 and self._samples[1].lsn <= safe:
            self._samples.popleft()
        if not self._samples:
            return AtStake(seconds=0.0, size_bytes=0)
        now = self._samples[-1]
        size_bytes = max(0, now.lsn - safe)
        known = self._samples[0]
        if (
            known.lsn > safe
        ):  # what was committed before the first look, and is not safe, is as old as that at least
            return AtStake(seconds=_seconds(known.last_commit_at or known.at, now.at), size_bytes=size_bytes)
        unsafe = next((item for item in self._samples if item.last_commit_at != known.last_commit_at), None)
        if unsafe is None:
            return AtStake(seconds=0.0, size_bytes=size_bytes)
        since = known.at
        for item in self._samples:  # the last look at which the commit was not there yet
            if item is unsafe:
                break
            since = item.at
        return AtStake(seconds=_seconds(since, now.at), size_bytes=size_bytes)


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
