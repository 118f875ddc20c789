"""Fixtures for all tests; tests/README.md says which one to take."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from psycopg import AsyncConnection

from support.clusters import copy_cluster, make_cluster, new_home, remove_cluster, remove_sockets, small_config
from support.databases import fresh_database, migrated_database
from support.isolation import TwoTenants, make_two_tenants
from support.recoveries import Protected, make_protected, protected_copy
from support.small_disk import disk_of_this_run, empty
from support.workers import held, made_once, one_at_a_time, this_worker
from wedsync.cluster import Engine, Server, find_engine
from wedsync.config import Home, default_home
from wedsync.database import ConnectionTarget
from wedsync.errors import EngineMissing

if TYPE_CHECKING:
    from support.regions import AzureStore, S3Store


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """How many workers `-n auto` means: two a core, since most tests wait for a server or a disk."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist reads it
    return min(2 * len(os.sched_getaffinity(0)), 12)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """How tests are handed out unless `--dist` says otherwise."""
    if config.getoption("dist") != "load":
        return None
    from support.scheduling import TestsAndSharedHomes  # noqa: PLC0415 - not without xdist

    return TestsAndSharedHomes(config, log)


def pytest_configure() -> None:
    """What holds for all tests: they can interrupt what they start, and are not timed by Hypothesis."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script; children inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # how long an example takes says more of the other workers than of the code
    busy = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("shared machine", deadline=None, suppress_health_check=busy)
    hypothesis.settings.load_profile("shared machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that the workers end together."""
    folders = ["faults", "integration"]
    items.sort(key=lambda item: next((n for n, folder in enumerate(folders) if folder in item.path.parts), 9))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine of the system, or of the home that bin/test prepared."""
    if os.geteuid() == 0:
        pytest.exit("PostgreSQL refuses root: run the tests through bin/test, or as another user", 2)
    chosen = default_home(os.environ.get("WEDSYNC_ENGINE_HOME"), os.environ)
    try:
        return find_engine(Home(chosen.root))
    except EngineMissing as error:
        pytest.exit(f"the tests need PostgreSQL and pgBackRest; bin/test installs them\n{error}", 2)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An empty home."""
    made = new_home(tmp_path / "home")
    yield made
    remove_sockets(made)


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of this run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own if this_worker().alone else own.parent


@pytest.fixture(scope="session")
def template(engine: Engine, run_directory: Path) -> Home:
    """A stopped cluster with roles and database; copies of it start in a fraction of a second."""

    async def prepare(root: Path) -> None:
        server = await make_cluster(engine, new_home(root), small_config())
        await server.stop()
        remove_sockets(server.home)

    return Home(made_once(run_directory / "template", prepare))


@pytest.fixture(scope="session")
def cluster(engine: Engine, template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running cluster for all tests that leave it as they found it."""
    home = new_home(tmp_path_factory.mktemp("cluster"))
    server = Server(engine=engine, home=home, config=small_config())
    try:
        yield asyncio.run(copy_cluster(engine, template, home, server.config))
    finally:
        asyncio.run(remove_cluster(server))


@pytest.fixture
async def own_cluster(engine: Engine, template: Home, home: Home) -> AsyncIterator[Server]:
    """A running cluster for one test, which may kill, stop, damage or delete it."""
    server = Server(engine=engine, home=home, config=small_config())
    try:
        yield await copy_cluster(engine, template, home, server.config)
    finally:
        await remove_cluster(server)


@pytest.fixture(scope="session")
def protected_template(engine: Engine, run_directory: Path) -> Home:
    """A stopped home after its first run: cluster, schema, a full backup in each of two repositories."""
    return Home(made_once(run_directory / "protected", make_protected))


@pytest.fixture
async def protected(protected_template: Home, home: Home) -> AsyncIterator[Protected]:
    """A running copy of it for one test, which may kill, damage, delete and recover it."""
    async with protected_copy(protected_template, home) as own:
        yield own


@pytest.fixture
async def owner_connection(cluster: Server) -> AsyncIterator[AsyncConnection]:
    """A connection as the database's owner, inside a transaction that is rolled back."""
    target = cluster.target("wedsync_owner", cluster.config.database.name)
    async with await target.connect(autocommit=False) as connection:
        yield connection
        await connection.rollback()


@pytest.fixture
async def database(cluster: Server) -> AsyncIterator[ConnectionTarget]:
    """An empty database for one test, as its owner; a file whose tests need more has another of this name."""
    async with fresh_database(cluster) as target:
        yield target


@pytest.fixture
def small_disk(run_directory: Path) -> Iterator[Path]:
    """An empty small disk that one test at a time may fill."""
    disk = disk_of_this_run()
    with one_at_a_time(run_directory / "small-disk.lock"):
        try:
            yield disk
        finally:
            empty(disk)


@pytest.fixture(scope="session")
def two_tenants(cluster: Server) -> Iterator[TwoTenants]:
    """The whole schema with two tenants' rows in every table; leave it as you found it."""
    with held(migrated_database(cluster)) as target:
        yield asyncio.run(make_two_tenants(target))


@pytest.fixture
async def tenant_session(two_tenants: TwoTenants) -> AsyncIterator[AsyncConnection]:
    """A superuser's transaction there, in which a test becomes somebody; undone at the end."""
    async with await replace(two_tenants.target, user="postgres").connect(autocommit=False) as connection:
        yield connection
        await connection.rollback()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[S3Store]":
    """An S3 over TLS; each test takes a bucket of its own."""
    from support.regions import s3_store  # noqa: PLC0415 - libraries of two clouds

    with s3_store(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[AzureStore]":
    """An Azure Blob Storage over TLS; each test takes a container of its own."""
    from support.regions import azure_store  # noqa: PLC0415

    with azure_store(tmp_path_factory.mktemp("azure")) as store:
        yield store
