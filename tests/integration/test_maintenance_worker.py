"""The keeper's worker against a real server: what is queued is done, and what is in the way is said."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from support.databases import fresh_database, migrated_database
from support.events import eventually
from wedsync.clock import SystemClock
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationsRefused
from wedsync.maintenance import JobService, JobState, Outcome, RoutineService


@pytest.fixture
async def database(cluster: Server) -> AsyncIterator[ConnectionTarget]:
    async with migrated_database(cluster) as target:
        yield target


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A caller's session, and a worker with its own."""

    database: ConnectionTarget
    caller: AsyncConnection[Any]
    worker: AsyncConnection[Any]
    service: JobService

    async def ask(self, call: str, *values: object) -> Any:
        row = await (await self.caller.execute(f"select {call} as answer", values)).fetchone()
        assert row is not None
        return row["answer"]

    async def job(self, answer: Mapping[str, Any]) -> Any:
        return await self.ask("get_job(%s)", answer.get("job_id", answer.get("id")))

    async def work(self) -> Outcome | None:
        return await self.service.step(self.worker)


@pytest.fixture
async def bench(database: ConnectionTarget) -> AsyncIterator[Bench]:
    async with await database.connect() as caller, await database.connect() as worker:
        caller.row_factory = dict_row  # type: ignore[assignment]
        service = JobService(owner=database, clock=SystemClock())
        assert await service.is_ours(worker)
        yield Bench(database=database, caller=caller, worker=worker, service=service)


async def test_vacuum_runs_and_its_end_is_on_record(bench: Bench) -> None:
    await bench.caller.execute("create table public.dead as select generate_series(1, 1000) as n")
    await bench.caller.execute("delete from public.dead where n > 10")
    asked = await bench.ask("vacuum_analyze_table('dead')")
    outcome = await bench.work()
    assert outcome is not None
    assert outcome.state is JobState.DONE, outcome
    job = await bench.job(asked)
    assert (job["status"], job["kind"], job["target"], job["attempts"]) == ("done", "vacuum", "public.dead", 1)
    assert job["result"]["took_s"] >= 0
    assert "warnings" not in job["result"]
    row = await (
        await bench.caller.execute("select reltuples::int from pg_class where relname = 'dead'")
    ).fetchone()
    assert row == {"reltuples": 10}
    logged = await (
        await bench.caller.execute(
            "select status from maintenance_log where job_id = %s order by id", (job["id"],)
        )
    ).fetchall()
    assert [line["status"] for line in logged] == ["queued", "done"]
    assert await bench.work() is None, "the queue is empty"


async def test_statistics_of_all_tables_are_renewed(bench: Bench) -> None:
    await bench.caller.execute("create table public.stale as select generate_series(1, 500) as n")
    asked = await bench.ask("update_table_statistics()")
    assert (await bench.work()) == Outcome(state=JobState.DONE, result=(await bench.job(asked))["result"])
    row = await (
        await bench.caller.execute("select reltuples::int from pg_class where relname = 'stale'")
    ).fetchone()
    assert row == {"reltuples": 500}
    assert "warnings" not in (await bench.job(asked))["result"]


async def test_reindex_rebuilds_and_clears_what_was_broken_off(bench: Bench) -> None:
    await bench.caller.execute("create table public.twice (n integer, note text)")
    await bench.caller.execute("insert into public.twice select n, n::text from generate_series(1, 100) n")
    await bench.caller.execute("create index twice_n on public.twice (n)")
    # an index that failed to build stays behind invalid, and so does one of a REINDEX that was broken off
    for name in ("twice_note", "twice_n_ccnew"):
        await bench.caller.execute(f"create index {name} on public.twice (note)")
        async with await replace(bench.database, user="postgres").connect() as connection:
            await connection.execute(
                f"update pg_index set indisvalid = false where indexrelid = 'public.{name}'::regclass"
            )
    before = await bench.ask("pg_relation_filenode('public.twice_n')")
    asked = await bench.ask("reindex_table('twice')")
    outcome = await bench.work()
    assert outcome is not None
    assert outcome.state is JobState.DONE, outcome
    result = (await bench.job(asked))["result"]
    assert (result["leftovers_dropped"], result["invalid_rebuilt"]) == (1, 1)
    assert await bench.ask("pg_relation_filenode('public.twice_n')") != before
    rows = await (
        await bench.caller.execute(
            "select indexrelid::regclass::text as name, indisvalid as valid from pg_index"
            " where indrelid = 'public.twice'::regclass order by 1"
        )
    ).fetchall()
    assert rows == [{"name": "twice_n", "valid": True}, {"name": "twice_note", "valid": True}]


async def test_a_table_that_is_locked_puts_the_job_off(bench: Bench, database: ConnectionTarget) -> None:
    asked = await bench.ask("vacuum_analyze_table('guests')")
    await bench.worker.execute("set lock_timeout = '100ms'")
    async with await database.connect(autocommit=False) as other:
        await other.execute("lock table public.guests in share update exclusive mode")
        outcome = await bench.work()
    assert outcome is not None
    assert outcome.state is JobState.QUEUED
    job = await bench.job(asked)
    assert job["status"] == "queued"
    assert "lock timeout" in job["error"]
    assert datetime.fromisoformat(job["not_before"]) > datetime.now(UTC) + timedelta(seconds=20)
    assert await bench.work() is None, "it is not due"
    await bench.caller.execute("update ops.jobs set not_before = now() where true")
    again = await bench.work()
    assert again is not None
    assert again.state is JobState.DONE
    assert (await bench.job(asked))["attempts"] == 2


