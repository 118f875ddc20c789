"""Whose wedding a row belongs to, and what a couple is called."""

from collections.abc import Collection, Mapping

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from wedsync.sql import statements


async def tables_compared(connection: AsyncConnection[TupleRow]) -> Mapping[str, str | None]:
    """Tables whose content says something, each with the column that names the couple, where it has one."""
    cursor = await connection.execute(statements("couples")["tables_compared"])
    return {row[0]: row[1] for row in await cursor.fetchall()}


async def names_of_couples(connection: AsyncConnection[TupleRow], couples: Collection[str]) -> dict[str, str]:
    """What couples are called, by id; those that are not in this database are left out."""
    sql = statements("couples")
    if not couples:
        return {}
    there = await (await connection.execute(sql["couples_exist"])).fetchone()
    if there is None or not there[0]:
        return {}
    cursor = await connection.execute(sql["names_of_couples"], {"ids": list(couples)})
    return {row[0]: row[1] for row in await cursor.fetchall()}
