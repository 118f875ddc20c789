"""Count and digest rows of tables: the same on the live database in its snapshot and on a copy."""

from dataclasses import dataclass

from psycopg import AsyncConnection, errors, sql
from psycopg.rows import TupleRow, class_row

from wedsync.drills.witness.model import RowForm, Span, TableDigest
from wedsync.drills.witness.spans import Table
from wedsync.sql import statements

_HASHES = {
    # A row's wire form is one value of type bytea; hash_record_extended hashes its bytes, 64 bits (hashfn.c). It
    # took 2.6 s for a million guests of 279 MB, 4.8 s as text, and COPY 2.5 s.
    RowForm.BINARY: sql.SQL("hash_record_extended(row(record_send(own.*)), 0)"),
    RowForm.TEXT: sql.SQL("hashtextextended((own.*)::text, 0)"),
}
_COUNT = sql.SQL("select count(*), coalesce(sum({hash}), 0)::text from only {table} own{where}")
_INSIDE = sql.SQL(" where own.ctid >= {first}::tid and own.ctid < {end}::tid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A table and what is read of it."""

    table: str
    blocks: int
    span: Span | None


async def settle(connection: AsyncConnection[TupleRow], *, lock_timeout_s: float, idle_timeout_s: float) -> None:
    """Prepare a session that measures: rows look alike whoever asks, and it gives way to others."""
    await connection.execute(
        statements("witness")["settle_session"],
        {
            "lock_timeout": f"{round(lock_timeout_s * 1000)}ms",
            "idle_timeout": f"{round(idle_timeout_s * 1000)}ms",
        },
    )


async def tables_of(connection: AsyncConnection[TupleRow]) -> list[Table]:
    """The tables that have rows of their own, as the session's snapshot knows them."""
    async with (
        connection.transaction(force_rollback=True),  # asking for sizes locks
        connection.cursor(row_factory=class_row(Table)) as cursor,
    ):
        await cursor.execute(statements("witness")["tables"])
        return await cursor.fetchall()


async def digest_part(
    connection: AsyncConnection[TupleRow], part: Part, *, within_s: float, form: RowForm | None = None
) -> TableDigest:
    """Rows of one table, or of some blocks of it; `form` is what fits where it is not said.

    Its lock on the table ends with it, also inside a transaction. Raises psycopg's errors: `UndefinedTable`,
    `LockNotAvailable`, `QueryCanceled` past `within_s`.
    """
    for tried in (form,) if form is not None else (RowForm.BINARY, RowForm.TEXT):
        try:
            async with connection.transaction(force_rollback=True):  # a lock ends with its savepoint
                await connection.execute(
                    statements("witness")["bound_statement"], {"timeout": f"{max(1, round(within_s * 1000))}ms"}
                )
                rows, digest = await _read(connection, part, tried)
            return TableDigest(
                table=part.table, rows=rows, digest=digest, form=tried, span=part.span, blocks=part.blocks
            )
        except errors.UndefinedFunction:
            if tried is RowForm.TEXT or form is not None:
                raise
    raise AssertionError(part)


async def _read(connection: AsyncConnection[TupleRow], part: Part, form: RowForm) -> tuple[int, str]:
    where = sql.SQL("")
    if part.span is not None:
        where = _INSIDE.format(
            first=sql.Literal(f"({part.span.first},0)"), end=sql.Literal(f"({part.span.end},0)")
        )
    # regclass has quoted the name already
    named = sql.SQL(part.table)  # pyright: ignore[reportArgumentType] - it comes from the catalogue, quoted
    cursor = await connection.execute(_COUNT.format(hash=_HASHES[form], table=named, where=where))
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an aggregate gives one row
    return int(row[0]), str(row[1])
