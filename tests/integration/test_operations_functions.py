"""The specification's SQL functions for administrators: names, keys, numbers, who may call them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.sql import SQL, Identifier

from support.databases import fresh_database, migrated_database
from support.workers import held
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.migrations import up

ANSWERS = {
    "get_connection_stats()": {"active_connections", "idle_connections", "max_connections", "total_connections"},
    "get_performance_stats()": {
        "avg_query_time",
        "slow_queries_count",
        "queries_per_second",
        "cache_hit_ratio",
    },
    "get_database_size()": {"size_bytes", "size_mb", "growth_rate_mb_per_day"},
    "get_last_backup_time()": {"last_backup"},
    "analyze_table('guests')": {"table_analyzed", "timestamp", "status"},
    "vacuum_analyze_table('guests')": {"table_vacuumed", "timestamp", "status", "job_id"},
    "update_table_statistics()": {"timestamp", "status", "job_id"},
    "reindex_table('guests')": {"timestamp", "status", "job_id"},
    "execute_migration('select 1', 'nothing')": {"id", "name", "status", "checksum"},
}
"""Functions that answer with one object, and the keys that others rely on (shared with docs/reference)."""
ROWS = {
    "get_table_sizes()": {"table_name", "size_mb", "row_count"},
    "get_slow_queries()": {"query", "calls", "avg_time_ms", "parameters"},
    "get_index_usage()": {"index_name", "table_name", "scans", "tuples_read", "tuples_fetched"},
    "get_unused_indexes()": {"index_name", "table_name", "size_mb", "stats_since"},
}
"""Functions that answer with rows, and their columns."""


@pytest.fixture(scope="module")
def database(cluster: Server) -> Iterator[ConnectionTarget]:
    """The schema, shared by the tests of this file: what they commit must not matter to another one."""
    with held(migrated_database(cluster)) as target:
        yield target


@pytest.fixture
async def service(database: ConnectionTarget) -> AsyncIterator[AsyncConnection[DictRow]]:
    """A session as the gateway's for an administrator; each statement commits."""
    async with await replace(database, user="postgres").connect() as connection:
        await connection.execute("set session authorization wedsync_gateway")
        await connection.execute("set role service_role")
        connection.row_factory = dict_row  # type: ignore[assignment]
        yield connection  # type: ignore[misc]


async def ask(connection: AsyncConnection[Any], call: str, *values: object) -> Any:
    """The object that a function answers with."""
    row = await (await connection.execute(f"select {call} as answer", values)).fetchone()
    assert row is not None
    return row["answer"]


async def ask_rows(connection: AsyncConnection[Any], call: str) -> list[DictRow]:
    return await (await connection.execute(f"select * from {call}")).fetchall()


@pytest.mark.parametrize("call", ANSWERS)
async def test_answers_have_the_keys_of_the_specification(service: AsyncConnection[DictRow], call: str) -> None:
    answer = await ask(service, call)
    assert ANSWERS[call] <= set(answer)


@pytest.mark.parametrize("call", ROWS)
async def test_rows_have_the_columns_of_the_specification(service: AsyncConnection[DictRow], call: str) -> None:
    cursor = await service.execute(f"select * from {call}")
    assert ROWS[call] <= {column.name for column in cursor.description or ()}


async def test_only_administrators_call_what_is_theirs(database: ConnectionTarget) -> None:
    async with await replace(database, user="postgres").connect() as connection:
        rows = await (
            await connection.execute(
                "select p.oid::regprocedure::text, n.nspname, p.prosecdef, p.proconfig,"
                "       has_function_privilege('anon', p.oid, 'execute'),"
                "       has_function_privilege('authenticated', p.oid, 'execute'),"
                "       has_function_privilege('service_role', p.oid, 'execute')"
                "  from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
                " where n.nspname in ('public', 'ops') and p.prorettype <> 'trigger'::regtype"
                "   and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')"
            )
        ).fetchall()
    assert {name.partition("(")[0] for name, schema, *_ in rows if schema == "public"} >= {
        call.partition("(")[0] for call in ANSWERS | ROWS
    }
    for name, schema, definer, settings, anonymous, signed_in, administrator in rows:
        assert 'search_path=""' in (settings or []), name
        assert not anonymous, name
        if schema == "ops":
            assert not definer and not signed_in and not administrator, f"{name}: internal"
        else:
            assert administrator, name
            assert not (definer and signed_in), f"{name}: runs with the owner's rights for anybody"


