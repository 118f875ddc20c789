"""The rows themselves that differ in one table: for a page or a list, a bounded number of them."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from wedsync.database import ConnectionTarget
from wedsync.errors import RowsRefused
from wedsync.rows.compare import Side, chunks, parts_where
from wedsync.rows.difference import RowDifference, RowKind
from wedsync.rows.pairing import Pairing, pair
from wedsync.rows.reading import ALL_ROWS, bucket_of, columns_of, digests, open_side
from wedsync.rows.table import read_tables
from wedsync.sql import statements

_Row: TypeAlias = tuple[str | None, ...]


async def differing_rows(
    past: ConnectionTarget,
    now: ConnectionTarget,
    table: str,
    *,
    where: Mapping[str, str] | None = None,
    limit: int = 100,
    with_values: bool = False,
) -> tuple[RowDifference, ...]:
    """Up to `limit` rows of a table that differ; `where` names columns and the values (as text) they must have.

    Values are personal: only `with_values` gives them. Raises `RowsRefused` for a table that cannot be compared.
    """
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(await open_side(target)) for target in (past, now)]
        for side in sides:
            await stack.enter_async_context(side.transaction())
            await side.execute(statements("rows")["snapshot"])
        then, present = [await read_tables(side, [table]) for side in sides]
        if table not in present:
            raise RowsRefused(f"there is no table {table}", hint="write it with its schema: public.guests")
        pairing = pair(then.get(table), present[table])
        if pairing.refused is not None:
            raise RowsRefused(pairing.refused)
        condition = _condition(pairing, where or {})
        part = SQL("{}::text").format(bucket_of(pairing))
        query = digests(pairing, condition, part)
        sums = await asyncio.gather(*(_sums(side, query) for side in sides))
        found: list[RowDifference] = []
        for parts in chunks(*sums):
            rows = _rows(pairing, SQL("{} and {}").format(condition, parts_where(pairing, None, parts)))
            before, after = await asyncio.gather(*(_read(side, rows, len(pairing.key)) for side in sides))
            found += _differences(pairing, before, after, with_values=with_values)
            if len(found) >= limit:
                break
        return tuple(found[:limit])


def _condition(pairing: Pairing, where: Mapping[str, str]) -> Composable:
    conditions: list[Composable] = [ALL_ROWS]
    for name, value in where.items():
        column = pairing.table.column(name)
        if column is None:
            raise RowsRefused(f"{pairing.table.name} has no column {name}")
        kind = SQL(column.type)  # pyright: ignore[reportArgumentType]  # PostgreSQL's own name of the type
        conditions.append(SQL("{} = {}::{}").format(Identifier(name), Literal(value), kind))
    return SQL(" and ").join(conditions)


def _rows(pairing: Pairing, where: Composable) -> Composed:
    texts = SQL(", ").join(SQL("{}::text").format(Identifier(name)) for name in (*pairing.key, *pairing.names))
    return SQL("select {} from {} where {} order by {}").format(
        texts, pairing.table.identifier, where, columns_of(pairing.key)
    )


async def _sums(side: Side, query: Composed) -> dict[str | None, tuple[int, int, int]]:
    cursor = await side.execute(query)
    return {row[0]: (row[1], row[2], row[3]) for row in await cursor.fetchall()}


async def _read(side: Side, query: Composed, key_columns: int) -> dict[_Row, _Row]:
    cursor = await side.execute(query)
    return {row[:key_columns]: row[key_columns:] for row in await cursor.fetchall()}


def _differences(
    pairing: Pairing, then: Mapping[_Row, _Row], now: Mapping[_Row, _Row], *, with_values: bool
) -> list[RowDifference]:
    found: list[RowDifference] = []
    for key in [*then, *(key for key in now if key not in then)]:
        before, after = then.get(key), now.get(key)
        if before == after:
            continue
        kind = RowKind.VANISHES if before is None else RowKind.RETURNS if after is None else RowKind.CHANGES
        found.append(
            RowDifference(
                table=pairing.table.name,
                kind=kind,
                key=tuple(str(value) for value in key),
                columns=_changed(pairing.names, before, after),
                past=_named(pairing.names, before) if with_values else None,
                now=_named(pairing.names, after) if with_values else None,
            )
        )
    return found


def _changed(names: Sequence[str], before: _Row | None, after: _Row | None) -> tuple[str, ...]:
    if before is None or after is None:
        return ()
    return tuple(name for name, old, new in zip(names, before, after, strict=True) if old != new)


def _named(names: Sequence[str], row: _Row | None) -> dict[str, str | None] | None:
    return dict(zip(names, row, strict=True)) if row is not None else None
