"""Compare whole tables of two databases: sums first, then only the rows of the parts whose sums differ."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from wedsync.database import ConnectionTarget
from wedsync.rows.difference import OwnerDifference, RowKind, TableDifference
from wedsync.rows.pairing import Pairing, pair
from wedsync.rows.reading import ALL_ROWS, bucket_of, digests, open_side, row_hashes
from wedsync.rows.table import read_tables
from wedsync.sql import statements

Side: TypeAlias = AsyncConnection[TupleRow]
_Part: TypeAlias = str | None
_Sums: TypeAlias = dict[_Part, tuple[int, int, int]]
_Counts: TypeAlias = dict[_Part, Counter[RowKind]]
_ROWS_AT_ONCE: Final = 100_000


async def compare_tables(
    past: ConnectionTarget,
    now: ConnectionTarget,
    tables: Sequence[str] | None = None,
    *,
    by: Mapping[str, str] | None = None,
) -> tuple[TableDifference, ...]:
    """What differs in each of `tables` (`schema.name`; all tables of users if left out).

    `by` names for a table the column that says whose a row is: then differences are counted by its values, too.
    Each table is read once on both sides at the same time, and rows only where the sums of their part differ:
    memory is bounded. All of the present is of one moment.
    """
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(await open_side(target)) for target in (past, now)]
        for side in sides:
            await stack.enter_async_context(side.transaction())
            await side.execute(statements("rows")["snapshot"])
        then, present = [await read_tables(side, tables) for side in sides]
        found: list[TableDifference] = []
        for name, table in present.items():
            pairing = pair(then.get(name), table)
            column = (by or {}).get(name)
            owner = column if column is not None and column in pairing.names else None
            found.append(await _compare(sides[0], sides[1], pairing, owner))
        found += [_refused(name, f"{name} is not there any more") for name in then if name not in present]
        return tuple(found)


async def _compare(past: Side, now: Side, pairing: Pairing, owner: str | None) -> TableDifference:
    if pairing.refused is not None:
        return _refused(pairing.table.name, pairing.refused)
    part: Composable = (
        SQL("{}::text").format(Identifier(owner)) if owner else SQL("{}::text").format(bucket_of(pairing))
    )
    sums_then, sums_now = await asyncio.gather(
        _sums(past, digests(pairing, ALL_ROWS, part)), _sums(now, digests(pairing, ALL_ROWS, part))
    )
    counts: _Counts = {}
    for parts in chunks(sums_then, sums_now):
        where = parts_where(pairing, owner, parts)
        rows = row_hashes(pairing, where, part)
        _count(*await asyncio.gather(_hashes(past, rows), _hashes(now, rows)), counts)
    total = sum(counts.values(), Counter[RowKind]())
    return TableDifference(
        table=pairing.table.name,
        past_rows=sum(item[0] for item in sums_then.values()),
        now_rows=sum(item[0] for item in sums_now.values()),
        returns=total[RowKind.RETURNS],
        changes=total[RowKind.CHANGES],
        vanishes=total[RowKind.VANISHES],
        owners=_owners(counts) if owner is not None else (),
        notes=pairing.notes(),
    )


def chunks(then: _Sums, now: _Sums) -> Iterator[list[_Part]]:
    """The parts that differ, as many at a time as fit in memory."""
    chunk: list[_Part] = []
    rows = 0
    for part in sorted(then.keys() | now.keys(), key=str):  # the same order for each page of a list
        before, after = then.get(part), now.get(part)
        if before == after:
            continue
        chunk.append(part)
        rows += (before[0] if before else 0) + (after[0] if after else 0)
        if rows >= _ROWS_AT_ONCE:
            yield chunk
            chunk, rows = [], 0
    if chunk:
        yield chunk


def parts_where(pairing: Pairing, owner: str | None, parts: Sequence[_Part]) -> Composed:
    """The condition for the rows of these parts; that of a tenant goes by its index."""
    named = [part for part in parts if part is not None]
    if owner is None:
        return SQL("{} = any ({}::bigint[])").format(bucket_of(pairing), Literal(named))
    column = next(item for item in pairing.columns if item.name == owner)
    condition = SQL("{} = any ({}::text[]::{}[])").format(
        Identifier(owner),
        Literal(named),
        SQL(column.type),  # pyright: ignore[reportArgumentType]  # PostgreSQL's own name of the type
    )
    return (
        condition if len(named) == len(parts) else SQL("({} or {} is null)").format(condition, Identifier(owner))
    )


async def _sums(side: Side, query: Composed) -> _Sums:
    cursor = await side.execute(query)
    return {row[0]: (row[1], row[2], row[3]) for row in await cursor.fetchall()}


async def _hashes(side: Side, query: Composed) -> dict[tuple[_Part, int, int], tuple[int, int]]:
    cursor = side.cursor(binary=True)
    await cursor.execute(query)
    return {(row[0], row[1], row[2]): (row[3], row[4]) for row in await cursor.fetchall()}


def _count(
    then: Mapping[tuple[_Part, int, int], tuple[int, int]],
    now: Mapping[tuple[_Part, int, int], tuple[int, int]],
    counts: _Counts,
) -> None:
    """A row that went to another tenant vanishes with the one and returns to the other."""
    for key, row in then.items():
        after = now.get(key)
        if after != row:
            counts.setdefault(key[0], Counter())[RowKind.RETURNS if after is None else RowKind.CHANGES] += 1
    for key in now.keys() - then.keys():
        counts.setdefault(key[0], Counter())[RowKind.VANISHES] += 1


def _owners(counts: _Counts) -> tuple[OwnerDifference, ...]:
    found = [
        OwnerDifference(
            owner=owner,
            returns=count[RowKind.RETURNS],
            changes=count[RowKind.CHANGES],
            vanishes=count[RowKind.VANISHES],
        )
        for owner, count in counts.items()
    ]
    return tuple(
        sorted(found, key=lambda item: (-(item.returns + item.changes + item.vanishes), item.owner or ""))
    )


def _refused(table: str, why: str) -> TableDifference:
    return TableDifference(table=table, past_rows=0, now_rows=0, returns=0, changes=0, vanishes=0, refused=why)
