"""Take the whole database back, in place. Interrupted at any point, it can be run again and nothing is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, ClassVar

import msgspec

from wedsync.backup import (
    Examine,
    PgBackRest,
    RestoreTarget,
    Surveyor,
    TargetKind,
    TimelineBook,
    lineage,
    number_at,
    number_of,
    timeline_of,
)
from wedsync.clock import Clock
from wedsync.cluster import LogReader, Server, ServerState
from wedsync.database import Lsn
from wedsync.errors import (
    Busy,
    DiskFull,
    NothingToUndo,
    RecoveryFailed,
    RecoveryRefused,
    RepositoryFull,
    ServerFailed,
    WedsyncError,
)
from wedsync.events import Event, observe
from wedsync.process import FileLock
from wedsync.recovery.aftercare import begin_timeline, write_checkpoint
from wedsync.recovery.ending import fork_of, require_end
from wedsync.recovery.forecast import Phase, Restoring
from wedsync.recovery.ground import Ground, Scout, was_promoted
from wedsync.recovery.history import read_history, record_phases
from wedsync.recovery.journal import Journal, JournalEntry, Stage, WayBack, began, point_name, recovery_id
from wedsync.recovery.kept import Kept, put_back, put_back_histories
from wedsync.recovery.leftovers import end_restores, forget_fetched
from wedsync.recovery.local_wal import LocalSegment
from wedsync.recovery.plan import Present, RecoveryPlan
from wedsync.recovery.planner import Planner, leads_to_present
from wedsync.recovery.preflight import delta_ground, is_untouched, move_aside, preflight
from wedsync.recovery.replay import Reached, ReplayPosition, promote, replay_words, wait_for_target
from wedsync.recovery.route import segments_between
from wedsync.recovery.secure import Report, secure_and_stop, stop, wait_until_archived
from wedsync.recovery.stops import at_lsn
from wedsync.recovery.stopwatch import Stopwatch
from wedsync.state import StateStore

_BACKUP_ENDS = timedelta(minutes=1)
_CONFIRMED = timedelta(seconds=30)
_ENDED_EARLY = "before configured recovery target"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryDone(Event):
    """A recovery ended well."""

    recovery: str
    restored_to: str
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNotArchived(Event):
    """WAL of the timeline that was left did not get into the archive; it stays in the home."""

    level: ClassVar[str] = "warning"
    recovery: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """How a recovery ended."""

    id: str
    restored_to: datetime
    last_commit_at: datetime | None
    took_s: float
    forecast_s: float
    phases_s: dict[Phase, float]
    timeline: int
    archiving: bool
    """Whether the first segment of the new timeline was seen in the archive."""
    can_be_undone: bool

    def to_json(self) -> dict[str, Any]:
        """The answer of `recover run --json`."""
        return {
            "restored_to": self.restored_to,
            "last_commit_at": self.last_commit_at,
            "took_s": round(self.took_s, 2),
            "forecast_s": round(self.forecast_s, 2),
            "undo_label": point_name(self.id) if self.can_be_undone else None,
            "timeline": self.timeline,
            "archiving": self.archiving,
            "phases_s": {str(phase): round(seconds, 2) for phase, seconds in self.phases_s.items()},
        }


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
        self._server = server
        self._pgbackrest = pgbackrest
        self._timelines = TimelineBook(pgbackrest=pgbackrest, state=state)
        self._state = state
        self._clock = clock
        self._settle = settle
        self._examine = examine
        self._home = server.home
        self._kept = Kept(root=server.home.kept)
        self._planner = Planner(surveyor=surveyor, pgbackrest=pgbackrest)
        self._scout = Scout(
            surveyor=surveyor, timelines=self._timelines, server=server, kept=self._kept, clock=clock
        )
        self.journal = Journal(state)

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
        return await self._scout.look(read_history(self._state), self.journal.unfinished())

    async def run(self, plan: RecoveryPlan, *, report: Report) -> Recovered:
        """Carry out a plan. Nobody else may start the server or take a backup meanwhile.

        Raises `RecoveryRefused` (and `DiskFull`) before anything is changed; `RecoveryFailed` and others when it
        stopped half-way, and then running a plan again goes on.
        """
        self._home.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        alone = FileLock(self._home.run / "recovery.lock", purpose=f"recovery to {plan.asked}")
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
        since = self._clock.now() - self._pgbackrest.config.recovery_window
        newest = self.journal.last_done()
        needed = {newest.id} if newest is not None else set[str]()
        for recovery in self._kept.recoveries():
            entry = self.journal.find(recovery)
            began_at = entry.started_at if entry is not None else began(recovery)
            if began_at is None or began_at >= since or (entry is not None and entry.outcome == "running"):
                needed.add(recovery)
        return self._kept.tidy(needed)

    async def _no_backups(self, plan: RecoveryPlan, report: Report) -> FileLock:
        """The lock of the backups, as soon as a running one ends."""
        lock = FileLock(self._home.run / "backup.lock", purpose=f"recovery to {plan.asked}")
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
        self._pgbackrest.write_config()
        stopwatch = Stopwatch()
        if await end_restores(self._home.pgbackrest_config, self._home.pgdata):
            report(Phase.RESTORE, "ended a restore that nobody waited for")
        entry = self.journal.unfinished()
        if entry is not None and self._came_through(entry):
            report(Phase.CONFIRM, "an earlier recovery was all but done: finishing it")
            await self._start(report)
            if entry.stage is Stage.REPLAYING:
                await self._require_end(entry)
            finished = await self._finish(entry, stopwatch, None, report)
            if entry.target == plan.asked:
                return finished
            entry = None
        elif entry is not None and entry.stage.files_are_whole:
            self._abandon(entry)
            entry = None
        await preflight(self._server, plan)
        if entry is None:
            entry = await self._secure(self._begin(plan), plan, stopwatch, report)
        else:
            report(Phase.STOP, f"going on with the recovery of {entry.started_at:%H:%M:%S} ({entry.stage})")
            entry = replace(
                entry,
                plan=_plain(plan.to_json()) | {"resumed": True, "present": entry.plan["present"]},
                target=plan.asked,
                target_at=plan.target_at,
            )
            await stop(self._server, stopwatch, report)
        entry = await self._restore(plan, entry, stopwatch, report)
        entry, reached = await self._replay(plan, entry, stopwatch, report)
        return await self._finish(entry, stopwatch, reached.last_commit_at, report)

    def _came_through(self, entry: JournalEntry) -> bool:
        """Whether an unfinished recovery had its server take writes already."""
        return entry.stage is Stage.PROMOTED or (
            entry.stage is Stage.REPLAYING and was_promoted(self._home.pgdata)
        )

    def _begin(self, plan: RecoveryPlan) -> JournalEntry:
        now = self._clock.now()
        entry = JournalEntry(
            id=recovery_id(now),
            target=plan.asked,
            target_at=plan.target_at,
            stage=Stage.PLANNED,
            started_at=now,
            finished_at=None,
            outcome="running",
            plan=_plain(plan.to_json()),
            way_back=None,
        )
        self.journal.begin(entry)
        return entry

    def _abandon(self, entry: JournalEntry) -> None:
        self._kept.forget_links(entry.id, self._home.pgdata)
        self.journal.end(entry, "abandoned", at=self._clock.now())

    async def _secure(
        self, entry: JournalEntry, plan: RecoveryPlan, stopwatch: Stopwatch, report: Report
    ) -> JournalEntry:
        try:
            secured = await secure_and_stop(
                self._server,
                self._pgbackrest,
                self._kept,
                recovery=entry.id,
                repo=plan.repo,
                system_id=plan.base.system_id,
                list_archived=lambda: self._archived(plan.base.system_id),
                clock=self._clock,
                stopwatch=stopwatch,
                report=report,
            )
        except BaseException:
            self._abandon(entry)
            raise
        known = self._timelines.of_system(plan.base.system_id)
        way_back = WayBack(
            system_id=plan.base.system_id,
            timeline=secured.timeline or max(known, default=plan.base.timeline),
            name=secured.name,
            at=secured.at,
            kept_segments=secured.kept_segments,
            end=secured.end,
        )
        return self.journal.reach(replace(entry, way_back=way_back), Stage.STOPPED)

    async def _archived(self, system_id: str) -> set[str]:
        """The segments of this cluster that a repository holds; one that cannot be read counts as empty."""
        _, archives = await self._pgbackrest.holdings()
        return {name for item in archives if item.system_id == system_id for name in item.segments}

    async def _restore(
        self, plan: RecoveryPlan, entry: JournalEntry, stopwatch: Stopwatch, report: Report
    ) -> JournalEntry:
        pgdata = self._home.pgdata
        straight = plan.base.timeline == plan.timeline and plan.restore_target.kind is not TargetKind.DEFAULT
        first = entry.stage is Stage.STOPPED
        with stopwatch.time(Phase.RESTORE):
            entry = self.journal.reach(entry, Stage.RESTORING)
            whole = self._kept.of(entry.id) / "pgdata.before"
            if entry.plan["present"] == Present.ASIDE and not whole.exists():
                move_aside(pgdata, whole)
            delta = delta_ground(pgdata, self._kept.of(entry.id), version=self._server.engine.postgresql_version)
            entry = replace(entry, plan=entry.plan | {"restored": Restoring.DELTA if delta else Restoring.WHOLE})
            report(Phase.RESTORE, f"restoring {plan.base.label} from repo{plan.repo}")
            try:
                await self._pgbackrest.restore(
                    repo=plan.repo,
                    label=plan.base.label,
                    pgdata=pgdata,
                    target=_stop(plan, entry),
                    delta=delta,
                    asynchronous_get=straight,
                    on_progress=lambda percent: report(Phase.RESTORE, f"restoring files: {percent:.0f} %"),
                )
            except WedsyncError as error:
                if first and delta and is_untouched(pgdata):
                    raise await self._refused(entry, error, report) from error
                if isinstance(error, RepositoryFull):  # pgBackRest's words do not say which disk
                    raise DiskFull(
                        "the disk is full: the files are restored in part",
                        detail=error.detail,
                        hint="free space on the file system of the home, then run the same command again",
                    ) from error
                raise
            put_back_histories(self._kept.histories(), pgdata)
            if plan.needs_local_wal:
                put_back(self._kept_for(plan), pgdata)
            forget_fetched(self._home, self._pgbackrest.config.stanza)
        return entry

    async def _refused(self, entry: JournalEntry, error: WedsyncError, report: Report) -> RecoveryRefused:
        """pgBackRest changed nothing: leave everything as it was."""
        self._abandon(entry)
        now = "PostgreSQL runs again"
        try:
            await self._start(report)
        except WedsyncError as why:
            now = f"PostgreSQL does not start ({why.message})"
        return RecoveryRefused(
            f"the backup cannot be restored; nothing was changed, and {now}",
            detail=f"{error.message}: {error.detail or ''}",
            hint=error.hint or "wedsync backup verify",
        )

    def _kept_for(self, plan: RecoveryPlan) -> list[LocalSegment]:
        """What was put aside of the WAL from the base to the end of the plan's timeline."""
        known = self._timelines.of_system(plan.base.system_id)
        ancestors = {leg.timeline for leg in lineage(plan.timeline, known)}
        return [
            segment
            for segment in self._kept.segments()
            if timeline_of(segment.name) in ancestors and number_of(segment.name) >= number_of(plan.wal_first)
        ]

    async def _start(self, report: Report) -> None:
        await self._server.start(
            archive_command=self._pgbackrest.archive_command(),
            deadline=self._pgbackrest.config.deadline,
            on_progress=lambda line: report(Phase.REPLAY, line),
        )

    async def _replay(
        self, plan: RecoveryPlan, entry: JournalEntry, stopwatch: Stopwatch, report: Report
    ) -> tuple[JournalEntry, Reached]:
        """Replay to the target and let the server take writes."""
        with stopwatch.time(Phase.REPLAY):
            ends_behind = _ends_behind(plan, entry)
            entry = replace(entry, plan=entry.plan | {"ends_behind": str(ends_behind) if ends_behind else None})
            entry = self.journal.reach(self._live_from_now(entry), Stage.REPLAYING)
            report(Phase.REPLAY, f"replaying WAL: {plan.wal_segments} segments")
            began = monotonic()
            first: list[datetime] = []
            seen: list[Lsn] = []

            def on_position(position: ReplayPosition) -> None:
                seen[:] = [Lsn.parse(position.lsn)] if position.lsn else seen
                if position.at is not None:
                    first.extend([] if first else [position.at])
                    report(Phase.REPLAY, replay_words(first[0], position.at, plan.target_at, monotonic() - began))

            logs = LogReader(self._home.log)
            try:
                await self._start(report)
                reached = await wait_for_target(
                    self._server, deadline=self._pgbackrest.config.deadline, on_position=on_position
                )
            except (RecoveryFailed, ServerFailed) as error:
                if self._server.state() is ServerState.RUNNING:
                    raise
                place = seen[0] if seen else None
                raise await self._explained(error, logs.why(), plan, place, report) from error
            if plan.restore_target.kind is TargetKind.DEFAULT and plan.last_commit_at is not None:
                # PostgreSQL does not count the commit that it was told to end with.
                newest = max(plan.last_commit_at, reached.last_commit_at or plan.last_commit_at)
                reached = replace(reached, last_commit_at=newest)
            if (
                plan.restore_target.kind is TargetKind.TIME
                and reached.last_commit_at is not None
                and reached.last_commit_at > plan.target_at
            ):
                raise RecoveryFailed(
                    "the server replayed further than it was told to",
                    detail=f"to {reached.last_commit_at.isoformat()}, asked was {plan.target_at.isoformat()}",
                    hint="it takes no writes; run the command again",
                )
        with stopwatch.time(Phase.PROMOTE):
            report(Phase.PROMOTE, "taking writes again")
            if not reached.by_itself:
                entry = self.journal.reach(self._live_from_now(entry), Stage.REPLAYING)
                await promote(self._server)
            else:
                await self._require_end(entry)
            return self.journal.reach(entry, Stage.PROMOTED), reached

    async def _explained(
        self, error: WedsyncError, why: str, plan: RecoveryPlan, at: Lsn | None, report: Report
    ) -> WedsyncError:
        """Why replay ended: a damaged segment behind the place where it was seen last, or what was said of it."""
        names = segments_between(
            number_at(at) if at is not None else number_of(plan.wal_first),
            number_of(plan.wal_last),
            timeline=plan.timeline,
            known=self._timelines.of_system(plan.base.system_id),
        )
        report(Phase.REPLAY, "replay ended too early: reading the WAL that it was given")
        damaged = await self._examine(plan.repo, plan.base.system_id, names)
        if damaged is None and _ENDED_EARLY in why:
            return RecoveryFailed(
                "PostgreSQL was given less WAL than there is: the repository failed while it replayed",
                detail=f"{why}; {error.detail or error.message}",
                hint="it takes no writes and nothing is lost; run the same command again",
            )
        if damaged is None:
            return error
        return RecoveryFailed(
            f"WAL segment {damaged.segments[0]} in repo{plan.repo} is damaged, and replay ended there",
            detail=f"{damaged.problem}; {error.detail or error.message}",
            hint="nothing is lost by that; run the same command again: it takes the segment from elsewhere",
        )

    async def _require_end(self, entry: JournalEntry) -> None:
        """Raise `RecoveryFailed`, with the server stopped, if it took writes before the end of the WAL."""
        ends_behind = entry.plan.get("ends_behind")
        if ends_behind is None:
            return
        try:
            require_end(await fork_of(self._server), Lsn.parse(ends_behind))
        except RecoveryFailed:
            self.journal.reach(entry, Stage.RESTORING)  # first of all: whoever goes on restores it again
            await self._server.stop("fast")
            raise

    def _live_from_now(self, entry: JournalEntry) -> JournalEntry:
        """Note when the new timeline begins, before it does: no commit on it may be older than that."""
        return replace(entry, plan=entry.plan | {"live_from": self._clock.now().isoformat()})

    async def _finish(
        self, entry: JournalEntry, stopwatch: Stopwatch, last_commit_at: datetime | None, report: Report
    ) -> Recovered:
        with stopwatch.time(Phase.CONFIRM):
            report(Phase.CONFIRM, "checking that archiving goes on")
            begun = await begin_timeline(
                self._server, self._timelines, live_from=datetime.fromisoformat(entry.plan["live_from"])
            )
            await self._settle()
            # What held while it was in recovery only: who may sign in without a password, how reads give way.
            await self._server.write_configuration(self._pgbackrest.archive_command())
            await self._server.reload()
            async with asyncio.TaskGroup() as group:
                group.create_task(write_checkpoint(self._server))
                group.create_task(self._archive_kept(entry))
                archived = group.create_task(
                    wait_until_archived(
                        self._server, self._pgbackrest, begun.segment, repo=_repo(entry), deadline=_CONFIRMED
                    )
                )
            archiving = archived.result()
        now = self._clock.now()
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
        with self._state.transaction():
            if entry.plan["undoes"] is not None:
                self.journal.mark_undone(entry.plan["undoes"])
            self.journal.end(
                replace(entry, stage=Stage.FINISHED),
                "done" if entry.plan["undoes"] != entry.id else "undone",
                at=now,
                result=_plain(result.to_json()),
            )
        if ran_here and not entry.plan.get("resumed"):
            record_phases(
                self._state,
                stopwatch.phases_s,
                at=now,
                database_bytes=entry.plan["base"]["database_bytes"],
                wal_bytes=entry.plan["wal"]["bytes"],
                wal_segments=entry.plan["wal"]["segments"],
                way=Restoring(entry.plan.get("restored", Restoring.DELTA)),
                repo=_repo(entry),
            )
        self.tidy_kept()
        observe(RecoveryDone(recovery=entry.id, restored_to=result.restored_to.isoformat(), took_s=took_s))
        return result

    async def _archive_kept(self, entry: JournalEntry) -> None:
        """Archive the WAL that was put aside: its timeline has ended, so its names can get no other content.

        Only then is the state before restorable when this machine is gone, too.
        """
        try:
            async with asyncio.timeout(_CONFIRMED.total_seconds()):
                for path in self._kept.histories_of(entry.id):
                    await self._pgbackrest.archive_push(path)
                for name in self._kept.segments_of(entry.id):
                    await self._pgbackrest.archive_push(self._kept.of(entry.id) / name)
        except (WedsyncError, TimeoutError) as error:
            told = error.in_one_line() if isinstance(error, WedsyncError) else "the archive is too slow"
            observe(KeptNotArchived(recovery=entry.id, message=told))


def _stop(plan: RecoveryPlan, entry: JournalEntry) -> RestoreTarget:
    """Where replay stops: where it goes to the end of a timeline, at its last record, if that is known.

    Told to replay all there is, PostgreSQL takes a segment with a flipped bit for the end, and takes writes. Told
    where the end is, it refuses.
    """
    ends_behind = _ends_behind(plan, entry)
    return plan.restore_target if ends_behind is None else at_lsn(ends_behind, plan.timeline)


def _ends_behind(plan: RecoveryPlan, entry: JournalEntry) -> Lsn | None:
    """The record that replay must have read where it goes to the end of a timeline, if one is known."""
    if plan.restore_target.kind is not TargetKind.DEFAULT:
        return None
    if plan.undoes is None and entry.way_back is not None and entry.way_back.timeline == plan.timeline:
        return entry.way_back.end
    return plan.ends_behind


def _repo(entry: JournalEntry) -> int:
    return int(entry.plan["base"]["repo"])


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """With every moment as text, for the journal."""
    return msgspec.to_builtins(value)
