"""Bring rows back: plan it, do it in one transaction, undo it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final
from uuid import UUID, uuid4

import psycopg
from psycopg import errors as sql_errors
from psycopg.sql import SQL, Identifier

from wedsync.database import ConnectionTarget
from wedsync.errors import (
    CannotConnect,
    RowConflicts,
    RowsChangedSince,
    RowsInterrupted,
    RowsLocked,
    RowsOutcomeUnknown,
    RowsRefused,
    WedsyncError,
)
from wedsync.events import Event, observe
from wedsync.rows.compare import Side
from wedsync.rows.kept import (
    Entry,
    PastRecovery,
    keep_rows,
    past_recoveries,
    require_place,
    require_undoable,
    write_entry,
)
from wedsync.rows.links import mark_impossible
from wedsync.rows.mistakes import (
    ChangeHistory,
    Decisions,
    Mistake,
    decide,
    mark_changed,
    mark_not_as_left,
    read_history,
)
from wedsync.rows.outcome import BroughtBack, RowPlan
from wedsync.rows.planned import read_plan
from wedsync.rows.proof import require_exact, require_whole
from wedsync.rows.reading import open_side
from wedsync.rows.sources import CopySource, KeptSource, Scrub, Source, kept_scope
from wedsync.rows.staged import Scope
from wedsync.rows.staging import Ground, lay_out
from wedsync.rows.table import read_tables
from wedsync.rows.writing import lock_rows, write_rows
from wedsync.sql import statements

LOCK_TIMEOUT: Final = timedelta(seconds=3)
KEEP_UNDO: Final = timedelta(days=7)
_COMMIT_ENDS_WITHIN_S: Final = 10.0
_ASK_AGAIN_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsBroughtBack(Event):
    """Rows were brought back from a moment of the past, or an earlier such recovery was undone."""

    recovery: str
    scope: str
    put_back: int
    changed: int
    removed: int
    kept: int
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOrder:
    """Which rows are to be as they were, and how conflicts are decided."""

    words: str
    """Which rows, in words; holds nothing personal."""
    scopes: Sequence[Scope]
    restored_to: datetime | None
    since: datetime
    """Changes that were committed later are those that are taken back."""
    by: str
    reason: str | None = None
    mistake: Mistake = field(default_factory=Mistake)
    decisions: Decisions = field(default_factory=Decisions)
    belongs_to: Mapping[str, str] = field(default_factory=dict[str, str])
    owner_columns: tuple[str, ...] = ()
    """Columns that say whose a row is; the first that a table has says it of its rows."""
    scrub: Scrub | None = None
    notes: tuple[str, ...] = ()
    with_values: bool = False
    undoes: UUID | None = None


class RowRecoverer:
    """Brings rows of one database back."""

    def __init__(
        self,
        now: ConnectionTarget,
        *,
        owner: str | None = None,
        history: ChangeHistory | None = None,
        lock_timeout: timedelta = LOCK_TIMEOUT,
        keep_undo: timedelta = KEEP_UNDO,
    ) -> None:
        """`now` may set session_replication_role; its tables belong to `owner`, whom the session becomes."""
        self._now = now
        self._owner = owner
        self._history = history
        self._lock_timeout = lock_timeout
        self._keep_undo = keep_undo

    async def plan(self, past: ConnectionTarget, order: RowOrder) -> RowPlan:
        """What bringing rows back would do; changes nothing and locks nothing."""
        async with await open_side(past) as copy, self._looking() as live:
            return (await self._prepare(live, CopySource(copy, scrub=order.scrub), order))[1]

    async def bring_back(
        self, past: ConnectionTarget, order: RowOrder, *, expected: str | None = None
    ) -> BroughtBack:
        """Make the rows what they were, in one transaction, or change nothing at all.

        `expected` is the fingerprint of the plan that was agreed to. Raises `RowConflicts`, `RowsChangedSince`,
        `RowsLocked`, `RowsRefused`, `RowsNotExact`; each means that nothing was done.
        """
        async with await open_side(past) as copy:
            return await self._carry_out(CopySource(copy, scrub=order.scrub), order, expected)

    async def undo_order(
        self,
        id_: UUID,
        *,
        by: str,
        reason: str | None,
        decisions: Decisions,
        owner_columns: tuple[str, ...] = (),
        with_values: bool = False,
    ) -> RowOrder:
        """What undoing a recovery asks for. Raises `RowRecoveryUnknown` if it cannot be undone."""
        async with await open_side(self._now) as live:
            await require_place(live)
            found = await require_undoable(live, id_)
            tables = await read_tables(live)
        missing = [name for name in found.tables if name not in tables]
        if missing:
            raise RowsRefused(f"recovery {id_} cannot be undone: {', '.join(missing)} is not there any more")
        return RowOrder(
            words=f"undo of {id_}: {found.scope}",
            scopes=[kept_scope(id_, tables[name]) for name in found.tables],
            restored_to=None,
            since=found.at - timedelta(minutes=1),
            by=by,
            reason=reason,
            mistake=Mistake(transactions=(found.transaction_id,)),
            decisions=decisions,
            belongs_to=found.belongs_to,
            owner_columns=owner_columns,
            with_values=with_values,
            undoes=id_,
        )

    async def plan_undo(self, order: RowOrder) -> RowPlan:
        """What an undo would do."""
        async with self._looking() as live:
            return (await self._prepare(live, _kept(order), order))[1]

    async def undo(self, order: RowOrder, *, expected: str | None = None) -> BroughtBack:
        """Put the rows back as they were before a recovery; it is a recovery itself, and can be undone."""
        return await self._carry_out(_kept(order), order, expected)

    async def past_recoveries(self, *, limit: int = 100) -> tuple[PastRecovery, ...]:
        """What was brought back, newest first."""
        async with await open_side(self._now) as live:
            await require_place(live)
            return await past_recoveries(live, limit=limit)

    @asynccontextmanager
    async def _looking(self) -> AsyncGenerator[Side]:
        """A transaction that sees one moment, and is undone."""
        async with await open_side(self._now) as live, live.transaction(force_rollback=True):
            await live.execute(statements("rows")["one_moment"])
            await self._become_owner(live)
            yield live

    async def _become_owner(self, live: Side) -> None:
        if self._owner is not None:
            await live.execute(SQL("set local role {}").format(Identifier(self._owner)))

    async def _prepare(self, live: Side, source: Source, order: RowOrder) -> tuple[Ground, RowPlan]:
        """Stage, find what is in conflict, decide."""
        await require_place(live)
        tables = await read_tables(live)
        missing = [scope.table for scope in order.scopes if scope.table not in tables]
        if missing:
            raise RowsRefused(
                f"there is no table {', '.join(missing)}", hint="write it with its schema: public.guests"
            )
        ground = await lay_out(live, source, order.scopes, tables)
        await read_history(live, self._history, ground.staged, order.since, order.mistake)
        for item in ground.staged:
            if order.undoes is None:
                await mark_changed(live, item)
            else:
                owners = (*order.belongs_to,) or order.owner_columns
                await mark_not_as_left(live, item, order.undoes, owners)
            await decide(live, item, order.decisions)
        await mark_impossible(live, ground, order.decisions)
        plan = await read_plan(
            live,
            ground,
            scope=order.words,
            restored_to=order.restored_to,
            with_values=order.with_values,
            notes=order.notes,
        )
        return ground, plan

    async def _carry_out(self, source: Source, order: RowOrder, expected: str | None) -> BroughtBack:
        started = monotonic()
        entry = Entry(
            id=uuid4(),
            scope=order.words,
            belongs_to=order.belongs_to,
            owner_columns=order.owner_columns,
            restored_to=order.restored_to,
            by=order.by,
            reason=order.reason,
            undoes=order.undoes,
            expires_at=datetime.now(UTC) + self._keep_undo,
        )
        made: list[RowPlan] = []
        try:
            async with await open_side(self._now) as live, live.transaction():
                made.append(await self._write(live, source, order, entry, expected))
                if not made[0].rows:
                    raise psycopg.Rollback  # it ends without a trace
        except psycopg.Error as error:
            # With the connection the answer to a commit may be lost, and not the commit.
            if not made or not isinstance(error, psycopg.OperationalError) or not await self._is_there(entry.id):
                raise explained(error) from error
        plan = made[0]
        took_s = round(monotonic() - started, 3)
        if not plan.rows:
            return BroughtBack(recovery=None, plan=plan, took_s=took_s, undo_until=None)
        observe(
            RowsBroughtBack(
                recovery=str(entry.id),
                scope=order.words,
                put_back=plan.put_back,
                changed=plan.changed,
                removed=plan.removed,
                kept=plan.kept,
                took_s=took_s,
            )
        )
        return BroughtBack(recovery=str(entry.id), plan=plan, took_s=took_s, undo_until=entry.expires_at)

    async def _write(
        self, live: Side, source: Source, order: RowOrder, entry: Entry, expected: str | None
    ) -> RowPlan:
        """Everything between BEGIN and COMMIT."""
        sql = statements("rows")
        await live.execute(
            sql["begin_apply"],
            {
                "lock_timeout": f"{round(self._lock_timeout.total_seconds() * 1000)}ms",
                "program": f"wedsync recover: {order.by}"[:63],
                "request": f"recovery:{entry.id}",
            },
        )
        await live.execute(sql["hold_recovery"], {"id": entry.id})
        await live.execute(sql["as_replica"])
        await self._become_owner(live)
        ground, plan = await self._prepare(live, source, order)
        if expected is not None and plan.fingerprint != expected:
            raise RowsChangedSince(
                "rows changed since the plan was made", detail=_counted(plan), hint="nothing was done; plan again"
            )
        if plan.open_conflicts:
            raise RowConflicts(
                f"{plan.open_conflicts} rows were changed since by somebody else, or cannot come back",
                detail=_counted(plan),
                hint="nothing was done. --on-conflict keep leaves them as they are, --on-conflict past takes them"
                " back; --choices FILE.json decides row by row",
            )
        if not plan.rows:
            return plan
        for item in ground.staged:
            moved = await lock_rows(live, item)
            if moved:
                raise RowsChangedSince(
                    f"{moved} rows of {item.name} changed while the plan was made",
                    hint="nothing was done; plan again",
                )
        await live.execute(sql["path_of_the_database"])
        await write_rows(live, ground.staged)
        await require_exact(live, ground)
        await require_whole(live, ground)
        await live.execute(sql["path_of_ours"])
        await write_entry(live, entry, plan)
        await keep_rows(live, entry, ground.staged)
        return plan

    async def _is_there(self, id_: UUID) -> bool:
        """Whether a recovery was committed. Raises `RowsOutcomeUnknown` if nobody can say."""
        asked_again = False
        try:
            async with asyncio.timeout(_COMMIT_ENDS_WITHIN_S), await self._now.connect() as live:
                while True:
                    cursor = await live.execute(statements("rows")["recovery_is_there"], {"id": id_})
                    there, under_way = await cursor.fetchone() or (False, False)
                    if there:
                        return True
                    if not under_way and asked_again:
                        return False
                    # It may have ended between the two questions of one statement: the next sees what it left.
                    asked_again = not under_way
                    await asyncio.sleep(_ASK_AGAIN_S)
        except (CannotConnect, psycopg.Error, TimeoutError) as error:
            why = " ".join(str(error).split()) or "its commit has not ended yet"
            raise RowsOutcomeUnknown(
                "the connection was lost at the commit",
                detail=f"whether recovery {id_} was committed is not known: {why}",
                hint="when the server is back: wedsync recover rows list, or the same command again",
            ) from error


def _kept(order: RowOrder) -> KeptSource:
    assert order.undoes is not None  # noqa: S101 - an undo is ordered by `undo_order`
    return KeptSource(order.undoes)


def _counted(plan: RowPlan) -> str:
    return (
        f"{plan.put_back} rows to put back, {plan.changed} to change, {plan.removed} to remove, {plan.kept} kept,"
        f" {plan.open_conflicts} to decide"
    )


def explained(error: psycopg.Error) -> WedsyncError | psycopg.Error:
    """What a failure of PostgreSQL means here; nothing was done in any case."""
    said = " ".join(str(error).split("CONTEXT:")[0].split())
    match error:
        case sql_errors.LockNotAvailable() | sql_errors.DeadlockDetected():
            return RowsLocked(
                "somebody else holds a row",
                detail=said,
                hint="nothing was done; see who in pg_stat_activity, and run the command again",
            )
        case sql_errors.UniqueViolation() | sql_errors.ExclusionViolation() | sql_errors.SerializationFailure():
            return RowsChangedSince(
                "a row was added meanwhile that stands in the way",
                detail=error.diag.message_primary,
                hint="nothing was done; plan again",
            )
        case sql_errors.IntegrityConstraintViolation() | sql_errors.DataError():
            return RowsRefused(
                "the rows of then do not fit the tables of now",
                detail=error.diag.message_primary,
                hint="nothing was done; a constraint or a type changed since",
            )
        case sql_errors.InsufficientPrivilege():
            return RowsRefused(
                "the role may not write rows as they were",
                detail=said,
                hint="it owns the tables and may set session_replication_role (as superuser: grant set on"
                " parameter session_replication_role to its role); triggers that fire always need their rights,"
                " too",
            )
        case sql_errors.QueryCanceled() | psycopg.OperationalError():
            return RowsInterrupted("the server ended the work", detail=said, hint="nothing was done; run it again")
        case _:
            return error
