"""A moment of the past as a second database of the same cluster: what a copy of the moment would hold."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

from psycopg.sql import SQL, Identifier

from wedsync.database import ConnectionTarget


@asynccontextmanager
async def moment(now: ConnectionTarget) -> AsyncIterator[ConnectionTarget]:
    """The database as it is, as another one; nobody may be connected to it. Dropped afterwards."""
    name = f"past_{uuid4().hex[:12]}"
    admin = replace(now, user="postgres", dbname="postgres")
    copy = SQL("create database {} template {} strategy file_copy").format(
        Identifier(name), Identifier(now.dbname)
    )
    async with await admin.connect() as connection:
        await connection.execute(copy)
    try:
        yield replace(now, user="postgres", dbname=name)
    finally:
        async with await admin.connect() as connection:
            await connection.execute(SQL("drop database {} with (force)").format(Identifier(name)))