async def test_a_signed_in_user_is_refused(database: ConnectionTarget) -> None:
    for role in ("anon", "authenticated"):
        async with await replace(database, user="postgres").connect() as connection:
            await connection.execute(SQL("set role {}").format(Identifier(role)))
            for call in [*ANSWERS, *ROWS]:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await connection.execute(f"select * from {call}")
            for table in ("system_health_log", "backup_verification_log", "maintenance_log"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await connection.execute(f"select * from {table}")


async def test_connections_are_counted(service: AsyncConnection[DictRow], database: ConnectionTarget) -> None:
    before = await ask(service, "get_connection_stats()")
    async with await database.connect(), await database.connect():
        after = await ask(service, "get_connection_stats()")
    assert after["total_connections"] - before["total_connections"] == 2
    assert after["active_connections"] >= 1
    assert after["idle_connections"] - before["idle_connections"] == 2
    parts = ("active_connections", "idle_connections", "idle_in_transaction")
    assert sum(after[part] for part in parts) == after["total_connections"]
    row = await (await service.execute("show max_connections")).fetchone()
    assert after["max_connections"] == int(row["max_connections"])  # type: ignore[index]


async def test_queries_per_second_is_the_rate_between_two_samples(cluster: Server) -> None:
    async with migrated_database(cluster) as target, await as_rows(target) as connection:
        first = await ask(connection, "get_performance_stats()")
        assert first["queries_per_second"] is None
        assert "one sample" in first["issues"][0]
        # the sample that was kept is moved into the past: 100 s ago the counters stood 500 calls lower
        await connection.execute(
            "update ops.samples"
            "   set at = at - interval '100 seconds', calls = calls - 500, exec_ms = exec_ms - 1000"
        )
        for _ in range(20):
            await connection.execute("select 1")
        second = await ask(connection, "get_performance_stats()")
        assert second["issues"] == []
        calls = second["queries_per_second"] * second["interval_seconds"]
        assert 100 <= second["interval_seconds"] < 130
        assert 520 <= calls < 535, second
        # 1,000 ms for 500 calls, and next to nothing for the rest
        assert 1.8 < second["avg_query_time"] < 2.5


async def as_rows(target: ConnectionTarget) -> AsyncConnection[DictRow]:
    connection = await target.connect()
    connection.row_factory = dict_row  # type: ignore[assignment]
    return connection  # type: ignore[return-value]


async def test_without_statement_statistics_the_answer_says_so(cluster: Server) -> None:
    async with fresh_database(cluster) as target:
        async with await replace(target, user="postgres").connect() as superuser:
            await superuser.execute("drop extension pg_stat_statements")
        await up(target)
        async with await as_rows(target) as connection:
            answer = await ask(connection, "get_performance_stats()")
            assert answer["slow_queries_count"] is None
            assert answer["queries_per_second"] is None
            assert "pg_stat_statements is not installed" in answer["issues"][0]
            assert answer["cache_hit_ratio"] > 0
            assert await ask_rows(connection, "get_slow_queries(0)") == []


async def test_slow_queries_show_no_value(service: AsyncConnection[DictRow], database: ConnectionTarget) -> None:
    secret = f"s3cret-{uuid4().hex}"
    async with await replace(database, user="postgres").connect() as connection:
        await connection.execute("select set_config('app.note', 'x', false), pg_sleep(1.05) -- 4711")
        await connection.execute(f"create role spec_{uuid4().hex[:8]} password '{secret}' connection limit 4711")
        await connection.execute(f"do $body$ begin perform '{secret}'; end $body$")
    rows = await ask_rows(service, "get_slow_queries(0, 1000)")
    shown = " ".join(row["query"] for row in rows)
    assert "s3cret" not in shown
    assert "4711" not in shown
    assert "create role" in shown
    slow = [row for row in await ask_rows(service, "get_slow_queries()") if "pg_sleep" in row["query"]]
    assert slow[0]["query"] == "select set_config($1, $2, $3), pg_sleep($4)"
    assert slow[0]["parameters"] == 4
    assert slow[0]["avg_time_ms"] > 1000
    assert (await ask(service, "get_performance_stats()"))["slow_queries_count"] == len(
        await ask_rows(service, "get_slow_queries()")
    )


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("select * from guests where email = 'a@b.example' and x = 1", "select * from guests where email = …"),
        ("select $1, $2 from t2 where a = 17 /* user 4 */ limit 5", "select $1, $2 from t2 where a = ? limit ?"),
        ("do $fn$ select 'x' $fn$", "do …"),
        ("select 1.5 /* a */ + n /* b */", "select ? + n"),
        ("select E'it\\'s' || secret", "select E…"),
        ("select " + "a, " * 500, ("select " + "a, " * 500)[:300]),
    ],
)
async def test_what_is_shown_of_a_query(database: ConnectionTarget, query: str, shown: str) -> None:
    async with await database.connect() as connection:
        row = await (await connection.execute("select ops.shown_query(%s)", (query,))).fetchone()
    assert row == (shown,)


