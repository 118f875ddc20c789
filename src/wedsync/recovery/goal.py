"""Where replay stops: at what the plan says, or, where that is the end of the WAL, at its last record."""

from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path

from wedsync.backup import (
    RestoreTarget,
    TargetKind,
    lineage,
    number_at,
    number_of,
    timeline_of,
    without_damaged,
)
from wedsync.database import Lsn
from wedsync.errors import RecoveryFailed
from wedsync.recovery.forecast import Phase
from wedsync.recovery.journal import JournalEntry
from wedsync.recovery.local_wal import LocalSegment
from wedsync.recovery.means import Means
from wedsync.recovery.plan import RecoveryPlan
from wedsync.recovery.replay import Reached
from wedsync.recovery.route import on_the_way, segments_between
from wedsync.recovery.secure import Report
from wedsync.recovery.stops import at_lsn
from wedsync.recovery.wal_end import Known, find_wal_end, require_known
from wedsync.state import as_moment

_READ = 2
"""Segments at the end that are compared with their checksum before: the last record is taken from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Where replay stops."""

    target: RestoreTarget
    ends_with: datetime | None = None
    """The newest commit there, if it is known: PostgreSQL does not count the one that it was told to end with."""

    def last_commit_at(self, reached: Reached) -> datetime | None:
        """The newest commit that is there when the goal is reached."""
        known = [at for at in (self.ends_with, reached.last_commit_at) if at is not None]
        return max(known, default=None)


async def find_goal(means: Means, plan: RecoveryPlan, entry: JournalEntry, report: Report) -> Goal:
    """Where replay stops; the present state is secured already.

    Raises `RecoveryFailed`, before anything is replaced, where WAL that was written cannot be read.
    """
    if plan.restore_target.kind is not TargetKind.DEFAULT:
        at_a_commit = plan.restore_target.kind is TargetKind.LSN
        return Goal(target=plan.restore_target, ends_with=plan.last_commit_at if at_a_commit else None)
    report(Phase.SECURE, "reading where the WAL ends")
    system_id, repo = plan.base.system_id, plan.repo
    archives = without_damaged(await means.pgbackrest.archives(repo), means.state)
    archived = {name for archive in archives if archive.system_id == system_id for name in archive.segments}
    here = {segment.name: segment.source for segment in kept_for(means, plan)}
    names = _without_a_hole(means, plan, archived | here.keys())
    damaged = await means.examine(repo, system_id, [name for name in names[-_READ:] if name in archived])
    if damaged is not None:
        raise RecoveryFailed(
            f"WAL segment {damaged.segment} in repo{repo} is damaged, and the newest commits are in it",
            detail=damaged.words,
            hint="nothing was replaced; run the same command again: it takes the segment from elsewhere",
        )

    async def fetch(name: str, directory: Path) -> None:
        if name not in archived:
            (directory / name).symlink_to(here[name])
        elif not await means.pgbackrest.archive_get(name, directory / name, repo=repo, system_id=system_id):
            raise _gone(name, repo)

    end = await find_wal_end(names, fetch=fetch, engine=means.server.engine, scratch_below=means.home.run)
    beat = _newest_beat(means, plan.timeline, names[-1])
    require_known(end, names[-1], beat=beat, behind=_written(plan, entry))
    times = [at for at in (end.last_commit_at, plan.last_commit_at) if at is not None]
    return Goal(target=at_lsn(end.lsn, plan.timeline), ends_with=max(times, default=None))


def kept_for(means: Means, plan: RecoveryPlan) -> list[LocalSegment]:
    """What was put aside of the WAL from the base to the end of the plan's timeline."""
    known = means.timelines.of_system(plan.base.system_id)
    ancestors = {leg.timeline for leg in lineage(plan.timeline, known)}
    return [
        segment
        for segment in means.kept.segments()
        if timeline_of(segment.name) in ancestors and number_of(segment.name) >= number_of(plan.wal_first)
    ]


def _without_a_hole(means: Means, plan: RecoveryPlan, have: set[str]) -> list[str]:
    """The segments from the base on, up to the first that is nowhere."""
    known = means.timelines.of_system(plan.base.system_id)
    there = [number_of(name) for name in on_the_way(have, timeline=plan.timeline, known=known)]
    first, last = number_of(plan.wal_first), number_of(plan.wal_last)
    wanted = list(segments_between(first, max(last, *there), timeline=plan.timeline, known=known))
    names = list(takewhile(have.__contains__, wanted))
    if len(names) <= last - first:
        raise _gone(wanted[len(names)], plan.repo)
    return names


def _gone(segment: str, repo: int) -> RecoveryFailed:
    return RecoveryFailed(
        f"WAL segment {segment} is not in repo{repo} any more, nor on this machine",
        detail="it was there when the plan was made",
        hint="nothing was replaced; run the same command again: it looks for another way",
    )


def _newest_beat(means: Means, timeline: int, last: str) -> Known | None:
    """The newest heartbeat whose segment is there; what came behind it went with the machine that wrote it."""
    rows = means.state.rows(
        "select at, lsn from heartbeats where timeline = ? order by at desc limit 10000", (timeline,)
    )
    beats = (Known(at=as_moment(row["at"]), lsn=Lsn.parse(row["lsn"])) for row in rows)
    return next((beat for beat in beats if number_at(beat.lsn) <= number_of(last)), None)


def _written(plan: RecoveryPlan, entry: JournalEntry) -> list[Lsn]:
    """Records that were written: the end of the state before a recovery, as it was found when it was secured."""
    way_back = entry.way_back
    own = way_back.end if way_back is not None and way_back.timeline == plan.timeline else None
    return [lsn for lsn in (own if plan.undoes is None else None, plan.ends_behind) if lsn is not None]