async def test_a_job_put_off_is_not_queued_beside_an_identical_one(
    bench: Bench, database: ConnectionTarget
) -> None:
    first = await bench.ask("vacuum_analyze_table('guests')")
    await bench.worker.execute("set lock_timeout = '1s'")
    async with await database.connect(autocommit=False) as other:
        await other.execute("lock table public.guests in share update exclusive mode")
        working = asyncio.create_task(bench.work())

        async def begun() -> bool:
            return (await bench.job(first))["status"] == "running"

        await eventually(begun)
        second = await bench.ask("vacuum_analyze_table('guests')")
        outcome = await working
    assert second["job_id"] != first["job_id"]
    assert outcome is not None
    assert outcome.state is JobState.FAILED
    assert "identical job waits" in (await bench.job(first))["error"]
    assert (await bench.job(second))["status"] == "queued"


async def test_a_table_that_is_gone_fails_its_job(bench: Bench) -> None:
    await bench.caller.execute("create table public.short_lived (n integer)")
    asked = await bench.ask("reindex_table('short_lived')")
    await bench.caller.execute("drop table public.short_lived")
    outcome = await bench.work()
    assert outcome is not None
    assert outcome.state is JobState.FAILED
    job = await bench.job(asked)
    assert job["status"] == "failed"
    assert "short_lived" in job["error"]
    assert job["finished_at"] is not None


async def test_two_workers_do_each_job_once(bench: Bench, database: ConnectionTarget) -> None:
    tables = ["guests", "couples", "households", "photo_groups", "messages", "suppliers"]
    for table in tables:
        await bench.ask(f"vacuum_analyze_table('{table}')")

    async def work_all(connection: AsyncConnection[Any]) -> int:
        done = 0
        while await bench.service.step(connection) is not None:
            done += 1
        return done

    async with await database.connect() as second:
        await bench.service.is_ours(second)
        counts = await asyncio.gather(work_all(bench.worker), work_all(second))
    assert sum(counts) == len(tables)
    row = await (await bench.caller.execute("select array_agg(distinct attempts) as n from ops.jobs")).fetchone()
    assert row == {"n": [1]}


async def test_migrations_wait_for_a_worker_that_runs_them(bench: Bench, database: ConnectionTarget) -> None:
    asked = await bench.ask("execute_migration('create table public.seats (n integer)', 'add_seats')")
    assert await bench.work() is None
    calls: list[tuple[str, str, str]] = []

    async def migrate(*, sql: str, name: str, by: str) -> Mapping[str, object]:
        calls.append((sql, name, by))
        if len(calls) == 2:
            raise MigrationsRefused("no changes on a Saturday", hint="wait")
        return {"id": "0099_add_seats"}

    able = JobService(owner=database, clock=SystemClock(), migrate=migrate)
    done = await able.step(bench.worker)
    assert done is not None
    assert done.state is JobState.DONE
    assert calls == [("create table public.seats (n integer)\n", "add_seats", "wedsync_owner")]
    assert (await bench.job(asked))["result"]["id"] == "0099_add_seats"
    refused = await bench.ask("execute_migration('create table public.chairs (n integer)', 'add_chairs')")
    assert (await able.step(bench.worker)) == Outcome(state=JobState.REFUSED, error="no changes on a Saturday")
    assert (await bench.job(refused))["status"] == "refused"


async def test_a_job_that_nobody_thought_of_fails_alone(bench: Bench, database: ConnectionTarget) -> None:
    """Whatever it raises, the keeper that also takes the backups goes on."""

    async def migrate(*, sql: str, name: str, by: str) -> Mapping[str, object]:
        raise RecursionError(f"{name} of {by} is too deep: {len(sql)}")

    job = await bench.ask("execute_migration('select 1', 'too_deep')")
    outcome = await JobService(owner=database, clock=SystemClock(), migrate=migrate).step(bench.worker)
    assert outcome is not None
    assert outcome.state is JobState.FAILED
    assert (await bench.job(job))["error"].startswith("RecursionError: too_deep")


async def test_a_database_without_the_schema_is_left_alone(cluster: Server) -> None:
    async with fresh_database(cluster) as target, await target.connect() as connection:
        assert not await JobService(owner=target, clock=SystemClock()).is_ours(connection)
        assert await RoutineService(owner=target, clock=SystemClock()).routines(connection) == []


async def test_routines_are_called_and_one_that_fails_stops_no_other(database: ConnectionTarget) -> None:
    service = RoutineService(owner=database, clock=SystemClock())
    async with await database.connect() as connection:
        await connection.execute(
            "create function ops.a_broken_one() returns void language plpgsql as $$ begin perform 1/0; end $$;"
            "insert into ops.routines values ('a_broken_one', '1 second'), ('no_such_one', '1 second')"
        )
        routines = await service.routines(connection)
        assert "take_sample" in {routine.name for routine in routines}
        assert set(await service.step(connection, routines)) == {routine.name for routine in routines}
        row = await (await connection.execute("select count(*) from ops.samples")).fetchone()
        assert row == (1,)
        assert "take_sample" not in await service.step(connection, routines), "it was called just now"