async def test_table_sizes_and_rows_are_right(
    service: AsyncConnection[DictRow], database: ConnectionTarget
) -> None:
    async with await database.connect() as connection:
        await connection.execute(
            "create table public.parts (n integer) partition by range (n);"
            "create table public.parts_low partition of public.parts for values from (0) to (100);"
            "create table public.parts_high partition of public.parts for values from (100) to (1000);"
            "insert into public.parts select generate_series(0, 399);"
            "delete from public.parts where n < 50;"
            "analyze public.parts, public.parts_low, public.parts_high"
        )
        wanted = await (
            await connection.execute(
                "select (pg_total_relation_size('public.parts_low') + pg_total_relation_size('public.parts_high'))"
                " / 1048576.0"
            )
        ).fetchone()
    try:
        found = {row["table_name"]: row for row in await ask_rows(service, "get_table_sizes()")}
        assert found["parts"]["row_count"] == 350
        assert float(found["parts"]["size_mb"]) == pytest.approx(float(wanted[0]), abs=0.001)  # type: ignore[index]
        assert "parts_low" not in found
        assert {"guests", "ops.jobs"} <= set(found)
    finally:
        async with await database.connect() as connection:
            await connection.execute("drop table public.parts")


async def test_unused_indexes_are_found_and_what_holds_up_constraints_is_not_among_them(
    service: AsyncConnection[DictRow], database: ConnectionTarget
) -> None:
    async with await database.connect() as connection:
        await connection.execute(
            "create table public.parents (a integer, b integer, primary key (a, b));"
            "create table public.things (n integer primary key, m integer unique, a integer, b integer, note text,"
            "  exclude using btree (note with =), foreign key (a, b) references public.parents);"
            "create index things_nobody_asks on public.things (m, note);"
            "create index things_of_parent on public.things (b, a, n)"
        )
    try:
        rows = {row["index_name"]: row for row in await ask_rows(service, "get_unused_indexes()")}
        of_things = {name for name, row in rows.items() if row["table_name"] in {"things", "parents"}}
        assert of_things == {"things_nobody_asks", "things_of_parent"}
        assert rows["things_of_parent"]["serves_foreign_key"] is True
        assert rows["things_nobody_asks"]["serves_foreign_key"] is False
        async with await database.connect() as connection:
            await connection.execute("set enable_seqscan = off")
            await connection.execute("select from public.things where m = 1 and note = 'x'")
            await connection.execute("select pg_stat_force_next_flush()")
            await connection.execute("select from public.things where b = 1 and a = 1")
        left = {row["index_name"] for row in await ask_rows(service, "get_unused_indexes()")}
        assert not of_things & left
        used = {row["index_name"]: row["scans"] for row in await ask_rows(service, "get_index_usage()")}
        assert used["things_of_parent"] == 1
    finally:
        async with await database.connect() as connection:
            await connection.execute("drop table public.things, public.parents")


