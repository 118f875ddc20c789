"""What undo needs, in the database itself: the tables `ops.row_recoveries` and `ops.row_recovery_rows`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row
from psycopg.sql import SQL, Composable, Identifier, Literal
from psycopg.types.json import Jsonb

from wedsync.errors import RowRecoveryUnknown, RowsRefused
from wedsync.rows.compare import Side
from wedsync.rows.outcome import RowPlan
from wedsync.rows.reading import columns_of
from wedsync.rows.staged import Staged
from wedsync.sql import statements


class PastRecovery(msgspec.Struct, frozen=True, kw_only=True):
    """One time that rows were brought back, or put back as they were."""

    id: UUID
    at: datetime
    scope: str
    belongs_to: dict[str, str]
    restored_to: datetime | None
    by: str
    reason: str | None
    undoes: UUID | None
    undone_by: UUID | None
    put_back: int
    changed: int
    removed: int
    kept: int
    expires_at: datetime
    tables: list[str]
    """Those of which rows are kept, until it expires."""
    rows: int
    transaction_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is written down of a recovery."""

    id: UUID
    scope: str
    belongs_to: Mapping[str, str]
    """Whose rows all of them are, as far as that is known: {"couple_id": …}."""
    owner_columns: tuple[str, ...]
    """Columns that say of each row whose it is."""
    restored_to: datetime | None
    by: str
    reason: str | None
    undoes: UUID | None
    expires_at: datetime


async def require_place(live: AsyncConnection[TupleRow]) -> None:
    """Raise `RowsRefused` where the tables are not there."""
    row = await (await live.execute(statements("rows")["place"])).fetchone()
    if row is None or not row[0]:
        raise RowsRefused(
            "there is no place to keep what undo needs",
            detail="migration 0021_row_recoveries is not applied",
            hint="wedsync migrate up",
        )


async def write_entry(live: Side, entry: Entry, plan: RowPlan) -> None:
    """Write the recovery down; its rows follow."""
    await live.execute(
        statements("rows")["write_entry"],
        {
            "id": entry.id,
            "scope": entry.scope,
            "belongs_to": Jsonb(dict(entry.belongs_to)),
            "restored_to": entry.restored_to,
            "by": entry.by,
            "reason": entry.reason,
            "undoes": entry.undoes,
            "put_back": plan.put_back,
            "changed": plan.changed,
            "removed": plan.removed,
            "kept": plan.kept,
            "expires_at": entry.expires_at,
        },
    )
    if entry.undoes is not None:
        await live.execute(statements("rows")["mark_undone"], {"id": entry.undoes, "by": entry.id})


async def keep_rows(live: Side, entry: Entry, staged: Sequence[Staged]) -> None:
    """Keep the rows as they were before; called when they are written."""
    for item in staged:
        owners = [name for name in entry.owner_columns if name in item.written]
        named = SQL(", ").join(
            part
            for name in owners
            for part in (
                Literal(name),
                SQL("coalesce({}::text, ({})::text)").format(Identifier("t", name), item.before(name)),
            )
        )
        belongs: Composable = SQL("jsonb_strip_nulls(jsonb_build_object({}))").format(named)
        await live.execute(
            SQL(
                "insert into ops.row_recovery_rows"
                " (recovery_id, table_name, row_key, kind, belongs_to, columns, before, after_hash)"
                " select {id}, {name}, d.ws_key, d.ws_kind, {owner}::jsonb || {belongs}, {columns}, d.ws_before,"
                "        case when t.{first} is not null then hashtextextended(row({values})::text, 0) end"
                "   from {diff} d left join {table} t on {same} where d.ws_decision = 'past'"
            ).format(
                id=Literal(entry.id),
                name=Literal(item.name),
                owner=Literal(Jsonb(dict(entry.belongs_to))),
                belongs=belongs,
                columns=Literal(list(item.written)),
                first=Identifier(item.pairing.key[0]),
                values=columns_of(item.written, "t"),
                diff=item.diff,
                table=item.table,
                same=item.same_key("d", "t"),
            )
        )


async def past_recoveries(live: AsyncConnection[TupleRow], *, limit: int = 100) -> tuple[PastRecovery, ...]:
    """The recoveries of rows, newest first."""
    return await _read(live, None, limit)


async def past_recovery(live: AsyncConnection[TupleRow], id_: UUID) -> PastRecovery | None:
    """The recovery with this id."""
    found = await _read(live, id_, 1)
    return found[0] if found else None


async def require_undoable(live: AsyncConnection[TupleRow], id_: UUID) -> PastRecovery:
    """The recovery with this id. Raises `RowRecoveryUnknown` if it cannot be undone."""
    found = await past_recovery(live, id_)
    if found is None:
        raise RowRecoveryUnknown(f"there is no recovery {id_}", hint="wedsync recover rows list")
    if found.undone_by is not None:
        raise RowRecoveryUnknown(
            f"recovery {id_} was undone", hint=f"that can be undone, too: --undo {found.undone_by}"
        )
    if not found.rows:
        raise RowRecoveryUnknown(
            f"nothing is kept of recovery {id_} any more",
            detail=f"it could be undone until {found.expires_at.isoformat(sep=' ', timespec='seconds')}",
            hint="bring the rows back from a copy of the moment before it: wedsync recover tenant, recover rows",
        )
    return found


async def _read(live: AsyncConnection[TupleRow], id_: UUID | None, limit: int) -> tuple[PastRecovery, ...]:
    async with live.cursor(row_factory=class_row(PastRecovery)) as cursor:
        await cursor.execute(statements("rows")["past_recoveries"], {"id": id_, "limit": limit})
        return tuple(await cursor.fetchall())
