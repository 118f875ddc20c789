"""What operators do to bring rows back: the command line and the operations API call the same."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

import msgspec
from psycopg.sql import SQL

from wedsync.app.backups import record
from wedsync.app.copies import Preview, held_still, make_preview, still_shows
from wedsync.app.platform import Platform
from wedsync.database import ConnectionTarget
from wedsync.errors import UsageProblem
from wedsync.recovery import Report, parse_moment, silently
from wedsync.rows import (
    BroughtBack,
    Choice,
    Decisions,
    Mistake,
    OnConflict,
    PastRecovery,
    RowOrder,
    RowPlan,
    RowRecoverer,
    Scope,
    choose_rows,
)
from wedsync.tenants import (
    OWNER_COLUMNS,
    AuditHistory,
    ErasureBook,
    parse_id,
    read_couple_rows,
    scrub_erased,
)


class RowChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one row in conflict: an entry of a plan's `conflicts`, with its `choice` filled in."""

    table: str
    key: tuple[str, ...]
    choice: Choice | None = None


class RowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Whose or which rows are to be as they were at `to`, and what becomes of conflicts."""

    to: str
    """A moment with its offset."""
    couple: str | None = None
    table: str | None = None
    where: str | None = None
    """An SQL condition on the rows of `table`, which only reads; from the command line only."""
    on_conflict: OnConflict = OnConflict.ASK
    choices: tuple[RowChoice, ...] = ()
    mistake_by: tuple[str, ...] = ()
    mistake_transactions: tuple[str, ...] = ()
    reason: str | None = None
    with_values: bool = False


class UndoRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which recovery of rows is to be undone."""

    recovery: str
    on_conflict: OnConflict = OnConflict.ASK
    choices: tuple[RowChoice, ...] = ()
    reason: str | None = None
    with_values: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsAnswer:
    """A plan, or what was done of it."""

    couple: str | None
    plan: RowPlan
    done: BroughtBack | None
    preview: Preview | None
    """The copy that the rows of the past come from; it stays."""
    took_s: float
    """From the copy being there to the commit."""

    def to_json(self) -> dict[str, Any]:
        """The answer of `recover tenant --json` and `recover rows --json`."""
        plan = self.plan
        found: dict[str, Any] = {
            "recovery": self.done.recovery if self.done else None,
            "couple": self.couple,
            "scope": plan.scope,
            "restored_to": plan.restored_to,
            "dry_run": self.done is None,
            "rows_put_back": plan.put_back,
            "rows_changed": plan.changed,
            "rows_removed": plan.removed,
            "rows_kept": plan.kept,
            "open_conflicts": plan.open_conflicts,
            "conflicts": plan.conflicts,
            "tables": plan.tables,
            "notes": plan.notes,
            "fingerprint": plan.fingerprint,
            "took_s": round(self.took_s, 3),
            "undo": None,
            "undo_until": None,
            "preview": None,
        }
        if self.done is not None and self.done.recovery is not None:
            found["undo"] = f"wedsync recover rows --undo {self.done.recovery}"
            found["undo_until"] = self.done.undo_until
        if self.preview is not None:
            found["preview"] = {"id": self.preview.id, "took_s": round(self.preview.took_s or 0.0, 2)}
        return found


async def plan_rows(platform: Platform, request: RowRequest, *, by: str, report: Report = silently) -> RowsAnswer:
    """What bringing rows back would do: makes or moves a preview to the moment, and changes nothing."""
    async with _order(platform, request, by=by, report=report) as (preview, past, order):
        began = monotonic()
        plan = await _recoverer(platform, request.couple).plan(past, order)
    return RowsAnswer(couple=request.couple, plan=plan, done=None, preview=preview, took_s=monotonic() - began)


async def bring_back(
    platform: Platform,
    request: RowRequest,
    *,
    planned: RowsAnswer | None = None,
    expected: str | None = None,
    by: str,
    report: Report = silently,
) -> RowsAnswer:
    """Make the rows what they were, in one transaction.

    `planned` is the plan that was agreed to, whose preview is used again; or `expected` is its fingerprint. Raises
    `RowConflicts`, `RowsChangedSince`, `RowsLocked`, `RowsRefused`, `ErasedForGood`: each means that nothing was
    done.
    """
    known = planned.preview if planned is not None else None
    expected = planned.plan.fingerprint if planned is not None and expected is None else expected
    what = {"couple": request.couple, "table": request.table, "to": request.to, "reason": request.reason}
    record(platform, by, "recover rows", {name: value for name, value in what.items() if value is not None})
    async with _order(platform, request, by=by, report=report, known=known) as (preview, past, order):
        began = monotonic()
        done = await _recoverer(platform, request.couple).bring_back(past, order, expected=expected)
    return RowsAnswer(
        couple=request.couple, plan=done.plan, done=done, preview=preview, took_s=monotonic() - began
    )


