"""Where a recovery can stop, and how to get there: the same for the database itself and for a copy of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from wedsync.backup import (
    Archive,
    Backup,
    CommitReader,
    Moment,
    RestoreTarget,
    TargetAction,
    TargetKind,
    Window,
    leads_to,
    lineage,
    live_at,
    number_of,
)
from wedsync.cluster import Engine
from wedsync.database import Lsn
from wedsync.errors import SegmentUnreadable
from wedsync.recovery.ground import Ground
from wedsync.recovery.local_wal import commits_in
from wedsync.recovery.route import Route, find_route, on_the_way, segments_between
from wedsync.recovery.search import Search


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where recovery stops: the target, the last segment it reads, and the commit it ends with if known."""

    target: RestoreTarget
    timeline: int
    last_segment: str
    last_commit_at: datetime | None = None
    falls_short: bool = False
    """Whether it is the last commit that exists in a repository, and the moment asked for is later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A stop, and how to get there."""

    archive: Archive
    stop: Stop
    route: Route


_SECOND = timedelta(seconds=1)


class Wayfinder:
    """Finds ways; changes nothing."""

    def __init__(self, *, commits: CommitReader, engine: Engine) -> None:
        self._commits = commits
        self._engine = engine

    async def to_moment(
        self,
        ground: Ground,
        archive: Archive,
        moment: datetime,
        *,
        to_the_end: bool = False,
        label: str | None = None,
    ) -> Way | None:
        """The best way to `moment` from one repository; from the backup `label` only, if one is named."""
        bases = ground.backups_before(moment, archive.repo)
        for stop in await self.stops(ground, archive, moment, to_the_end=to_the_end):
            route = find_route(
                bases,
                archive,
                last_segment=stop.last_segment,
                timeline=stop.timeline,
                known=ground.timelines,
                also_here=ground.local_names,
                label=label,
            )
            if route is not None:
                return Way(archive=archive, stop=stop, route=route)
        return None

    def to_lsn(
        self, ground: Ground, archive: Archive, lsn: Lsn, *, timeline: int, label: str | None = None
    ) -> Way | None:
        """The way to a place in the WAL of a timeline from one repository; `None` if WAL on it is missing."""
        bases = [
            item
            for item in ground.survey.catalogue.of_repo(archive.repo)
            if item.lsn_stop is not None and item.lsn_stop <= lsn
        ]
        stop = self.lsn_stop(lsn, timeline=timeline)
        route = find_route(
            bases,
            archive,
            last_segment=stop.last_segment,
            timeline=timeline,
            known=ground.timelines,
            also_here=ground.local_names,
            label=label,
        )
        return Way(archive=archive, stop=stop, route=route) if route is not None else None

    def lsn_stop(self, lsn: Lsn, *, timeline: int) -> Stop:
        """The stop at a place in the WAL: all that lies before it, nothing that begins there or behind it."""
        target = replace(at_lsn(lsn, timeline), exclusive=True)
        return Stop(target=target, timeline=timeline, last_segment=lsn.segment_file(timeline))

    async def stops(
        self, ground: Ground, archive: Archive, moment: datetime, *, to_the_end: bool = False
    ) -> list[Stop]:
        """Where recovery from this repository can stop for `moment`, the best first; empty if nowhere."""
        timeline = ground.live if to_the_end else live_at(moment, ground.timelines) or ground.live
        windows = [
            window
            for window in ground.survey.windows.per_repo
            if archive.repo in window.repos
            and window.system_id == ground.system_id
            and window.timeline == timeline
            and window.from_at <= moment
        ]
        window = max(windows, key=lambda item: item.from_at, default=None)
        if window is not None and moment <= window.to_at:
            try:
                return [await self._inside(ground, archive, window, moment)]
            except SegmentUnreadable as error:
                ground.met.append((archive.repo, error))
                return []  # the other region may have it whole
        if window is not None and is_in_gap(ground, archive, window, moment):
            return []
        stops: list[Stop] = []
        stops += await self._behind_the_archive(ground, archive, timeline, moment, to_the_end=to_the_end)
        if window is not None and window.to_lsn is not None:
            stops.append(
                Stop(
                    target=at_lsn(window.to_lsn, timeline),
                    timeline=timeline,
                    last_segment=window.to_segment,
                    last_commit_at=window.to_at,
                    falls_short=True,
                )
            )
        return stops

    async def _inside(self, ground: Ground, archive: Archive, window: Window, moment: datetime) -> Stop:
        legs = lineage(window.timeline, ground.timelines)
        bases = [item for item in ground.backups_before(moment, archive.repo) if leads_to(item, legs)]
        first = max((number_of(base.wal_stop) for base in bases), default=number_of(window.to_segment))
        names = list(
            segments_between(
                min(first, number_of(window.to_segment)),
                number_of(window.to_segment),
                timeline=window.timeline,
                known=ground.timelines,
            )
        )
        at = await self._first_segment_after(names, moment, archive)
        if at is not None or window.to_lsn is None:
            return Stop(
                target=at_time(moment, window.timeline),
                timeline=window.timeline,
                last_segment=names[at] if at is not None else window.to_segment,
            )
        return Stop(  # the very end of the window: no later commit proves to PostgreSQL that it is reached
            target=at_lsn(window.to_lsn, window.timeline),
            timeline=window.timeline,
            last_segment=window.to_segment,
            last_commit_at=window.to_at,
        )

    async def _behind_the_archive(
        self, ground: Ground, archive: Archive, timeline: int, moment: datetime, *, to_the_end: bool
    ) -> list[Stop]:
        """A moment after the last archived commit of a timeline: the WAL on this machine counts.

        A running server archives the rest before it is stopped. What a stopped one, or one whose data directory
        was deleted under it, has in its own segments is kept and replayed.
        """
        tail = ground.tail(timeline)
        names = on_the_way(
            {*archive.segments, *(segment.name for segment in tail)}, timeline=timeline, known=ground.timelines
        )
        if not names:
            return []
        running = ground.running and timeline == ground.live
        if running:
            target = RestoreTarget(timeline=timeline) if to_the_end else at_time(moment, timeline)
            return [Stop(target=target, timeline=timeline, last_segment=names[-1])]
        commits = await commits_in(self._engine, tail)
        before = [commit for commit in commits if commit.at <= moment]
        later = len(before) < len(commits)
        if not before and (to_the_end or not later):
            return []
        if to_the_end:
            return [
                Stop(
                    target=RestoreTarget(timeline=timeline),
                    timeline=timeline,
                    last_segment=names[-1],
                    last_commit_at=before[-1].at,
                )
            ]
        return [
            Stop(
                target=at_time(moment, timeline) if later else at_lsn(before[-1].lsn, timeline),
                timeline=timeline,
                last_segment=names[-1],
                last_commit_at=before[-1].at if before else None,
                falls_short=not later,
            )
        ]

    async def _first_segment_after(self, names: Sequence[str], moment: datetime, archive: Archive) -> int | None:
        """Index of the first segment with a commit after `moment`: recovery stops when it reads that one.

        A segment is read to know; when it was stored says which one to begin with. One without commits is judged
        by the next that has some.
        """
        second, stored_s = int(moment.timestamp()), archive.stored_s
        guess = next((index for index, name in enumerate(names) if stored_s.get(name, 0) >= second), len(names))
        search = Search(len(names), guess=guess)
        found: int | None = None
        while not search.is_over:
            here = search.next()
            at, last_at = await self._next_commit(names, here, search.high, archive)
            if last_at is None or last_at > moment:
                search.lies_behind(here)
                found = at if last_at is not None else found
            else:
                search.lies_before(at)
        return found

    async def _next_commit(
        self, names: Sequence[str], first: int, end: int, archive: Archive
    ) -> tuple[int, datetime | None]:
        """The first segment from `first` on that has commits, and its last commit; `None` before `end`."""
        for index in range(first, end):
            segment = await self._commits.commit_times(
                names[index], repo=archive.repo, system_id=archive.system_id, last=index == len(names) - 1
            )
            if segment.last_at is not None:
                return index, segment.last_at
        return end, None


