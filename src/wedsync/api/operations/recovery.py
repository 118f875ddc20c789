"""`/api/recovery`: which moments, at what price, go back, take it back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol

import msgspec

from wedsync.api.operations.operation import Answer, AnyOperation, Call, Nowhere, Operation
from wedsync.api.operations.runs import Page, RunAnswer, RunPlace, begun, run_answer, run_answers
from wedsync.backup import RecoveryWindows
from wedsync.errors import NotConfirmed
from wedsync.recovery import JournalEntry, RecoveryPlan, ShownPlan, show_plan
from wedsync.state import Run
from wedsync.words import without_paths

Moment = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=64,
        description="A moment with its offset from UTC, such as 2026-06-14T10:05:30Z, or: latest",
    ),
]
UNDO = "undo"
_BELOW = "recovery"


class PlanOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to."""

    to: Moment


class Confirmation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is destroyed, said once more."""

    stanza: str
    """The cluster's name in the repositories: the setting `backup.stanza`, as `GET /api/recovery/window` says."""
    to: str
    """The same words as `to` of the order; `undo` to take the last recovery back."""


class RecoveryOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to take the whole database back, in place."""

    to: Moment
    confirm: Confirmation


class UndoOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Back to the state before the last recovery."""

    confirm: Confirmation


class WindowAnswer(RecoveryWindows, frozen=True, kw_only=True):
    """Which moments can be restored, and what a recovery has to name to be confirmed."""

    stanza: str


class RecoveryBegun(msgspec.Struct, frozen=True, kw_only=True):
    """What will be done, and where to look how it stands."""

    run: RunAnswer
    plan: ShownPlan


class PastRecovery(msgspec.Struct, frozen=True, kw_only=True):
    """A recovery of the home, whoever began it."""

    id: str
    target: str
    target_at: datetime | None
    stage: str
    outcome: str
    """`running`, `done`, `abandoned` (nothing was changed) or `undone`."""
    started_at: datetime
    finished_at: datetime | None
    can_be_undone: bool


class RecoveriesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for over HTTP, and every recovery of the home, newest first."""

    runs: Sequence[RunAnswer]
    recoveries: Sequence[PastRecovery]


class RecoveryDesk(Protocol):
    """What these operations ask of the platform."""

    stanza: str

    async def window(self) -> RecoveryWindows: ...

    async def plan(self, to: str) -> RecoveryPlan: ...

    async def plan_undo(self) -> RecoveryPlan: ...

    async def recover(self, to: str, *, by: str) -> Run: ...

    async def undo(self, *, by: str) -> Run: ...

    def run(self, run: str) -> Run: ...

    def runs(self, limit: int) -> Sequence[Run]: ...

    def recoveries(self, limit: int) -> Sequence[JournalEntry]: ...


def recovery_operations(desk: RecoveryDesk) -> Sequence[AnyOperation]:
    """Everything below `/api/recovery`."""

    async def window(_: Call[Nowhere, None]) -> Answer:
        found = await desk.window()
        return Answer(content=WindowAnswer(stanza=desk.stanza, **msgspec.structs.asdict(found)))

    async def plan(call: Call[Nowhere, PlanOrder]) -> Answer:
        return Answer(content=_shown(await desk.plan(call.body.to)))

    async def recover(call: Call[Nowhere, RecoveryOrder]) -> Answer:
        order = call.body
        require_confirmation(order.confirm, stanza=desk.stanza, to=order.to)
        made = await desk.plan(order.to)
        return _begun(await desk.recover(order.to, by=call.who), made)

    async def undo(call: Call[Nowhere, UndoOrder]) -> Answer:
        require_confirmation(call.body.confirm, stanza=desk.stanza, to=UNDO)
        made = await desk.plan_undo()
        return _begun(await desk.undo(by=call.who), made)

    async def run(call: Call[RunPlace, None]) -> Answer:
        return Answer(content=run_answer(desk.run(call.place.id), below=_BELOW))

    async def runs(call: Call[Page, None]) -> Answer:
        limit = call.place.limit
        return Answer(
            content=RecoveriesAnswer(
                runs=run_answers(desk.runs(limit), below=_BELOW),
                recoveries=[_past(entry) for entry in desk.recoveries(limit)],
            )
        )

    unreachable = {409: "The moment cannot be restored, or something else is under way."}
    return (
        Operation(
            method="GET",
            path="/recovery/window",
            name="recovery_window",
            action="recover window",
            summary="Which moments can be restored, and which cannot.",
            place=Nowhere,
            body=type(None),
            answers={200: WindowAnswer},
            carry_out=window,
        ),
        Operation(
            method="POST",
            path="/recovery/plan",
            name="plan_recovery",
            action="recover plan",
            summary="What a recovery would do, lose and take; changes nothing.",
            place=Nowhere,
            body=PlanOrder,
            answers={200: ShownPlan},
            refusals=unreachable,
            carry_out=plan,
        ),
        Operation(
            method="POST",
            path="/recovery",
            name="recover",
            action="recover run",
            summary="Take the whole database back, in place; it goes on after the answer.",
            place=Nowhere,
            body=RecoveryOrder,
            answers={202: RecoveryBegun},
            refusals={**unreachable, 422: "The confirmation names something else, or the key came before."},
            carry_out=recover,
            sensitive=True,
        ),
        Operation(
            method="POST",
            path="/recovery/undo",
            name="undo_recovery",
            action="recover undo",
            summary="Back to the state before the last recovery; it goes on after the answer.",
            place=Nowhere,
            body=UndoOrder,
            answers={202: RecoveryBegun},
            refusals={**unreachable, 422: "The confirmation names something else, or the key came before."},
            carry_out=undo,
            sensitive=True,
        ),
        Operation(
            method="GET",
            path="/recovery/runs",
            name="list_recoveries",
            action="recover runs",
            summary="What was asked for, and every recovery of the home.",
            place=Page,
            body=type(None),
            answers={200: RecoveriesAnswer},
            carry_out=runs,
        ),
        Operation(
            method="GET",
            path="/recovery/runs/{id}",
            name="recovery_run",
            action="recover run status",
            summary="How a recovery stands; answers while the database is away.",
            place=RunPlace,
            body=type(None),
            answers={200: RunAnswer},
            refusals={404: "There is no such run."},
            carry_out=run,
        ),
    )


def require_confirmation(said: Confirmation, *, stanza: str, to: str) -> None:
    """Raise `NotConfirmed` unless cluster and target were repeated."""
    wrong = [name for name, wanted in (("stanza", stanza), ("to", to)) if getattr(said, name) != wanted]
    if wrong:
        raise NotConfirmed(
            "nothing was done: the confirmation does not repeat what is asked for",
            detail=f"different: {', '.join(f'confirm.{name}' for name in wrong)}",
            hint="confirm.stanza: as GET /api/recovery/window has it; confirm.to: the words of `to`, or undo",
        )


def _begun(run: Run, plan: RecoveryPlan) -> Answer:
    first = begun(run, below=_BELOW)
    shown: Any = first.content
    return Answer(content=RecoveryBegun(run=shown, plan=_shown(plan)), status=202, headers=first.headers)


def _shown(plan: RecoveryPlan) -> ShownPlan:
    shown = show_plan(plan)
    return msgspec.structs.replace(shown, notes=[without_paths(note) for note in shown.notes])


def _past(entry: JournalEntry) -> PastRecovery:
    return PastRecovery(
        id=entry.id,
        target=entry.target,
        target_at=entry.target_at,
        stage=str(entry.stage),
        outcome=entry.outcome,
        started_at=entry.started_at,
        finished_at=entry.finished_at,
        can_be_undone=entry.outcome == "done" and entry.way_back is not None,
    )