async def plan_undo_of_rows(platform: Platform, request: UndoRequest, *, by: str) -> RowsAnswer:
    """What undoing a recovery of rows would do. Raises `RowRecoveryUnknown`."""
    began = monotonic()
    recoverer = _recoverer(platform, None)
    plan = await recoverer.plan_undo(await _undo_order(recoverer, request, by))
    return RowsAnswer(couple=None, plan=plan, done=None, preview=None, took_s=monotonic() - began)


async def undo_rows(
    platform: Platform, request: UndoRequest, *, expected: str | None = None, by: str
) -> RowsAnswer:
    """Put rows back as they were before a recovery; as `bring_back`, and to be undone as well."""
    recoverer = _recoverer(platform, None)
    order = await _undo_order(recoverer, request, by)
    record(platform, by, "recover rows undo", {"recovery": request.recovery, "reason": request.reason})
    began = monotonic()
    done = await recoverer.undo(order, expected=expected)
    return RowsAnswer(couple=None, plan=done.plan, done=done, preview=None, took_s=monotonic() - began)


async def list_row_recoveries(platform: Platform, *, limit: int = 100) -> tuple[PastRecovery, ...]:
    """What was brought back, newest first."""
    return await _recoverer(platform, None).past_recoveries(limit=limit)


@asynccontextmanager
async def _order(
    platform: Platform, request: RowRequest, *, by: str, report: Report, known: Preview | None = None
) -> AsyncGenerator[tuple[Preview, ConnectionTarget, RowOrder]]:
    """The copy at the moment, which stays there, and what is asked of it."""
    couple = parse_id(request.couple, "--couple") if request.couple is not None else None
    if (couple is None) == (request.table is None):
        raise UsageProblem("say which rows", hint="a couple, or a table: --couple ID, or --table NAME")
    moment = parse_moment(request.to)
    preview = known if known is not None and still_shows(platform, known) else None
    if preview is None:
        preview = await make_preview(platform, request.to, by=by, report=report)
    with held_still(platform, preview) as past:
        yield preview, past, await _order_of(platform, request, past, couple=couple, moment=moment, by=by)


async def _order_of(
    platform: Platform,
    request: RowRequest,
    past: ConnectionTarget,
    *,
    couple: UUID | None,
    moment: datetime,
    by: str,
) -> RowOrder:
    erasures = ErasureBook(platform.state).all()
    notes: tuple[str, ...] = ()
    if couple is not None:
        rows = await read_couple_rows(platform.owner_target, past, couple, erasures)
        words, scopes, notes = f"couple {couple}", rows.scopes, rows.notes
    else:
        words, scopes = await _of_table(platform, past, request)
    return RowOrder(
        words=words,
        scopes=scopes,
        restored_to=moment,
        since=moment,
        by=by,
        reason=request.reason,
        mistake=Mistake(by=request.mistake_by, transactions=request.mistake_transactions),
        decisions=_decisions(request.on_conflict, request.choices),
        belongs_to={"couple_id": str(couple)} if couple is not None else {},
        owner_columns=OWNER_COLUMNS,
        scrub=await scrub_erased(past, platform.owner_target, erasures),
        notes=notes,
        with_values=request.with_values,
    )


async def _of_table(
    platform: Platform, past: ConnectionTarget, request: RowRequest
) -> tuple[str, Sequence[Scope]]:
    table = str(request.table)
    name = table if "." in table else f"public.{table}"
    if request.where is None:
        return name, (Scope(table=name, where=SQL("true"), whole=True),)
    return f"{name}, chosen rows", (await choose_rows(past, platform.owner_target, name, request.where),)


async def _undo_order(recoverer: RowRecoverer, request: UndoRequest, by: str) -> RowOrder:
    id_: UUID = parse_id(request.recovery, "--undo")
    return await recoverer.undo_order(
        id_,
        by=by,
        reason=request.reason,
        decisions=_decisions(request.on_conflict, request.choices),
        owner_columns=OWNER_COLUMNS,
        with_values=request.with_values,
    )


def _decisions(on_conflict: OnConflict, choices: Sequence[RowChoice]) -> Decisions:
    made = tuple((item.table, item.key, item.choice) for item in choices if item.choice is not None)
    return Decisions(on_conflict=on_conflict, choices=made)


def _recoverer(platform: Platform, couple: str | None) -> RowRecoverer:
    """Writes as the owner of the tables; where the server is ours, by way of its superuser."""
    history = AuditHistory(parse_id(couple, "--couple") if couple is not None else None)
    if not platform.is_local:
        return RowRecoverer(platform.owner_target, history=history)
    target = platform.server.target("postgres", platform.config.database.name)
    return RowRecoverer(target, owner="wedsync_owner", history=history)


def read_choices(text: bytes) -> tuple[RowChoice, ...]:
    """The choices in a plan's JSON; `UsageProblem` if it is none."""
    try:
        return msgspec.json.decode(text, type=_Choices).conflicts
    except msgspec.DecodeError as error:
        raise UsageProblem(
            "the file of choices is no plan", detail=str(error), hint="save a plan: --dry-run --json > FILE"
        ) from error


class _Choices(msgspec.Struct, frozen=True):
    conflicts: tuple[RowChoice, ...]
