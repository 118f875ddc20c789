"""Find the way to a moment: which repository, backup, timeline and WAL, and what would be lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from wedsync.backup import (
    Archive,
    Backup,
    Commit,
    Moment,
    PgBackRest,
    RestoreTarget,
    Survey,
    Surveyor,
    TargetAction,
    TargetKind,
    Timeline,
    Window,
    live_at,
    number_of,
    timeline_of,
)
from wedsync.clock import Clock
from wedsync.cluster import Server, ServerState
from wedsync.database import Lsn
from wedsync.errors import SegmentUnreadable, TargetUnreachable
from wedsync.recovery.forecast import Measurement, forecast
from wedsync.recovery.journal import WayBack
from wedsync.recovery.local_wal import LocalSegment, commits_in, local_segments
from wedsync.recovery.plan import Loss, RecoveryPlan
from wedsync.recovery.route import Route, find_route, segments_between

_SEGMENTS_COUNTED = 64
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What is on this machine now."""

    running: bool
    """Whether the server takes connections: then everything up to now can be archived before it is stopped."""
    tail: tuple[LocalSegment, ...]
    """Segments of the live timeline that are in no archive."""
    tail_commits: tuple[Commit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """All that a plan is made from."""

    survey: Survey
    system_id: str
    timelines: Mapping[int, Timeline]
    live: int
    """The timeline that is the live one now."""
    present: Present
    history: Sequence[Measurement]
    now: datetime

    @property
    def archives(self) -> tuple[Archive, ...]:
        """What the repositories hold of this cluster, the first repository first."""
        mine = [item for item in self.survey.archives if item.system_id == self.system_id]
        return tuple(sorted(mine, key=lambda archive: archive.repo))

    @property
    def tail_names(self) -> frozenset[str]:
        """Names of the segments that are only here."""
        return frozenset(segment.name for segment in self.present.tail)

    def backups_before(self, moment: datetime, repo: int) -> list[Backup]:
        """The repository's backups that recovery to `moment` may start from."""
        return [item for item in self.survey.catalogue.of_repo(repo) if item.consistent_from <= moment]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stop:
    """Where recovery stops: the target, the last segment it reads, and the commit it ends with if known."""

    target: RestoreTarget
    timeline: int
    last_segment: str
    last_commit_at: datetime | None
    clamped: bool


class Planner:
    """Makes plans; changes nothing."""

    def __init__(self, *, surveyor: Surveyor, pgbackrest: PgBackRest, server: Server, clock: Clock) -> None:
        self._surveyor = surveyor
        self._pgbackrest = pgbackrest
        self._server = server
        self._clock = clock

    async def look(self, history: Sequence[Measurement]) -> Ground:
        """Read repositories and this machine. Raises `TargetUnreachable` if no repository has a backup."""
        survey = await self._surveyor.survey()
        if not survey.catalogue.backups or not survey.archives:
            seen = "; ".join(
                f"repo{item.repo}: {item.message or 'no backup'}" for item in survey.catalogue.repositories
            )
            raise TargetUnreachable(
                "no repository that can be read holds a backup",
                detail=seen or "no repository is configured",
                hint="wedsync backup list; is the second region configured (backup.repo2)?",
            )
        newest = max(survey.catalogue.backups, key=lambda backup: backup.finished_at)
        timelines = self._surveyor.timelines.of_system(newest.system_id)
        now = self._clock.now()
        live = live_at(now, timelines) or newest.timeline
        archived = {name for archive in survey.archives for name in archive.segments}
        tail = [
            segment
            for segment in local_segments(
                self._server.home.pgdata, postmaster=self._server.postmaster_pid(), archived=archived
            )
            if timeline_of(segment.name) == live
        ]
        commits: list[Commit] = []
        for segment in tail:
            commits += await commits_in(self._pgbackrest.engine, segment.name, segment.source)
        return Ground(
            survey=survey,
            system_id=newest.system_id,
            timelines=timelines,
            live=live,
            present=Present(
                running=self._server.state() is ServerState.RUNNING and await self._server.ready(),
                tail=tuple(tail),
                tail_commits=tuple(commits),
            ),
            history=history,
            now=now,
        )

    async def to_moment(self, ground: Ground, moment: datetime | None) -> RecoveryPlan:
        """The plan to go back to `moment`; `None`: to the newest state there is.

        Raises `TargetUnreachable`, which says what can be reached instead.
        """
        wanted = ground.now if moment is None else moment
        if wanted > ground.now:
            raise TargetUnreachable(
                f"{wanted.isoformat()} is in the future",
                detail=f"now it is {ground.now.isoformat(timespec='seconds')}",
                hint="give a moment that has passed, or: --to latest",
            )
        asked = "latest" if moment is None else moment.isoformat()
        for archive in ground.archives:
            for stop in await self._stops(ground, archive, wanted, to_the_end=moment is None):
                route = find_route(
                    ground.backups_before(wanted, archive.repo),
                    archive,
                    last_segment=stop.last_segment,
                    timeline=stop.timeline,
                    known=ground.timelines,
                    also_here=ground.tail_names,
                )
                if route is not None:
                    return await self._plan(ground, archive, route=route, stop=stop, wanted=wanted, asked=asked)
        single = _single_moment(ground, wanted)
        if single is not None:
            return await self._single(ground, single, asked)
        raise _unreachable(ground, wanted)

    async def back(self, ground: Ground, way_back: WayBack) -> RecoveryPlan:
        """The plan to go back to the state before a recovery."""
        for archive in ground.archives:
            own = [name for name in archive.segments if timeline_of(name) == way_back.timeline]
            names = sorted({*own, *way_back.kept_segments})
            if not names:
                continue
            route = find_route(
                ground.backups_before(way_back.at, archive.repo),
                archive,
                last_segment=names[-1],
                timeline=way_back.timeline,
                known=ground.timelines,
                also_here=way_back.kept_segments,
            )
            if route is None:
                continue
            named = way_back.name is not None and not way_back.kept_segments
            stop = _Stop(
                target=RestoreTarget(
                    kind=TargetKind.NAME if named else TargetKind.DEFAULT,
                    name=way_back.name if named else None,
                    timeline=way_back.timeline,
                    action=TargetAction.PAUSE,
                ),
                timeline=way_back.timeline,
                last_segment=names[-1],
                last_commit_at=None,
                clamped=False,
            )
            return await self._plan(ground, archive, route=route, stop=stop, wanted=way_back.at, asked="undo")
        raise TargetUnreachable(
            "the state before the last recovery cannot be restored any more",
            detail=f"timeline {way_back.timeline}, as it was at {way_back.at.isoformat(timespec='seconds')}",
            hint="wedsync recover window shows what can",
        )

    async def _stops(self, ground: Ground, archive: Archive, moment: datetime, *, to_the_end: bool) -> list[_Stop]:
        """Where recovery from this repository can stop for `moment`, the best first; empty if nowhere."""
        timeline = live_at(moment, ground.timelines) or ground.live
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
        if window is not None and _in_gap(ground, archive, window, moment):
            return []
        stops: list[_Stop] = []
        if timeline == ground.live and archive.segments:
            last = max(archive.segments, key=lambda name: (number_of(name), timeline_of(name)))
            stops += _with_what_is_here(ground, last, moment, to_the_end=to_the_end)
        if window is not None and window.to_lsn is not None:
            stops.append(
                _Stop(
                    target=_at_lsn(window.to_lsn, timeline),
                    timeline=timeline,
                    last_segment=window.to_segment,
                    last_commit_at=window.to_at,
                    clamped=True,
                )
            )
        return stops

    async def _inside(self, ground: Ground, archive: Archive, window: Window, moment: datetime) -> _Stop:
        bases = ground.backups_before(moment, archive.repo)
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
        if at is None:
            return _Stop(
                target=_at_lsn(window.to_lsn, window.timeline)
                if window.to_lsn is not None
                else _at_time(moment, window.timeline),
                timeline=window.timeline,
                last_segment=window.to_segment,
                last_commit_at=window.to_at,
                clamped=False,
            )
        return _Stop(
            target=_at_time(moment, window.timeline),
            timeline=window.timeline,
            last_segment=names[at],
            last_commit_at=None,
            clamped=False,
        )

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
            segment = await self._surveyor.commits.commit_times(
                names[index], repo=archive.repo, system_id=archive.system_id
            )
            if segment.last_at is not None:
                return index, segment.last_at
        return end, None

    async def _plan(
        self, ground: Ground, archive: Archive, *, route: Route, stop: _Stop, wanted: datetime, asked: str
    ) -> RecoveryPlan:
        wal_bytes = sum(archive.sizes.get(name, 0) for name in route.segments)
        local = [name for name in route.segments if name not in archive.sizes]
        return RecoveryPlan(
            asked=asked,
            target_at=wanted,
            last_commit_at=stop.last_commit_at,
            clamped=stop.clamped,
            repo=archive.repo,
            base=route.base,
            timeline=stop.timeline,
            restore_target=stop.target,
            wal_first=route.segments[0],
            wal_last=route.segments[-1],
            wal_segments=len(route.segments),
            wal_bytes=wal_bytes,
            from_local_wal=bool(local),
            loss=await self._loss(ground, archive, stop, wanted),
            forecast=forecast(
                database_bytes=route.base.database_bytes,
                wal_segments=len(route.segments),
                wal_bytes=wal_bytes,
                history=ground.history,
            ),
            notes=tuple(_notes(ground, archive, stop)),
        )

    async def _single(self, ground: Ground, moment: Moment, asked: str) -> RecoveryPlan:
        archive = next(item for item in ground.archives if item.repo == moment.repo)
        base = ground.survey.catalogue.find(moment.repo, moment.label)
        assert base is not None  # noqa: S101 - a moment is made from a backup of the same survey
        stop = _Stop(
            target=RestoreTarget(kind=TargetKind.IMMEDIATE, timeline=moment.timeline, action=TargetAction.PAUSE),
            timeline=moment.timeline,
            last_segment=base.wal_stop,
            last_commit_at=None,
            clamped=False,
        )
        names = segments_between(
            number_of(base.wal_start),
            number_of(base.wal_stop),
            timeline=moment.timeline,
            known=ground.timelines,
        )
        return await self._plan(
            ground,
            archive,
            route=Route(base=base, segments=tuple(names)),
            stop=stop,
            wanted=moment.at,
            asked=asked,
        )

    async def _loss(self, ground: Ground, archive: Archive, stop: _Stop, moment: datetime) -> Loss:
        """Count the commits after the stop, on the live timeline, in the archive and on this machine."""
        own = sorted(name for name in archive.segments if timeline_of(name) == ground.live)
        same = stop.timeline == ground.live
        later = [name for name in own if not same or name > stop.last_segment]
        after: list[datetime] = [
            commit.at for commit in ground.present.tail_commits if not same or commit.at > moment
        ]
        commits, exact = len(after), len(later) <= _SEGMENTS_COUNTED
        if same and stop.last_segment in archive.sizes:
            times = [at for at in await self._times_in(archive, stop.last_segment) if at > moment]
            after += times
            commits += len(times)
        for name in later[:_SEGMENTS_COUNTED]:
            found = await self._surveyor.commits.commit_times(name, repo=archive.repo, system_id=archive.system_id)
            commits += found.commits
            after += [at for at in (found.first_at, found.last_at) if at is not None]
        return Loss(commits=commits, exact=exact, from_at=min(after, default=None), to_at=max(after, default=None))

    async def _times_in(self, archive: Archive, segment: str) -> list[datetime]:
        with TemporaryDirectory(prefix="wal-", dir=self._server.home.run) as scratch:
            file = Path(scratch) / segment
            if not await self._pgbackrest.archive_get(
                segment, file, repo=archive.repo, system_id=archive.system_id
            ):
                return []
            return [commit.at for commit in await commits_in(self._pgbackrest.engine, segment, file)]


def _at_time(moment: datetime, timeline: int) -> RestoreTarget:
    return RestoreTarget(kind=TargetKind.TIME, at=moment, timeline=timeline, action=TargetAction.PAUSE)


def _at_lsn(lsn: Lsn, timeline: int) -> RestoreTarget:
    return RestoreTarget(kind=TargetKind.LSN, lsn=lsn, timeline=timeline, action=TargetAction.PAUSE)


def _with_what_is_here(ground: Ground, last_archived: str, moment: datetime, *, to_the_end: bool) -> list[_Stop]:
    """A moment on the live timeline after the last archived commit: the WAL on this machine counts.

    A running server archives the rest before it is stopped. What a stopped one, or one whose data directory
    was deleted under it, has in its own segments is kept and replayed.
    """
    last_segment = max([last_archived, *ground.tail_names])
    before = [commit for commit in ground.present.tail_commits if commit.at <= moment]
    if to_the_end and (ground.present.running or ground.present.tail):
        return [
            _Stop(
                target=RestoreTarget(kind=TargetKind.DEFAULT, timeline=ground.live),
                timeline=ground.live,
                last_segment=last_segment,
                last_commit_at=None if ground.present.running or not before else before[-1].at,
                clamped=False,
            )
        ]
    if ground.present.running:
        return [
            _Stop(
                target=_at_time(moment, ground.live),
                timeline=ground.live,
                last_segment=last_segment,
                last_commit_at=None,
                clamped=False,
            )
        ]
    if not before:
        return []
    later = len(before) < len(ground.present.tail_commits)
    return [
        _Stop(
            target=_at_time(moment, ground.live) if later else _at_lsn(before[-1].lsn, ground.live),
            timeline=ground.live,
            last_segment=last_segment,
            last_commit_at=before[-1].at,
            clamped=not later,
        )
    ]


def _in_gap(ground: Ground, archive: Archive, window: Window, moment: datetime) -> bool:
    return any(
        gap.repo == archive.repo
        and gap.timeline == window.timeline
        and gap.from_at == window.to_at
        and moment > window.to_at
        for gap in ground.survey.windows.gaps
    )


def _single_moment(ground: Ground, wanted: datetime) -> Moment | None:
    near = [
        moment
        for moment in ground.survey.windows.moments
        if moment.system_id == ground.system_id and moment.at <= wanted <= moment.at + _SECOND
    ]
    return min(near, key=lambda moment: moment.repo, default=None)


def _notes(ground: Ground, archive: Archive, stop: _Stop) -> list[str]:
    notes: list[str] = []
    if stop.clamped and stop.last_commit_at is not None:
        notes.append(
            f"the last commit that still exists is of {stop.last_commit_at.isoformat(timespec='seconds')}:"
            " what was committed after it was not archived, and is not on this machine"
            if stop.timeline == ground.live and not ground.present.running
            else f"nothing was committed after {stop.last_commit_at.isoformat(timespec='seconds')}"
        )
    if stop.timeline != ground.live:
        notes.append(
            f"the moment is on timeline {stop.timeline}, which an earlier recovery left;"
            f" the live one is {ground.live}"
        )
    notes += [
        f"repo{status.repo} cannot be used: {status.message}"
        for status in ground.survey.problems
        if status.repo != archive.repo
    ]
    return notes


def _unreachable(ground: Ground, wanted: datetime) -> TargetUnreachable:
    windows = ground.survey.windows.windows
    seen = (
        "; ".join(
            f"{window.from_at.isoformat(sep=' ', timespec='seconds')} to"
            f" {window.to_at.isoformat(sep=' ', timespec='seconds')}"
            for window in windows[-6:]
        )
        or "no moment at all"
    )
    gap = next(
        (
            gap
            for gap in ground.survey.windows.gaps
            if (gap.from_at is None or gap.from_at < wanted) and (gap.to_at is None or wanted < gap.to_at)
        ),
        None,
    )
    near = [window.to_at for window in windows if window.to_at < wanted][-1:]
    near += [window.from_at for window in windows if window.from_at > wanted][:1]
    why = (
        f"WAL {gap.first} to {gap.last} is missing in repo{gap.repo}" if gap is not None else "no backup is older"
    )
    return TargetUnreachable(
        f"{wanted.isoformat(sep=' ')} cannot be restored: {why}",
        detail=f"what can be restored: {seen}",
        hint="the nearest moments: " + ", ".join(moment.isoformat(sep=" ") for moment in near)
        if near
        else "take a backup: wedsync backup run --type full",
    )
