"""Batches on shared connections: what they give, what they leave behind, who waits for whom."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from time import monotonic

import psycopg
import pytest
import uvloop

from support.databases import fresh_database
from support.events import eventually
from support.pipelines import SCHEMA, a_pool, gateway_login, value, work, write
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.database.pipeline import PipelinePool, Statement, StatementFailed, Work
from wedsync.errors import (
    CommitUnknown,
    LeaseOverdue,
    LoginRoleUnfit,
    Overloaded,
    PoolClosed,
    PoolTimeout,
    ResultTooLarge,
)
from wedsync.events import EVENT_VALUES, counts

LITTERING = """
    create function litter() returns text language plpgsql as $$
    begin
        perform set_config('app.tenant', 'mine', false);
        perform set_config('work_mem', '77kB', false);
        perform pg_advisory_lock(4711);
        create temporary table left_behind as select 'mine' as said;
        listen litter;
        return 'done';
    end $$;
    grant execute on function litter() to authenticated;
    do $$ begin execute format('grant temporary on database %I to authenticated', current_database()); end $$;
"""


@pytest.fixture(scope="module")
def owner(cluster: Server) -> "AsyncIterator[ConnectionTarget]":
    """A database with the tables of `SCHEMA`, as its owner."""
    with asyncio.Runner() as runner:
        database = fresh_database(cluster)
        target = runner.run(database.__aenter__())

        async def fill() -> None:
            async with await target.connect() as connection:
                await connection.execute(SCHEMA + LITTERING)

        runner.run(fill())
        yield target
        runner.run(database.__aexit__(None, None, None))


@pytest.fixture
def login(owner: ConnectionTarget, cluster: Server) -> ConnectionTarget:
    """The same database as the gateway signs in."""
    return gateway_login(cluster, owner.dbname)


@pytest.fixture
async def pool(login: ConnectionTarget) -> AsyncIterator[PipelinePool]:
    async with a_pool(login) as made:
        yield made


async def test_a_batch_runs_as_the_role_with_its_claims_and_gives_rows(pool: PipelinePool) -> None:
    (result,) = await pool.run(work("select id, name, null as nothing from thing where id < 20 order by id"))
    assert result.columns == ("id", "name", "nothing")
    assert result.rows == [(b"1", b"thing 1", None), (b"11", b"thing 11", None)]
    assert result.affected == 2


async def test_many_requests_share_few_connections(pool: PipelinePool) -> None:
    answers = await asyncio.gather(
        *(pool.run(work("select id from thing where id = $1", b"%d" % i, sub=f"u{i % 10}")) for i in range(1, 90))
    )
    assert [value(answer) for answer in answers] == [b"%d" % i for i in range(1, 90)]
    assert pool.status().total_connections < 10  # two, if the machine has time for them


async def test_an_error_undoes_its_own_batch_and_no_other(pool: PipelinePool) -> None:
    async def one(i: int) -> str:
        try:
            await pool.run(
                replace(
                    write(f"insert into noted (id) values ('err{i}')"),
                    statements=(
                        Statement(f"insert into noted (id) values ('err{i}')".encode()),
                        Statement(b"select 1 / $1", (b"%d" % (i % 2),)),
                    ),
                )
            )
        except StatementFailed as error:
            return error.sqlstate
        return "done"

    assert await asyncio.gather(*(one(i) for i in range(20))) == ["22012", "done"] * 10
    found = await pool.run(work("select count(*) from noted where id like 'err%'"))
    assert value(found) == b"10"


async def test_an_error_tells_every_field_the_server_sent(pool: PipelinePool) -> None:
    with pytest.raises(StatementFailed) as failed:
        await pool.run(write("insert into late values (1), (1)"))
    said = failed.value.said
    assert (said.severity, said.sqlstate, said.table, said.constraint) == ("ERROR", "23505", "late", "only_once")
    assert said.detail == "Key (id)=(1) already exists."


async def test_nothing_of_a_request_is_left_for_the_next(login: ConnectionTarget) -> None:
    left = work(
        "select concat_ws('|', current_user, current_setting('request.jwt.claims', true),"
        " current_setting('request.secret', true), current_setting('transaction_read_only'),"
        " current_setting('statement_timeout'))"
    )
    nobody = replace(left, role="none", settings=(), read_only=False, statement_timeout_ms=1234)
    secret = (("request.secret", b"s3cret"),)
    before = [
        work("select 1", settings=secret, timeout=timedelta(seconds=7)),
        work("select 1 / 0", settings=secret),
        write("insert into late values (1), (1)", settings=secret),
        write("insert into late values (1), (1)", settings=secret, undo=True),
        write("insert into late values (1)", settings=secret, undo=True),
        work("no sql at all", settings=secret),
        work("select 1", settings=secret, role="no such role"),
    ]
    async with a_pool(login, min_size=1, max_size=1) as pool:
        for earlier in before:
            answers = await asyncio.gather(pool.run(earlier), pool.run(nobody), return_exceptions=True)
            assert isinstance(answers[1], list), answers
            assert value(answers[1]) == b"wedsync_gateway|off|1234ms" or value(answers[1]) == (
                b"wedsync_gateway|||off|1234ms"  # a setting that was once set is empty afterwards, not gone
            )
        assert pool.status().total_connections == 1


LEFT = """
    select concat_ws('|', nullif(current_setting('app.tenant', true), ''), current_setting('work_mem'),
           (select count(*) from pg_locks where locktype = 'advisory' and objid = 4711),
           (select count(*) from pg_class where relname = 'left_behind'),
           (select count(*) from pg_listening_channels()))
