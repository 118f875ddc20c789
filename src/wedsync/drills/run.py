"""Run a drill: alone, beside neither backup nor recovery, on record from the first moment; nothing is left."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from random import Random, SystemRandom
from time import monotonic
from typing import Any, ClassVar

from wedsync.backup import Surveyor
from wedsync.clock import Clock
from wedsync.cluster import Engine
from wedsync.config import Config, DrillsConfig, Home
from wedsync.copies import Copies, Copy, Effort, Purpose
from wedsync.drills.check import ENGINE, CheckResult
from wedsync.drills.choice import choose
from wedsync.drills.course import CheckList, Course, Verify
from wedsync.drills.drill import Drill, Outcome, Part, Pause, Reason, Source, Trouble
from wedsync.drills.evidence import remove_evidence, write_evidence
from wedsync.drills.order import DrillOrder, Pick
from wedsync.drills.records import DrillRecords
from wedsync.errors import Busy, DrillMadeWay, WedsyncError
from wedsync.events import Event, observe
from wedsync.process import FileLock, LockHolder
from wedsync.recovery import Phase, Report, Restoring, record_phases, silently
from wedsync.state import StateStore
from wedsync.words import without_paths

_LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillStarted(Event):
    """A drill began."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillPassed(Event):
    """A backup was restored and nothing wrong was found."""

    id: str
    repo: int
    label: str
    rto_s: float
    checks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillFailed(Event):
    """A backup could not be restored, or a check found something."""

    level: ClassVar[str] = "error"

    id: str
    repo: int
    label: str
    checks: str
    """Names of those that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillBrokenOff(Event):
    """A drill says nothing: it could not be run, made way, or was stopped."""

    level: ClassVar[str] = "warning"

    id: str
    outcome: str
    message: str


class Driller:
    """Runs the drills of one home."""

    def __init__(
        self,
        *,
        copies: Copies,
        surveyor: Surveyor,
        engine: Engine,
        home: Home,
        config: Config,
        state: StateStore,
        clock: Clock,
        rng: Random | None = None,
        checks: CheckList | None = None,
        verify: Verify | None = None,
        migration_key: Callable[[], bytes] | None = None,
    ) -> None:
        """`rng` decides what an order leaves to chance; `verify` names what is damaged in a repository;
        `migration_key` is that of the migrations' ledger."""
        self._verify = verify
        self._copies = copies
        self._surveyor = surveyor
        self._engine = engine
        self._home = home
        self._config = config
        self._state = state
        self._clock = clock
        self._rng = rng or SystemRandom()
        self._checks = checks or CheckList.standard()
        self._migration_key = migration_key
        self.records = DrillRecords(state)

    def under_way(self) -> LockHolder | None:
        """Who runs a drill now."""
        return self._lock().holder()

    async def run(
        self,
        order: DrillOrder,
        *,
        reason: Reason,
        by: str,
        effort: Effort,
        report: Report = silently,
        keep: bool = False,
    ) -> Drill:
        """Restore, check, record, remove; gives a drill that passed or failed.

        It stands still while a backup is taken. Raises what kept it from saying anything: `Busy` beside another
        drill, a backup or a recovery; with the drill on record, `DrillMadeWay` when a recovery began or its backup
        was removed meanwhile, and what says that room, repository or moment is missing.
        `keep` leaves the copy as a preview, of which there are `preview.most` at the most.
        """
        with self._lock():
            await self.clear_away()
            self._require_quiet()
            drill = Drill(
                id=self.records.new_id(self._clock.now()),
                reason=reason,
                asked_by=by,
                began_at=self._clock.now(),
                rto_target_s=self._config.drills.rto_target.total_seconds(),
                rpo_target_s=self._config.drills.rpo_target.total_seconds(),
                effort=effort_words(effort),
            )
            course = Course(
                drill,
                order,
                copies=self._copies,
                engine=self._engine,
                config=self._config,
                state=self._state,
                checks=self._checks,
                migration_key=self._migration_key() if self._migration_key is not None else None,
                effort=effort,
                verify=self._verify,
                purpose=Purpose.KEPT_DRILL if keep else Purpose.DRILL,
                keep=self.records.save,
                report=report,
            )
            self.records.save(drill)
            observe(DrillStarted(id=drill.id, reason=reason))
            try:
                await self._unless_called_away(lambda: self._carry_out(course, order), course)
            except asyncio.CancelledError:
                self._broken_off(course.drill, Outcome.INTERRUPTED, WedsyncError("it was stopped"))
                raise
            except DrillMadeWay as error:
                self._broken_off(course.drill, Outcome.YIELDED, error)
                raise
            except WedsyncError as error:
                self._broken_off(course.drill, Outcome.REFUSED, error)
                raise
            except BaseException as error:
                self._broken_off(course.drill, Outcome.REFUSED, WedsyncError(repr(error)))
                raise
            return self._ended(course.drill, pace=effort.pace)

    async def settle_killed(self) -> None:
        """Clear away what a killed drill left, where one did. Raises `Busy` while another is under way."""
        if self.records.running():
            with self._lock():
                await self.clear_away()

    async def clear_away(self) -> None:
        """What killed drills left: their copies are removed, their records say so. For the holder of the lock."""
        await self._copies.tidy()
        for drill, pid in self.records.running():
            said = WedsyncError(f"its process ({pid}) ended in the middle", hint="what it left was removed")
            self._broken_off(drill, Outcome.INTERRUPTED, said)
        for old in self.records.older_evidence(self._clock.now() - self._config.drills.keep_evidence):
            remove_evidence(self._home.drills, old)
            self.records.forget_evidence(old)

    async def _carry_out(self, course: Course, order: DrillOrder) -> None:
        try:
            if order.moment is Pick.NEWEST:
                order = await self._with_present(order)
            began = monotonic()
            chosen = choose(order, await self._surveyor.survey(), self._rng)
            plan = await course.plan(chosen)
            course.took(Part.FIND, monotonic() - began)
            if plan is not None:
                await course.run(plan)
            if course.copy is not None and course.purpose is Purpose.KEPT_DRILL:
                course.is_copying = False
                await course.standstill.over()  # somebody reads it from now on
                await course.copy.become_preview()
        finally:
            if course.copy is not None and course.copy.note.purpose is not Purpose.PREVIEW:
                await _to_the_end(course.copy)

    async def _with_present(self, order: DrillOrder) -> DrillOrder:
        """The order for the backup it chooses; if that is its repository's newest, with the present archived."""
        survey = await self._surveyor.survey()
        backup = choose(order, survey, self._rng).backup
        assert backup is not None  # noqa: S101 - one is chosen wherever the moment is not given
        if all(other.finished_at <= backup.finished_at for other in survey.catalogue.of_repo(backup.repo)):
            await self._copies.archive_present(backup.repo)
        return replace(order, repo=backup.repo, backup=backup.label)

    async def _unless_called_away(self, work: Callable[[], Coroutine[Any, Any, None]], course: Course) -> None:
        """Do the work; break it off (and clear away) as soon as a recovery begins."""
        working = asyncio.create_task(work(), name="drill")
        watching = asyncio.create_task(self._make_way(course), name="watch for others")
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.wait({working, watching})
            course.standstill.go_on()
        if not working.cancelled():
            working.result()
        elif watching.done() and not watching.cancelled():
            raise watching.result()

    async def _make_way(self, course: Course) -> DrillMadeWay:
        """Let the drill stand still while a backup is taken; gives why it cannot go on."""
        while True:
            recovery, backup = self._holder("recovery"), self._holder("backup")
            if recovery is not None and course.is_copying:
                return _made_way(recovery)
            if backup is not None and course.is_copying:
                gone = await self._stand_still(course, backup)
                if gone is not None:
                    return gone
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _stand_still(self, course: Course, backup: LockHolder) -> DrillMadeWay | None:
        """Return when the backup has ended and the drill goes on; or why it cannot."""
        began_at = self._clock.now()
        course.say(f"standing still for: {backup.purpose}")
        while self._holder("backup") is not None:
            course.standstill.halt()  # each time: something may just have been started
            if (recovery := self._holder("recovery")) is not None:
                return _made_way(recovery)
            await asyncio.sleep(_LOOK_EVERY_S)
        source = course.drill.source
        if source is not None and await self._is_gone(source):
            return DrillMadeWay(
                f"backup {source.label} was removed from repo{source.repo} while the drill stood still",
                detail=f"for: {backup.purpose}",
                hint="its time was over; the next drill is of another one",
            )
        took_s = course.standstill.go_on()
        course.stood_still(Pause(began_at=began_at, took_s=took_s, made_way_for=backup.purpose))
        return None

    async def _is_gone(self, source: Source) -> bool:
        """Whether the repository answers and does not have the backup any more."""
        survey = await self._surveyor.survey()
        if any(problem.repo == source.repo and not problem.empty for problem in survey.problems):
            return False
        return all(backup.label != source.label for backup in survey.catalogue.of_repo(source.repo))

    def _holder(self, name: str) -> LockHolder | None:
        """Who takes a backup, or recovers, now."""
        return FileLock(self._home.run / f"{name}.lock", purpose="look for others").holder()

    def _require_quiet(self) -> None:
        holder = self._holder("backup") or self._holder("recovery")
        if holder is not None:
            raise Busy(
                "no drill is run beside a backup or a recovery",
                detail=f"{holder.purpose}, process {holder.pid}, since {holder.since}",
                hint="wait for its end",
            )

    def _ended(self, drill: Drill, *, pace: str) -> Drill:
        if all(check.name == ENGINE for check in drill.made_checks):  # what was not looked at is not proven
            nothing = CheckResult(name="checks", ok=False, detail="none was made", took_s=0.0)
            drill = replace(drill, checks=(*drill.checks, nothing))
        passed = not drill.failed_checks and Part.PROMOTE in drill.phases_s
        ended = replace(
            drill,
            outcome=Outcome.PASSED if passed else Outcome.FAILED,
            finished_at=self._clock.now(),
        )
        self.records.save(ended, evidence_sha256=write_evidence(self._home.drills, ended))
        self._learn(ended, pace)
        source = ended.source
        assert source is not None  # noqa: S101 - a drill that says something has restored something
        if passed:
            observe(
                DrillPassed(
                    id=ended.id,
                    repo=source.repo,
                    label=source.label,
                    rto_s=round(ended.rto_s or 0.0, 3),
                    checks=len(ended.made_checks),
                )
            )
        else:
            names = ", ".join(check.name for check in ended.failed_checks)
            observe(DrillFailed(id=ended.id, repo=source.repo, label=source.label, checks=names))
        return ended

    def _learn(self, drill: Drill, pace: str) -> None:
        """Remember how long each phase took: forecasts are made from it."""
        if drill.source is None or Part.PROMOTE not in drill.phases_s:
            return
        record_phases(
            self._state,
            {Phase(part): drill.phases_s[part] for part in (Part.RESTORE, Part.REPLAY, Part.PROMOTE)},
            at=drill.finished_at or drill.began_at,
            database_bytes=drill.source.database_bytes,
            wal_bytes=drill.replayed_bytes,
            wal_segments=drill.replayed_segments,
            way=Restoring.COPY,
            repo=drill.source.repo,
            pace=pace,
        )

    def _broken_off(self, drill: Drill, outcome: Outcome, error: WedsyncError) -> None:
        trouble = Trouble(
            code=error.code,
            message=without_paths(error.message),
            detail=without_paths(error.detail) if error.detail else None,
            hint=without_paths(error.hint) if error.hint else None,
        )
        ended = replace(drill, outcome=outcome, finished_at=self._clock.now(), trouble=trouble)
        self.records.save(ended)
        observe(DrillBrokenOff(id=drill.id, outcome=outcome, message=trouble.message))

    def _lock(self) -> FileLock:
        return FileLock(self._home.run / "drill.lock", purpose="drill")


