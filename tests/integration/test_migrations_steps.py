"""Files without a transaction, on a real server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.databases import fresh_database
from support.events import eventually
from support.migrations import ask, tell, write
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationBlocked, MigrationFailed, MigrationsRefused, StepUndecided
from wedsync.migrations import Conditions, Mode, Patience, status, up

KEY = Conditions(by="alice", key=b"k")
NONE = "-- transaction: none\n"
VALID = "select indisvalid from pg_index where indexrelid = to_regclass('public.x')"


@pytest.fixture
async def database(cluster: Server) -> AsyncIterator[ConnectionTarget]:
    async with fresh_database(cluster) as target:
        await tell(target, "create table public.t (a int); insert into public.t select generate_series(1, 1000)")
        yield target


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "versions"
    made.mkdir()
    return made


async def steps(database: ConnectionTarget) -> object:
    return await ask(database, "select coalesce(array_agg(step || ' ' || state order by step), '{}')"
                     " from ops.migration_steps")  # fmt: skip


async def test_each_step_commits_by_itself_and_nothing_is_left_when_all_are_done(
    database: ConnectionTarget, directory: Path
) -> None:
    write(
        directory,
        "0001_a",
        NONE
        + "set work_mem = '8MB';\ncreate index concurrently x on public.t (a);\nvacuum public.t;\n"
        + "alter table public.t add column b int;\ndo $$ begin update public.t set b = 1; commit; end $$;\n"
        + "create table public.seen as select current_setting('work_mem') as work_mem;\n",
    )
    run = await up(database, directory=directory, conditions=KEY)
    assert [row.id for row in run.applied] == ["0001_a"]
    assert await ask(database, VALID) is True
    assert await ask(database, "select work_mem from public.seen") == "8MB"
    assert await ask(database, "select count(b) from public.t") == 1000
    assert await steps(database) == []
    assert (await status(database, directory=directory, key=b"k")).is_current


async def test_a_failed_step_is_mended_and_those_before_it_do_not_run_again(
    database: ConnectionTarget, directory: Path
) -> None:
    first = NONE + "alter table public.t add column b int;\ncreate index concurrently x on public.t (a);\n"
    write(directory, "0001_a", first + "insert into public.t values ('no number');\n")
    with pytest.raises(MigrationFailed) as raised:
        await up(database, directory=directory, conditions=KEY)
    assert "0001_a.sql:4:" in raised.value.message
    assert await steps(database) == ["1 done", "2 done"]
    assert [file.id for file in (await status(database, directory=directory)).pending] == ["0001_a"]
    write(directory, "0001_a", first + "insert into public.t values (7);\n")
    await up(database, directory=directory, conditions=KEY)
    assert await ask(database, "select count(*) from public.t") == 1001


async def test_a_step_that_ran_and_was_edited_since_stops_everything(
    database: ConnectionTarget, directory: Path
) -> None:
    write(directory, "0001_a", NONE + "alter table public.t add column b int;\nselect 1/0;\n")
    with pytest.raises(MigrationFailed):
        await up(database, directory=directory, conditions=KEY)
    write(directory, "0001_a", NONE + "alter table public.t add column c int;\nselect 1;\n")
    with pytest.raises(MigrationsRefused, match="edited half-way"):
        await up(database, directory=directory, conditions=KEY)


async def test_a_unique_index_that_finds_duplicates_leaves_nothing_behind(
    database: ConnectionTarget, directory: Path
) -> None:
    await tell(database, "insert into public.t values (1)")
    write(directory, "0001_a", NONE + "create unique index concurrently x on public.t (a);\n")
    with pytest.raises(MigrationFailed, match="could not create unique index"):
        await up(database, directory=directory, conditions=KEY)
    assert await ask(database, "select to_regclass('public.x')::text") is None
    await tell(database, "delete from public.t where ctid in (select max(ctid) from public.t)")
    await up(database, directory=directory, conditions=KEY)
    assert await ask(database, VALID) is True


async def test_an_invalid_index_is_dropped_and_built_anew(database: ConnectionTarget, directory: Path) -> None:
    await tell(database, "insert into public.t values (1)")
    async with await database.connect() as connection:
        with pytest.raises(Exception, match="could not create unique index"):
            await connection.execute("create unique index concurrently x on public.t (a)")
    assert await ask(database, VALID) is False
    write(directory, "0001_a", NONE + "create index concurrently if not exists x on public.t (a);\n")
    said: list[str] = []
    await up(database, directory=directory, conditions=Conditions(key=b"k", say=said.append))
    assert await ask(database, VALID) is True
    assert any("left broken: dropped" in line for line in said)


async def interrupted(database: ConnectionTarget, directory: Path, sql: str, *, before: str) -> None:
    """A run that ended between its step's beginning and the step's record."""
    from wedsync.migrations.files.directory import read_files  # noqa: PLC0415 - beside its use
    from wedsync.migrations.run.steps import steps_of  # noqa: PLC0415

    write(directory, "0001_a", NONE + sql)
    (file,) = read_files(directory).files
    (step,) = steps_of(file.statements)
    await up(database, directory=directory.parent, conditions=KEY)  # only the ledger
    async with await database.connect() as connection:
        await connection.execute(
            "insert into ops.migration_steps (id, direction, step, checksum, statement, state, before, by)"
            " values (1, 'up', 1, %s, %s, 'started', %s, 'alice')",
            (step.checksum, step.statement.text, before),
        )


async def test_a_step_that_had_ended_is_not_run_again(database: ConnectionTarget, directory: Path) -> None:
    await interrupted(database, directory, "create index concurrently x on public.t (a);\n", before="absent")
    await tell(database, "create index x on public.t (a)")
    oid = await ask(database, "select 'public.x'::regclass::oid")
    await up(database, directory=directory, conditions=KEY)
    assert await ask(database, "select 'public.x'::regclass::oid") == oid


async def test_an_outcome_that_cannot_be_seen_is_for_a_person(database: ConnectionTarget, directory: Path) -> None:
    await interrupted(database, directory, "do $$ begin perform 1; end $$;\n", before="unknown")
    with pytest.raises(StepUndecided) as raised:
        await up(database, directory=directory, conditions=KEY)
    assert "wedsync migrate repair 0001_a --step 1" in str(raised.value.hint)


async def test_a_partition_whose_detaching_was_interrupted_is_finalized(
    database: ConnectionTarget, directory: Path
) -> None:
    await tell(
        database,
        "create table public.p (a int) partition by range (a);"
        "create table public.q partition of public.p for values from (0) to (9)",
    )
    sql = "alter table public.p detach partition public.q concurrently;\n"
    await interrupted(database, directory, sql, before="valid")
    async with await database.connect(autocommit=False) as reader:
        await reader.execute("select * from public.p")
        async with await database.connect() as broken:
            await broken.execute("set lock_timeout = '200ms'")
            with pytest.raises(Exception, match="lock timeout"):
                await broken.execute("alter table public.p detach partition public.q concurrently")
    assert await ask(database, "select inhdetachpending from pg_inherits") is True
    await up(database, directory=directory, conditions=KEY)
    assert await ask(database, "select count(*) from pg_inherits where inhparent = 'public.p'::regclass") == 0


async def test_a_concurrent_step_waits_for_old_transactions_and_names_them_in_the_end(
    database: ConnectionTarget, directory: Path
) -> None:
    write(directory, "0001_a", NONE + "create index concurrently x on public.t (a);\n")
    said: list[str] = []
    patience = Patience(concurrent_wait=timedelta(seconds=3))
    async with await database.connect(autocommit=False) as old:
        await old.execute("insert into public.t values (0)")
        pid = old.info.backend_pid
        with pytest.raises(MigrationBlocked) as raised:
            await up(
                database,
                directory=directory,
                conditions=Conditions(key=b"k", patience=patience, say=said.append),
            )
    assert f"pid {pid}" in str(raised.value.detail)
    assert any(f"waits for pid {pid}" in line for line in said)
    assert await ask(database, VALID) is False  # to drop it would wait for the same transaction
    await up(database, directory=directory, conditions=KEY)
    assert await ask(database, VALID) is True


async def test_an_ordinary_step_steps_aside_like_a_file(database: ConnectionTarget, directory: Path) -> None:
    write(directory, "0001_a", NONE + "alter table public.t add column b int;\n")
    async with await database.connect(autocommit=False) as reader:
        await reader.execute("select * from public.t")
        running = asyncio.create_task(up(database, directory=directory, conditions=KEY))
        await eventually(
            lambda: ask(
                database, "select count(*) from pg_locks where not granted and relation = 'public.t'::regclass"
            )
        )
        await reader.rollback()
    assert len((await running).applied) == 1


async def test_all_or_nothing_is_refused_with_such_a_file(database: ConnectionTarget, directory: Path) -> None:
    write(directory, "0001_a", "create table public.u ();")
    write(directory, "0002_b", NONE + "vacuum public.t;")
    with pytest.raises(MigrationsRefused, match="outside a transaction"):
        await up(database, directory=directory, mode=Mode.ALL, conditions=KEY)
    assert await ask(database, "select to_regclass('public.u')::text") is None