def at_time(moment: datetime, timeline: int) -> RestoreTarget:
    """Stop after the last commit that is not later than `moment`."""
    return RestoreTarget(kind=TargetKind.TIME, at=moment, timeline=timeline, action=TargetAction.PAUSE)


def at_lsn(lsn: Lsn, timeline: int) -> RestoreTarget:
    """Stop after the record at this position."""
    return RestoreTarget(kind=TargetKind.LSN, lsn=lsn, timeline=timeline, action=TargetAction.PAUSE)


def is_in_gap(ground: Ground, archive: Archive, window: Window, moment: datetime) -> bool:
    """Whether WAL that this repository misses separates the moment from the end of the window."""
    return any(
        gap.repo == archive.repo
        and gap.timeline == window.timeline
        and gap.from_at == window.to_at
        and moment > window.to_at
        for gap in ground.survey.windows.gaps
    )


def single_moment(ground: Ground, wanted: datetime) -> Moment | None:
    """A backup without WAL behind it that ends at this very second."""
    near = [
        moment
        for moment in ground.survey.windows.moments
        if moment.system_id == ground.system_id and moment.at <= wanted <= moment.at + _SECOND
    ]
    return min(near, key=lambda moment: moment.repo, default=None)


def way_of_single(ground: Ground, moment: Moment) -> Way:
    """The way to the end of a backup that has no WAL behind it."""
    base = ground.survey.catalogue.find(moment.repo, moment.label)
    assert base is not None  # noqa: S101 - a moment is made from a backup of the same survey
    archive = next(item for item in ground.archives if item.repo == moment.repo)
    return _to_the_end_of(ground, archive, base)


def way_to_end_of(ground: Ground, base: Backup) -> Way | None:
    """The way to where a backup is consistent, and no further; `None` if it or WAL of its own is not whole."""
    archive = next((item for item in ground.archives if item.repo == base.repo), None)
    labels = {item.label for item in ground.survey.catalogue.of_repo(base.repo)}
    if archive is None or archive.system_id != base.system_id:
        return None
    if not base.is_good or not labels.issuperset(base.references):
        return None
    way = _to_the_end_of(ground, archive, base)
    return way if {*archive.segments}.issuperset(way.route.segments) else None


def _to_the_end_of(ground: Ground, archive: Archive, base: Backup) -> Way:
    names = segments_between(
        number_of(base.wal_start), number_of(base.wal_stop), timeline=base.timeline, known=ground.timelines
    )
    stop = Stop(
        target=RestoreTarget(kind=TargetKind.IMMEDIATE, timeline=base.timeline, action=TargetAction.PAUSE),
        timeline=base.timeline,
        last_segment=base.wal_stop,
    )
    return Way(archive=archive, stop=stop, route=Route(base=base, segments=tuple(names)))
