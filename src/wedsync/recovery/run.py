"""Take the whole database back, in place. Interrupted at any point, it can be run again and nothing is lost."""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from psycopg.sql import SQL, Identifier

from wedsync.backup import PgBackRest, TargetKind, Timeline, TimelineBook, read_timeline_history
from wedsync.clock import Clock
from wedsync.cluster import Server, ServerState
from wedsync.errors import Busy, NothingToUndo, RecoveryFailed, RecoveryRefused, WedsyncError
from wedsync.events import Event, observe
from wedsync.process import FileLock
from wedsync.recovery.forecast import Phase
from wedsync.recovery.history import read_history, record_phases
from wedsync.recovery.journal import Journal, JournalEntry, Stage, WayBack
from wedsync.recovery.local_wal import LocalSegment, keep, local_segments, put_back
from wedsync.recovery.plan import RecoveryPlan
from wedsync.recovery.planner import Planner
from wedsync.recovery.present import mark_present, wait_until_archived
from wedsync.recovery.replay import ReplayPosition, promote, wait_for_target
from wedsync.sql import statements
from wedsync.state import StateStore

_SPARE_BYTES = 128 * 1024 * 1024
_BACKUP_ENDS = timedelta(minutes=1)
_ARCHIVED = timedelta(minutes=1)
_CONFIRMED = timedelta(seconds=30)
_LEFT_BY_PGBACKREST = (
    "restore_command",
    "recovery_target",
    "recovery_target_time",
    "recovery_target_name",
    "recovery_target_lsn",
    "recovery_target_action",
    "recovery_target_timeline",
    "recovery_target_inclusive",
)

