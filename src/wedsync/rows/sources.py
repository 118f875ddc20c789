"""Where rows of the past come from: a copy at that moment, or what an earlier recovery kept."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from wedsync.rows.compare import Side, chunks, parts_where
from wedsync.rows.pairing import Pairing, pair
from wedsync.rows.reading import bucket_of, columns_of, digests
from wedsync.rows.staged import Scope, Staged, type_of
from wedsync.rows.table import Table, read_tables

_KEYS_AT_ONCE: Final = 5000
Scrub: TypeAlias = Callable[[str, Identifier], Sequence[Composed]]
"""For a table: statements that take out of the staged rows of the past what was erased for good since."""


class Source(Protocol):
    """Rows of the past."""

    async def pairings(self, live: Side, scopes: Sequence[Scope], tables: dict[str, Table]) -> list[Pairing]:
        """How the tables of the scopes compare, in their order."""
        ...

    async def stage(self, live: Side, item: Staged) -> Composable | None:
        """Fill `item.past`; give the condition for the present rows to compare with. `None`: nothing differs."""
        ...

    async def keys_elsewhere(self, item: Staged, keys: Sequence[str]) -> Sequence[str]:
        """Which of these keys (JSON) named a row of the past that is outside the scope."""
        ...


class CopySource:
    """A database as it was at the moment."""

    def __init__(self, past: AsyncConnection[TupleRow], *, scrub: Scrub | None = None) -> None:
        self._past = past
        self._scrub = scrub

    async def pairings(self, live: Side, scopes: Sequence[Scope], tables: dict[str, Table]) -> list[Pairing]:  # noqa: ARG002
        then = await read_tables(self._past, [scope.table for scope in scopes])
        return [pair(then.get(scope.table), tables[scope.table]) for scope in scopes]

    async def stage(self, live: Side, item: Staged) -> Composable | None:
        """Compare sums by the parts of the key on both sides, and fetch the rows of those that differ."""
        pairing, where = item.pairing, item.scope.where
        query = digests(pairing, where, SQL("{}::text").format(bucket_of(pairing)))
        then, now = await asyncio.gather(_sums(self._past, query), _sums(live, query))
        parts = [part for chunk in chunks(then, now) for part in chunk]
        if not parts:
            return None
        condition = SQL("({}) and {}").format(where, parts_where(pairing, None, parts))
        await create_past(live, item)
        columns = columns_of(pairing.names)
        await self._copy(live, item, SQL("select {} from {} where {}").format(columns, item.table, condition))
        if self._scrub is not None:
            for statement in self._scrub(item.name, item.past):
                await live.execute(statement)
        return condition

    async def _copy(self, live: Side, item: Staged, query: Composed) -> None:
        read = SQL("copy ({}) to stdout").format(query)
        write = SQL("copy {} ({}) from stdin").format(item.past, columns_of(item.pairing.names))
        async with self._past.cursor().copy(read) as out, live.cursor().copy(write) as into:
            async for block in out:
                await into.write(block)

    async def keys_elsewhere(self, item: Staged, keys: Sequence[str]) -> Sequence[str]:
        if item.scope.whole or not keys:
            return ()
        found: list[str] = []
        for begin in range(0, len(keys), _KEYS_AT_ONCE):
            query = SQL(
                "select {key}::text from unnest({keys}::jsonb[]) as given (ws_key) join {table} as t on {same}"
            ).format(
                key=item.key_as_json("t"),
                keys=Literal(list(keys[begin : begin + _KEYS_AT_ONCE])),
                table=item.table,
                same=key_of_json(item, "t"),
            )
            found += [str(row[0]) for row in await (await self._past.execute(query)).fetchall()]
        return found


class KeptSource:
    """The rows that a recovery wrote or removed, as they were before it."""

    def __init__(self, recovery: UUID) -> None:
        self._recovery = recovery

    async def pairings(self, live: Side, scopes: Sequence[Scope], tables: dict[str, Table]) -> list[Pairing]:
        """What was kept are texts: they are read by the present types, and must fit."""
        found: list[Pairing] = []
        for scope in scopes:
            table = tables[scope.table]
            cursor = await live.execute(
                SQL(
                    "select columns from ops.row_recovery_rows where recovery_id = {} and table_name = {} limit 1"
                ).format(Literal(self._recovery), Literal(scope.table))
            )
            row = await cursor.fetchone()
            kept: list[str] = row[0] if row is not None else []
            names = {column.name for column in table.columns}
            found.append(
                Pairing(
                    table=table,
                    columns=tuple(c for c in table.columns if c.name in kept and not c.generated),
                    added=tuple(c.name for c in table.columns if c.name not in kept and not c.generated),
                    dropped=tuple(name for name in kept if name not in names),
                    refused=None,
                )
            )
        return found

    async def stage(self, live: Side, item: Staged) -> Composable | None:
        await create_past(live, item)
        values = SQL(", ").join(
            SQL("(r.before[array_position(r.columns, {})])::{}").format(Literal(c.name), type_of(c.type))
            for c in item.pairing.columns
        )
        await live.execute(
            SQL(
                "insert into {} ({}) select {} from ops.row_recovery_rows r"
                " where r.recovery_id = {} and r.table_name = {} and r.before is not null"
            ).format(
                item.past,
                columns_of(item.pairing.names),
                values,
                Literal(self._recovery),
                Literal(item.name),
            )
        )
        return item.scope.where

    async def keys_elsewhere(self, item: Staged, keys: Sequence[str]) -> Sequence[str]:  # noqa: ARG002
        return ()


def kept_scope(recovery: UUID, table: Table) -> Scope:
    """The present rows with the keys that a recovery wrote or removed."""
    keys = SQL(", ").join(
        SQL("(r.row_key ->> {})::{}").format(Literal(at), type_of(_type(table, name)))
        for at, name in enumerate(table.key)
    )
    where = SQL(
        "({}) in (select {} from ops.row_recovery_rows r where r.recovery_id = {} and r.table_name = {})"
    ).format(columns_of(table.key), keys, Literal(recovery), Literal(table.name))
    return Scope(table=table.name, where=where)


def key_of_json(item: Staged, alias: str) -> Composed:
    """That a row of `alias` has the key of `given.ws_key`."""
    return SQL(" and ").join(
        SQL("{} = (given.ws_key ->> {})::{}").format(
            Identifier(alias, name), Literal(at), type_of(_type(item.pairing.table, name))
        )
        for at, name in enumerate(item.pairing.key)
    )


async def create_past(live: Side, item: Staged) -> None:
    """The empty table of past rows, with the types of now."""
    await live.execute(
        SQL("create temporary table {} on commit drop as select {} from {} limit 0").format(
            item.past, columns_of(item.written), item.table
        )
    )


def _type(table: Table, name: str) -> str:
    column = table.column(name)
    assert column is not None  # noqa: S101 - a key's column is one of the table
    return column.type


async def _sums(side: Side, query: Composed) -> dict[str | None, tuple[int, int, int]]:
    cursor = await side.execute(query)
    return {row[0]: (row[1], row[2], row[3]) for row in await cursor.fetchall()}
