"""Find what a copy is made from, and whether one that is there can move on."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from wedsync.backup import Archive, PgBackRest, Surveyor, TimelineBook, lineage, number_at, number_of
from wedsync.clock import Clock
from wedsync.cluster import Server
from wedsync.copies.plan import CopyOrder, CopyPlan, Place
from wedsync.database import Lsn
from wedsync.errors import ArchivingStuck, CopyPassed, TargetUnreachable
from wedsync.recovery import (
    Ground,
    Journal,
    Kept,
    Restoring,
    Route,
    Scout,
    Stop,
    Way,
    Wayfinder,
    forecast,
    future,
    notes,
    read_history,
    segments_between,
    single_moment,
    unreachable,
    wait_until_archived,
    way_of_single,
    way_to_end_of,
)
from wedsync.sql import statements
from wedsync.state import StateStore

_ARCHIVED = timedelta(seconds=30)
_BEHIND = 32
"""Segments behind the plan's end that may be what replay was given."""


class CopyPlanner:
    """Makes plans of copies; changes nothing but that a running server may begin a new WAL segment."""

    def __init__(
        self, *, surveyor: Surveyor, server: Server, pgbackrest: PgBackRest, state: StateStore, clock: Clock
    ) -> None:
        self._server = server
        self._pgbackrest = pgbackrest
        self._state = state
        self._journal = Journal(state)
        self._timelines = TimelineBook(pgbackrest=pgbackrest, state=state)
        self._scout = Scout(
            surveyor=surveyor,
            timelines=self._timelines,
            server=server,
            kept=Kept(root=server.home.kept),
            clock=clock,
        )
        self._wayfinder = Wayfinder(commits=surveyor.commits, engine=pgbackrest.engine)

    async def plan(self, order: CopyOrder) -> CopyPlan:
        """What a copy at the moment asked for is made from.

        A running server is made to archive what the archive does not have of it yet. Of several repositories the
        first that has the moment is taken. Raises `TargetUnreachable`, and `ArchivingStuck` where the moment
        is in WAL that does not reach the archive.
        """
        if order.own_end:
            ground = await self._look()
            return self._made(ground, _way_to_own_end(ground, order), order)
        ground = await self._ground(order)
        nearest: Way | None = None
        for archive in _archives(ground, order):
            way = await self._way(ground, archive, order)
            if way is not None and not way.stop.falls_short:
                return self._made(ground, way, order)
            nearest = nearest or way
        if isinstance(order.target, datetime):
            single = single_moment(ground, order.target)
            if single is not None and order.label in {None, single.label} and order.repo in {None, single.repo}:
                return self._made(ground, way_of_single(ground, single), order)
        if nearest is not None:
            return self._made(ground, nearest, order)
        if order.label is None and isinstance(order.target, datetime):
            raise unreachable(ground, order.target)
        raise TargetUnreachable(
            f"{order.target} cannot be reached"
            + (f" from backup {order.label}" if order.label else f" on timeline {order.timeline or ground.live}"),
            detail="the backup is not there, ends later, or WAL between them is missing",
            hint="wedsync recover window shows what can be reached",
        )

    async def archive_present(self, repo: int) -> None:
        """Let a running server archive all it has committed until now; does nothing where none runs.

        Raises `ArchivingStuck` where that does not reach the repository.
        """
        ground = await self._look()
        if ground.running:
            await self._archive_present(ground, CopyOrder(target=ground.now, repo=repo))

    async def onward(self, plan: CopyPlan, place: Place, target: datetime | Lsn) -> CopyPlan:
        """The plan to move a copy on from `place`: the WAL that is still to be replayed.

        Raises `CopyPassed` where it has replayed more than that, or what is not on the way there, and
        `TargetUnreachable` where the archive does not lead there.
        """
        order = CopyOrder(target=target, repo=plan.repo)
        if (isinstance(target, Lsn) and target < place.lsn) or (
            isinstance(target, datetime) and place.at is not None and target < place.at
        ):
            raise _passed(place, target, "copies move to later moments only")
        ground = await self._ground(order)
        for archive in _archives(ground, order):
            for stop in await self._stops(ground, archive, order):
                if not is_on_the_way(ground, place, stop.timeline):
                    raise _passed(place, target, f"that moment is on timeline {stop.timeline}")
                names = tuple(
                    segments_between(
                        number_at(place.lsn),
                        max(number_of(stop.last_segment), number_at(place.lsn)),
                        timeline=stop.timeline,
                        known=ground.timelines,
                    )
                )
                # The first is in the copy's own pg_wal already.
                if {*archive.segments, *ground.local_names}.issuperset(names[1:]):
                    return self._made(ground, Way(archive=archive, stop=stop, route=_route(plan, names)), order)
        raise TargetUnreachable(
            f"{target} cannot be reached from where the copy is",
            detail=f"it is at {place.lsn}; WAL behind it is missing in repo{plan.repo}",
            hint="wedsync recover window shows what can be reached; a new copy may start from another backup",
        )

    def way_from(self, plan: CopyPlan, at: Lsn | None, *, timeline: int | None) -> Iterator[str]:
        """The segments that a copy reads from `at` on (`None`: from its backup on), on the way to a timeline."""
        first = number_at(at) if at is not None else number_of(plan.wal_first)
        known = self._timelines.of_system(plan.base.system_id)
        # Where it moved on, the plan that it was made from does not say how far: what is not there is passed over.
        last = max(first, number_of(plan.wal_last)) + _BEHIND
        return segments_between(first, last, timeline=timeline or plan.timeline, known=known)

    async def _ground(self, order: CopyOrder) -> Ground:
        ground = await self._look()
        if isinstance(order.target, datetime) and order.target > ground.now:
            raise future(order.target, ground.now)
        if ground.running and not is_archived(ground, order):
            await self._archive_present(ground, order)
            ground = await self._look()
        return ground

    async def _look(self) -> Ground:
        return await self._scout.look(read_history(self._state), self._journal.unfinished())

    async def _archive_present(self, ground: Ground, order: CopyOrder) -> None:
        """Let a running server archive all it has committed, and a commit behind it to stop at."""
        repo = next((archive.repo for archive in _archives(ground, order)), 1)
        sql = statements("recovery")
        async with await self._server.target().connect() as connection:
            await connection.execute(sql["commit_now"])
            row = await (await connection.execute(sql["switch_wal"])).fetchone()
        assert row is not None  # noqa: S101 - a select without from gives one row
        if not await wait_until_archived(
            self._server, self._pgbackrest, str(row[1]), repo=repo, deadline=_ARCHIVED
        ):
            raise ArchivingStuck(
                f"{order.target} is in WAL that does not reach the archive",
                detail=f"segment {row[1]} was not archived within {_ARCHIVED.total_seconds():.0f} s;"
                f" {reach_words(ground, order)}",
                hint="wedsync status says why; earlier moments can be looked at meanwhile",
            )

    async def _way(self, ground: Ground, archive: Archive, order: CopyOrder) -> Way | None:
        if isinstance(order.target, Lsn):
            timeline = order.timeline or ground.live
            return self._wayfinder.to_lsn(ground, archive, order.target, timeline=timeline, label=order.label)
        return await self._wayfinder.to_moment(ground, archive, order.target, label=order.label)

    async def _stops(self, ground: Ground, archive: Archive, order: CopyOrder) -> list[Stop]:
        if isinstance(order.target, Lsn):
            return [self._wayfinder.lsn_stop(order.target, timeline=order.timeline or ground.live)]
        return await self._wayfinder.stops(ground, archive, order.target)

    def _made(self, ground: Ground, way: Way, order: CopyOrder) -> CopyPlan:
        archive, stop, route = way.archive, way.stop, way.route
        here = {segment.name: segment for segment in ground.local}
        missing = [name for name in route.segments if name not in archive.sizes and name in here]
        if missing and ground.running:
            raise ArchivingStuck(
                f"{order.target} is in WAL that is not in the archive yet",
                detail=f"{missing[0]} is on this machine only; {reach_words(ground, order)}",
                hint="wedsync status says why; earlier moments can be looked at meanwhile",
            )
        wal_bytes = sum(archive.sizes.get(name, 0) for name in route.segments)
        wanted = order.target if isinstance(order.target, datetime) else None
        return CopyPlan(
            order=order,
            repo=archive.repo,
            base=route.base,
            timeline=stop.timeline,
            restore_target=stop.target,
            wal_first=route.segments[0],
            wal_last=route.segments[-1],
            wal_segments=len(route.segments),
            wal_bytes=wal_bytes,
            target_at=(stop.last_commit_at or wanted) if stop.falls_short else wanted,
            last_commit_at=stop.last_commit_at,
            clamped=stop.falls_short,
            local=tuple(here[name] for name in missing),
            forecast=forecast(
                database_bytes=route.base.database_bytes,
                wal_segments=len(route.segments),
                wal_bytes=wal_bytes,
                history=ground.history,
                way=Restoring.COPY,
                repo=archive.repo,
                pace=order.pace,
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


def _way_to_own_end(ground: Ground, order: CopyOrder) -> Way:
    """The way to the end of the backup that is named. Raises `TargetUnreachable`."""
    found = [
        item for item in ground.survey.catalogue.backups if (item.repo, item.label) == (order.repo, order.label)
    ]
    way = way_to_end_of(ground, found[0]) if found else None
    if way is None:
        raise TargetUnreachable(
            f"the end of backup {order.label} in repo{order.repo} cannot be reached",
            detail="the backup is not there, damaged, or built on one that is; or WAL of its own is missing",
            hint="wedsync backup verify says which",
        )
    return way


def is_archived(ground: Ground, order: CopyOrder) -> bool:
    """Whether a repository has the moment already, so that nothing has to be archived first."""
    if isinstance(order.target, Lsn):
        name = order.target.segment_file(order.timeline or ground.live)
        return any(name in archive.sizes for archive in _archives(ground, order))
    return any(
        window.to_at >= order.target
        for window in ground.survey.windows.per_repo
        if window.system_id == ground.system_id and (order.repo is None or order.repo in window.repos)
    )


def leads_on(plan: CopyPlan, place: Place) -> bool:
    """Whether a plan made for a new copy serves one that stands at `place`: its WAL goes on from there."""
    return (
        plan.timeline == place.timeline
        and number_of(plan.wal_first) <= number_at(place.lsn) <= number_of(plan.wal_last)
        and (plan.target_at is None or place.at is None or place.at <= plan.target_at)
    )


def is_on_the_way(ground: Ground, place: Place, timeline: int) -> bool:
    """Whether a copy that stands at `place` has replayed nothing that is not part of the timeline's history."""
    return _leg_at(ground, place.timeline, place.lsn) == _leg_at(ground, timeline, place.lsn)


def _leg_at(ground: Ground, timeline: int, lsn: Lsn) -> int:
    """Which timeline the WAL before `lsn` is on, on the way to `timeline`."""
    legs = lineage(timeline, ground.timelines)
    return next(leg.timeline for leg in legs if leg.until is None or lsn <= leg.until)


def reach_words(ground: Ground, order: CopyOrder) -> str:
    """How far the archive reaches, for an error."""
    ends = [
        window.to_at
        for window in ground.survey.windows.per_repo
        if window.system_id == ground.system_id and (order.repo is None or order.repo in window.repos)
    ]
    if not ends:
        return "the archive holds no moment yet"
    return f"the archive reaches to {max(ends).isoformat(sep=' ', timespec='milliseconds')}"


def _archives(ground: Ground, order: CopyOrder) -> list[Archive]:
    return [archive for archive in ground.archives if order.repo in {None, archive.repo}]


def _passed(place: Place, target: datetime | Lsn, why: str) -> CopyPassed:
    at = place.at.isoformat(sep=" ", timespec="milliseconds") if place.at is not None else "no commit"
    return CopyPassed(
        f"the copy cannot move to {target}: {why}",
        detail=f"it stands at {place.lsn} on timeline {place.timeline}, last commit {at}",
        hint="make a new copy: wedsync recover preview --at MOMENT --new",
    )


def _route(plan: CopyPlan, names: tuple[str, ...]) -> Route:
    return Route(base=plan.base, segments=names)
