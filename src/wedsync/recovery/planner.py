"""Find the way to a moment: which repository, backup, timeline and WAL, and what would be lost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from wedsync.backup import (
    Archive,
    Moment,
    PgBackRest,
    RestoreTarget,
    Surveyor,
    TargetAction,
    TargetKind,
    Window,
    leads_to,
    lineage,
    live_at,
    number_at,
    number_of,
    timeline_of,
)
from wedsync.database import Lsn
from wedsync.errors import SegmentUnreadable, TargetUnreachable
from wedsync.recovery.answers import future, notes, tail_is_gone, unreachable
from wedsync.recovery.forecast import forecast
from wedsync.recovery.ground import Ground
from wedsync.recovery.journal import JournalEntry
from wedsync.recovery.local_wal import commits_in
from wedsync.recovery.loss import LossCounter
from wedsync.recovery.plan import Present, RecoveryPlan
from wedsync.recovery.route import Route, find_route, on_the_way, segments_between

_SECOND = timedelta(seconds=1)


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
class _Way:
    """A stop, and how to get there."""

    archive: Archive
    stop: Stop
    route: Route


class Planner:
    """Makes plans; changes nothing."""

    def __init__(self, *, surveyor: Surveyor, pgbackrest: PgBackRest) -> None:
        self._commits = surveyor.commits
        self._engine = pgbackrest.engine
        self._losses = LossCounter(pgbackrest=pgbackrest, commits=surveyor.commits)

    async def to_moment(self, ground: Ground, moment: datetime | None) -> RecoveryPlan:
        """The plan to go back to `moment`; `None`: to the newest state there is.

        Of several repositories the first that has the moment is taken; if none has it, the one that comes
        nearest. Raises `TargetUnreachable`, which says what can be reached instead.
        """
        wanted = ground.now if moment is None else moment
        if wanted > ground.now:
            raise future(wanted, ground.now)
        asked = "latest" if moment is None else moment.isoformat()
        ways: list[_Way] = []
        for archive in ground.archives:
            way = await self._way(ground, archive, wanted, to_the_end=moment is None)
            if way is not None and not way.stop.falls_short:
                return await self._plan(ground, way, wanted=wanted, asked=asked)
            ways += [way] if way is not None else []
        single = single_moment(ground, wanted)
        if single is not None:
            return await self._single(ground, single, asked)
        nearest = max(ways, key=lambda way: way.stop.last_commit_at or way.route.base.finished_at, default=None)
        if nearest is None:
            raise unreachable(ground, wanted)
        return await self._plan(ground, nearest, wanted=wanted, asked=asked)

    async def back(self, ground: Ground, recovery: JournalEntry) -> RecoveryPlan:
        """The plan to go back to the state before a recovery."""
        way_back = recovery.way_back
        assert way_back is not None  # noqa: S101 - the journal gives only those that have one
        for archive in ground.archives:
            archived = [name for name in archive.segments if timeline_of(name) == way_back.timeline]
            kept = [segment.name for segment in ground.tail(way_back.timeline)]
            # The second choice: what is kept does not join what is archived, but the archive is whole.
            for names in (sorted({*archived, *kept}), sorted(archived)):
                if not names:
                    continue
                route = find_route(
                    ground.survey.catalogue.of_repo(archive.repo),  # none is younger than the end of its timeline
                    archive,
                    last_segment=names[-1],
                    timeline=way_back.timeline,
                    known=ground.timelines,
                    also_here=ground.local_names,
                )
                if route is None:
                    continue
                # Not to the restore point: commits may lie between it and the stop of the server.
                target = RestoreTarget(timeline=way_back.timeline)
                stop = Stop(target=target, timeline=way_back.timeline, last_segment=names[-1])
                way = _Way(archive=archive, stop=stop, route=route)
                plan = await self._plan(ground, way, wanted=way_back.at, asked="undo", undoes=recovery.id)
                if way_back.end is None or number_at(way_back.end) <= number_of(names[-1]):
                    return replace(plan, ends_behind=way_back.end)
                return replace(plan, notes=(*plan.notes, tail_is_gone(names[-1])))
        raise TargetUnreachable(
            "the state before the last recovery cannot be restored any more",
            detail=f"timeline {way_back.timeline}, as it was at {way_back.at.isoformat(timespec='seconds')}",
            hint="wedsync recover window shows what can",
        )

    async def _way(self, ground: Ground, archive: Archive, moment: datetime, *, to_the_end: bool) -> _Way | None:
        for stop in await self._stops(ground, archive, moment, to_the_end=to_the_end):
            route = find_route(
                ground.backups_before(moment, archive.repo),
                archive,
                last_segment=stop.last_segment,
                timeline=stop.timeline,
                known=ground.timelines,
                also_here=ground.local_names,
            )
            if route is not None:
                return _Way(archive=archive, stop=stop, route=route)
        return None

    async def _stops(self, ground: Ground, archive: Archive, moment: datetime, *, to_the_end: bool) -> list[Stop]:
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
            except SegmentUnreadable:
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

        Searched by halves; a segment without commits is judged by the next one that has some.
        """
        low, high = 0, len(names)
        found: int | None = None
        while low < high:
            middle = (low + high) // 2
            at, last_at = await self._next_commit(names, middle, high, archive)
            if last_at is None or last_at > moment:
                high = middle
                found = at if last_at is not None else found
            else:
                low = at + 1
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

    async def _single(self, ground: Ground, moment: Moment, asked: str) -> RecoveryPlan:
        archive = next(item for item in ground.archives if item.repo == moment.repo)
        base = ground.survey.catalogue.find(moment.repo, moment.label)
        assert base is not None  # noqa: S101 - a moment is made from a backup of the same survey
        names = segments_between(
            number_of(base.wal_start),
            number_of(base.wal_stop),
            timeline=moment.timeline,
            known=ground.timelines,
        )
        stop = Stop(
            target=RestoreTarget(kind=TargetKind.IMMEDIATE, timeline=moment.timeline, action=TargetAction.PAUSE),
            timeline=moment.timeline,
            last_segment=base.wal_stop,
        )
        way = _Way(archive=archive, stop=stop, route=Route(base=base, segments=tuple(names)))
        return await self._plan(ground, way, wanted=moment.at, asked=asked)

    async def _plan(
        self, ground: Ground, way: _Way, *, wanted: datetime, asked: str, undoes: str | None = None
    ) -> RecoveryPlan:
        archive, stop, route = way.archive, way.stop, way.route
        wal_bytes = sum(archive.sizes.get(name, 0) for name in route.segments)
        target_at = stop.last_commit_at if stop.falls_short and stop.last_commit_at is not None else wanted
        to_its_end = stop.target.kind is TargetKind.DEFAULT
        return RecoveryPlan(
            asked=asked,
            target_at=target_at,
            last_commit_at=stop.last_commit_at,
            clamped=stop.falls_short and asked != "latest",
            undoes=undoes,
            repo=archive.repo,
            base=route.base,
            timeline=stop.timeline,
            restore_target=stop.target,
            wal_first=route.segments[0],
            wal_last=route.segments[-1],
            wal_segments=len(route.segments),
            wal_bytes=wal_bytes,
            needs_local_wal=to_its_end or any(name not in archive.sizes for name in route.segments),
            loss=await self._losses.count(
                ground, archive, timeline=stop.timeline, moment=None if to_its_end else target_at
            ),
            present=present(ground),
            forecast=forecast(
                database_bytes=route.base.database_bytes,
                wal_segments=len(route.segments),
                wal_bytes=wal_bytes,
                history=ground.history,
            ),
            notes=tuple(
                notes(
                    ground,
                    repo=archive.repo,
                    timeline=stop.timeline,
                    ends_at=stop.last_commit_at if stop.falls_short else None,
                )
            ),
        )


def present(ground: Ground) -> Present:
    """What can become of the present state."""
    if leads_to_present(ground):
        return Present.UNDO
    if ground.running:
        return Present.BACKUP
    return Present.ASIDE if ground.has_files else Present.LOST


def leads_to_present(ground: Ground) -> bool:
    """Whether a backup and all WAL behind it, here or archived, lead to the end of the live timeline.

    Every finished backup counts, also one that ended within this very second.
    """
    for archive in ground.archives:
        here = {segment.name for segment in ground.tail(ground.live)}
        names = here | {name for name in archive.segments if timeline_of(name) == ground.live}
        route = names and find_route(
            ground.survey.catalogue.of_repo(archive.repo),
            archive,
            last_segment=max(names),
            timeline=ground.live,
            known=ground.timelines,
            also_here=ground.local_names,
        )
        if route:
            return True
    return False


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
