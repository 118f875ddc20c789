"""Find the way to a moment: which repository, backup, timeline and WAL, and what would be lost."""

from dataclasses import replace
from datetime import datetime

from wedsync.backup import PgBackRest, RestoreTarget, Surveyor, TargetKind, number_at, number_of, timeline_of
from wedsync.errors import TargetUnreachable
from wedsync.recovery.answers import future, notes, tail_is_gone, unreachable
from wedsync.recovery.forecast import Restoring, forecast
from wedsync.recovery.ground import Ground
from wedsync.recovery.journal import JournalEntry
from wedsync.recovery.loss import LossCounter
from wedsync.recovery.plan import Present, RecoveryPlan
from wedsync.recovery.route import find_route
from wedsync.recovery.stops import Stop, Way, Wayfinder, single_moment, way_of_single


class Planner:
    """Makes plans; changes nothing."""

    def __init__(self, *, surveyor: Surveyor, pgbackrest: PgBackRest) -> None:
        self._wayfinder = Wayfinder(commits=surveyor.commits, engine=pgbackrest.engine)
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
        ways: list[Way] = []
        for archive in ground.archives:
            way = await self._wayfinder.to_moment(ground, archive, wanted, to_the_end=moment is None)
            if way is not None and not way.stop.falls_short:
                return await self._plan(ground, way, wanted=wanted, asked=asked)
            ways += [way] if way is not None else []
        single = single_moment(ground, wanted)
        if single is not None:
            return await self._plan(ground, way_of_single(ground, single), wanted=single.at, asked=asked)
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
                way = Way(archive=archive, stop=stop, route=route)
                plan = await self._plan(ground, way, wanted=way_back.at, asked="undo", undoes=recovery.id)
                if way_back.end is None or number_at(way_back.end) <= number_of(names[-1]):
                    return replace(plan, ends_behind=way_back.end)
                return replace(plan, notes=(*plan.notes, tail_is_gone(names[-1])))
        raise TargetUnreachable(
            "the state before the last recovery cannot be restored any more",
            detail=f"timeline {way_back.timeline}, as it was at {way_back.at.isoformat(timespec='seconds')}",
            hint="wedsync recover window shows what can",
        )

    async def _plan(
        self, ground: Ground, way: Way, *, wanted: datetime, asked: str, undoes: str | None = None
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
                way=Restoring.DELTA if ground.has_files else Restoring.WHOLE,
                repo=archive.repo,
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
