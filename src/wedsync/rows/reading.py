"""SQL that reads the same rows on both sides: a moment of the past, and now."""

from collections.abc import Sequence
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from wedsync.database import ConnectionTarget
from wedsync.rows.pairing import Pairing
from wedsync.sql import statements

ALL_ROWS: Final = SQL("true")
BUCKETS: Final = 4096
"""Into how many parts rows are put by their key, where no tenant parts them: of a million rows 250 each."""


async def open_side(target: ConnectionTarget) -> AsyncConnection[TupleRow]:
    """A connection on which values are written down as on every other of ours."""
    connection = await target.connect()
    await connection.execute(statements("rows")["session"])
    return connection


def columns_of(names: Sequence[str], alias: str | None = None) -> Composed:
    """Column names in a list, of a table's alias where one is given."""
    if alias is None:
        return SQL(", ").join(map(Identifier, names))
    return SQL(", ").join(Identifier(alias, name) for name in names)


def bucket_of(pairing: Pairing) -> Composed:
    """The part of a row, by its key."""
    return SQL("(hashtextextended(row({})::text, 0) & {})").format(columns_of(pairing.key), Literal(BUCKETS - 1))


def digests(pairing: Pairing, where: Composable, part: Composable) -> Composed:
    """Per part: how many rows, and two 64-bit sums that any other value in any column alters.

    The text of a row tells apart what `=` does not: 1.0 and 1.00, -0 and 0, NaN, the order of array elements.
    """
    return SQL(
        "select part, count(*), bit_xor(hashtextextended(line, 0)), bit_xor(hashtextextended(line, 1))"
        " from (select {part} as part, row({columns})::text as line from {table} where {where} offset 0) as r"
        " group by part"
    ).format(part=part, columns=columns_of(pairing.names), table=pairing.table.identifier, where=where)


def row_hashes(pairing: Pairing, where: Composable, part: Composable) -> Composed:
    """Per row: its part, its key as a hash, and the row as a hash."""
    return SQL(
        "select part, hashtextextended(key, 0), hashtextextended(key, 1), hashtextextended(line, 0),"
        " hashtextextended(line, 1)"
        " from (select {part} as part, row({key})::text as key, row({columns})::text as line"
        "         from {table} where {where} offset 0) as r"
    ).format(
        part=part,
        key=columns_of(pairing.key),
        columns=columns_of(pairing.names),
        table=pairing.table.identifier,
        where=where,
    )
