"""Read the plan off the staged tables: how many rows, which conflicts, and a fingerprint of all of it."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from wedsync.rows.compare import Side
from wedsync.rows.difference import RowKind
from wedsync.rows.mistakes import CHANGES, mistaken
from wedsync.rows.outcome import Change, Choice, Conflict, RowPlan, TableOutcome, Why
from wedsync.rows.staged import Staged
from wedsync.rows.staging import Ground

CONFLICTS_LISTED: Final = 1000
_CHANGES_LISTED: Final = 5


async def read_plan(
    live: Side,
    ground: Ground,
    *,
    scope: str,
    restored_to: datetime | None,
    with_values: bool,
    notes: Sequence[str],
) -> RowPlan:
    """The plan as decided; `with_values` shows what conflicting rows hold."""
    tables: list[TableOutcome] = []
    conflicts: list[Conflict] = []
    seal = hashlib.sha256()
    waiting: int = 0
    for item in ground.staged:
        cursor = await live.execute(_counts(item))
        row: Any = await cursor.fetchone()  # an aggregate without GROUP BY has one
        tables.append(
            TableOutcome(
                table=item.name, put_back=row[0], changed=row[1], removed=row[2], kept=row[3], conflicts=row[4]
            )
        )
        waiting += row[5]
        seal.update(f"{item.name} {row[6]} {row[7]} {row[8]}\n".encode())
        if row[4] and len(conflicts) < CONFLICTS_LISTED:
            conflicts += await _conflicts(live, item, CONFLICTS_LISTED - len(conflicts), with_values=with_values)
    return RowPlan(
        scope=scope,
        restored_to=restored_to,
        tables=tuple(tables),
        conflicts=tuple(conflicts),
        open_conflicts=waiting,
        notes=(*notes, *ground.notes),
        fingerprint=seal.hexdigest(),
    )


def _counts(item: Staged) -> Composed:
    line = SQL("concat_ws('|', ws_key::text, ws_kind, ws_past_hash, ws_now_hash)")
    return SQL(
        "select count(*) filter (where ws_decision = 'past' and ws_kind = 'returns'),"
        " count(*) filter (where ws_decision = 'past' and ws_kind = 'changes'),"
        " count(*) filter (where ws_decision = 'past' and ws_kind = 'vanishes'),"
        " count(*) filter (where ws_decision = 'keep'), count(*) filter (where ws_why is not null),"
        " count(*) filter (where ws_decision = 'ask'), count(*),"
        " bit_xor(hashtextextended({line}, 0)), bit_xor(hashtextextended({line}, 1)) from {diff}"
    ).format(line=line, diff=item.diff)


async def _conflicts(live: Side, item: Staged, limit: int, *, with_values: bool) -> list[Conflict]:
    query = SQL(
        "select jsonb_build_object('table', {name}::text,"
        "   'key', array(select jsonb_array_elements_text(d.ws_key)), 'kind', d.ws_kind, 'why', d.ws_why,"
        "   'detail', d.ws_detail, 'columns', d.ws_columns, 'final', d.ws_final,"
        "   'decision', d.ws_decision,"
        "   'changes', (select coalesce(jsonb_agg(jsonb_build_object('at', c.at, 'by', c.actor,"
        "                  'transaction', c.transaction_id, 'operation', c.operation)"
        "                  order by c.number desc), '[]')"
        "                 from (select * from {changes} c"
        "                        where c.table_name = {name} and c.row_key = d.ws_key"
        "                          and c.transaction_id not in ({mistaken})"
        "                        order by c.number desc limit {few}) c),"
        "   'past', {past}, 'now', {now})::text"
        "  from {diff} d where d.ws_why is not null order by d.ws_key limit {limit}"
    ).format(
        name=Literal(item.name),
        changes=CHANGES,
        mistaken=mistaken(),
        few=Literal(_CHANGES_LISTED),
        past=_past_values(item) if with_values else SQL("null"),
        now=_present_values(item) if with_values else SQL("null"),
        diff=item.diff,
        limit=Literal(limit),
    )
    cursor = await live.execute(query)
    return [_conflict(msgspec.json.decode(row[0])) for row in await cursor.fetchall()]


def _past_values(item: Staged) -> Composable:
    pairs = SQL(", ").join(
        SQL("{}, {}::text").format(Literal(name), Identifier("p", name)) for name in item.pairing.names
    )
    return SQL("(select jsonb_build_object({}) from {} p where {})").format(
        pairs, item.past, item.same_key("d", "p")
    )


def _present_values(item: Staged) -> Composable:
    return SQL("(select jsonb_object(array[{}]::text[], d.ws_before) where d.ws_before is not null)").format(
        SQL(", ").join(map(Literal, item.written))
    )


def _conflict(found: dict[str, Any]) -> Conflict:
    decision = found["decision"]
    final = bool(found["final"])
    return Conflict(
        table=found["table"],
        key=tuple(found["key"]),
        kind=RowKind(found["kind"]),
        why=Why(found["why"]),
        detail=found["detail"],
        columns=tuple(found["columns"] or ()),
        changes=msgspec.convert(found["changes"], tuple[Change, ...]),
        choices=(Choice.KEEP,) if final else (Choice.KEEP, Choice.PAST),
        choice=None if decision == "ask" else Choice(decision),
        past=found["past"],
        now=found["now"],
    )
