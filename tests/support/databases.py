"""Databases of their own inside a running cluster."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
from psycopg.sql import SQL, Identifier

from wedsync.cluster import Server, ensure_roles
from wedsync.database import ConnectionTarget
from wedsync.migrations import up

_MIGRATED = "migrated"
"""The database of a server that those with the whole schema are copied from; nobody connects to it."""


@asynccontextmanager
async def fresh_database(server: Server) -> AsyncIterator[ConnectionTarget]:
    """An empty database made the product's own way, as its owner; dropped afterwards."""
    name = _new_name()
    try:
        yield await _prepared(server, name)
    finally:
        await _drop(server, name)


@asynccontextmanager
async def migrated_database(server: Server) -> AsyncIterator[ConnectionTarget]:
    """A database with every migration applied, as its owner; dropped afterwards."""
    await _make_template(server)
    name = _new_name()
    try:
        async with await server.target().connect() as connection:
            await connection.execute(
                SQL("create database {} template {} owner wedsync_owner strategy file_copy").format(
                    Identifier(name), Identifier(_MIGRATED)
                )
            )
        yield await _prepared(server, name)
    finally:
        await _drop(server, name)


async def _make_template(server: Server) -> None:
    async with await server.target().connect() as connection:
        found = await connection.execute("select from pg_database where datname = %s", (_MIGRATED,))
        if found.rowcount:
            return
        making = _new_name()  # of its name only when whole
        await up(await _prepared(server, making))
        await connection.execute(
            SQL("alter database {} rename to {}").format(Identifier(making), Identifier(_MIGRATED))
        )


def _new_name() -> str:
    return f"test_{uuid4().hex[:12]}"


async def _prepared(server: Server, name: str) -> ConnectionTarget:
    """What every database of the platform has: roles, extension, schemas, rights."""
    database = msgspec.structs.replace(server.config.database, name=name)
    await ensure_roles(server.target(), config=msgspec.structs.replace(server.config, database=database))
    return server.target("wedsync_owner", name)


async def _drop(server: Server, name: str) -> None:
    async with await server.target().connect() as connection:
        await connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(name)))
