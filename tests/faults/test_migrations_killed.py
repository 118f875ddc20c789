"""kill -9 of the runner and of the server, in the middle of a migration; ten runners at once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest

from support.clusters import ARCHIVE_NOWHERE
from support.databases import fresh_database
from support.events import eventually
from support.migrations import ask, tell, write
from support.runners import kill, runner
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationFailed
from wedsync.migrations import Conditions, status, up

KEY = Conditions(by="bob", key=b"k")
RUNNERS = "select count(*) from pg_locks where locktype = 'advisory'"
BUILDING = "select count(*) from pg_stat_progress_create_index where phase like 'waiting for%'"
VALID = "select indisvalid from pg_index where indexrelid = 'public.x'::regclass"
INDEX = "-- transaction: none\ncreate table public.first ();\ncreate index concurrently x on public.t (a);\n"


@pytest.fixture
async def database(own_cluster: Server) -> AsyncIterator[ConnectionTarget]:
    async with fresh_database(own_cluster) as target:
        await tell(target, "create table public.t (a int); insert into public.t select generate_series(1, 100)")
        yield target


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "versions"
    made.mkdir()
    return made


async def test_of_ten_runners_one_works_and_all_end_well(database: ConnectionTarget, directory: Path) -> None:
    """Lost: nothing: each file is applied once.
    Seen: all ten end with 0.
    """
    for number in range(1, 21):
        write(directory, f"{number:04d}_t{number}", f"create table public.t{number} (); select pg_sleep(0.05);")
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(runner(database, directory)) for _ in range(10)]
        ended = await asyncio.gather(*(process.communicate() for process in processes))
        assert [process.returncode for process in processes] == [0] * 10, ended
    assert sum(int(out) for out, _ in ended) == 20
    assert (await status(database, directory=directory, key=b"k")).is_current


async def test_the_locks_of_a_killed_runner_are_gone_within_a_second(
    database: ConnectionTarget, directory: Path
) -> None:
    """Lost: nothing: the file is undone as a whole.
    Seen: the next run applies it.
    """
    text = "alter table public.t add column b int;\nselect pg_sleep(600);\n"
    write(directory, "0001_slow", text)
    held = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and relation = 'public.t'::regclass"
    async with runner(database, directory) as process:
        await eventually(lambda: ask(database, held), what="the table is locked")
        kill(process)
        killed = monotonic()
        await tell(database, "select count(*) from public.t")  # waits for the lock: the event itself
        assert monotonic() - killed < 1.0
    await eventually(lambda: _none(database, RUNNERS))
    assert await ask(database, "select count(*) from pg_attribute where attrelid = 'public.t'::regclass"
                     " and attname = 'b'") == 0  # fmt: skip
    write(directory, "0001_slow", "alter table public.t add column b int;\n")
    assert len((await up(database, directory=directory, conditions=KEY)).applied) == 1


async def _none(database: ConnectionTarget, query: str) -> bool:
    return await ask(database, query) == 0


async def test_an_index_whose_runner_was_killed_is_built_anew(database: ConnectionTarget, directory: Path) -> None:
    """Lost: nothing.
    Seen: `was left broken: dropped`, and the index is valid.
    """
    write(directory, "0001_index", INDEX)
    async with await database.connect(autocommit=False) as old:
        await old.execute("insert into public.t values (0)")
        async with runner(database, directory) as process:
            await eventually(lambda: ask(database, BUILDING), what="the index waits for the old transaction")
            kill(process)
        await eventually(lambda: _none(database, RUNNERS), what="its session ends")
        assert await ask(database, VALID) is False
        await old.commit()
    said: list[str] = []
    run = await up(database, directory=directory, conditions=Conditions(key=b"k", say=said.append))
    assert [row.id for row in run.applied] == ["0001_index"]
    assert any("step 1 of 2: done by an earlier run" in line for line in said), said
    assert any("x was left broken: dropped" in line for line in said), said
    assert await ask(database, VALID) is True


async def test_an_index_whose_server_was_killed_is_built_anew(
    own_cluster: Server, database: ConnectionTarget, directory: Path
) -> None:
    """Lost: nothing.
    Seen: `connection was lost`; the next run builds it.
    """
    write(directory, "0001_index", INDEX)
    async with await database.connect(autocommit=False) as old:
        await old.execute("insert into public.t values (0)")
        running = asyncio.create_task(up(database, directory=directory, conditions=KEY))
        await eventually(lambda: ask(database, BUILDING), what="the index waits for the old transaction")
        kill_server(own_cluster)
        with pytest.raises(MigrationFailed, match="connection was lost"):
            await running
        await old.close()
    await own_cluster.start(archive_command=ARCHIVE_NOWHERE, deadline=timedelta(seconds=60))
    assert await ask(database, VALID) is False
    await up(database, directory=directory, conditions=KEY)
    assert await ask(database, VALID) is True
    assert (await status(database, directory=directory, key=b"k")).is_current


DIES_AT_COMMIT = """
create table public.kept ();
create function public.die() returns trigger language plpgsql as
    'begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(5); return null; end';
create constraint trigger dies after insert on public.t deferrable initially deferred
    for each row execute function public.die();
insert into public.t values (1);
"""


async def test_of_a_commit_whose_answer_was_lost_nothing_is_claimed(
    database: ConnectionTarget, directory: Path
) -> None:
    """Lost: nothing.
    Seen: `whether it was committed is not known`.
    """
    write(directory, "0001_dies", DIES_AT_COMMIT)
    with pytest.raises(MigrationFailed, match="connection was lost") as told:
        await up(database, directory=directory, conditions=KEY)
    assert "whether it was committed is not known" in (told.value.hint or "")
    assert [file.id for file in (await status(database, directory=directory, key=b"k")).pending] == ["0001_dies"]


async def test_a_killed_server_loses_files_and_their_rows_together(
    own_cluster: Server, database: ConnectionTarget, directory: Path
) -> None:
    """Lost: nothing that was acknowledged.
    Seen: which file it stopped at; status has no problem.
    """
    for number in range(1, 31):
        write(directory, f"{number:04d}_t{number}", f"create table public.t{number} ();")
    write(directory, "0031_slow", "select pg_sleep(600);")
    running = asyncio.create_task(up(database, directory=directory, conditions=KEY))
    await eventually(
        lambda: ask(database, "select count(*) from pg_stat_activity where query like '%pg_sleep(600)%'"
                              " and pid <> pg_backend_pid()"),
        what="the last file runs",
    )  # fmt: skip
    kill_server(own_cluster)
    with pytest.raises(MigrationFailed, match="0031_slow"):
        await running
    await own_cluster.start(archive_command=ARCHIVE_NOWHERE, deadline=timedelta(seconds=60))
    seen = await status(database, directory=directory, key=b"k")
    tables = await ask(database, r"select count(*) from pg_tables where tablename ~ '^t\d+$'")
    assert len(seen.applied) == tables
    assert not seen.problems
    write(directory, "0031_slow", "select 1;")
    await up(database, directory=directory, conditions=KEY)
    assert (await status(database, directory=directory, key=b"k")).is_current


def kill_server(server: Server) -> None:
    """All its processes at once, as a machine that loses power."""
    pid = server.postmaster_pid()
    assert pid is not None
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in (pid, *map(int, children)):
        os.kill(each, signal.SIGKILL)
