"""Put the files of a backup where the server's are, with the WAL that is on this machine only."""

from dataclasses import replace

from wedsync.backup import TargetKind
from wedsync.errors import DiskFull, RecoveryRefused, RepositoryFull, WedsyncError
from wedsync.recovery.forecast import Phase, Restoring
from wedsync.recovery.goal import Goal, kept_for
from wedsync.recovery.journal import JournalEntry, Stage
from wedsync.recovery.kept import put_back, put_back_histories
from wedsync.recovery.leftovers import forget_fetched
from wedsync.recovery.means import Means
from wedsync.recovery.plan import Present, RecoveryPlan
from wedsync.recovery.preflight import delta_ground, is_untouched, move_aside
from wedsync.recovery.secure import Report
from wedsync.recovery.stopwatch import Stopwatch


async def restore_files(
    means: Means, plan: RecoveryPlan, goal: Goal, entry: JournalEntry, *, stopwatch: Stopwatch, report: Report
) -> JournalEntry:
    """Restore the base of the plan, so that the server stops at the goal when it is started.

    Raises `RecoveryRefused` where nothing was changed, and the server runs again.
    """
    pgdata = means.home.pgdata
    straight = plan.base.timeline == plan.timeline and plan.restore_target.kind is not TargetKind.DEFAULT
    first = entry.stage is Stage.STOPPED
    with stopwatch.time(Phase.RESTORE):
        entry = means.journal.reach(entry, Stage.RESTORING)
        whole = means.kept.of(entry.id) / "pgdata.before"
        if entry.plan["present"] == Present.ASIDE and not whole.exists():
            move_aside(pgdata, whole)
        delta = delta_ground(pgdata, means.kept.of(entry.id), version=means.server.engine.postgresql_version)
        entry = replace(entry, plan=entry.plan | {"restored": Restoring.DELTA if delta else Restoring.WHOLE})
        report(Phase.RESTORE, f"restoring {plan.base.label} from repo{plan.repo}")
        try:
            await means.pgbackrest.restore(
                repo=plan.repo,
                label=plan.base.label,
                pgdata=pgdata,
                target=goal.target,
                delta=delta,
                asynchronous_get=straight,
                on_progress=lambda percent: report(Phase.RESTORE, f"restoring files: {percent:.0f} %"),
            )
        except WedsyncError as error:
            if first and delta and is_untouched(pgdata):
                raise await _refused(means, entry, error, report) from error
            if isinstance(error, RepositoryFull):  # pgBackRest's words do not say which disk
                raise DiskFull(
                    "the disk is full: the files are restored in part",
                    detail=error.detail,
                    hint="free space on the file system of the home, then run the same command again",
                ) from error
            raise
        put_back_histories(means.kept.histories(), pgdata)
        if plan.needs_local_wal:
            put_back(kept_for(means, plan), pgdata)
        forget_fetched(means.home, means.pgbackrest.config.stanza)
    return entry


async def _refused(means: Means, entry: JournalEntry, error: WedsyncError, report: Report) -> RecoveryRefused:
    """pgBackRest changed nothing: leave everything as it was."""
    means.abandon(entry)
    now = "PostgreSQL runs again"
    try:
        await means.start(report)
    except WedsyncError as why:
        now = f"PostgreSQL does not start ({why.message})"
    return RecoveryRefused(
        f"the backup cannot be restored; nothing was changed, and {now}",
        detail=f"{error.message}: {error.detail or ''}",
        hint=error.hint or "wedsync backup verify",
    )
