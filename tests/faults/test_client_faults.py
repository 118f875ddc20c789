"""The Python client while the server restarts, cuts connections, or the network is away for a second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from support.clusters import role_passwords
from support.events import eventually
from wedsync.client import ClientSettings, Database, Isolation, Transaction, connect
from wedsync.cluster import Server
from wedsync.errors import BeingTakenBack, CommitUnknown, ConnectionLost

SMALL = ClientSettings(min_connections=2, max_connections=6, acquire_timeout=timedelta(seconds=60))
_CUT = (
    "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity"
    " where application_name = 'wedsync.client'"
)


@asynccontextmanager
async def client_of(server: Server) -> AsyncIterator[Database]:
    """The cluster's database as its owner."""
    password = role_passwords(server.home)["wedsync_owner"]
    dsn = server.tcp_target("wedsync_owner", password).dsn(with_password=True)
    async with connect(dsn, settings=SMALL) as db:
        await db.execute("create table marks (n integer primary key)")
        yield db


async def cut(server: Server) -> int:
    """End every connection of the client; gives how many there were."""
    async with await server.target().connect() as connection:
        row = await (await connection.execute(_CUT)).fetchone()
    assert row is not None
    return int(row[0])


async def test_idle_connections_that_were_cut_are_never_lent(own_cluster: Server) -> None:
    """Lost: nothing.
    Seen: nothing: each call is answered.
    """
    async with client_of(own_cluster) as db:
        await asyncio.gather(*[db.fetch("select pg_sleep(0.05)") for _ in range(4)])
        for number in range(3):
            assert await cut(own_cluster) >= 1
            await db.execute("insert into marks values (%s)", (number,))
        assert len(await db.fetch("select n from marks")) == 3


async def test_a_transaction_that_was_cut_is_undone_and_run_again(own_cluster: Server) -> None:
    """Lost: nothing: the transaction is whole or not there.
    Seen: `ConnectionLost` where it cannot be run again by itself.
    """
    async with client_of(own_cluster) as db:
        calls = 0

        async def work(tx: Transaction) -> int:
            nonlocal calls
            calls += 1
            await tx.execute("insert into marks values (1)")
            if calls == 1:
                await cut(own_cluster)
            await tx.execute("insert into marks values (2)")
            return calls

        assert await db.run(work) == 2
        assert [row["n"] for row in await db.fetch("select n from marks order by n")] == [1, 2]
        with pytest.raises(ConnectionLost):
            async with db.transaction() as tx:
                await tx.execute("insert into marks values (3)")
                await cut(own_cluster)
                await tx.execute("insert into marks values (4)")
        assert len(await db.fetch("select n from marks")) == 2


async def test_a_write_that_was_cut_is_not_done_twice(own_cluster: Server) -> None:
    """Lost: nothing that was acknowledged.
    Seen: `CommitUnknown`.
    """
    async with client_of(own_cluster) as db:
        write = asyncio.create_task(db.execute("insert into marks select 1 from pg_sleep(30)"))

        async def runs() -> bool:
            async with await own_cluster.target().connect() as connection:
                row = await (
                    await connection.execute(
                        "select exists (select from pg_stat_activity where query like 'insert%'"
                        " and state = 'active' and application_name = 'wedsync.client')"
                    )
                ).fetchone()
            return row is not None and bool(row[0])

        await eventually(runs, what="the insert runs")
        await cut(own_cluster)
        with pytest.raises(CommitUnknown):
            await write
        assert await db.fetch("select n from marks") == []


async def test_a_restart_of_the_server_costs_no_transaction(own_cluster: Server) -> None:
    """Lost: nothing.
    Seen: nothing: calls wait until the server is back.
    """
    async with client_of(own_cluster) as db:
        stop = asyncio.Event()
        kept: list[int] = []

        async def write(client: int) -> None:
            number = client * 1_000_000
            while not stop.is_set():
                number += 1

                async def work(tx: Transaction, number: int = number) -> None:
                    await tx.execute("insert into marks values (%s) on conflict do nothing", (number,))

                try:
                    await db.run(work)
                except CommitUnknown:
                    await db.run(work)  # it may be there: the key says so
                kept.append(number)

        async with asyncio.TaskGroup() as group:
            for client in range(3):
                group.create_task(write(client + 1))
            await eventually(lambda: len(kept) > 30, what="rows are kept")
            await own_cluster.stop("fast")
            stopped_at = len(kept)
            tested = asyncio.create_task(db.test_connection())
            await own_cluster.start(archive_command="/bin/true", deadline=timedelta(seconds=60))
            assert (await tested).success
            await eventually(lambda: len(kept) > stopped_at + 30, what="rows are kept again")
            stop.set()
        there = {row["n"] for row in await db.fetch("select n from marks")}
        assert set(kept) <= there


async def test_a_write_to_a_database_that_is_taken_back_is_refused_in_our_words(own_cluster: Server) -> None:
    """The server is in recovery and serves reads.

    Lost: nothing.
    Seen: `BeingTakenBack` (WS340) for writes, rows for reads; behind its end the same connections write.
    """
    async with client_of(own_cluster) as db:
        await db.execute("insert into marks values (1)")
        await own_cluster.stop()
        (own_cluster.home.pgdata / "standby.signal").touch()
        await own_cluster.start(archive_command="/bin/true pgbackrest", deadline=timedelta(seconds=60))
        assert await db.fetch("select n from marks") == [{"n": 1}]
        with pytest.raises(BeingTakenBack):
            await db.execute("insert into marks values (2)")
        with pytest.raises(BeingTakenBack):
            async with db.transaction() as tx:
                await tx.fetch("select n from marks")
                await tx.execute("insert into marks values (2)")
        with pytest.raises(BeingTakenBack):
            async with db.transaction(Isolation.SERIALIZABLE) as tx:
                await tx.fetch("select n from marks")
        async with await own_cluster.target().connect() as connection:
            await connection.execute("select pg_promote()")
        await db.execute("insert into marks values (2)")
        assert len(await db.fetch("select n from marks")) == 2


async def test_a_commit_whose_wait_was_cancelled_is_no_success(own_cluster: Server) -> None:
    """Commits wait for a receiver that is away, and somebody cancels the wait: PostgreSQL reports success.

    Lost: nothing here; with the machine, perhaps that commit.
    Seen: `CommitUnknown` for a statement and for a transaction; the row is there.
    """
    async with client_of(own_cluster) as db:
        await db.fetch("select 1")
        await own_cluster.wait_for("nobody")

        async def cancelled() -> bool:
            async with await own_cluster.target().connect() as connection:
                found = await connection.execute(
                    "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"
                )
                return await found.fetchone() is not None

        async def transaction() -> None:
            async with db.transaction() as tx:
                await tx.execute("insert into marks values (2)")

        async def applied() -> bool:
            async with await own_cluster.target().connect() as connection:
                row = await (await connection.execute("show synchronous_standby_names")).fetchone()
                return row is not None and row[0] == "nobody"

        await eventually(applied, what="commits wait")
        for write in (db.execute("insert into marks values (1)"), transaction()):
            writing = asyncio.ensure_future(write)
            await eventually(cancelled, what="it waits, and is cancelled")
            with pytest.raises(CommitUnknown):
                await writing
        await own_cluster.wait_for("")
        assert len(await db.fetch("select n from marks")) == 2
