"""The Python client against a real PostgreSQL: as whom statements run, what is kept, what is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from support.clusters import role_passwords
from support.isolation import TwoTenants
from wedsync.client import (
    ClientSettings,
    ConnectionHeld,
    Database,
    Isolation,
    Retries,
    SlowStatement,
    Transaction,
    connect,
)
from wedsync.cluster import Server
from wedsync.errors import CannotConnect, PoolClosed, PoolTimeout, TransactionUndone, UsageProblem

SMALL = ClientSettings(min_connections=1, max_connections=4, acquire_timeout=timedelta(seconds=30))


def gateway_dsn(cluster: Server, dbname: str) -> str:
    """The database as the role that may do nothing but become others."""
    password = role_passwords(cluster.home)["wedsync_gateway"]
    return cluster.tcp_target("wedsync_gateway", password, dbname).dsn(with_password=True)


@asynccontextmanager
async def database_of(tenants: TwoTenants, cluster: Server, **settings: object) -> AsyncIterator[Database]:
    chosen = ClientSettings(
        **{"min_connections": 1, "max_connections": 4, "acquire_timeout": timedelta(seconds=30), **settings}  # type: ignore[arg-type]
    )
    async with connect(gateway_dsn(cluster, tenants.target.dbname), settings=chosen) as db:
        yield db


@pytest.fixture
async def db(two_tenants: TwoTenants, cluster: Server) -> AsyncIterator[Database]:
    async with database_of(two_tenants, cluster) as made:
        yield made


@dataclass(frozen=True)
class Couple:
    """A row as a class."""

    id: UUID
    organization_id: UUID


def claims_of(tenants: TwoTenants, person: str) -> dict[str, object]:
    return {"sub": tenants.ours.people[person]}


async def test_each_sees_what_row_level_security_shows(db: Database, two_tenants: TwoTenants) -> None:
    partner = db.as_user(claims_of(two_tenants, "partner"))
    seen = await partner.fetch("select id from couples")
    assert [str(row["id"]) for row in seen] == [two_tenants.ours.couple]
    everything = await db.as_service().fetch("select id from couples")
    assert {two_tenants.ours.couple, two_tenants.theirs.couple} <= {str(row["id"]) for row in everything}
    assert await db.as_user(claims_of(two_tenants, "spare")).fetch("select id from couples") == []
    async with partner.transaction() as tx:
        assert len(await tx.fetch("select id from couples")) == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await db.fetch("select id from couples")  # the login role by itself may do nothing


async def test_nothing_of_a_user_stays_on_a_connection(two_tenants: TwoTenants, cluster: Server) -> None:
    question = "select current_user as who, coalesce(current_setting('request.jwt.claims', true), '') as claims"
    async with database_of(two_tenants, cluster, max_connections=1) as db:
        partner = db.as_user(claims_of(two_tenants, "partner"))
        for _ in range(8):  # more often than it takes until psycopg prepares
            assert (await partner.fetch_one(question) or {})["who"] == "authenticated"
            assert await db.fetch_one(question) == {"who": "wedsync_gateway", "claims": ""}
            assert (await db.as_service().fetch_one(question) or {})["who"] == "service_role"
        with pytest.raises(psycopg.errors.DivisionByZero):
            await partner.fetch("select 1/0")
        assert await db.fetch_one(question) == {"who": "wedsync_gateway", "claims": ""}


async def test_a_role_that_the_login_may_not_take_is_refused(db: Database) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await db.as_user({"sub": "x", "role": "wedsync_owner"}).fetch("select 1")


async def test_rows_come_as_dictionaries_or_classes(db: Database, two_tenants: TwoTenants) -> None:
    service, ours = db.as_service(), two_tenants.ours
    found = await service.fetch(
        "select id, organization_id from couples where id = %s", (ours.couple,), into=Couple
    )
    assert found == [Couple(id=UUID(ours.couple), organization_id=UUID(ours.organization))]
    assert await service.fetch_one("select id from couples where false") is None
    assert await service.fetch_one("select %(a)s::int as a", {"a": 7}) == {"a": 7}


async def test_a_transaction_is_kept_whole_or_not_at_all(db: Database, two_tenants: TwoTenants) -> None:
    service, couple = db.as_service(), two_tenants.ours.couple
    before = await service.fetch_one("select venue_name from couples where id = %s", (couple,))
    with pytest.raises(RuntimeError):
        async with service.transaction() as tx:
            assert await tx.execute("update couples set venue_name = 'undone' where id = %s", (couple,)) == 1
            raise RuntimeError
    assert await service.fetch_one("select venue_name from couples where id = %s", (couple,)) == before
    async with service.transaction() as tx:
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with tx.savepoint():
                await tx.execute("update couples set venue_name = 'undone' where id = %s", (couple,))
                await tx.fetch("select 1/0")
        assert await tx.fetch_one("select venue_name from couples where id = %s", (couple,)) == before
    with pytest.raises(UsageProblem):
        await tx.fetch("select 1")


async def test_a_failure_that_was_swallowed_is_not_taken_for_a_commit(db: Database) -> None:
    with pytest.raises(TransactionUndone):
        async with db.transaction() as tx:
            with pytest.raises(psycopg.errors.DivisionByZero):
                await tx.fetch("select 1/0")


async def test_what_only_reads_cannot_write(db: Database, two_tenants: TwoTenants) -> None:
    reader = db.as_service(read_only=True)
    assert await reader.fetch("select 1 as a") == [{"a": 1}]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await reader.execute("update couples set venue_name = venue_name")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        async with reader.transaction() as tx:
            await tx.execute("update couples set venue_name = venue_name")


async def test_clashes_of_serializable_transactions_are_run_again(db: Database, two_tenants: TwoTenants) -> None:
    service, couple = db.as_service(), two_tenants.ours.couple
    await service.execute("update couples set venue_name = '0' where id = %s", (couple,))
    calls = 0

    async def add_one(tx: Transaction) -> None:
        nonlocal calls
        calls += 1
        row = await tx.fetch_one("select venue_name from couples where id = %s", (couple,))
        assert row is not None
        await asyncio.sleep(0.02)
        await tx.execute(
            "update couples set venue_name = %s where id = %s", (str(int(row["venue_name"]) + 1), couple)
        )

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(service.run(add_one, isolation=Isolation.SERIALIZABLE))
    assert await service.fetch_one("select venue_name from couples where id = %s", (couple,)) == {
        "venue_name": "4"
    }
    assert calls > 4


async def test_what_never_passes_is_given_up(two_tenants: TwoTenants, cluster: Server) -> None:
    retries = Retries(tries=3, first_wait=timedelta(milliseconds=1))
    calls = 0

    async def clash(tx: Transaction) -> None:
        nonlocal calls
        calls += 1
        await tx.execute("do $$ begin raise exception 'clash' using errcode = '40001'; end $$")

    async with database_of(two_tenants, cluster, retries=retries) as db:
        with pytest.raises(psycopg.errors.SerializationFailure):
            await db.run(clash)
    assert calls == 3


async def test_health_and_status_have_the_keys_of_the_specification(db: Database) -> None:
    tested = await db.test_connection()
    assert tested.success
    assert tested.latency_ms is not None
    assert tested.error is None
    health = await db.health()
    assert (health.healthy, health.error) == (True, None)
    status = db.status()
    assert (status.total_connections >= 1, status.waiting_requests, status.max_connections) == (True, 0, 4)
    async with db.transaction():
        assert db.status().idle_connections == db.status().total_connections - 1


async def test_who_waits_too_long_is_told_who_holds_the_connections(
    two_tenants: TwoTenants, cluster: Server
) -> None:
    async with database_of(
        two_tenants, cluster, max_connections=2, acquire_timeout=timedelta(milliseconds=300)
    ) as db:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(db.transaction())
            with pytest.raises(PoolTimeout) as raised:
                await db.fetch("select 1")
            assert "test_client.py" in str(raised.value)
            tested = await db.test_connection()
            assert not tested.success
        assert await db.fetch("select 1 as a") == [{"a": 1}]


async def test_a_connection_that_is_not_given_back_is_told_of(two_tenants: TwoTenants, cluster: Server) -> None:
    told: list[ConnectionHeld] = []
    heard = asyncio.Event()

    def hear(held: ConnectionHeld) -> None:
        told.append(held)
        heard.set()

    chosen = ClientSettings(min_connections=1, max_connections=2, leak_after=timedelta(milliseconds=50))
    dsn = gateway_dsn(cluster, two_tenants.target.dbname)
    async with connect(dsn, settings=chosen, on_held=hear) as db:
        async with db.transaction():
            await asyncio.wait_for(heard.wait(), 30)
        await db.fetch("select 1")
    assert len(told) == 1
    assert "test_a_connection_that_is_not_given_back_is_told_of" in told[0].place


async def test_slow_statements_are_told_of_without_values(two_tenants: TwoTenants, cluster: Server) -> None:
    told: list[SlowStatement] = []
    chosen = ClientSettings(min_connections=1, max_connections=2, slow_after=timedelta(milliseconds=50))
    dsn = gateway_dsn(cluster, two_tenants.target.dbname)
    async with connect(dsn, settings=chosen, on_slow=told.append) as db:
        await db.as_service().fetch("select pg_sleep(%s), %s::text as a, 'Ann' as b", (0.1, "secret"))
        await db.fetch("select 1")
    assert [(it.text, it.parameters, it.succeeded) for it in told] == [
        ("select pg_sleep(%s), %s::text as a, …", 2, True)
    ]
    assert told[0].took_ms >= 100


async def test_a_statement_that_takes_too_long_is_cancelled(two_tenants: TwoTenants, cluster: Server) -> None:
    async with database_of(two_tenants, cluster, statement_timeout=timedelta(milliseconds=100)) as db:
        with pytest.raises(psycopg.errors.QueryCanceled):
            await db.as_service().fetch("select pg_sleep(20)")
        assert await db.fetch("select 1 as a") == [{"a": 1}]


async def test_a_cancelled_task_leaves_a_clean_connection(two_tenants: TwoTenants, cluster: Server) -> None:
    async with database_of(two_tenants, cluster, max_connections=1) as db:
        service, couple = db.as_service(), two_tenants.ours.couple
        before = await service.fetch_one("select venue_name from couples where id = %s", (couple,))
        inside = asyncio.Event()

        async def hang() -> None:
            async with service.transaction() as tx:
                await tx.execute("update couples set venue_name = 'cancelled' where id = %s", (couple,))
                inside.set()
                await tx.fetch("select pg_sleep(60)")

        for _ in range(3):
            task = asyncio.create_task(hang())
            await inside.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            inside.clear()
            assert await service.fetch_one("select venue_name from couples where id = %s", (couple,)) == before
            assert db.status().idle_connections == db.status().total_connections


async def test_a_database_that_is_not_there_is_said_at_once(cluster: Server) -> None:
    chosen = ClientSettings(min_connections=1, connect_timeout=timedelta(seconds=1))
    with pytest.raises(CannotConnect):
        async with connect("postgresql://nobody@127.0.0.1:1/nothing", settings=chosen):
            pass


async def test_a_client_that_is_closed_says_so(two_tenants: TwoTenants, cluster: Server) -> None:
    async with database_of(two_tenants, cluster) as db:
        await db.fetch("select 1")
    with pytest.raises(PoolClosed):
        await db.fetch("select 1")
