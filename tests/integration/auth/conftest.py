"""Fixtures for sign-in."""

from collections.abc import AsyncIterator, Iterator

import pytest

from support.clusters import role_passwords
from support.databases import migrated_database
from support.sign_in import Desk, Place, desk
from support.workers import held
from wedsync.cluster import Server


@pytest.fixture(scope="session")
def accounts(cluster: Server) -> Iterator[Place]:
    """A database with the whole schema; each test makes accounts of its own."""
    with held(migrated_database(cluster)) as target:
        yield Place(owner=target, password=role_passwords(cluster.home)["wedsync_gateway"])


@pytest.fixture
async def at(accounts: Place) -> AsyncIterator[Desk]:
    """Sign-in with settings that limit nothing."""
    async with desk(accounts) as made:
        yield made