Report = Callable[[Phase, str], None]
"""Called with the phase that is running and words about how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryDone(Event):
    """A recovery ended well."""

    recovery: str
    restored_to: str
    took_s: float


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


def point_name(recovery_id: str) -> str:
    """Name of the restore point that a recovery sets before it begins."""
    return f"wedsync_before_{recovery_id}"


class Recoverer:
    """Runs recoveries of one home, one at a time."""

    def __init__(
        self,
        *,
        planner: Planner,
        server: Server,
        pgbackrest: PgBackRest,
        timelines: TimelineBook,
        state: StateStore,
        clock: Clock,
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        """`settle` is called when the server takes writes again: roles and passwords are put right."""
        self._planner = planner
        self._server = server
        self._pgbackrest = pgbackrest
        self._timelines = timelines
        self._state = state
        self._clock = clock
        self._settle = settle
        self._home = server.home
        self.journal = Journal(state)

    async def plan(self, moment: datetime | None) -> RecoveryPlan:
        """The plan to go back to `moment`, or to the newest state there is."""
        ground = await self._planner.look(read_history(self._state))
        return await self._planner.to_moment(ground, moment)

    async def plan_undo(self) -> RecoveryPlan:
        """The plan to go back to the state before the last recovery. Raises `NothingToUndo`."""
        last = self.journal.last_done()
        if last is None or last.way_back is None:
            raise NothingToUndo("no recovery was made that could be undone", hint="wedsync recover window")
        ground = await self._planner.look(read_history(self._state))
        return await self._planner.back(ground, last.way_back)

    async def run(self, plan: RecoveryPlan, *, report: Report) -> Recovered:
        """Carry out a plan. Nobody else may start the server or take a backup meanwhile.

        Raises `RecoveryRefused` before anything is changed; `RecoveryFailed` and others when it stopped
        half-way, and then running a plan again goes on.
        """
        self._home.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        alone = FileLock(self._home.run / "recovery.lock", purpose=f"recovery to {plan.asked}")
        with alone, await self._no_backups(plan):
            return await self._run(plan, report)

    async def _no_backups(self, plan: RecoveryPlan) -> FileLock:
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
            await asyncio.sleep(0.2)
        return lock

    async def _run(self, plan: RecoveryPlan, report: Report) -> Recovered:
        self._pgbackrest.write_config()
        stopwatch = Stopwatch()
        entry = await self._resume(report)
        self._preflight(plan)
        if entry is None:
            entry = self._begin(plan)
            try:
                entry = await self._secure(plan, entry, stopwatch, report)
            except BaseException:
                self.journal.end(entry, "abandoned", at=self._clock.now())
                raise
        else:
            entry = replace(entry, plan=plan.to_json() | {"resumed": True}, target=plan.asked)
            await self._stop(stopwatch, report)
        entry = await self._restore(plan, entry, stopwatch, report)
        with stopwatch.time(Phase.REPLAY):
            entry, last_commit_at, by_itself = await self._replay(plan, entry, report)
        with stopwatch.time(Phase.PROMOTE):
            report(Phase.PROMOTE, "taking writes again")
            if not by_itself:
                await promote(self._server)
            entry = self.journal.reach(entry, Stage.PROMOTED)
        return await self._finish(plan, entry, stopwatch, last_commit_at, report)

    async def _resume(self, report: Report) -> JournalEntry | None:
        """The unfinished recovery that has to be gone on with, if there is one."""
        entry = self.journal.unfinished()
        if entry is None:
            return None
        running = self._server.state() is ServerState.RUNNING
        promoted = entry.stage is Stage.PROMOTED or (
            entry.stage is Stage.REPLAYING and running and not await self._is_replaying()
        )
        if promoted:
            report(Phase.CONFIRM, "an earlier recovery was all but done: finishing it first")
            await self._aftercare()
            self.journal.end(replace(entry, stage=Stage.FINISHED), "done", at=self._clock.now())
            return None
        if entry.stage is Stage.PLANNED or (entry.stage is Stage.STOPPED and running):
            self.journal.end(entry, "abandoned", at=self._clock.now())
            return None
        report(Phase.STOP, f"going on with the recovery of {entry.started_at:%H:%M:%S} ({entry.stage})")
        return entry

    async def _is_replaying(self) -> bool:
        async with await self._server.target().connect() as connection:
            row = await (await connection.execute("select pg_is_in_recovery()")).fetchone()
        return row is not None and bool(row[0])

    def _preflight(self, plan: RecoveryPlan) -> None:
        state = self._server.state()
        if state in {ServerState.FOREIGN, ServerState.WRONG_VERSION}:
            raise RecoveryRefused(
                "the data directory is not ours to replace",
                detail=f"it is {state}",
                hint="wedsync doctor says whose it is",
            )
        there = directory_bytes(self._home.pgdata)
        free = shutil.disk_usage(self._home.root).free
        needed = max(0, plan.base.database_bytes - there) + _SPARE_BYTES
        if free < needed:
            raise RecoveryRefused(
                "there is not enough space for the restored files",
                detail=f"{free / 1e6:.0f} MB are free, {needed / 1e6:.0f} MB are needed"
                f" ({plan.base.database_bytes / 1e6:.0f} MB, {there / 1e6:.0f} MB of it are there)",
                hint="free space on the file system of the home, then run the command again",
            )

    def _begin(self, plan: RecoveryPlan) -> JournalEntry:
        now = self._clock.now()
        entry = JournalEntry(
            id=now.strftime("%Y%m%dT%H%M%S"),
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

    async def _secure(
        self, plan: RecoveryPlan, entry: JournalEntry, stopwatch: "Stopwatch", report: Report
    ) -> JournalEntry:
        """Make the present state restorable, then stop the server."""
        at = self._clock.now()
        name: str | None = None
        with stopwatch.time(Phase.SECURE):
            if self._server.state() is ServerState.RUNNING and await self._server.ready():
                report(Phase.SECURE, "marking the present state, so that it can be taken back")
                name = point_name(entry.id)
                point = await mark_present(self._server, name)
                at = point.at
                if not await wait_until_archived(
                    self._server, self._pgbackrest, point.segment, repo=plan.repo, deadline=_ARCHIVED
                ):
                    raise RecoveryRefused(
                        "the present state does not reach the archive",
                        detail=f"WAL segment {point.segment} was not archived within a minute",
                        hint="wedsync status says what is wrong with the archive; to recover without the way"
                        " back, stop PostgreSQL first: wedsync down",
                    )
            report(Phase.SECURE, "keeping the WAL that is only here")
            archives = await self._pgbackrest.archives(plan.repo)
            archived = {segment for archive in archives for segment in archive.sizes}
            rescued = self._local(archived)
            # What only an open file of the server still has is copied before the server ends.
            keep([item for item in rescued if item.source.is_relative_to("/proc")], self._kept(entry))
        await self._stop(stopwatch, report)
        names = keep(self._local(archived), self._kept(entry))
        kept = sorted({*names, *(path.name for path in self._kept(entry).iterdir() if len(path.name) == 24)})
        live = self._live_timeline(plan, kept)
        way_back = WayBack(
            system_id=plan.base.system_id,
            timeline=live,
            name=name,
            at=at,
            kept_segments=tuple(segment for segment in kept if int(segment[:8], 16) == live),
        )
        return self.journal.reach(replace(entry, way_back=way_back), Stage.STOPPED)

    def _local(self, archived: set[str]) -> list[LocalSegment]:
        return local_segments(self._home.pgdata, postmaster=self._server.postmaster_pid(), archived=archived)

    def _live_timeline(self, plan: RecoveryPlan, kept: list[str]) -> int:
        known = self._timelines.of_system(plan.base.system_id)
        newest = max((item.timeline for item in known.values()), default=plan.base.timeline)
        return max([newest, *(int(segment[:8], 16) for segment in kept)])

    def _kept(self, entry: JournalEntry) -> Path:
        return self._home.kept / entry.id

    async def _stop(self, stopwatch: "Stopwatch", report: Report) -> None:
        with stopwatch.time(Phase.STOP):
            if self._server.postmaster_pid() is not None:
                report(Phase.STOP, "stopping PostgreSQL")
            await self._server.stop("fast")  # also when none is seen: it waits for a launch under way

    async def _restore(
        self, plan: RecoveryPlan, entry: JournalEntry, stopwatch: "Stopwatch", report: Report
    ) -> JournalEntry:
        pgdata = self._home.pgdata
        straight = plan.base.timeline == plan.timeline and plan.restore_target.kind is not TargetKind.DEFAULT
        with stopwatch.time(Phase.RESTORE):
            delta = self._clear_remains(pgdata, entry)
            entry = self.journal.reach(entry, Stage.RESTORING)
            report(Phase.RESTORE, f"restoring {plan.base.label} from repo{plan.repo}")
            try:
                await self._pgbackrest.restore(
                    repo=plan.repo,
                    label=plan.base.label,
                    pgdata=pgdata,
                    target=plan.restore_target,
                    delta=delta,
                    asynchronous_get=straight,
                    on_progress=lambda percent: report(Phase.RESTORE, f"restoring files: {percent:.0f} %"),
                )
            except WedsyncError as error:
                if not _is_untouched(pgdata):
                    raise
                self.journal.end(entry, "abandoned", at=self._clock.now())
                await self._start(report)
                raise RecoveryRefused(
                    "the backup cannot be restored; nothing was changed, and PostgreSQL runs again",
                    detail=f"{error.message}: {error.detail or ''}",
                    hint=error.hint or "wedsync backup verify",
                ) from error
            if plan.from_local_wal or plan.restore_target.kind is TargetKind.DEFAULT:
                for directory in self._wal_kept_for(plan, entry):
                    put_back(directory, pgdata)
        return entry

    def _wal_kept_for(self, plan: RecoveryPlan, entry: JournalEntry) -> list[Path]:
        """Where the WAL that the plan needs beside the archive was put aside."""
        if plan.asked == "undo":
            last = self.journal.last_done()
            found = [self._home.kept / last.id] if last is not None else []
        else:
            found = [self._kept(entry)]
        return [directory for directory in found if directory.is_dir()]

    def _clear_remains(self, pgdata: Path, entry: JournalEntry) -> bool:
        """Whether `pgdata` can be the ground of a delta restore; what is none is moved aside, not removed."""
        if not pgdata.exists() or not any(pgdata.iterdir()):
            return False
        if (pgdata / "PG_VERSION").exists() or (pgdata / "backup.manifest").exists():
            return True
        aside = self._kept(entry) / "pgdata.remains"
        aside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = 1
        while aside.exists():
            number += 1
            aside = self._kept(entry) / f"pgdata.remains.{number}"
        pgdata.rename(aside)
        return False

    async def _start(self, report: Report) -> None:
        await self._server.start(
            archive_command=self._pgbackrest.archive_command(),
            deadline=self._pgbackrest.config.deadline,
            on_progress=lambda line: report(Phase.REPLAY, line),
        )

    async def _replay(
        self, plan: RecoveryPlan, entry: JournalEntry, report: Report
    ) -> tuple[JournalEntry, datetime | None, bool]:
        entry = self.journal.reach(entry, Stage.REPLAYING)
        report(Phase.REPLAY, f"replaying WAL: {plan.wal_segments} segments")
        await self._start(report)
        began = monotonic()
        first: list[datetime] = []

        def on_position(position: ReplayPosition) -> None:
            if position.at is None:
                return
            first.append(position.at) if not first else None
            report(Phase.REPLAY, replay_words(first[0], position.at, plan.target_at, monotonic() - began))

        reached = await wait_for_target(
            self._server, deadline=self._pgbackrest.config.deadline, on_position=on_position
        )
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
        return entry, reached.last_commit_at, reached.by_itself

    async def _finish(
        self,
        plan: RecoveryPlan,
        entry: JournalEntry,
        stopwatch: "Stopwatch",
        last_commit_at: datetime | None,
        report: Report,
    ) -> Recovered:
        with stopwatch.time(Phase.CONFIRM):
            report(Phase.CONFIRM, "checking that archiving goes on")
            timeline, segment = await self._aftercare()
            archiving = await wait_until_archived(
                self._server, self._pgbackrest, segment, repo=plan.repo, deadline=_CONFIRMED
            )
        now = self._clock.now()
        result = Recovered(
            id=entry.id,
            restored_to=plan.target_at,
            last_commit_at=last_commit_at,
            took_s=stopwatch.total_s,
            forecast_s=plan.forecast.total_s,
            phases_s=stopwatch.phases_s,
            timeline=timeline,
            archiving=archiving,
            can_be_undone=entry.way_back is not None,
        )
        with self._state.transaction():
            if plan.asked == "undo":
                undone = self.journal.last_done()
                if undone is not None:
                    self.journal.mark_undone(undone.id)
            self.journal.end(replace(entry, stage=Stage.FINISHED), "done", at=now, result=_plain(result.to_json()))
        if not entry.plan.get("resumed"):
            record_phases(
                self._state,
                stopwatch.phases_s,
                at=now,
                database_bytes=plan.base.database_bytes,
                wal_bytes=plan.wal_bytes,
                wal_segments=plan.wal_segments,
            )
        observe(RecoveryDone(recovery=entry.id, restored_to=plan.target_at.isoformat(), took_s=stopwatch.total_s))
        return result

    async def _aftercare(self) -> tuple[int, str]:
        """Write the new timeline down, forget the target, archive a first segment; gives timeline and segment."""
        sql = statements("recovery")
        async with await self._server.target().connect() as connection:
            for name in _LEFT_BY_PGBACKREST:
                await connection.execute(SQL("alter system reset {}").format(Identifier(name)))
            row = await (await connection.execute(sql["current_wal"])).fetchone()
            system = await (
                await connection.execute("select system_identifier::text from pg_control_system()")
            ).fetchone()
            if row is None or system is None:
                raise RecoveryFailed("the server does not say on which timeline it is")
            timeline = int(str(row[1])[:8], 16)
            switched = await (await connection.execute(sql["switch_wal"])).fetchone()
        history = read_timeline_history((self._home.pgdata / "pg_wal" / f"{timeline:08X}.history").read_text())
        self._timelines.record(
            Timeline(
                system_id=str(system[0]),
                timeline=timeline,
                parent=history[0] if history else None,
                forked_at=history[1] if history else None,
                live_from=self._clock.now(),
            )
        )
        await self._settle()
        return timeline, str(switched[0]) if switched else str(row[1])


class Stopwatch:
    """Seconds by phase."""

    def __init__(self) -> None:
        self._began = monotonic()
        self.phases_s: dict[Phase, float] = {}

    @property
    def total_s(self) -> float:
        """Seconds since it was made."""
        return monotonic() - self._began

    @contextmanager
    def time(self, phase: Phase) -> Generator[None]:
        """Add the seconds inside to a phase."""
        began = monotonic()
        try:
            yield
        finally:
            self.phases_s[phase] = self.phases_s.get(phase, 0.0) + monotonic() - began


def replay_words(first: datetime, at: datetime, target: datetime, took_s: float) -> str:
    """`replaying 11:02:11 of 11:05:30, about 40 s left`; the estimate comes when there is something to go by."""
    words = f"replaying {at.astimezone():%H:%M:%S} of {target.astimezone():%H:%M:%S}"
    done_s = (at - first).total_seconds()
    left_s = (target - at).total_seconds()
    if took_s < 1 or done_s <= 0 or left_s <= 0:
        return words
    return f"{words}, about {left_s / done_s * took_s:.0f} s left"


def directory_bytes(directory: Path) -> int:
    """Bytes of all files below a directory; 0 if there is none."""
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(root) / name).lstat().st_size
            except FileNotFoundError:
                continue
    return total


def _is_untouched(pgdata: Path) -> bool:
    """Whether pgBackRest failed before it changed a file: it removes pg_control first of all."""
    return (pgdata / "global/pg_control").exists() and not (pgdata / "backup.manifest").exists()


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """With every moment as text, for the journal."""
    return msgspec.to_builtins(value)
