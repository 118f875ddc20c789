"""Have the restored server replay to the target, make sure that it got there, and let it take writes."""

from dataclasses import replace
from datetime import datetime
from time import monotonic

from wedsync.backup import TargetKind, number_at, number_of
from wedsync.cluster import LogReader, ServerState
from wedsync.database import Lsn
from wedsync.errors import RecoveryFailed, ServerFailed, WedsyncError
from wedsync.recovery.forecast import Phase
from wedsync.recovery.goal import Goal
from wedsync.recovery.journal import JournalEntry, Stage
from wedsync.recovery.means import Means
from wedsync.recovery.plan import RecoveryPlan
from wedsync.recovery.replay import Reached, ReplayPosition, promote, replay_words, wait_for_target
from wedsync.recovery.route import segments_between
from wedsync.recovery.secure import Report
from wedsync.recovery.stopwatch import Stopwatch

_ENDED_EARLY = "before configured recovery target"


async def replay_and_promote(
    means: Means, plan: RecoveryPlan, goal: Goal, entry: JournalEntry, *, stopwatch: Stopwatch, report: Report
) -> tuple[JournalEntry, Reached]:
    """Replay to the goal and let the server take writes; gives where it stopped, its last commit counted."""
    with stopwatch.time(Phase.REPLAY):
        entry = means.journal.reach(_live_from_now(means, entry), Stage.REPLAYING)
        report(Phase.REPLAY, f"replaying WAL: {plan.wal_segments} segments")
        began = monotonic()
        first: list[datetime] = []
        seen: list[Lsn] = []

        def on_position(position: ReplayPosition) -> None:
            seen[:] = [Lsn.parse(position.lsn)] if position.lsn else seen
            if position.at is not None:
                first.extend([] if first else [position.at])
                report(Phase.REPLAY, replay_words(first[0], position.at, plan.target_at, monotonic() - began))

        logs = LogReader(means.home.log)
        try:
            await means.start(report)
            reached = await wait_for_target(
                means.server, deadline=means.pgbackrest.config.deadline, on_position=on_position
            )
        except (RecoveryFailed, ServerFailed) as error:
            if means.server.state() is ServerState.RUNNING:
                raise
            place = seen[0] if seen else None
            raise await _explained(means, error, logs.why(), plan, at=place, report=report) from error
        reached = replace(reached, last_commit_at=goal.last_commit_at(reached))
        await _require_stop(means, plan, goal, entry, reached)
    with stopwatch.time(Phase.PROMOTE):
        report(Phase.PROMOTE, "taking writes again")
        entry = means.journal.reach(_live_from_now(means, entry), Stage.REPLAYING)
        await promote(means.server)
        return means.journal.reach(entry, Stage.PROMOTED), reached


async def _require_stop(
    means: Means, plan: RecoveryPlan, goal: Goal, entry: JournalEntry, reached: Reached
) -> None:
    """Raise `RecoveryFailed` if the server did not pause where it was told to."""
    at = reached.last_commit_at
    if goal.target.kind is TargetKind.TIME and at is not None and at > plan.target_at:
        raise RecoveryFailed(
            "the server replayed further than it was told to",
            detail=f"to {at.isoformat()}, asked was {plan.target_at.isoformat()}",
            hint="it takes no writes; run the command again",
        )
    if reached.by_itself:
        means.journal.reach(entry, Stage.RESTORING)  # first of all: whoever goes on restores it again
        await means.server.stop("fast")
        raise RecoveryFailed(
            "somebody had the server take writes while it replayed",
            detail=f"it stood at {reached.lsn}",
            hint="it is stopped again; run the same command again",
        )


async def _explained(
    means: Means, error: WedsyncError, why: str, plan: RecoveryPlan, *, at: Lsn | None, report: Report
) -> WedsyncError:
    """Why replay ended: a damaged segment behind the place where it was seen last, or what was said of it."""
    names = segments_between(
        number_at(at) if at is not None else number_of(plan.wal_first),
        number_of(plan.wal_last),
        timeline=plan.timeline,
        known=means.timelines.of_system(plan.base.system_id),
    )
    report(Phase.REPLAY, "replay ended too early: reading the WAL that it was given")
    damaged = await means.examine(plan.repo, plan.base.system_id, names)
    if damaged is None and _ENDED_EARLY in why:
        return RecoveryFailed(
            "PostgreSQL was given less WAL than there is: the repository failed while it replayed",
            detail=f"{why}; {error.detail or error.message}",
            hint="it takes no writes and nothing is lost; run the same command again",
        )
    if damaged is None:
        return error
    return RecoveryFailed(
        f"WAL segment {damaged.segment} in repo{plan.repo} is damaged, and replay ended there",
        detail=f"{damaged.words}; {error.detail or error.message}",
        hint="nothing is lost by that; run the same command again: it takes the segment from elsewhere",
    )


def _live_from_now(means: Means, entry: JournalEntry) -> JournalEntry:
    """Note when the new timeline begins, before it does: no commit on it may be older than that."""
    return replace(entry, plan=entry.plan | {"live_from": means.clock.now().isoformat()})
