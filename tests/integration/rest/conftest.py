"""Fixtures for cases of the data API."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from support.rest import season_database
from support.rest_app import Desk, Gate, desk_database, gate_to
from wedsync.cluster import Server


@pytest.fixture(scope="session")
def season(cluster: Server) -> Iterator[Desk]:
    """A database to read from; nobody changes anything in it for good."""
    with asyncio.Runner() as runner:
        made = season_database(cluster)
        yield runner.run(made.__aenter__())
        runner.run(made.__aexit__(None, None, None))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def season_gate(season: Desk) -> AsyncIterator[Gate]:
    """The whole data API over it, for all tests that run in the session's loop."""
    async with gate_to(season) as gate:
        yield gate


@pytest.fixture(scope="session")
def desk(cluster: Server) -> Iterator[Desk]:
    """A database that requests write to; what they write is undone."""
    with asyncio.Runner() as runner:
        made = desk_database(cluster)
        yield runner.run(made.__aenter__())
        runner.run(made.__aexit__(None, None, None))


@pytest.fixture
async def gate(desk: Desk) -> AsyncIterator[Gate]:
    """The whole data API over it."""
    async with gate_to(desk) as gate:
        yield gate
