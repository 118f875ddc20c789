"""Behind a recovery: archiving goes on, the journal says how it ended, the WAL of the state before is safe."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from wedsync.errors import WedsyncError
from wedsync.events import observe
from wedsync.recovery.aftercare import begin_timeline, write_checkpoint
from wedsync.recovery.forecast import Phase, Restoring
from wedsync.recovery.history import record_phases
from wedsync.recovery.journal import JournalEntry, Stage, began
from wedsync.recovery.means import Means
from wedsync.recovery.plan import Present
from wedsync.recovery.result import KeptNotArchived, Recovered, RecoveryDone
from wedsync.recovery.secure import Report, wait_until_archived
from wedsync.recovery.stopwatch import Stopwatch

_CONFIRMED = timedelta(seconds=30)


async def finish(
    means: Means, entry: JournalEntry, stopwatch: Stopwatch, last_commit_at: datetime | None, report: Report
) -> Recovered:
    """See that archiving goes on, and write down how the recovery ended."""
    repo = int(entry.plan["base"]["repo"])
    with stopwatch.time(Phase.CONFIRM):
        report(Phase.CONFIRM, "checking that archiving goes on")
        begun = await begin_timeline(
            means.server, means.timelines, live_from=datetime.fromisoformat(entry.plan["live_from"])
        )
        await means.settle()
        # What held while it was in recovery only: who may sign in without a password, how reads give way.
        await means.server.write_configuration(means.pgbackrest.archive_command())
        await means.server.reload()
        async with asyncio.TaskGroup() as group:
            group.create_task(write_checkpoint(means.server))
            group.create_task(_archive_kept(means, entry))
            archived = group.create_task(
                wait_until_archived(means.server, means.pgbackrest, begun.segment, repo=repo, deadline=_CONFIRMED)
            )
        archiving = archived.result()
    now = means.clock.now()
    ran_here = Phase.RESTORE in stopwatch.phases_s
    took_s = stopwatch.total_s if ran_here else (now - entry.started_at).total_seconds()
    asked_at = entry.target_at or now
    result = Recovered(
        id=entry.id,
        restored_to=(last_commit_at or asked_at) if entry.target == "latest" else asked_at,
        last_commit_at=last_commit_at,
        took_s=took_s,
        forecast_s=float(entry.plan["forecast_s"]),
        phases_s=stopwatch.phases_s,
        timeline=begun.timeline,
        archiving=archiving,
        can_be_undone=entry.plan["undoes"] != entry.id and Present(entry.plan["present"]).can_be_undone,
    )
    with means.state.transaction():
        if entry.plan["undoes"] is not None:
            means.journal.mark_undone(entry.plan["undoes"])
        means.journal.end(
            replace(entry, stage=Stage.FINISHED),
            "done" if entry.plan["undoes"] != entry.id else "undone",
            at=now,
            result=msgspec.to_builtins(result.to_json()),
        )
    if ran_here and not entry.plan.get("resumed"):
        record_phases(
            means.state,
            stopwatch.phases_s,
            at=now,
            database_bytes=entry.plan["base"]["database_bytes"],
            wal_bytes=entry.plan["wal"]["bytes"],
            wal_segments=entry.plan["wal"]["segments"],
            way=Restoring(entry.plan.get("restored", Restoring.DELTA)),
            repo=repo,
        )
    tidy_kept(means)
    observe(RecoveryDone(recovery=entry.id, restored_to=result.restored_to.isoformat(), took_s=took_s))
    return result


def tidy_kept(means: Means) -> list[str]:
    """Remove what was put aside for recoveries that lie outside the recovery window; their ids."""
    since = means.clock.now() - means.pgbackrest.config.recovery_window
    newest = means.journal.last_done()
    needed = {newest.id} if newest is not None else set[str]()
    for recovery in means.kept.recoveries():
        entry = means.journal.find(recovery)
        began_at = entry.started_at if entry is not None else began(recovery)
        if began_at is None or began_at >= since or (entry is not None and entry.outcome == "running"):
            needed.add(recovery)
    return means.kept.tidy(needed)


async def _archive_kept(means: Means, entry: JournalEntry) -> None:
    """Archive the WAL that was put aside: its timeline has ended, so its names can get no other content.

    Only then is the state before restorable when this machine is gone, too.
    """
    try:
        async with asyncio.timeout(_CONFIRMED.total_seconds()):
            for path in means.kept.histories_of(entry.id):
                await means.pgbackrest.archive_push(path)
            for name in means.kept.segments_of(entry.id):
                await means.pgbackrest.archive_push(means.kept.of(entry.id) / name)
    except (WedsyncError, TimeoutError) as error:
        told = error.in_one_line() if isinstance(error, WedsyncError) else "the archive is too slow"
        observe(KeptNotArchived(recovery=entry.id, message=told))
