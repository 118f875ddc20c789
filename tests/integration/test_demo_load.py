"""Loading the season, and writing like a Saturday, on a real server."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.clusters import ARCHIVE_NOWHERE, START
from support.databases import fresh_database, migrated_database
from support.events import eventually
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.demo import LiveTick, Outcome, live, load, read_ledger
from wedsync.demo.wedding import COLUMNS, qualified
from wedsync.errors import DemoRefused
from wedsync.migrations import up

SMALL = 0.1
CONSTRAINTS = (
    "select string_agg(conrelid::regclass || conname || pg_get_constraintdef(oid) || convalidated, ';'"
    " order by conrelid::regclass::text, conname) from pg_constraint where connamespace = 'public'::regnamespace"
)


@pytest.fixture
async def database(cluster: Server) -> AsyncIterator[ConnectionTarget]:
    async with migrated_database(cluster) as target:
        yield target


async def ask(target: ConnectionTarget, query: str) -> object:
    async with await target.connect() as connection:
        row = await (await connection.execute(query)).fetchone()  # type: ignore[arg-type]
    return None if row is None else row[0]


async def test_a_season_is_loaded_whole_with_its_constraints_as_they_were(database: ConnectionTarget) -> None:
    constraints = await ask(database, CONSTRAINTS)
    told: list[tuple[int, int]] = []
    loaded = await load(database, size=SMALL, on_progress=lambda done, total: told.append((done, total)))
    for table in COLUMNS:
        assert await ask(database, f"select count(*) from {'.'.join(qualified(table))}") == loaded.rows[table] > 0
    assert await ask(database, CONSTRAINTS) == constraints
    assert told == sorted(told, key=lambda pair: pair[0])
    assert told[-1] == (loaded.rows_in_all, loaded.rows_in_all)
    assert await ask(database, "select count(*) from couples where wedding_date = current_date") == 2


async def test_a_second_load_says_so_and_does_nothing(database: ConnectionTarget) -> None:
    first = await load(database, size=SMALL)
    second = await load(database, size=3)
    assert second.already
    assert (second.rows, second.size) == (first.rows, SMALL)
    assert await ask(database, "select count(*) from couples") == first.rows["couples"]


async def test_of_two_loads_at_once_one_loads(database: ConnectionTarget) -> None:
    loads = await asyncio.gather(load(database, size=SMALL), load(database, size=SMALL))
    assert sorted(loaded.already for loaded in loads) == [False, True]


async def test_an_interrupted_load_leaves_nothing_and_can_be_run_again(database: ConnectionTarget) -> None:
    constraints = await ask(database, CONSTRAINTS)
    under_way = asyncio.Event()
    loading = asyncio.create_task(load(database, size=2, on_progress=lambda *_: under_way.set()))
    await under_way.wait()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert await ask(database, "select count(*) from organizations") == 0
    assert await ask(database, CONSTRAINTS) == constraints
    assert not (await load(database, size=SMALL)).already


async def test_weddings_of_real_people_are_not_mixed_with_the_demo(database: ConnectionTarget) -> None:
    async with await database.connect() as connection:
        await connection.execute(
            "with o as (insert into organizations (name, slug) values ('Real', 'real') returning id)"
            " insert into couples (organization_id, partner_one_name, partner_two_name, wedding_date, time_zone)"
            " select id, 'Ada', 'Grace', current_date, 'Europe/London' from o"
        )
    with pytest.raises(DemoRefused, match="not the demo's"):
        await load(database, size=SMALL)


async def test_without_the_schema_the_next_step_is_named(cluster: Server) -> None:
    async with fresh_database(cluster) as target:
        for attempt in (load(target), live(target)):
            with pytest.raises(DemoRefused) as raised:
                await attempt
            assert raised.value.hint == "wedsync migrate up"


async def test_live_without_weddings_names_the_next_step(database: ConnectionTarget) -> None:
    with pytest.raises(DemoRefused) as raised:
        await live(database)
    assert raised.value.hint == "wedsync demo load"


async def test_ledger_and_database_agree_and_numbers_go_on_after_a_pause(
    database: ConnectionTarget, tmp_path: Path
) -> None:
    await load(database, size=SMALL)
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        stop = asyncio.Event()
        writing = asyncio.create_task(live(database, rate_per_s=200, ledger=path, until=stop))
        before = len(list(read_ledger(path))) if path.exists() else 0
        await eventually(lambda: path.exists() and len(list(read_ledger(path))) > before + 40)  # noqa: B023
        stop.set()
        sums = await writing
        assert sums.unknown == 0
    lines = list(read_ledger(path))
    async with await database.connect() as connection:
        rows = await (await connection.execute("select seq, committed_at from ops.demo_commits")).fetchall()
    assert {(line.seq, line.committed_at) for line in lines} == set(rows)
    assert len({line.seq for line in lines}) == len(lines)
    assert all(line.committed_at <= line.acknowledged_at for line in lines)


async def test_writers_come_back_after_a_crash_and_no_acknowledged_commit_is_lost(
    own_cluster: Server, tmp_path: Path
) -> None:
    target = own_cluster.target("wedsync_owner", own_cluster.config.database.name)
    await up(target)
    await load(target, size=SMALL)
    path, stop = tmp_path / "ledger.jsonl", asyncio.Event()
    ticks: list[LiveTick] = []
    writing = asyncio.create_task(live(target, rate_per_s=300, ledger=path, on_tick=ticks.append, until=stop))
    await eventually(lambda: path.exists() and len(list(read_ledger(path))) > 100)
    pid = int((own_cluster.home.pgdata / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    crashed_at = len(list(read_ledger(path)))
    await eventually(lambda: _started_again(own_cluster), what="the server to start again")
    await eventually(lambda: len(list(read_ledger(path))) > crashed_at + 50, what="writers to come back")
    stop.set()
    await writing
    async with await target.connect() as connection:
        rows = await (await connection.execute("select seq from ops.demo_commits")).fetchall()
    kept = {row[0] for row in rows}
    acknowledged = {line.seq for line in read_ledger(path) if line.outcome is Outcome.COMMITTED}
    unknown = {line.seq for line in read_ledger(path) if line.outcome is Outcome.UNKNOWN}
    assert acknowledged <= kept
    assert kept <= acknowledged | unknown


async def _started_again(server: Server) -> bool:
    await server.start(archive_command=ARCHIVE_NOWHERE, deadline=START)
    return True
