"""What the operations API does to bring rows back: by the same functions as the command line."""

from collections.abc import Sequence

import msgspec

from wedsync.api.operations import RowsOrder, RowsShown, UndoRowsOrder, problem_of
from wedsync.app.desks import refuse_while_recovering
from wedsync.app.platform import Platform
from wedsync.app.rows import (
    RowChoice,
    RowRequest,
    RowsAnswer,
    UndoRequest,
    bring_back,
    list_row_recoveries,
    plan_rows,
    plan_undo_of_rows,
    undo_rows,
)
from wedsync.copies import Purpose, Stage
from wedsync.errors import RowConflicts, RowsRefused
from wedsync.recovery import parse_moment
from wedsync.rows import PastRecovery

_CHOOSE = (
    "nothing was done: on_conflict keep leaves such rows as they are, past takes them back;"
    " choices decides row by row"
)


class HomeRows:
    """What `/api/recovery/rows` and `/api/recovery/tenants` do."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def bring_back(self, order: RowsOrder, *, couple: str | None, table: str | None, by: str) -> RowsShown:
        """The plan, or with its fingerprint that plan carried out; `errors` has the conflicts that forbid it."""
        platform = self._platform
        refuse_while_recovering(platform)
        self._require_preview(order.to)
        request = RowRequest(
            to=order.to,
            couple=couple,
            table=table,
            on_conflict=order.on_conflict,
            choices=_choices(order),
            mistake_by=order.mistake_by,
            mistake_transactions=order.mistake_transactions,
            reason=order.reason,
        )
        if order.fingerprint is None:
            return show_rows(await plan_rows(platform, request, by=by))
        try:
            return show_rows(await bring_back(platform, request, expected=order.fingerprint, by=by))
        except RowConflicts as conflicts:
            return _refused(await plan_rows(platform, request, by=by), conflicts)

    async def undo(self, recovery: str, order: UndoRowsOrder, *, by: str) -> RowsShown:
        """The plan of an undo, or with its fingerprint that plan carried out."""
        platform = self._platform
        refuse_while_recovering(platform)
        request = UndoRequest(
            recovery=recovery, on_conflict=order.on_conflict, choices=_choices(order), reason=order.reason
        )
        if order.fingerprint is None:
            return show_rows(await plan_undo_of_rows(platform, request, by=by))
        try:
            return show_rows(await undo_rows(platform, request, expected=order.fingerprint, by=by))
        except RowConflicts as conflicts:
            return _refused(await plan_undo_of_rows(platform, request, by=by), conflicts)

    async def past(self, limit: int) -> Sequence[PastRecovery]:
        """What was brought back."""
        return await list_row_recoveries(self._platform, limit=limit)

    def _require_preview(self, to: str) -> None:
        """A request does not wait for a restore: raise `RowsRefused` unless a preview shows the moment."""
        moment = parse_moment(to)
        shown = self._platform.copies.registry.all(Purpose.PREVIEW)
        if not any(each.target_at == moment and each.stage is not Stage.MAKING for each in shown):
            raise RowsRefused(
                f"no preview shows {moment.isoformat()}",
                hint="POST /api/recovery/previews with the same moment as `at`, then come again",
            )


def show_rows(answer: RowsAnswer) -> RowsShown:
    """A plan or its end as the operations API shows it."""
    told = msgspec.to_builtins(answer.to_json())
    recovery = told["recovery"]
    told["undo"] = f"/api/recovery/rows/{recovery}/undo" if recovery is not None else None
    return msgspec.convert(told, RowsShown)


def _refused(plan: RowsAnswer, conflicts: RowConflicts) -> RowsShown:
    problem = msgspec.structs.replace(problem_of(conflicts), hint=_CHOOSE)
    return msgspec.structs.replace(show_rows(plan), errors=[problem])


def _choices(order: RowsOrder | UndoRowsOrder) -> tuple[RowChoice, ...]:
    return tuple(RowChoice(table=each.table, key=each.key, choice=each.choice) for each in order.choices)
