"""Rows that an operator chose by a condition: it is read by itself, where it can change nothing, and gives keys.

What follows works with the keys alone, so that no words of a caller run where rows are written.
"""

from collections.abc import Iterator
from typing import Any, Final

import psycopg
from pglast import ast, parse_sql
from pglast.parser import ParseError
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Literal
from psycopg.types.json import Jsonb

from wedsync.database import ConnectionTarget
from wedsync.errors import RowsRefused, UsageProblem
from wedsync.rows.reading import columns_of, open_side
from wedsync.rows.staged import Scope, type_of
from wedsync.rows.table import Table, read_tables
from wedsync.sql import statements

KEYS_AT_MOST: Final = 250_000
_HINT: Final = "such as: --where \"household_id = '…'\""
_NOT_READ: Final = (
    ast.InsertStmt,
    ast.UpdateStmt,
    ast.DeleteStmt,
    ast.MergeStmt,
    ast.LockingClause,
    ast.IntoClause,
    ast.ParamRef,
)


async def choose_rows(past: ConnectionTarget, now: ConnectionTarget, name: str, condition: str) -> Scope:
    """The rows of a table for which `condition` holds, then or now.

    Raises `UsageProblem` if it is not one condition, could write, or cannot be evaluated. Subqueries are allowed;
    they see the past in the past, and the present in the present.
    """
    called = functions_called(condition)
    keys: set[str] = set()
    async with await open_side(now) as live, await open_side(past) as copy:
        found = await read_tables(live, [name])
        table = found.get(name)
        if table is None:
            raise RowsRefused(f"there is no table {name}", hint="write it with its schema: public.guests")
        if not table.key:
            raise RowsRefused(f"{name} has no primary key: its rows cannot be told apart")
        for side in (live, copy):
            if side is live or await read_tables(side, [name]):
                keys |= await _keys(side, table, condition, called)
    if len(keys) > KEYS_AT_MOST:
        raise UsageProblem(
            f"the condition holds for more than {KEYS_AT_MOST:,} rows of {name}",
            hint="choose fewer, or bring the whole table back: leave --where out",
        )
    return Scope(table=name, where=_one_of(table, sorted(keys)))


def functions_called(condition: str) -> tuple[tuple[str, ...], ...]:
    """The functions that a condition calls, each by the parts of its name.

    Raises `UsageProblem` unless it is one condition and nothing more.
    """
    try:
        parsed = parse_sql(f"select where {condition}\n")
    except ParseError as error:
        raise UsageProblem("--where is not one condition", detail=str(error), hint=_HINT) from error
    select = parsed[0].stmt
    assert isinstance(select, ast.SelectStmt)  # noqa: S101 - it begins with SELECT
    if len(parsed) > 1 or {name for name in select if getattr(select, name)} != {"whereClause"}:
        raise UsageProblem("--where takes one condition and nothing after it", hint=_HINT)
    called: set[tuple[str, ...]] = set()
    for node in _nodes(select.whereClause):
        if isinstance(node, _NOT_READ):
            raise UsageProblem(f"--where only reads: it takes no {type(node).__name__}", hint=_HINT)
        if isinstance(node, ast.FuncCall):
            called.add(tuple(str(part.sval) for part in node.funcname or () if isinstance(part, ast.String)))
    return tuple(sorted(called))


def _nodes(tree: ast.Node | tuple[Any, ...] | None) -> Iterator[ast.Node]:
    """A node of a syntax tree and everything inside it."""
    if isinstance(tree, ast.Node):
        yield tree
        for name in tree:
            yield from _nodes(getattr(tree, name))
    elif isinstance(tree, tuple):
        for part in tree:
            yield from _nodes(part)


async def _keys(
    side: AsyncConnection[TupleRow], table: Table, condition: str, called: tuple[tuple[str, ...], ...]
) -> set[str]:
    """The keys (JSON) of the rows for which the condition holds; its transaction only reads, and is undone."""
    words = SQL(condition)  # pyright: ignore[reportArgumentType]  # one condition, as `functions_called` found
    query = SQL("select jsonb_build_array({})::text from {} where (\n{}\n) limit {}").format(
        columns_of(table.key), table.identifier, words, Literal(KEYS_AT_MOST + 1)
    )
    async with side.transaction(force_rollback=True):
        await side.execute(statements("rows")["only_read"])
        cursor = await side.execute(statements("rows")["volatile_functions"], {"names": Jsonb(called)})
        volatile = [str(row[0]) for row in await cursor.fetchall()]
        if volatile:
            raise UsageProblem(
                f"--where takes no function that may do or give something else each time: {', '.join(volatile)}",
                hint=_HINT,
            )
        try:
            return {str(row[0]) for row in await (await side.execute(query)).fetchall()}
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            raise UsageProblem(
                "the condition of --where cannot be evaluated",
                detail=error.diag.message_primary,
                hint="tables and functions of yours are named with their schema: public.households",
            ) from error


def _one_of(table: Table, keys: list[str]) -> Composed:
    """That a row has one of these keys (JSON)."""
    if not keys:
        return SQL("false").format()
    types = {column.name: column.type for column in table.columns}
    values = SQL(", ").join(
        SQL("(chosen ->> {})::{}").format(Literal(at), type_of(types[name])) for at, name in enumerate(table.key)
    )
    return SQL("({}) in (select {} from unnest({}::jsonb[]) as chosen)").format(
        columns_of(table.key), values, Literal(keys)
    )