def _made_way(holder: LockHolder) -> DrillMadeWay:
    return DrillMadeWay(
        f"the drill made way for: {holder.purpose}",
        detail=f"process {holder.pid}, since {holder.since}",
        hint="the keeper tries again by itself; by hand: wedsync drill run",
    )


async def _to_the_end(copy: Copy) -> None:
    """Remove the copy, whoever cancels meanwhile."""
    removing = asyncio.ensure_future(copy.remove())
    cancelled = False
    while not removing.done():
        try:
            await asyncio.shield(removing)
        except asyncio.CancelledError:
            cancelled = True
    removing.result()
    if cancelled:
        raise asyncio.CancelledError


def scheduled_effort(config: DrillsConfig, *, busy_day: bool) -> Effort:
    """What a drill by schedule may take: what nobody else wants; on a wedding day with one process."""
    return Effort(
        nice=19,
        idle_disk=True,
        processes=1 if busy_day else config.processes,
        least_free_bytes=config.keep_free,
    )


def asked_effort(config: DrillsConfig) -> Effort:
    """What a drill may take that an operator waits for."""
    return Effort(nice=10, idle_disk=False, processes=config.processes, least_free_bytes=config.keep_free)


def effort_words(effort: Effort) -> str:
    """The bounds in words."""
    disk = "the disk only when nobody wants it" if effort.idle_disk else "the disk like others"
    many = "1 process" if effort.processes == 1 else f"{effort.processes} processes"
    return f"{many}, nice {effort.nice}, {disk}"