async def test_analyze_renews_statistics_at_once(
    service: AsyncConnection[DictRow], database: ConnectionTarget
) -> None:
    async with await database.connect() as connection:
        await connection.execute("create table public.stale as select generate_series(1, 1000) as n")
        answer = await ask(service, "analyze_table('stale')")
        row = await (
            await connection.execute("select reltuples from pg_class where oid = 'public.stale'::regclass")
        ).fetchone()
        assert answer["status"] == "completed"
        assert answer["table_analyzed"] == "stale"
        assert row == (1000.0,)
        # somebody holds the table: the answer says so, and comes soon
        await connection.set_autocommit(False)
        await connection.execute("lock table public.stale in share update exclusive mode")
        assert (await ask(service, "analyze_table('public.stale')"))["status"] == "busy"
        await connection.rollback()
        await connection.set_autocommit(True)
        logged = await ask_rows(service, "public.maintenance_log where subject = 'public.stale' order by id")
        assert [(row["operation"], row["status"]) for row in logged] == [
            ("analyze", "completed"),
            ("analyze", "busy"),
        ]
        assert logged[0]["requested_by"] == "service_role through wedsync_gateway"
        await connection.execute("drop table public.stale")


NOT_OURS = (
    "guests; drop table guests",
    'guests"; drop table guests; --',
    "pg_catalog.pg_class",
    "information_schema.tables",
    "wedsync.public.guests",
    "no_such_table",
    "guests_pkey",
    "maintenance_log",  # a view
    "guests --",
    "public.guests, public.couples",
    "",
    "GUESTS'",
)


@pytest.mark.parametrize("name", NOT_OURS)
@pytest.mark.parametrize("function", ["analyze_table", "vacuum_analyze_table", "reindex_table"])
async def test_a_name_that_is_no_table_of_ours_is_refused(
    service: AsyncConnection[DictRow], function: str, name: str
) -> None:
    with pytest.raises((psycopg.errors.UndefinedTable, psycopg.errors.InvalidParameterValue)):
        await ask(service, f"{function}(%s)", name)


async def test_a_table_with_an_evil_name_is_maintained_and_nothing_else(
    service: AsyncConnection[DictRow], database: ConnectionTarget
) -> None:
    evil = 'x"; drop table couples; --'
    async with await database.connect() as connection:
        await connection.execute(SQL("create table public.{} (n int)").format(Identifier(evil)))
        quoted = Identifier(evil).as_string(connection)
        assert (await ask(service, "analyze_table(%s)", quoted))["status"] == "completed"
        job = await ask(service, "vacuum_analyze_table(%s)", quoted)
        assert (await ask(service, "get_job(%s)", job["job_id"]))["target"] == f"public.{quoted}"
        await connection.execute(SQL("drop table public.{}").format(Identifier(evil)))
        assert await (await connection.execute("select to_regclass('public.couples')::text")).fetchone()


async def test_the_same_work_waits_once(service: AsyncConnection[DictRow], database: ConnectionTarget) -> None:
    async with await database.connect() as connection:
        await connection.execute("delete from ops.jobs where true")
    first = await ask(service, "vacuum_analyze_table('guests')")
    second = await ask(service, "vacuum_analyze_table('public.guests')")
    other = await ask(service, "reindex_table('guests')")
    assert first["status"] == second["status"] == "queued"
    assert first["job_id"] == second["job_id"] != other["job_id"]
    async with await database.connect() as connection:
        await connection.execute("update ops.jobs set state = 'running' where id = %s", (first["job_id"],))
    third = await ask(service, "vacuum_analyze_table('guests')")
    assert third["job_id"] != first["job_id"], "one that runs may have passed what changed since"
    logged = await ask_rows(service, f"public.maintenance_log where job_id = {first['job_id']} order by id")
    assert [row["status"] for row in logged] == ["queued", "waits already"]


