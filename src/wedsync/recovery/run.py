"""Take the whole database back, in place. Interrupted at any point, it can be run again and nothing is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic

import msgspec

from wedsync.backup import (
    Examine,
    PgBackRest,
    Surveyor,
)
from wedsync.clock import Clock
from wedsync.cluster import Server
from wedsync.errors import (
    Busy,
    NothingToUndo,
    RecoveryRefused,
)
from wedsync.process import FileLock
from wedsync.recovery.finishing import finish, tidy_kept
from wedsync.recovery.forecast import Phase
from wedsync.recovery.goal import find_goal
from wedsync.recovery.ground import Ground, Scout, was_promoted
from wedsync.recovery.history import read_history
from wedsync.recovery.journal import JournalEntry, Stage, WayBack, recovery_id
from wedsync.recovery.leftovers import end_restores
from wedsync.recovery.means import Means
from wedsync.recovery.plan import Present, RecoveryPlan
from wedsync.recovery.planner import Planner, leads_to_present
from wedsync.recovery.preflight import preflight
from wedsync.recovery.replaying import replay_and_promote
from wedsync.recovery.restoring import restore_files
from wedsync.recovery.result import Recovered
from wedsync.recovery.secure import Report, secure_and_stop, stop
from wedsync.recovery.stopwatch import Stopwatch
from wedsync.state import StateStore

_BACKUP_ENDS = timedelta(minutes=1)


class Recoverer:
    """Runs recoveries of one home, one at a time."""

    def __init__(
        self,
        *,
        surveyor: Surveyor,
        server: Server,
        pgbackrest: PgBackRest,
        state: StateStore,
        clock: Clock,
        settle: Callable[[], Awaitable[None]],
        safety_backup: Callable[[int], Awaitable[object]],
        examine: Examine,
    ) -> None:
        """`settle` is called when the server takes writes again: roles and passwords are put right.

        `safety_backup` takes a backup into a repository; the server runs. `examine` finds the first damaged one of
        some segments, and notes it.
        """
        self._safety_backup = safety_backup
        self._means = Means(
            server=server, pgbackrest=pgbackrest, state=state, clock=clock, settle=settle, examine=examine
        )
        self._planner = Planner(surveyor=surveyor, pgbackrest=pgbackrest)
        self._scout = Scout(
            surveyor=surveyor, timelines=self._means.timelines, server=server, kept=self._means.kept, clock=clock
        )
        self.journal = self._means.journal

    async def plan(self, moment: datetime | None) -> RecoveryPlan:
        """The plan to go back to `moment`, or to the newest state there is."""
        after = self.journal.newest()
        return replace(await self._planner.to_moment(await self._look(), moment), made_after=after)

    async def plan_undo(self) -> RecoveryPlan:
        """The plan to go back to the state before the last recovery. Raises `NothingToUndo`.

        The last one may have stopped half-way: then the state before it is meant. An undo that stopped
        half-way is gone on with.
        """
        after = self.journal.newest()
        last = self.journal.unfinished()
        if last is not None and last.stage.files_are_whole and not self._came_through(last):
            last = None  # it has changed nothing
        if last is not None and last.target == "undo" and last.plan.get("undoes"):
            last = self.journal.find(last.plan["undoes"])
        if last is None or last.way_back is None:
            last = self.journal.last_done()
        if last is None or last.way_back is None:
            raise NothingToUndo("no recovery was made that could be undone", hint="wedsync recover window")
        return replace(await self._planner.back(await self._look(), last), made_after=after)

    async def _look(self) -> Ground:
        return await self._scout.look(read_history(self._means.state), self.journal.unfinished())

    async def run(self, plan: RecoveryPlan, *, report: Report) -> Recovered:
        """Carry out a plan. Nobody else may start the server or take a backup meanwhile.

        Raises `RecoveryRefused` (and `DiskFull`) before anything is changed; `RecoveryFailed` and others when it
        stopped half-way, and then running a plan again goes on.
        """
        self._means.home.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        alone = FileLock(self._means.home.run / "recovery.lock", purpose=f"recovery to {plan.asked}")
        with alone:
            self._require_fresh(plan)
            if plan.present is Present.BACKUP:
                await self._back_up_present(plan, report)
            with await self._no_backups(plan, report):
                return await self._run(plan, report)

    def _require_fresh(self, plan: RecoveryPlan) -> None:
        newest = self.journal.newest()
        if newest != plan.made_after:
            raise RecoveryRefused(
                "another recovery ran since this plan was made: it holds no more",
                detail=f"the plan was made after: {plan.made_after or 'none'}; the newest is: {newest or 'none'}",
                hint="plan again, and look at what would be lost now",
            )

    async def _back_up_present(self, plan: RecoveryPlan, report: Report) -> None:
        """Take a backup, because nothing else leads to the present state; raises if nothing does then either."""
        await self._no_backups(plan, report)
        report(Phase.SECURE, f"no backup leads to the present state: taking one into repo{plan.repo}")
        await self._safety_backup(plan.repo)
        if not leads_to_present(await self._look()):
            raise RecoveryRefused(
                "the present state could not be brought back: WAL behind the newest backup is missing",
                detail=f"a backup was taken into repo{plan.repo}, and still nothing leads to the present",
                hint="look at wedsync status: WAL has to reach the archive",
            )

    def tidy_kept(self) -> list[str]:
        """Remove what was put aside for recoveries that lie outside the recovery window; their ids."""
        return tidy_kept(self._means)

    async def _no_backups(self, plan: RecoveryPlan, report: Report) -> FileLock:
        """The lock of the backups, as soon as a running one ends."""
        lock = FileLock(self._means.home.run / "backup.lock", purpose=f"recovery to {plan.asked}")
        until = monotonic() + _BACKUP_ENDS.total_seconds()
        while (holder := lock.holder()) is not None:
            if monotonic() > until:
                raise Busy(
                    "a backup is running, and did not end within a minute",
                    detail=f"process {holder.pid}: {holder.purpose}, since {holder.since}",
                    hint="wait for it, or stop it, then run the recovery again",
                )
            report(Phase.SECURE, f"waiting for the end of: {holder.purpose}")
            await asyncio.sleep(0.2)
        return lock

    async def _run(self, plan: RecoveryPlan, report: Report) -> Recovered:
        self._means.pgbackrest.write_config()
        stopwatch = Stopwatch()
        if await end_restores(self._means.home.pgbackrest_config, self._means.home.pgdata):
            report(Phase.RESTORE, "ended a restore that nobody waited for")
        entry = self.journal.unfinished()
        if entry is not None and self._came_through(entry):
            report(Phase.CONFIRM, "an earlier recovery was all but done: finishing it")
            await self._means.start(report)
            finished = await finish(self._means, entry, stopwatch, None, report)
            if entry.target == plan.asked:
                return finished
            entry = None
        elif entry is not None and entry.stage.files_are_whole:
            self._means.abandon(entry)
            entry = None
        await preflight(self._means.server, plan)
        if entry is None:
            entry = await self._secure(self._begin(plan), plan, stopwatch, report)
        else:
            report(Phase.STOP, f"going on with the recovery of {entry.started_at:%H:%M:%S} ({entry.stage})")
            entry = replace(
                entry,
                plan=msgspec.to_builtins(plan.to_json()) | {"resumed": True, "present": entry.plan["present"]},
                target=plan.asked,
                target_at=plan.target_at,
            )
            await stop(self._means.server, stopwatch, report)
        with stopwatch.time(Phase.SECURE):
            goal = await find_goal(self._means, plan, entry, report)
        entry = await restore_files(self._means, plan, goal, entry, stopwatch=stopwatch, report=report)
        entry, reached = await replay_and_promote(
            self._means, plan, goal, entry, stopwatch=stopwatch, report=report
        )
        return await finish(self._means, entry, stopwatch, reached.last_commit_at, report)

    def _came_through(self, entry: JournalEntry) -> bool:
        """Whether an unfinished recovery had its server take writes already."""
        return entry.stage is Stage.PROMOTED or (
            entry.stage is Stage.REPLAYING and was_promoted(self._means.home.pgdata)
        )

    def _begin(self, plan: RecoveryPlan) -> JournalEntry:
        now = self._means.clock.now()
        entry = JournalEntry(
            id=recovery_id(now),
            target=plan.asked,
            target_at=plan.target_at,
            stage=Stage.PLANNED,
            started_at=now,
            finished_at=None,
            outcome="running",
            plan=msgspec.to_builtins(plan.to_json()),
            way_back=None,
        )
        self.journal.begin(entry)
        return entry

    async def _secure(
        self, entry: JournalEntry, plan: RecoveryPlan, stopwatch: Stopwatch, report: Report
    ) -> JournalEntry:
        try:
            secured = await secure_and_stop(
                self._means.server,
                self._means.pgbackrest,
                self._means.kept,
                recovery=entry.id,
                repo=plan.repo,
                system_id=plan.base.system_id,
                list_archived=lambda: self._means.archived(plan.base.system_id),
                clock=self._means.clock,
                stopwatch=stopwatch,
                report=report,
            )
        except BaseException:
            self._means.abandon(entry)
            raise
        known = self._means.timelines.of_system(plan.base.system_id)
        way_back = WayBack(
            system_id=plan.base.system_id,
            timeline=secured.timeline or max(known, default=plan.base.timeline),
            name=secured.name,
            at=secured.at,
            kept_segments=secured.kept_segments,
            end=secured.end,
        )
        return self.journal.reach(replace(entry, way_back=way_back), Stage.STOPPED)
