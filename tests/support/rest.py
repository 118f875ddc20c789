"""A season of weddings to read from through the data API: a database that nobody changes for good."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.rest_app import Desk, desk_database
from wedsync.cluster import Server

_SEASON = (Path(__file__).parent.parent / "integration" / "rest" / "schema.sql").read_bytes()
SCHEMAS = ("planner", "studio")
EXTRA = ("library",)


@asynccontextmanager
async def season_database(server: Server) -> AsyncIterator[Desk]:
    """The database, made anew."""
    async with desk_database(server, SCHEMAS, statements=_SEASON, extra=EXTRA) as season:
        yield season