async def test_ten_callers_at_once_queue_one_job(database: ConnectionTarget) -> None:
    async def call() -> int:
        async with await database.connect() as connection:
            row = await (
                await connection.execute("select vacuum_analyze_table('couples') ->> 'job_id'")
            ).fetchone()
            assert row is not None
            return int(row[0])

    assert len(set(await asyncio.gather(*(call() for _ in range(10))))) == 1


async def test_a_migration_is_queued_with_the_checksum_of_its_file(service: AsyncConnection[DictRow]) -> None:
    text = "create table public.seats (\r\n  n integer\r\n);"
    answer = await ask(service, "execute_migration(%s, 'add_seats')", text)
    wanted = hashlib.sha256(b"create table public.seats (\n  n integer\n);\n").hexdigest()
    assert (answer["name"], answer["status"], answer["checksum"]) == ("add_seats", "queued", wanted)
    again = await ask(service, "execute_migration(%s, 'add_seats')", text.replace("\r", "") + "\n")
    assert again["id"] == answer["id"]
    assert (await ask(service, "get_job(%s)", answer["id"]))["status"] == "queued"
    for sql, name in (("select 1", "Add seats"), ("select 1", "a'; --"), (" \n", "nothing"), (None, "nothing")):
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            await ask(service, "execute_migration(%s, %s)", sql, name)


async def test_an_unknown_job_is_an_error(service: AsyncConnection[DictRow]) -> None:
    with pytest.raises(psycopg.Error, match="no job 4711") as caught:
        await ask(service, "get_job(4711)")
    assert caught.value.sqlstate == "PT404"


async def test_growth_is_of_the_samples(cluster: Server) -> None:
    async with migrated_database(cluster) as target, await as_rows(target) as connection:
        young = await ask(connection, "get_database_size()")
        assert young["growth_rate_mb_per_day"] is None
        assert "a day of samples" in young["issues"][0]
        await ask(connection, "get_performance_stats()")
        await connection.execute(
            "update ops.samples set at = now() - interval '4 days',"
            " database_bytes = pg_database_size(current_database()) - 20 * 1048576"
        )
        grown = await ask(connection, "get_database_size()")
        assert grown["growth_rate_mb_per_day"] == pytest.approx(5.0, abs=0.01)
        assert grown["issues"] == []


async def test_samples_are_kept_while_rows_change_and_thinned_out(cluster: Server) -> None:
    async with migrated_database(cluster) as target, await as_rows(target) as connection:
        await ask(connection, "pg_stat_force_next_flush()")
        taken = [await ask(connection, "ops.take_sample()") for _ in range(2)]
        assert taken == [True, False]
        await connection.execute("update ops.samples set at = at - interval '1 minute'")
        assert await ask(connection, "ops.take_sample()") is False, "nobody changed a row"
        await connection.execute("insert into organizations (name, slug) values ('Fern', 'fern')")
        await ask(connection, "pg_stat_force_next_flush()")
        assert await ask(connection, "ops.take_sample()") is True
        # a hundred days of samples: minutes of two days, hours of ninety
        await connection.execute(
            "delete from ops.samples where true;"
            "insert into ops.samples select at, now(), null, 0, 0, 0, 0, n, 0"
            "  from generate_series(date_trunc('hour', now()) - interval '100 days',"
            "                       date_trunc('hour', now()) - interval '1 minute', interval '10 minutes')"
            "       with ordinality s(at, n)"
        )
        assert await ask(connection, "ops.take_sample()") is True
        kept = await ask(
            connection,
            "array(select count(*) from ops.samples group by at > now() - interval '2 days' order by 1)",
        )
        assert kept[0] in range(2 * 24 * 6 - 7, 2 * 24 * 6 + 3), kept
        assert kept[1] in range(88 * 24 - 2, 88 * 24 + 3), kept
