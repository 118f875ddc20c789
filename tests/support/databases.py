"""Databases of their own inside a running cluster."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
from psycopg.sql import SQL, Identifier

from wedsync.cluster import Server, ensure_roles
from wedsync.database import ConnectionTarget


@asynccontextmanager
async def fresh_database(server: Server) -> AsyncIterator[ConnectionTarget]:
    """An empty database made the product's own way, as its owner; dropped afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    database = msgspec.structs.replace(server.config.database, name=name)
    await ensure_roles(server.target(), config=msgspec.structs.replace(server.config, database=database))
    try:
        yield server.target("wedsync_owner", name)
    finally:
        async with await server.target().connect() as connection:
            await connection.execute(SQL("drop database {} with (force)").format(Identifier(name)))
