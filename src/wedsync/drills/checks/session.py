"""A session on a copy in which names are said in full, whoever asks."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from wedsync.drills.check import DrillContext
from wedsync.sql import statements


@asynccontextmanager
async def session(context: DrillContext) -> AsyncGenerator[AsyncConnection[TupleRow]]:
    """A superuser's session in the platform's database of the copy, without a search path."""
    async with await context.copy.target(dbname=context.database).connect() as connection:
        await connection.execute(statements("drill_checks")["settle_session"])
        yield connection
