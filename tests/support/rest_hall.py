"""The data API over a hall, with a catalogue that follows the database as the gateway's does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.clusters import role_passwords
from support.databases import fresh_database
from support.rest_app import Gate
from wedsync.api.callers import Callers, KeySet, TokenRules, Tokens
from wedsync.api.rest import RestApp
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.database.catalogue import CatalogueSource
from wedsync.database.pipeline import PipelinePool

SCHEMA = Path(__file__).parent.parent / "integration" / "rest" / "hall.sql"
SCHEMAS = ("hall", "attic")


@dataclass(frozen=True, slots=True)
class Hall:
    """A running data API and the database below it."""

    owner: ConnectionTarget
    gate: Gate
    catalogues: CatalogueSource


@asynccontextmanager
async def hall_of(server: Server, *, follows: bool = False) -> AsyncIterator[Hall]:
    """A database of its own; with `follows` the catalogue's service runs, listening for changes."""
    async with fresh_database(server) as owner:
        async with await owner.connect() as connection:
            await connection.execute(SCHEMA.read_bytes())
        login = server.tcp_target("wedsync_gateway", role_passwords(server.home)["wedsync_gateway"], owner.dbname)
        source = CatalogueSource(login, SCHEMAS)
        await source.refresh()
        service = asyncio.create_task(source.run()) if follows else None
        callers = Callers(Tokens(KeySet(()), TokenRules(anonymous_role="anon")))
        try:
            async with PipelinePool(login, min_size=2, max_size=4) as pool:
                yield Hall(owner, Gate(RestApp(pool, source, callers)), source)
        finally:
            if service is not None:
                service.cancel()
                await asyncio.gather(service, return_exceptions=True)
            await source.close()
