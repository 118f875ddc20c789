"""`/api/recovery/rows`, `/api/recovery/tenants`: some rows as they were; first a plan, then that."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Protocol

import msgspec

from wedsync.api.operations.operation import Answer, AnyOperation, Call, Nowhere, Operation, Problem
from wedsync.api.operations.previews import TableName
from wedsync.api.operations.recovery import Moment
from wedsync.api.operations.runs import Page
from wedsync.rows import Choice, Conflict, OnConflict, PastRecovery, TableOutcome

Uuid = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F-]{36}$")]
Words = Annotated[str, msgspec.Meta(max_length=500)]


class RowDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of one row in conflict."""

    table: TableName
    key: tuple[str, ...]
    choice: Choice


class RowsOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To which moment, and what becomes of rows that somebody else has changed since.

    Without `fingerprint` nothing is changed: the answer is the plan, and has one. With it the plan is carried out.
    """

    to: Moment
    """A moment that a preview shows now."""
    fingerprint: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    on_conflict: OnConflict = OnConflict.ASK
    choices: tuple[RowDecision, ...] = ()
    mistake_by: tuple[Words, ...] = ()
    """Whose changes since are the mistake: users or roles, as the history names them."""
    mistake_transactions: tuple[Words, ...] = ()
    """Which transactions are, as `GET /api/recovery/timeline` names them."""
    reason: Words | None = None


class TableRowsOrder(RowsOrder, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows of one table."""

    table: TableName


class UndoRowsOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take rows back that were brought back; without `fingerprint` only planned."""

    fingerprint: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    on_conflict: OnConflict = OnConflict.ASK
    choices: tuple[RowDecision, ...] = ()
    reason: Words | None = None


class CouplePlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which couple."""

    couple: Uuid


class RecoveryPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which recovery of rows."""

    id: Uuid


class RowsShown(msgspec.Struct, frozen=True, kw_only=True):
    """A plan (`dry_run`), or what was done of it; `errors` says why it was not done."""

    recovery: str | None
    couple: str | None
    scope: str
    restored_to: datetime | None
    dry_run: bool
    rows_put_back: int
    rows_changed: int
    rows_removed: int
    rows_kept: int
    open_conflicts: int
    """Rows that wait for a choice: `on_conflict`, or `choices` one by one."""
    conflicts: Sequence[Conflict]
    tables: Sequence[TableOutcome]
    notes: Sequence[str]
    fingerprint: str
    took_s: float
    undo: str | None
    """Where it is undone."""
    undo_until: datetime | None
    errors: Sequence[Problem] = ()


class RowRecoveries(msgspec.Struct, frozen=True, kw_only=True):
    """What was brought back, newest first."""

    recoveries: Sequence[PastRecovery]


class RowDesk(Protocol):
    """What these operations ask of the platform."""

    async def bring_back(
        self, order: RowsOrder, *, couple: str | None, table: str | None, by: str
    ) -> RowsShown: ...

    async def undo(self, recovery: str, order: UndoRowsOrder, *, by: str) -> RowsShown: ...

    async def past(self, limit: int) -> Sequence[PastRecovery]: ...


def row_operations(desk: RowDesk) -> Sequence[AnyOperation]:
    """Rows, couples, and taking it back."""

    async def rows(call: Call[Page, None]) -> Answer:
        return Answer(content=RowRecoveries(recoveries=await desk.past(call.place.limit)))

    async def table(call: Call[Nowhere, TableRowsOrder]) -> Answer:
        return _shown(await desk.bring_back(call.body, couple=None, table=call.body.table, by=call.who))

    async def tenant(call: Call[CouplePlace, RowsOrder]) -> Answer:
        return _shown(await desk.bring_back(call.body, couple=call.place.couple, table=None, by=call.who))

    async def undo(call: Call[RecoveryPlace, UndoRowsOrder]) -> Answer:
        return _shown(await desk.undo(call.place.id, call.body, by=call.who))

    conflicts = "Rows are in conflict, or changed since the plan: nothing was done; `conflicts` lists them."
    without_preview = "No preview shows the moment, or rows cannot be brought back: nothing was done."
    refusals = {409: f"{conflicts} {without_preview}", 504: "The answer to the commit was lost: look at the list."}
    return (
        Operation(
            method="GET",
            path="/recovery/rows",
            name="list_row_recoveries",
            action="recover rows list",
            summary="Which rows were brought back, and until when that can be undone.",
            place=Page,
            body=type(None),
            answers={200: RowRecoveries},
            carry_out=rows,
        ),
        Operation(
            method="POST",
            path="/recovery/rows",
            name="bring_back_rows",
            action="recover rows",
            summary="A table's rows as they were at a moment: the plan, or with its fingerprint that done.",
            place=Nowhere,
            body=TableRowsOrder,
            answers={200: RowsShown},
            refusals=refusals,
            carry_out=table,
            sensitive=True,
        ),
        Operation(
            method="POST",
            path="/recovery/tenants/{couple}",
            name="bring_back_tenant",
            action="recover tenant",
            summary="A couple's rows as they were at a moment: the plan, or with its fingerprint that done.",
            place=CouplePlace,
            body=RowsOrder,
            answers={200: RowsShown},
            refusals=refusals,
            carry_out=tenant,
            sensitive=True,
        ),
        Operation(
            method="POST",
            path="/recovery/rows/{id}/undo",
            name="undo_rows",
            action="recover rows undo",
            summary="Rows as before they were brought back: the plan, or with its fingerprint that done.",
            place=RecoveryPlace,
            body=UndoRowsOrder,
            answers={200: RowsShown},
            refusals={**refusals, 404: "There is no such recovery of rows, or it cannot be undone any more."},
            carry_out=undo,
            sensitive=True,
        ),
    )


def _shown(shown: RowsShown) -> Answer:
    return Answer(content=shown, status=409 if shown.errors else 200)
