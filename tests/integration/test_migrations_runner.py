"""The runner against a real server."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from support.databases import fresh_database
from support.events import eventually
from support.migrations import ask, tell, write
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationBlocked, MigrationFailed, MigrationsBusy, MigrationsRefused
from wedsync.migrations import Conditions, Patience, status, up

NOWHERE = ConnectionTarget(host="/nonexistent", port=1, dbname="none", user="nobody")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "versions"
    made.mkdir()
    return made


async def test_up_applies_in_order_and_again_does_nothing(database: ConnectionTarget, directory: Path) -> None:
    write(directory, "0001_a", "create table public.a (id int primary key);")
    write(directory, "0002_b", "create table public.b (a int references public.a);\r\n")
    before = await status(database, directory=directory)
    assert [file.id for file in before.pending] == ["0001_a", "0002_b"]
    run = await up(database, directory=directory, conditions=Conditions(by="alice"))
    assert [row.id for row in run.applied] == ["0001_a", "0002_b"]
    assert run.applied[0].by == "alice as wedsync_owner"
    assert (await up(database, directory=directory)).applied == ()
    after = await status(database, directory=directory)
    assert after.is_current
    assert after.applied == run.applied
    stored = await ask(database, "select text from ops.migrations where id = 2")
    assert stored == "create table public.b (a int references public.a);\n"


async def test_a_dry_run_names_what_would_run_and_changes_nothing(
    database: ConnectionTarget, directory: Path
) -> None:
    write(directory, "0001_a", "create table public.a ();")
    run = await up(database, directory=directory, dry_run=True)
    assert [file.id for file in run.would_apply] == ["0001_a"]
    assert await ask(database, "select to_regclass('public.a')::text") is None
    assert await ask(database, "select to_regclass('ops.migrations')::text") is None


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("create table public.x ();\n\nselect 1,\n  wrong from public.x;\n", ":4:", "wrong"),
        ("create table public.x ();\nselect 'ö' as ö; select slect;\n", ":2:", "slect"),
        ("create table public.x (a int primary key);\ninsert into public.x values (1);\n"
         "-- twice\ninsert into public.x values (1);\n", ":4:", "(a)=(1)"),
        ("select 1;\ndo $$\nbegin\n  raise exception 'no, because';\nend $$;\n", ":2:", "at RAISE"),
    ],
)  # fmt: skip
async def test_an_error_names_file_line_and_statement_and_keeps_nothing_of_the_file(
    database: ConnectionTarget, directory: Path, text: str, place: str, said: str
) -> None:
    write(directory, "0001_good", "create table public.good ();")
    write(directory, "0002_bad", text)
    write(directory, "0003_never", "create table public.never ();")
    with pytest.raises(MigrationFailed) as raised:
        await up(database, directory=directory)
    assert f"0002_bad.sql{place}" in raised.value.message
    assert raised.value.detail is not None
    assert said in raised.value.detail
    assert [row.id for row in (await status(database, directory=directory)).applied] == ["0001_good"]
    assert await ask(database, "select to_regclass('public.x')::text") is None
    assert await ask(database, "select to_regclass('public.never')::text") is None
    write(directory, "0002_bad", "create table public.x ();")
    assert len((await up(database, directory=directory)).applied) == 2


async def test_wrong_files_are_refused_without_a_connection(directory: Path) -> None:
    write(directory, "0001_a", "select 1;")
    write(directory, "0001_b", "select 1;")
    with pytest.raises(MigrationsRefused, match="0001_b"):
        await up(NOWHERE, directory=directory)


@pytest.mark.parametrize("change", ["edit", "remove"])
async def test_an_applied_file_that_was_edited_or_removed_stops_everything(
    database: ConnectionTarget, directory: Path, change: str
) -> None:
    write(directory, "0001_a", "create table public.a ();")
    applied = (await up(database, directory=directory, conditions=Conditions(by="alice"))).applied[0]
    write(directory, "0002_b", "create table public.b ();")
    if change == "edit":
        write(directory, "0001_a", "create table public.a (id int);")
    else:
        (directory / "0001_a.sql").unlink()
        (directory / "0001_a.rollback.sql").unlink()
    with pytest.raises(MigrationsRefused) as raised:
        await up(database, directory=directory)
    for part in (applied.checksum, "alice", applied.applied_at.isoformat()):
        assert part in raised.value.message
    assert await ask(database, "select to_regclass('public.b')::text") is None


async def test_of_many_runners_one_works_and_all_end_well(database: ConnectionTarget, directory: Path) -> None:
    for number in range(1, 6):
        write(directory, f"{number:04d}_t{number}", f"create table public.t{number} (); select pg_sleep(0.02);")
    runs = await asyncio.gather(*(up(database, directory=directory) for _ in range(6)))
    assert sorted(len(run.applied) for run in runs) == [0, 0, 0, 0, 0, 5]


async def test_a_runner_that_waits_holds_no_transaction_and_names_who_works(
    database: ConnectionTarget, directory: Path
) -> None:
    write(directory, "0001_slow", "select pg_sleep(60);")
    slow = asyncio.create_task(up(database, directory=directory))
    sleeps = "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(60)%'"
    await eventually(lambda: ask(database, f"{sleeps} and pid <> pg_backend_pid()"))
    waiting = asyncio.create_task(
        up(database, directory=directory, conditions=Conditions(wait=timedelta(seconds=0.5)))
    )
    in_transaction = await ask(
        database,
        "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'",
    )
    assert in_transaction == 0
    with pytest.raises(MigrationsBusy) as raised:
        await waiting
    assert "wedsync_owner (pid" in str(raised.value.detail)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    await eventually(lambda: _no_runner(database))


async def _no_runner(database: ConnectionTarget) -> bool:
    return await ask(database, "select count(*) from pg_locks where locktype = 'advisory'") == 0


async def test_a_lost_connection_keeps_nothing_and_the_next_run_goes_on(
    database: ConnectionTarget, directory: Path
) -> None:
    write(directory, "0001_slow", "create table public.slow (); select pg_sleep(60);")
    running = asyncio.create_task(up(database, directory=directory))
    await eventually(
        lambda: ask(
            database,
            "select bool_or(pg_terminate_backend(pid)) from pg_stat_activity"
            " where datname = current_database() and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()",
        )
    )
    with pytest.raises(MigrationFailed, match="0001_slow"):
        await running
    write(directory, "0001_slow", "create table public.slow ();")
    assert len((await up(database, directory=directory)).applied) == 1


async def test_settings_and_role_of_a_file_end_with_it(database: ConnectionTarget, directory: Path) -> None:
    write(directory, "0001_a", "set search_path = pg_catalog; set statement_timeout = '7s'; set work_mem = '1MB';")
    write(
        directory,
        "0002_b",
        "create table public.seen as select current_setting('search_path') as path,"
        " current_setting('statement_timeout') as timeout, current_user::text as role;",
    )
    await up(database, directory=directory)
    async with await database.connect() as connection:
        row = await (await connection.execute("select path, timeout, role from public.seen")).fetchone()
    assert row == ('"$user", public', "0", "wedsync_owner")


async def test_a_blocked_statement_gives_up_and_says_why(database: ConnectionTarget, directory: Path) -> None:
    write(directory, "0001_a", "create table public.a ();")
    await up(database, directory=directory)
    write(directory, "0002_b", "alter table public.a add column id int;")
    async with await database.connect(autocommit=False) as blocker:
        await blocker.execute("select * from public.a")
        pid = blocker.info.backend_pid
        with pytest.raises(MigrationBlocked) as raised:
            await up(database, directory=directory, conditions=Conditions(patience=Patience(tries=3)))
    assert f"pid {pid}" in str(raised.value.detail)
    assert len((await up(database, directory=directory)).applied) == 1


async def test_autovacuum_makes_room_for_a_migration(own_cluster: Server, directory: Path) -> None:
    """It does so for who has waited for deadlock_timeout, which is 1 s: far more than a migration waits."""
    async with fresh_database(own_cluster) as database:
        await tell(
            database,
            "create table public.a (id int) with (autovacuum_vacuum_threshold = 1,"
            " autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100,"
            " autovacuum_vacuum_cost_limit = 1);"
            "insert into public.a select generate_series(1, 100000); delete from public.a where id % 2 = 0",
        )
        async with await own_cluster.target().connect() as admin:
            await admin.execute("alter system set autovacuum_naptime = '1s'")
            await admin.execute("alter system set autovacuum = on")
            await admin.execute("select pg_reload_conf()")
        at_work = "select count(*) from pg_stat_activity where query like 'autovacuum: VACUUM%public.a%'"
        await eventually(lambda: ask(database, at_work), what="autovacuum works on the table")
        write(directory, "0001_b", "alter table public.a add column b int;")
        run = await up(database, directory=directory, conditions=Conditions(patience=Patience(tries=3)))
        assert len(run.applied) == 1