"""


async def test_what_a_called_function_does_to_its_session_is_gone_for_the_next(login: ConnectionTarget) -> None:
    call = write("select litter()", calls=True)
    failing = replace(call, statements=(*call.statements, Statement(b"select 1 / 0")))
    async with a_pool(login, min_size=1, max_size=1) as pool:
        nothing = value(await pool.run(work(LEFT)))
        answers = await asyncio.gather(*(pool.run(each) for each in (call, work(LEFT), call, work(LEFT))))
        assert [value(each) for each in answers] == [b"done", nothing] * 2
        assert value(await pool.run(replace(call, undo=True))) == b"done"
        assert value(await pool.run(work(LEFT))) == nothing
        with pytest.raises(StatementFailed, match="division"):
            await pool.run(failing)
        assert value(await pool.run(work(LEFT))) == nothing
        async with pool.lend("a call") as lent:
            await lent.run(call)
            assert value(await lent.run(work(LEFT))) != nothing  # until the end of its transaction
        assert value(await pool.run(work(LEFT))) == nothing
        with pytest.raises(StatementFailed, match="division"):
            async with pool.lend("a call") as lent:
                await lent.run(failing)
        assert value(await pool.run(work(LEFT))) == nothing
        assert pool.status().total_connections == 1


async def test_a_session_that_cannot_be_cleaned_is_used_no_more(login: ConnectionTarget, cluster: Server) -> None:
    login = replace(login, further={"options": "-c lock_timeout=50ms"})
    me = work("select pg_backend_pid()")
    async with (
        a_pool(login, min_size=1, max_size=1) as pool,
        await cluster.target("postgres", login.dbname).connect(autocommit=False) as other,
    ):
        before = value(await pool.run(me))
        await pool.run(write("create temporary table kept ()"))
        found = await other.execute("select oid::regclass::text from pg_class where relname = 'kept'")
        ((name,),) = await found.fetchall()
        await other.execute(psycopg.sql.SQL("lock table {} in access share mode").format(psycopg.sql.SQL(name)))
        # The call has committed by then, and is said to have.
        assert value(await pool.run(write("insert into noted (id) values ('called') returning id", calls=True)))
        assert value(await pool.run(me)) != before


async def test_a_transaction_that_is_asked_to_be_undone_gives_rows_and_leaves_none(pool: PipelinePool) -> None:
    results = await pool.run(write("insert into noted (id) values ('undone') returning id", undo=True))
    assert value(results) == b"undone"
    assert value(await pool.run(work("select count(*) from noted where id = 'undone'"))) == b"0"


async def test_deferred_constraints_are_checked_before_an_undo(pool: PipelinePool) -> None:
    with pytest.raises(StatementFailed, match="only_once"):
        await pool.run(write("insert into late values (1), (1)", undo=True))
    assert value(await pool.run(work("select count(*) from late"))) == b"0"


async def test_a_read_only_batch_cannot_write(pool: PipelinePool) -> None:
    with pytest.raises(StatementFailed) as failed:
        await pool.run(work("insert into noted (id) values ('no')"))
    assert failed.value.sqlstate == "25006"


async def test_a_nul_is_refused_instead_of_ending_the_value(pool: PipelinePool) -> None:
    with pytest.raises(StatementFailed) as failed:
        await pool.run(work("select $1::text", b"before\0after"))
    assert failed.value.sqlstate == "22021"


async def test_what_cannot_be_sent_fails_alone_and_changes_nothing(login: ConnectionTarget) -> None:
    async with a_pool(login, min_size=1, max_size=1) as pool:
        good = write("insert into noted (id) values ('half')")
        half = replace(good, statements=(*good.statements, Statement(b"select $1", (b"1",) * 70_000)))
        answers = await asyncio.gather(
            pool.run(half), pool.run(work("select 1")), pool.run(half), return_exceptions=True
        )
        assert value(answers[1]) == b"1"  # type: ignore[arg-type]
        assert isinstance(answers[0], Exception)
        assert "65535" in str(answers[0])
        assert value(await pool.run(work("select count(*) from noted where id = 'half'"))) == b"0"


async def test_statements_get_names_by_role_and_lose_them_past_the_limit(login: ConnectionTarget) -> None:
    prepared = replace(
        work("select count(*) from pg_prepared_statements where statement like '%limit%'"), role="none"
    )
    async with a_pool(login, min_size=1, max_size=1, prepared_statements=5) as pool:
        for i in range(12):
            for _ in range(3):
                await pool.run(work(f"select {i} limit 1"))
        left = int(value(await pool.run(prepared)) or b"0")
        assert 3 <= left <= 6


async def test_batches_behind_an_unconfirmed_parse_do_not_fail_with_it(login: ConnectionTarget) -> None:
    async with a_pool(login, min_size=1, max_size=1) as pool:
        await asyncio.gather(*(pool.run(work("select 1 / $1::int", b"1")) for _ in range(3)))
        bad, good = work("select id / $1::int from thing", b"0"), work("select id / $1::int from thing", b"1")
        answers = await asyncio.gather(
            *(pool.run(each) for each in (good, bad, bad, good)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [list, StatementFailed, StatementFailed, list]


async def test_a_changed_table_and_a_reset_session_are_nobodys_error(
    login: ConnectionTarget, owner: ConnectionTarget
) -> None:
    async with await owner.connect() as connection, a_pool(login, min_size=1, max_size=1) as pool:
        await connection.execute("create table changing (a int); grant select on changing to authenticated")
        for _ in range(3):
            await pool.run(work("select * from changing"))
        await connection.execute("alter table changing add column b int")
        answers = await asyncio.gather(*(pool.run(work("select * from changing")) for _ in range(4)))
        assert {answer[0].columns for answer in answers} == {("a", "b")}
        await pool.run(write("deallocate all"))
        answers = await asyncio.gather(*(pool.run(work("select * from changing")) for _ in range(4)))
        assert {answer[0].columns for answer in answers} == {("a", "b")}


async def test_who_goes_away_disturbs_nobody(login: ConnectionTarget) -> None:
    async with a_pool(login, min_size=1, max_size=1) as pool:
        gone = [asyncio.create_task(pool.run(work("select pg_sleep(0.01)"))) for _ in range(5)]
        others = [asyncio.create_task(pool.run(work("select 7"))) for _ in range(5)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        assert [value(answer) for answer in await asyncio.gather(*others)] == [b"7"] * 5
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*gone, return_exceptions=True)
        )
        assert pool.status().requests_under_way == 0


async def test_a_statement_past_its_time_is_cancelled_alone(pool: PipelinePool) -> None:
    slow = work("select pg_sleep(20)", timeout=timedelta(milliseconds=60))
    answers = await asyncio.gather(pool.run(slow), pool.run(work("select 7")), return_exceptions=True)
    assert isinstance(answers[0], StatementFailed)
    assert answers[0].sqlstate == "57014"
    assert value(answers[1]) == b"7"  # type: ignore[arg-type]


async def test_what_waits_behind_a_slow_statement_is_freed_and_the_slow_one_runs_alone(
    login: ConnectionTarget,
) -> None:
    async with a_pool(login, min_size=1, max_size=2) as pool:
        await pool.run(work("select 7"))
        moved = counts["statement_moved"]
        slow = asyncio.create_task(pool.run(work("select pg_sleep(1.5), 5")))
        await asyncio.sleep(0)
        began = monotonic()
        inserts = [pool.run(write("insert into noted (id) values ($1)", b"behind%d" % i)) for i in range(2)]
        reads = [pool.run(work("select 7")) for _ in range(2)]
        await asyncio.gather(*inserts, *reads)
        assert monotonic() - began < 1.4
        assert not slow.done()
        assert (await slow)[0].rows == [(b"", b"5")]
        assert counts["statement_moved"] > moved
        assert value(await pool.run(work("select count(*) from noted where id like 'behind%'"))) == b"2"


async def test_slow_statements_make_the_pool_grow_and_never_take_all_of_it(login: ConnectionTarget) -> None:
    async with a_pool(login, min_size=2, max_size=8, idle_timeout=timedelta(milliseconds=10)) as pool:
        slow = work("select pg_sleep(0.4)")
        await pool.run(slow)  # now it is known to be slow
        many = [asyncio.create_task(pool.run(slow)) for _ in range(6)]
        await asyncio.sleep(0.2)
        began = monotonic()
        assert value(await pool.run(work("select 7"))) == b"7"
        assert monotonic() - began < 0.15
        assert 4 <= pool.status().total_connections <= 8
        answers = await asyncio.gather(*many)
        assert len(answers) == 6
        await eventually(lambda: pool.status().total_connections == 2)


async def test_past_capacity_a_request_is_refused_at_once(login: ConnectionTarget) -> None:
    async with a_pool(login, min_size=2, max_size=2) as pool:
        slow = work("select pg_sleep(2)", timeout=timedelta(seconds=1))
        pool_of_slow = [asyncio.create_task(pool.run(slow)) for _ in range(2)]
        await asyncio.sleep(0.05)
        began = monotonic()
        with pytest.raises(Overloaded) as refused:
            await pool.run(work("select 7"))
        assert monotonic() - began < 0.3
        assert refused.value.retry_after_s == 1
        for task in pool_of_slow:
            task.cancel()


async def test_a_burst_of_quick_requests_is_worked_off_instead_of_refused(login: ConnectionTarget) -> None:
    async with a_pool(login, min_size=2, max_size=2) as pool:
        quick = work("select pg_sleep(0.005), 7")
        answers = await asyncio.gather(*(pool.run(quick) for _ in range(100)))
        assert len(answers) == 100


async def test_a_queue_that_stands_is_no_burst_any_more(login: ConnectionTarget) -> None:
    async with a_pool(login, min_size=1, max_size=1) as pool:
        quick = work("select pg_sleep(0.005), 7")
        await pool.run(quick)
        refused: list[float] = []

        async def ask() -> None:
            began = monotonic()
            try:
                await pool.run(quick)
            except Overloaded:
                refused.append(monotonic() - began)
                await asyncio.sleep(0.02)

        async def keep_asking() -> None:
            while len(refused) < 200:
                await ask()

        async with asyncio.timeout(20):
            await asyncio.gather(*(keep_asking() for _ in range(90)))
        assert sorted(refused[100:])[50] < 0.5  # 90 × 5 ms would be all in the first second's patience


async def test_a_slow_statement_is_logged_without_its_values(
    login: ConnectionTarget, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_pool(login, slow_after=timedelta(milliseconds=20)) as pool:
        with caplog.at_level(logging.WARNING, "wedsync"):
            asked = work("select pg_sleep(0.05), $1::text", b"a guest's name", settings=(("request.id", b"r7"),))
            await pool.run(asked)
    (line,) = [record for record in caplog.records if record.message == "slow_statement"]
    values = getattr(line, EVENT_VALUES)
    assert values["text"] == "select pg_sleep(0.05), $1::text"
    assert (values["parameters"], values["role"], values["request_id"]) == (1, "authenticated", "r7")
    assert values["took_ms"] >= 50
    assert "guest" not in str(values)


async def test_a_lent_connection_commits_at_the_end_and_rolls_back_on_errors(pool: PipelinePool) -> None:
    async with pool.lend("a test") as lent:
        await lent.run(write("insert into noted (id) values ('lent')"))
        assert value(await pool.run(work("select count(*) from noted where id = 'lent'"))) == b"0"
        assert pool.status().lent_connections == 1
    assert value(await pool.run(work("select count(*) from noted where id = 'lent'"))) == b"1"
    with pytest.raises(StatementFailed):
        async with pool.lend("a test") as lent:
            await lent.run(write("insert into noted (id) values ('lent again')"))
            await lent.run(write("insert into noted (id) values ('lent')"))
    assert value(await pool.run(work("select count(*) from noted where id like 'lent%'"))) == b"1"
    assert pool.status().lent_connections == 0


async def test_a_failed_transaction_that_is_committed_all_the_same_is_said_to_be_undone(
    pool: PipelinePool,
) -> None:
    with pytest.raises(StatementFailed) as failed:
        async with pool.lend("a test") as lent:
            with pytest.raises(StatementFailed):
                await lent.run(write("select 1 / 0"))
    assert failed.value.sqlstate == "25P02"


async def test_a_connection_that_does_not_come_back_is_named_and_taken_back(
    pool: PipelinePool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "wedsync"), pytest.raises(LeaseOverdue, match="keeps it"):
        async with pool.lend("keeps it", at_most=timedelta(milliseconds=50)) as lent:
            await lent.run(write("insert into noted (id) values ('overdue')"))
            await asyncio.sleep(0.1)
            await lent.run(write("select 1"))
    (line,) = [record for record in caplog.records if record.message == "connection_overdue"]
    assert "test_pipeline.py" in getattr(line, EVENT_VALUES)["taken_at"]
    assert value(await pool.run(work("select count(*) from noted where id = 'overdue'"))) == b"0"
    await eventually(lambda: pool.status().total_connections == 2)


async def test_whoever_wants_a_connection_alone_waits_no_longer_than_agreed(login: ConnectionTarget) -> None:
    async with a_pool(login, min_size=1, max_size=1, acquire_timeout=timedelta(milliseconds=80)) as pool:
        async with pool.lend("first"):
            with pytest.raises(PoolTimeout, match="1 lent"):
                async with pool.lend("second"):
                    pytest.fail("it was lent twice")
        async with pool.lend("third") as lent:
            await lent.run(work("select 1"))


async def test_a_result_past_all_measure_costs_its_own_request(login: ConnectionTarget) -> None:
    async with a_pool(login, min_size=1, max_size=1, result_bytes_max=2_000_000) as pool:
        fits = await pool.run(work("select repeat('x', 1000000)"))
        assert len(value(fits) or b"") == 1_000_000
        with pytest.raises(ResultTooLarge):
            await pool.run(work("select repeat('x', 50000000)"))
        with suppress(CommitUnknown):  # or it is there already when it is counted: what is committed is told
            await pool.run(write("select repeat('x', 50000000)"))
        assert value(await pool.run(work("select 7"))) == b"7"


async def test_a_copy_is_refused_and_others_go_on(login: ConnectionTarget) -> None:
    async with a_pool(login, min_size=2) as pool:
        with pytest.raises(StatementFailed, match="COPY"):
            await pool.run(work("copy thing to stdout"))
        assert value(await pool.run(work("select 7"))) == b"7"


async def test_notices_and_notifications_are_dropped(pool: PipelinePool) -> None:
    for _ in range(3):
        await pool.run(write("do $$ begin raise notice 'x'; perform pg_notify('c', 'p'); end $$"))
        await pool.run(write("listen c"))
    assert value(await pool.run(work("select 7"))) == b"7"


async def test_deadlocks_are_run_again(login: ConnectionTarget) -> None:
    async with a_pool(login, min_size=3) as pool:
        for key in (b"dl1", b"dl2"):
            await pool.run(write("insert into noted (id) values ($1)", key))
        step = (
            "with first as materialized (select 1 from noted where id = $1 for update),"
            " pause as materialized (select pg_sleep(0.1) from first)"
            " select 1 from pause, noted where id = $2 for update"
        )
        answers = await asyncio.gather(
            pool.run(write(step, b"dl1", b"dl2")), pool.run(write(step, b"dl2", b"dl1"))
        )
        assert [value(answer) for answer in answers] == [b"1", b"1"]


async def test_a_role_that_cannot_be_taken_is_said_at_the_start(login: ConnectionTarget) -> None:
    with pytest.raises(LoginRoleUnfit) as unfit:
        await PipelinePool(login, roles=("anon", "wedsync_owner", "nobody here")).open()
    assert "wedsync_owner: not granted; nobody here: no such role" in str(unfit.value)
    async with a_pool(login, roles=("anon", "authenticated", "service_role")) as pool:
        assert pool.remarks == ()
        assert not pool.is_pooled
        health = await pool.health()
        assert health.healthy
        assert health.latency_ms is not None


async def test_a_server_without_places_left_makes_the_pool_smaller_and_no_error(
    login: ConnectionTarget, cluster: Server
) -> None:
    async with await cluster.target().connect() as superuser:
        await superuser.execute("create role narrow login noinherit connection limit 3 password 'narrow'")
        await superuser.execute("grant authenticated to narrow")
        await superuser.execute(
            psycopg.sql.SQL("grant connect on database {} to narrow").format(psycopg.sql.Identifier(login.dbname))
        )
        narrow = replace(cluster.target("narrow", login.dbname), password="narrow")
        try:
            async with a_pool(narrow, min_size=2, max_size=20) as pool:
                slow = work("select pg_sleep(0.15)")
                await pool.run(slow)
                await asyncio.gather(*(pool.run(slow) for _ in range(3)), return_exceptions=True)
                assert pool.status().max_connections == 3
                assert value(await pool.run(work("select 7"))) == b"7"
        finally:
            await superuser.execute("drop owned by narrow")
            await superuser.execute("drop role narrow")


async def test_a_closed_pool_lets_those_under_way_end_and_nobody_in(login: ConnectionTarget) -> None:
    async with a_pool(login) as pool:
        last = asyncio.create_task(pool.run(work("select pg_sleep(0.1), 5")))
        await asyncio.sleep(0)
    assert (await last)[0].rows == [(b"", b"5")]
    with pytest.raises(PoolClosed):
        await pool.run(
            Work(
                role="anon",
                settings=(),
                statements=(Statement(b"select 1"),),
                read_only=True,
                statement_timeout_ms=0,
            )
        )


def test_uvloop_does_it_too(login: ConnectionTarget) -> None:
    async def ask() -> list[bytes | None]:
        async with a_pool(login) as pool:
            return [value(a) for a in await asyncio.gather(*(pool.run(work("select 7")) for _ in range(30)))]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ask()) == [b"7"] * 30
