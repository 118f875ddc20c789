"""Killed servers, killed supervisors, processes that keep dying: what comes back, and that nothing is lost."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic

import psycopg

from support.clusters import ARCHIVE_NOWHERE, START
from support.events import eventually
from wedsync.cluster import Server, ServerState, supervised_server
from wedsync.config import Home
from wedsync.errors import CannotConnect
from wedsync.process import FileLock, ProcessFact, Supervisor, is_alive, run, spawn_detached
from wedsync.state import StateStore, open_state

Fact = tuple[str, ProcessFact, str]


@asynccontextmanager
async def supervision(server: Server, facts: list[Fact], reasons: list[str]) -> AsyncIterator[None]:
    """A supervisor that watches the server; left without stopping the server."""
    process = supervised_server(
        server,
        archive_command=lambda: ARCHIVE_NOWHERE,
        may_start=lambda: reasons[0] if reasons else None,
    )
    task = asyncio.create_task(Supervisor([process], record=lambda *fact: facts.append(fact)).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def write_and_remember(server: Server, client: int, acknowledged: set[tuple[int, int]]) -> None:
    """Commit numbered rows until the connection breaks; remember those whose commit was acknowledged."""
    with suppress(psycopg.OperationalError):
        async with await server.target("wedsync_owner", "wedsync").connect() as connection:
            number = 0
            while True:
                number += 1
                await connection.execute("insert into ledger values (%s, %s)", (client, number))
                acknowledged.add((client, number))


async def test_a_server_killed_under_load_comes_back_within_seconds_with_every_acknowledged_commit(
    own_cluster: Server,
) -> None:
    """Lost: nothing that was acknowledged.
    Seen: `died`, then `restarted`, in the record of the process.
    """
    facts: list[Fact] = []
    acknowledged: set[tuple[int, int]] = set()
    async with await own_cluster.target("wedsync_owner", "wedsync").connect() as connection:
        await connection.execute("create table ledger (client int, number int, primary key (client, number))")
    async with supervision(own_cluster, facts, []):
        await eventually(lambda: facts)
        for killed in range(1, 4):
            clients = [
                asyncio.create_task(write_and_remember(own_cluster, client + 10 * killed, acknowledged))
                for client in range(4)
            ]
            enough = len(acknowledged) + 400
            await eventually(lambda enough=enough: len(acknowledged) >= enough)
            pid = own_cluster.postmaster_pid()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            since = monotonic()
            await asyncio.gather(*clients)
            await eventually(own_cluster.ready)
            assert monotonic() - since < 30
            assert own_cluster.postmaster_pid() != pid
            await eventually(lambda killed=killed: len(facts) == 1 + 2 * killed)
        async with await own_cluster.target("wedsync_owner", "wedsync").connect() as connection:
            rows = await (await connection.execute("select client, number from ledger")).fetchall()
        assert acknowledged - set(rows) == set()
    assert [fact[1] for fact in facts] == ["adopted"] + ["died", "restarted"] * 3 + ["stopped"]


async def test_backends_that_outlive_a_killed_postmaster_are_ended_before_the_next_one_starts(
    own_cluster: Server,
) -> None:
    """Lost: nothing: no orphan writes beside the new server.
    Seen: nothing.
    """
    busy = await own_cluster.target("wedsync_owner", "wedsync").connect()
    backend = busy.info.backend_pid
    computing = asyncio.create_task(
        busy.execute("do $$ declare n bigint := 0; begin loop n := n + 1; end loop; end $$")
    )
    await eventually(lambda: _computes(own_cluster, backend), what="the backend computes")
    postmaster = own_cluster.postmaster_pid()
    assert postmaster is not None
    os.kill(postmaster, signal.SIGKILL)
    await eventually(lambda: own_cluster.state() is ServerState.CRASHED)
    assert is_alive(backend)
    await own_cluster.start(archive_command=ARCHIVE_NOWHERE, deadline=START)
    assert not is_alive(backend)
    with suppress(psycopg.OperationalError):
        await computing
    await busy.close()


async def test_a_stop_under_a_hold_is_no_death_and_the_server_stays_down(own_cluster: Server) -> None:
    """Lost: nothing.
    Seen: `stopped`, not `died`; it starts when the hold ends.
    """
    facts: list[Fact] = []
    reasons: list[str] = []
    async with supervision(own_cluster, facts, reasons):
        await eventually(lambda: facts)
        reasons.append("a recovery runs")
        await own_cluster.stop()
        await eventually(lambda: len(facts) == 2)
        assert own_cluster.state() is ServerState.STOPPED
        reasons.clear()
        await eventually(own_cluster.ready)
        await eventually(lambda: len(facts) == 3)
    assert [fact[1] for fact in facts[:3]] == ["adopted", "stopped", "started"]


async def test_a_server_that_cannot_start_is_tried_less_and_less_often_and_comes_back_once_it_can(
    own_cluster: Server,
) -> None:
    """Lost: nothing.
    Seen: `pg_control is damaged … again in 2 s`.
    """
    facts: list[Fact] = []
    control = own_cluster.home.pgdata / "global/pg_control"
    await own_cluster.stop()
    content = control.read_bytes()
    control.write_bytes(b"\0" * 8192)
    async with supervision(own_cluster, facts, []):
        await eventually(lambda: len(facts) >= 3)
        control.write_bytes(content)
        await eventually(own_cluster.ready)
    failed = [fact[2] for fact in facts if fact[1] is ProcessFact.START_FAILED]
    assert all("pg_control is damaged" in detail for detail in failed)
    assert [detail.rpartition("again in ")[2] for detail in failed[:3]] == ["1 s", "1 s", "2 s"]


async def test_a_server_whose_data_directory_was_deleted_is_found_and_stopped(own_cluster: Server) -> None:
    """Lost: what is in no archive and not sheltered.
    Seen: the server is found by its socket and stops.
    """
    pid = own_cluster.postmaster_pid()
    assert pid is not None
    own_cluster.home.pgdata.rename(own_cluster.home.root / "gone")
    assert own_cluster.state() is ServerState.ABSENT
    assert own_cluster.postmaster_pid() == pid
    assert await own_cluster.stop()
    assert not is_alive(pid)
    with suppress(CannotConnect):
        await own_cluster.target().connect(connect_timeout=timedelta(seconds=1))
        raise AssertionError("something still listens")


async def test_a_server_that_lost_its_data_directory_makes_room_for_the_one_put_back(
    own_cluster: Server, template: Home
) -> None:
    """Lost: nothing of the directory put back.
    Seen: the new server runs, the old one is gone.
    """
    old = own_cluster.postmaster_pid()
    assert old is not None
    own_cluster.home.pgdata.rename(own_cluster.home.root / "gone")
    copied = await run(["/bin/cp", "-a", template.pgdata, own_cluster.home.pgdata], deadline=START)
    copied.check()
    assert await own_cluster.start(archive_command=ARCHIVE_NOWHERE, deadline=START) != old
    assert not is_alive(old)
    assert await own_cluster.ready()


_SUPERVISOR = """
import asyncio, sys
from pathlib import Path
import msgspec
from wedsync.cluster import Server, find_engine, supervised_server
from wedsync.config import Home, load_config
from wedsync.process import Supervisor
from wedsync.state import open_state, as_text
from datetime import UTC, datetime

