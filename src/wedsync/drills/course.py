"""One drill from the plan to the last check: make the copy, look, let it take writes, look again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic

from wedsync.backup import Verification
from wedsync.cluster import Engine
from wedsync.config import Config
from wedsync.copies import Copies, Copy, CopyOrder, CopyPlan, Effort, Purpose, Standstill
from wedsync.drills.check import ENGINE, Check, CheckResult, DrillContext
from wedsync.drills.checks import offline_checks, standard_checks, witness_checks, writing_checks
from wedsync.drills.choice import Chosen
from wedsync.drills.drill import FORECAST, Drill, Part, Pause, Source, forecast_words
from wedsync.drills.known import known_commit
from wedsync.drills.order import DrillOrder
from wedsync.drills.witness import Witness, nearest_witness
from wedsync.errors import (
    CopyFailed,
    RecoveryFailed,
    RestoreFailed,
    SegmentUnreadable,
    TargetUnreachable,
    WedsyncError,
    WrongKey,
)
from wedsync.recovery import Phase, Report
from wedsync.state import StateStore
from wedsync.words import without_paths

Verify = Callable[[int], Awaitable[Verification]]
_VERIFIED_WITHIN = timedelta(minutes=15)
_NAMED = 3
_CHECKS_AT_ONCE = 2
_PROVES_NOTHING_GOOD = (RestoreFailed, SegmentUnreadable, CopyFailed, RecoveryFailed, WrongKey)
"""Errors that say of the backup that it cannot be restored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckList:
    """What is checked, by the state that the copy is in."""

    at_witness: Sequence[Check]
    paused: Sequence[Check]
    writing: Sequence[Check]
    offline: Sequence[Check]

    @classmethod
    def standard(cls) -> "CheckList":
        """All there are."""
        return cls(
            at_witness=witness_checks(),
            paused=standard_checks(),
            writing=writing_checks(),
            offline=offline_checks(),
        )


