"""A worker that is killed in the middle of a REINDEX CONCURRENTLY: the next one clears up and does it again."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from support.clusters import ARCHIVE_NOWHERE, START
from support.commands import SOURCE
from support.events import eventually
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.migrations import up

WORKER = """
import asyncio, sys
from wedsync.clock import SystemClock
from wedsync.database import ConnectionTarget
from wedsync.maintenance import JobService
asyncio.run(JobService(owner=ConnectionTarget.from_dsn(sys.argv[1]), clock=SystemClock()).run())
"""


@asynccontextmanager
async def worker(target: ConnectionTarget) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker as a process of its own; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", WORKER, target.dsn(with_password=False)),
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def value(connection: AsyncConnection[TupleRow], question: str) -> object:
    row = await (await connection.execute(question)).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


@pytest.fixture
async def target(own_cluster: Server) -> ConnectionTarget:
    target = own_cluster.target("wedsync_owner", own_cluster.config.database.name)
    await up(target)
    return target


LEFTOVERS = "select count(*) from pg_index where not indisvalid"


async def test_a_job_whose_worker_was_killed_is_done_by_the_next(target: ConnectionTarget) -> None:
    """Lost: nothing: half-built indexes are dropped.
    Seen: the job `done`, in its second attempt.
    """
    async with await target.connect() as session:
        await session.execute(
            "create table public.busy (n integer primary key, note text);"
            "insert into public.busy select n, n::text from generate_series(1, 5000) n;"
            "create index busy_note on public.busy (note)"
        )
        async with await target.connect(autocommit=False) as writer:
            # an open change makes REINDEX CONCURRENTLY wait, its new indexes half-built
            await writer.execute("update public.busy set note = '' where n = 1")
            job = await value(session, "select reindex_table('busy') ->> 'job_id'")
            async with worker(target) as first:
                await eventually(lambda: value(session, LEFTOVERS), what="half-built indexes")
                first.send_signal(signal.SIGKILL)
                await first.wait()
            waits = (
                "select count(*) from pg_stat_activity where query ilike 'reindex%' and pid <> pg_backend_pid()"
            )

            async def broken_off() -> bool:
                return await value(session, waits) == 0

            await eventually(broken_off, within_s=5, what="the server notices that its client is gone")
            assert await value(session, LEFTOVERS) == 3, "one of each index, and of the TOAST table"
            assert await value(session, f"select get_job({job}) ->> 'status'") == "running"
            await writer.commit()
        async with worker(target):

            async def ended() -> bool:
                return await value(session, f"select get_job({job}) ->> 'status'") not in {"running", "queued"}

            await eventually(ended, what="the job ends")
        answer = await value(session, f"select get_job({job})")
        assert isinstance(answer, dict)
        assert answer["status"] == "done", answer
        assert answer["attempts"] == 2
        assert answer["result"]["leftovers_dropped"] == 3
        assert await value(session, LEFTOVERS) == 0
        names = "select indexrelid::regclass::text from pg_index where indrelid = 'busy'::regclass"
        rows = await (await session.execute(names)).fetchall()
        assert {row[0] for row in rows} == {"busy_note", "busy_pkey"}


async def test_a_job_is_not_taken_while_its_worker_lives(target: ConnectionTarget) -> None:
    """Lost: nothing.
    Seen: one attempt.
    """
    async with await target.connect() as session, await target.connect(autocommit=False) as blocker:
        await blocker.execute("lock table public.guests in share update exclusive mode")
        job = await value(session, "select vacuum_analyze_table('guests') ->> 'job_id'")
        begun = f"select (get_job({job}) ->> 'attempts')::int"
        async with worker(target), worker(target):
            await eventually(lambda: value(session, begun), what="one of them begins")
            other = await value(session, "select vacuum_analyze_table('couples') ->> 'job_id'")

            async def other_is_done() -> bool:
                return await value(session, f"select get_job({other}) ->> 'status'") == "done"

            await eventually(other_is_done, what="the other worker takes the next job")
            assert await value(session, begun) == 1
            await blocker.rollback()

            async def done() -> bool:
                return await value(session, f"select get_job({job}) ->> 'status'") == "done"

            await eventually(done)
            assert await value(session, begun) == 1


async def test_a_job_goes_on_after_the_server_was_killed(target: ConnectionTarget, own_cluster: Server) -> None:
    """Lost: nothing.
    Seen: the job `done`, in its second attempt.
    """
    async with worker(target) as process:
        session, blocker = await target.connect(), await target.connect(autocommit=False)
        await blocker.execute("lock table public.guests in share update exclusive mode")
        job = await value(session, "select vacuum_analyze_table('guests') ->> 'job_id'")
        await eventually(lambda: value(session, f"select (get_job({job}) ->> 'attempts')::int"))
        await own_cluster.stop("immediate")
        await asyncio.gather(session.close(), blocker.close())
        await own_cluster.start(archive_command=ARCHIVE_NOWHERE, deadline=START)
        async with await target.connect() as session:

            async def done() -> bool:
                return await value(session, f"select get_job({job}) ->> 'status'") == "done"

            await eventually(done, what="the same worker takes it again")
            assert await value(session, f"select (get_job({job}) ->> 'attempts')::int") == 2
        assert process.returncode is None
