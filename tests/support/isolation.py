"""A database with two tenants of each kind, becoming somebody in it, and what a statement came to."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier
from psycopg.types.json import Jsonb

from support.tenants import Schema, World, fill_world, read_schema
from wedsync.database import ConnectionTarget

REFUSED = (0, "42501")
"""No row, or no permission."""


@dataclass(frozen=True, slots=True)
class TwoTenants:
    """A database in which two tenants of each kind have rows in every table."""

    target: ConnectionTarget
    schema: Schema
    ours: World
    theirs: World


async def make_two_tenants(target: ConnectionTarget) -> TwoTenants:
    """Fill a database that has the whole schema."""
    async with await target.connect(autocommit=False) as connection:
        schema = await read_schema(connection)
        ours, theirs = await fill_world(connection, schema), await fill_world(connection, schema)
        await connection.commit()
        await connection.set_autocommit(True)
        await connection.execute("analyze")
    return TwoTenants(target, schema, ours, theirs)


async def become(session: AsyncConnection[Any], role: str, user_id: str | None) -> None:
    """Be this role with this user's token until the transaction ends; `None`: without a token."""
    claims = Jsonb({"sub": user_id, "role": role}) if user_id else ""
    await session.execute("reset role")
    await session.execute("select set_config('request.jwt.claims', %s::text, true)", (claims,))
    await session.execute(SQL("set local role {}").format(Identifier(role)))


async def outcome(session: AsyncConnection[Any], query: SQL | Composed | str, values: Any = None) -> int | str:
    """Rows that a statement touched, or the SQLSTATE that refused it; undone."""
    await session.execute("savepoint try")
    try:
        return (await session.execute(query, values)).rowcount  # type: ignore[arg-type]
    except psycopg.Error as error:
        return error.sqlstate or "?"
    finally:
        await session.execute("rollback to savepoint try")


async def enter(session: AsyncConnection, tenants: TwoTenants, caller: str) -> None:
    """Be `anonymous`, `nobody`, one of our people, or one of theirs (`other boss`)."""
    match caller.split():
        case ["anonymous"]:
            await become(session, "anon", None)
        case ["nobody"]:
            await become(session, "authenticated", tenants.ours.people["spare"])
        case ["other", person]:
            await become(session, "authenticated", tenants.theirs.people[person])
        case _:
            await become(session, "authenticated", tenants.ours.people[caller])