home = Home(Path(sys.argv[1]))
config = load_config(home, {}).config
server = Server(engine=find_engine(Home(Path(sys.argv[2]))), home=home, config=config)
store = open_state(home.state_db)

def record(process, what, detail):
    store.write("insert into process_events (at, process, what, detail) values (?, ?, ?, ?)",
                (as_text(datetime.now(UTC)), process, what, detail))

process = supervised_server(server, archive_command=lambda: "/bin/true pgbackrest", may_start=lambda: None)
asyncio.run(Supervisor([process], record=record).run())
"""


def _recorded(store: StateStore) -> list[str]:
    return [row["what"] for row in store.rows("select what from process_events order by id")]


async def test_a_supervisor_killed_and_started_again_takes_the_running_server_over(
    own_cluster: Server, tmp_path: Path
) -> None:
    """Lost: nothing: the server runs on.
    Seen: `adopted`.
    """
    home = own_cluster.home
    home.config_file.write_text(f"[cluster]\nport = {own_cluster.config.cluster.port}\n")
    store = open_state(home.state_db)
    engine_home = Home(Path(os.environ.get("WEDSYNC_ENGINE_HOME", tmp_path)))
    script = tmp_path / "supervisor.py"
    script.write_text(_SUPERVISOR)
    environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}

    def supervise() -> int:
        words = [sys.executable, script, home.root, engine_home.root]
        return spawn_detached(words, log=tmp_path / "supervisor.log", env=environment)

    first = supervise()
    await eventually(lambda: _recorded(store) == ["adopted"])
    os.kill(own_cluster.postmaster_pid() or 0, signal.SIGKILL)
    await eventually(lambda: _recorded(store) == ["adopted", "died", "restarted"])
    postmaster = own_cluster.postmaster_pid()
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: not is_alive(first))
    second = supervise()
    try:
        await eventually(lambda: _recorded(store)[3:] == ["adopted"])
        assert own_cluster.postmaster_pid() == postmaster
        assert await own_cluster.ready()
    finally:
        os.kill(second, signal.SIGKILL)
        await eventually(lambda: not is_alive(second))
        store.close()


async def test_a_stop_waits_for_a_launch_that_is_on_its_way(own_cluster: Server) -> None:
    """Lost: nothing.
    Seen: nothing: the stop waits.
    """
    await own_cluster.stop()
    lock = FileLock(own_cluster.home.run / "postgresql.lock", purpose="launch PostgreSQL")
    assert lock.try_acquire()
    stopping = asyncio.create_task(own_cluster.stop())
    await asyncio.wait([stopping], timeout=0.2)
    assert not stopping.done()
    lock.release()
    assert await stopping is False


async def _computes(server: Server, backend: int) -> bool:
    """Whether a backend is inside its statement: one that still reads or waits would end with the postmaster."""
    async with await server.target().connect() as connection:
        cursor = await connection.execute(
            "select state = 'active' and query like 'do %%' from pg_stat_activity where pid = %s", (backend,)
        )
        return await cursor.fetchone() == (True,)
