"""What a recovery takes away: the commits of the live timeline that come after the place where it stops."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from wedsync.backup import (
    Archive,
    Commit,
    CommitReader,
    Leg,
    PgBackRest,
    lineage,
    number_at,
    number_of,
    segment_name,
    timeline_of,
)
from wedsync.database import SEGMENT_BYTES, Lsn
from wedsync.errors import SegmentUnreadable
from wedsync.recovery.ground import Ground
from wedsync.recovery.local_wal import LocalSegment, commits_in
from wedsync.recovery.plan import Loss

_SEGMENTS_COUNTED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Commits of a timeline between two places of the WAL, and later than a moment, if one is given."""

    timeline: int
    begin: Lsn | None
    end: Lsn | None
    after: datetime | None = None

    def takes(self, commit: Commit) -> bool:
        """Whether this commit is one of them."""
        return (
            (self.begin is None or commit.lsn >= self.begin)
            and (self.end is None or commit.lsn < self.end)
            and (self.after is None or commit.at > self.after)
        )

    def numbers(self, names: Sequence[str]) -> list[int]:
        """Numbers of the segments, among `names`, in which such commits can be; the newest first."""
        return sorted(
            (
                number_of(name)
                for name in names
                if timeline_of(name) == self.timeline
                and (self.begin is None or number_of(name) >= number_at(self.begin))
                and (self.end is None or number_of(name) <= number_at(self.end))
            ),
            reverse=True,
        )

    def is_inside(self, number: int) -> bool:
        """Whether the segment lies between the two places with all of its bytes."""
        whole = self.begin is None or number * SEGMENT_BYTES >= self.begin.position
        return whole and (self.end is None or (number + 1) * SEGMENT_BYTES <= self.end.position)


def cuts(live: Sequence[Leg], stop: Sequence[Leg], *, moment: datetime | None) -> list[Cut]:
    """What of the live lineage is not on the way to the stop; newest first.

    `moment` is where recovery stops on the last timeline of `stop`; `None`: at its end.
    """
    shared = 0
    while shared < min(len(live), len(stop)) and live[shared].timeline == stop[shared].timeline:
        shared += 1
    found = [
        Cut(timeline=leg.timeline, begin=live[at - 1].until if at else None, end=leg.until)
        for at, leg in enumerate(live)
        if at >= shared
    ]
    if shared:
        last = live[shared - 1]
        begin = live[shared - 2].until if shared > 1 else None
        if shared < len(stop):
            found.insert(0, Cut(timeline=last.timeline, begin=stop[shared - 1].until, end=last.until))
        elif moment is not None:
            found.insert(0, Cut(timeline=last.timeline, begin=begin, end=last.until, after=moment))
    return found[::-1]


class LossCounter:
    """Counts commits, in the archive and in what is only here."""

    def __init__(self, *, pgbackrest: PgBackRest, commits: CommitReader) -> None:
        self._pgbackrest = pgbackrest
        self._commits = commits

    async def count(self, ground: Ground, archive: Archive, *, timeline: int, moment: datetime | None) -> Loss:
        """The commits that going back to `moment` on `timeline` (`None`: to its end) takes away."""
        commits, exact, left = 0, True, _SEGMENTS_COUNTED
        moments: list[datetime] = []
        local = {segment.name: segment for segment in ground.local if segment.name not in archive.sizes}
        names = sorted({*archive.segments, *local})
        live = lineage(ground.live, ground.timelines)
        for cut in cuts(live, lineage(timeline, ground.timelines), moment=moment):
            here = [item for name, item in local.items() if number_of(name) in cut.numbers([name])]
            found = [commit for commit in await commits_in(self._pgbackrest.engine, here) if cut.takes(commit)]
            commits += len(found)
            moments += [commit.at for commit in found]
            for number in cut.numbers([name for name in names if name not in local]):
                if left == 0:
                    exact = False
                    break
                left -= 1
                try:
                    inside, earliest, latest, done = await self._in_segment(archive, cut, number)
                except SegmentUnreadable:  # a damaged segment costs the number, not the recovery
                    exact = False
                    continue
                commits += inside
                moments += [at for at in (earliest, latest) if at is not None]
                if done:
                    break
        return Loss(
            commits=commits,
            exact=exact,
            from_at=min(moments, default=None),
            to_at=max(moments, default=None),
        )

    async def _in_segment(
        self, archive: Archive, cut: Cut, number: int
    ) -> tuple[int, datetime | None, datetime | None, bool]:
        """Commits of the cut in one segment, the first and last moment, and whether none can be before it."""
        name = segment_name(cut.timeline, number)
        known = await self._commits.commit_times(
            name,
            repo=archive.repo,
            system_id=archive.system_id,
            last=segment_name(cut.timeline, number + 1) not in archive.segments,
        )
        if known.first_at is None or known.last_at is None:
            return 0, None, None, False
        if cut.after is not None and known.last_at <= cut.after:
            return 0, None, None, True
        if cut.is_inside(number) and (cut.after is None or known.first_at > cut.after):
            return known.commits, known.first_at, known.last_at, False
        found = await self._read(archive, name)
        if len(found) < known.commits:  # the first one began in the segment before
            found.insert(0, Commit(at=known.first_at, lsn=Lsn(number * SEGMENT_BYTES), size_bytes=0))
        times = [commit.at for commit in found if cut.takes(commit)]
        return len(times), min(times, default=None), max(times, default=None), False

    async def _read(self, archive: Archive, segment: str) -> list[Commit]:
        with TemporaryDirectory(prefix="wal-", dir=self._pgbackrest.home.run) as scratch:
            file = Path(scratch) / segment
            if not await self._pgbackrest.archive_get(
                segment, file, repo=archive.repo, system_id=archive.system_id
            ):
                raise SegmentUnreadable(f"repo{archive.repo} does not have WAL segment {segment}")
            return await commits_in(self._pgbackrest.engine, [LocalSegment(name=segment, source=file)])
