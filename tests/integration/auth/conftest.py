"""Fixtures for sign-in."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from support.clusters import role_passwords
from support.databases import fresh_database
from support.sign_in import Desk, Place, desk
from wedsync.cluster import Server
from wedsync.migrations import up


@pytest.fixture(scope="session")
def accounts(cluster: Server) -> Iterator[Place]:
    """A database with the whole schema; each test makes accounts of its own."""
    with asyncio.Runner() as runner:
        made = fresh_database(cluster)
        target = runner.run(made.__aenter__())
        runner.run(up(target))
        yield Place(owner=target, password=role_passwords(cluster.home)["wedsync_gateway"])
        runner.run(made.__aexit__(None, None, None))


@pytest.fixture
async def at(accounts: Place) -> AsyncIterator[Desk]:
    """Sign-in with settings that limit nothing."""
    async with desk(accounts) as made:
        yield made