class Course:
    """A drill under way; `drill` is what is known of it so far."""

    def __init__(
        self,
        drill: Drill,
        order: DrillOrder,
        *,
        copies: Copies,
        engine: Engine,
        config: Config,
        state: StateStore,
        checks: CheckList,
        migration_key: bytes | None,
        effort: Effort,
        purpose: Purpose,
        verify: Verify | None,
        keep: Callable[[Drill], None],
        report: Report,
    ) -> None:
        """`purpose` is what its copy is for in the end; `keep` writes down how it stands; `verify` reads a
        repository whole, to name what is damaged in it."""
        self.drill = drill
        self.copy: Copy | None = None
        self.is_copying = True
        """Whether it makes way: what reads a repository afterwards does not disturb a backup, and marks those that
        it finds damaged, which counts as one. Nor does a copy that is a preview from now on."""
        self.purpose = purpose
        self._directory = copies.new_directory(purpose)
        self.standstill = Standstill(self._directory)
        self._effort = effort
        self._verify = verify
        self._order = order
        self._copies = copies
        self._engine = engine
        self._config = config
        self._state = state
        self._checks = checks
        self._migration_key = migration_key
        self._keep = keep
        self._report = report

    async def plan(self, chosen: Chosen) -> CopyPlan | None:
        """The plan for what was chosen; `None`: there is no way to it, which is a failed check of the backup."""
        label = chosen.backup.label if chosen.backup is not None else None
        with_moment = replace(self.drill, moment=None if chosen.own_end else chosen.moment)
        self._stands(with_moment)
        if chosen.backup is not None:
            self._stands(replace(self.drill, source=_source_before_plan(chosen)))
        try:
            order = CopyOrder(
                target=chosen.moment, repo=chosen.repo, label=label, own_end=chosen.own_end, pace=self._effort.pace
            )
            plan = await self._copies.plan(order)
        except (TargetUnreachable, SegmentUnreadable, WrongKey) as error:
            if chosen.backup is None or isinstance(self._order.moment, datetime):
                raise
            self._failed("way to the moment", error, took_s=0.0)
            return None
        self._stands(replace(self.drill, source=_source(plan)))
        return plan

    async def run(self, plan: CopyPlan) -> None:
        """Restore and check. What the checks find is in `drill`; raises only what kept them from being made."""
        witness = self._witness(plan)
        first = await self._plan_of_witness(plan, witness) if witness is not None else plan
        if first is plan:
            witness = None
        self._forecast(first)
        began = self.standstill.now()
        try:
            self.copy = await self._copies.make(
                first,
                directory=self._directory,
                effort=self._effort,
                report=self._report,
                purpose=self.purpose,
                most=self._config.preview.most if self.purpose is Purpose.KEPT_DRILL else None,
                by=self.drill.asked_by,
                standstill=self.standstill,
            )
        except _PROVES_NOTHING_GOOD as error:
            self._failed("restore", error, took_s=self.standstill.now() - began)
            await self._name_damage(plan)
            return
        copy = self.copy
        for part, phase in ((Part.RESTORE, Phase.RESTORE), (Part.REPLAY, Phase.REPLAY)):
            self.took(part, copy.phases_s.get(phase, 0.0))
        self._note_engine(copy, first)
        if not await self._move_on(copy, plan, witness):
            return
        await self._note_place(copy, plan)
        before, behind = self._checks.paused, self._checks.writing
        if await copy.holds_tables():  # the promotion ends the transaction that has them
            before, behind = (), (*before, *behind)
        await self._check(before)
        if not await self._promote(copy):
            return
        await self._check(behind)
        if self._checks.offline:
            await self.standstill.carry(lambda _: copy.stop())
            await self._check(self._checks.offline)

    async def _name_damage(self, plan: CopyPlan) -> None:
        """Which files are damaged: pgBackRest names none where one cannot be decompressed or decrypted."""
        if self._verify is None:
            return
        self.is_copying = False
        began = monotonic()
        self._report(Phase.RESTORE, f"reading repo{plan.repo} whole, to name what is damaged")
        try:
            async with asyncio.timeout(_VERIFIED_WITHIN.total_seconds()):
                found = await self._verify(plan.repo)
        except (WedsyncError, TimeoutError) as error:
            said = error.in_one_line() if isinstance(error, WedsyncError) else "it takes too long"
            detail = f"not known ({said}): wedsync backup verify --repo {plan.repo} names them"
        else:
            own = {plan.base.label, *plan.base.references}
            problems = [item for item in found.problems if item.label in {None, *own}]
            named = "; ".join(
                f"{item.label or 'archive'}: {item.file}: {item.problem}" for item in problems[:_NAMED]
            )
            more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
            detail = f"{named}{more}" if named else "every file in the repository is whole"
        damaged = CheckResult(
            name="damaged files", ok=False, detail=self._shown(detail), took_s=monotonic() - began
        )
        self._stands(replace(self.drill, checks=(*self.drill.checks, damaged)))

    async def _move_on(self, copy: Copy, plan: CopyPlan, witness: Witness | None) -> bool:
        """Check at the witness's place, then go on to the moment; whether it got there."""
        held = witness is not None and await copy.holds_tables()
        if held:
            self._report(Phase.CONFIRM, "a transaction has tables for itself at the witness's place: not compared")
        await self._check(self._checks.at_witness, witness=None if held else witness)
        moment = plan.target_at
        if witness is None or moment is None:
            return True
        began = self.standstill.now()
        try:
            await self.standstill.carry(lambda _: copy.forward(moment, self._report))
        except (*_PROVES_NOTHING_GOOD, TargetUnreachable) as error:
            self._failed("replay to the moment", error, took_s=self.standstill.now() - began)
            return False
        finally:
            self.took(Part.ONWARD, self.standstill.now() - began)
        return True

    async def _promote(self, copy: Copy) -> bool:
        self._report(Phase.PROMOTE, "letting the copy take writes")
        began = self.standstill.now()
        try:
            await self.standstill.carry(lambda _: copy.promote())
        except WedsyncError as error:
            self._failed("read-write", error, took_s=self.standstill.now() - began)
            return False
        self.took(Part.PROMOTE, self.standstill.now() - began)
        return True

    def _witness(self, plan: CopyPlan) -> Witness | None:
        if not self._checks.at_witness or plan.target_at is None or plan.base.lsn_stop is None:
            return None
        return nearest_witness(self._state, plan.base.system_id, plan.timeline, plan.base.lsn_stop, plan.target_at)

    async def _plan_of_witness(self, plan: CopyPlan, witness: Witness) -> CopyPlan:
        """The plan to the place of a witness; where it cannot be reached, the one to the moment."""
        order = CopyOrder(
            target=witness.lsn,
            repo=plan.repo,
            label=plan.base.label,
            timeline=witness.timeline,
            pace=self._effort.pace,
        )
        try:
            return await self._copies.plan(order)
        except WedsyncError as error:
            self._report(Phase.RESTORE, f"the witness of {witness.at.isoformat()} is not reached: {error.message}")
            return plan

    async def _check(self, checks: Sequence[Check], *, witness: Witness | None = None) -> None:
        copy = self.copy
        source = self.drill.source
        assert copy is not None  # noqa: S101 - checks come after the copy
        assert source is not None  # noqa: S101 - and that after the plan
        context = DrillContext(
            copy=copy,
            data_directory=copy.home.pgdata,
            order=self._order,
            repo=source.repo,
            label=source.label,
            moment=self.drill.moment,
            state=self._state,
            engine=self._engine,
            database=self._config.database.name,
            heartbeat_every=self._config.backup.heartbeat_every,
            witness=witness,
            migration_key=self._migration_key,
        )
        before, found = self.drill.checks, dict[int, CheckResult]()
        at_once = asyncio.Semaphore(min(_CHECKS_AT_ONCE, self._effort.processes))
        began = self.standstill.now()

        async def make(place: int, check: Check) -> None:
            async with at_once:
                found[place] = await self._answer(check, context)
            self._stands(replace(self.drill, checks=(*before, *(found[at] for at in sorted(found)))))

        try:
            async with asyncio.TaskGroup() as group:
                for place, check in enumerate(checks):
                    group.create_task(make(place, check), name=check_name(check))
        finally:
            self.took(Part.CHECKS, self.standstill.now() - began)

    async def _answer(self, check: Check, context: DrillContext) -> CheckResult:
        """What a check says. Stood the copy still meanwhile, it is asked anew, and a yes counts then."""
        name = check_name(check)
        again = False
        while True:
            await self.standstill.over()
            self._report(Phase.CONFIRM, f"checking: {name}")
            count, began = self.standstill.count, self.standstill.now()
            try:
                found = await check(context)
            except Exception as error:
                said = error.in_one_line() if isinstance(error, WedsyncError) else repr(error)
                detail = f"the check could not be made: {' '.join(said.split())}"
                found = CheckResult(name=name, ok=False, detail=detail, took_s=0.0)
            if self.standstill.count == count or (again and found.ok):
                return replace(found, detail=self._shown(found.detail), took_s=self.standstill.now() - began)
            again = True

    def _note_engine(self, copy: Copy, plan: CopyPlan) -> None:
        """What pgBackRest itself has checked: pages when it took them, the checksum of each file it restored."""
        backup, files = plan.base, copy.note.files
        marked = "pages with a wrong checksum were copied when it was taken" if backup.damaged else backup.broken
        detail = f"{files} files restored, each with the checksum that the backup noted"
        found = CheckResult(
            name=ENGINE,
            ok=files > 0 and marked is None,
            detail=f"{detail}; {marked or 'it marked no page as damaged when it took them'}",
            took_s=0.0,
        )
        self._stands(replace(self.drill, checks=(*self.drill.checks, found)))

    async def _note_place(self, copy: Copy, plan: CopyPlan) -> None:
        position = await copy.position()
        moment = self.drill.moment
        behind_end = position.at or plan.base.finished_at  # nothing was replayed behind the end of the backup
        self._stands(
            replace(
                self.drill,
                restored_to=moment if moment is not None and not plan.clamped else behind_end,
                last_commit_at=behind_end,
                known_commit_at=known_commit(self._state, plan.timeline, moment) if moment is not None else None,
            )
        )

    def _forecast(self, plan: CopyPlan) -> None:
        found = plan.forecast.of([Phase(part) for part in FORECAST])
        range_s = (found.low_s, found.high_s)
        self._stands(
            replace(
                self.drill,
                forecasts_s={part: found.phases_s[Phase(part)] for part in FORECAST},
                forecast_range_s=range_s,
                forecast_from_runs=found.runs,
                replayed_segments=plan.wal_segments,
                replayed_bytes=plan.wal_bytes,
            )
        )
        self._report(
            Phase.RESTORE,
            f"{plan.base.label} of repo{plan.repo} and {plan.wal_segments} WAL segments, for about"
            f" {forecast_words(found.total_s, range_s, found.runs)}",
        )

    def _failed(self, name: str, error: WedsyncError, *, took_s: float) -> None:
        result = CheckResult(name=name, ok=False, detail=self._shown(error.in_one_line()), took_s=took_s)
        self._stands(replace(self.drill, checks=(*self.drill.checks, result)))

    def say(self, words: str) -> None:
        """Tell whoever waits for it."""
        self._report(Phase.CONFIRM, words)

    def stood_still(self, pause: Pause) -> None:
        """Note a time in which it stood still."""
        self._stands(replace(self.drill, pauses=(*self.drill.pauses, pause)))

    def took(self, part: Part, seconds: float) -> None:
        """Add seconds to a part."""
        phases_s = {**self.drill.phases_s, part: self.drill.phases_s.get(part, 0.0) + seconds}
        self._stands(replace(self.drill, phases_s=phases_s))

    def _stands(self, drill: Drill) -> None:
        self.drill = drill
        self._keep(drill)

    def _shown(self, text: str) -> str:
        if self.copy is not None:
            text = text.replace(f"{self.copy.home.pgdata}/", "").replace(str(self.copy.directory), "the copy")
        return without_paths(text)


def check_name(check: Check) -> str:
    """What a check is called before it answers: its function's name in words."""
    name = getattr(check, "__name__", type(check).__name__)
    return name.strip("_").replace("_", " ")


def _source(plan: CopyPlan) -> Source:
    return Source(
        repo=plan.repo,
        label=plan.base.label,
        kind=plan.base.kind,
        finished_at=plan.base.finished_at,
        database_bytes=plan.base.database_bytes,
        timeline=plan.timeline,
        wal_first=plan.wal_first,
        wal_last=plan.wal_last,
        wal_segments=plan.wal_segments,
        wal_bytes=plan.wal_bytes,
    )


def _source_before_plan(chosen: Chosen) -> Source:
    backup = chosen.backup
    assert backup is not None  # noqa: S101 - the caller asked
    return Source(
        repo=backup.repo,
        label=backup.label,
        kind=backup.kind,
        finished_at=backup.finished_at,
        database_bytes=backup.database_bytes,
        timeline=backup.timeline,
        wal_first=backup.wal_start,
        wal_last=backup.wal_stop,
        wal_segments=0,
        wal_bytes=0,
    )
