"""The disk of the cluster is full: what is said, and that the cluster comes back whole."""

from pathlib import Path

import pytest

from support.small_disk import is_possible, run_on_small_disk
from wedsync.cluster import Engine

_SCRIPT = """
import asyncio, os, signal, sys
from contextlib import suppress
from pathlib import Path

import psycopg
from support.clusters import ARCHIVE_NOWHERE, START, new_home, remove_cluster, small_config
from support.events import eventually
from wedsync.cluster import Server, ServerState, find_engine, initialise_cluster
from wedsync.config import Home
from wedsync.errors import WedsyncError

disk = Path(sys.argv[1])
filler = disk / "filler"

def fill(leave_bytes=0):
    with filler.open("wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(bytes(4096))
        file.truncate(max(0, file.tell() - leave_bytes))

def say(what, error):
    print(what, error.code, "|", error.message, "|", error.detail, "|", error.hint)

async def main():
    home = new_home(disk / "home")
    engine = find_engine(Home(Path(os.environ.get("WEDSYNC_ENGINE_HOME", str(disk)))))
    server = Server(engine=engine, home=home, config=small_config())

    async def start():
        return await server.start(archive_command=ARCHIVE_NOWHERE, deadline=START)

    fill(leave_bytes=20 << 20)
    try:
        await initialise_cluster(engine=engine, home=home, config=server.config, durable=False)
    except WedsyncError as error:
        say("initdb", error)
    filler.unlink()
    await initialise_cluster(engine=engine, home=home, config=server.config, durable=False)

    fill()
    try:
        await start()
    except WedsyncError as error:
        say("prepare", error)
    filler.unlink()
    await start()

    fill(leave_bytes=6 << 20)
    acknowledged = 0
    async with await server.target().connect() as connection:
        await connection.execute("create table ledger (number int primary key, filler text)")
        with suppress(psycopg.OperationalError):
            while True:
                await connection.execute(
                    "insert into ledger values (%s, repeat(md5(random()::text), 1000))", (acknowledged,)
                )
                acknowledged += 1
    print("written", acknowledged > 100)
    with suppress(ProcessLookupError, TypeError):
        os.kill(server.postmaster_pid(), signal.SIGKILL)
    await eventually(lambda: server.state() in {ServerState.CRASHED, ServerState.STOPPED})
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    filler.open("r+b").truncate(filler.stat().st_size - (96 << 10))
    try:
        await start()
    except WedsyncError as error:
        say("recovery", error)
    filler.unlink()
    await start()
    async with await server.target().connect() as connection:
        row = await (await connection.execute("select count(*), max(number) from ledger")).fetchone()
    print("kept", row[0] in (acknowledged, acknowledged + 1))
    await remove_cluster(server)

asyncio.run(main())
"""


@pytest.mark.skipif(not is_possible(), reason="this machine gives ordinary users no namespaces of their own")
def test_a_full_disk_is_said_as_such_and_costs_no_acknowledged_commit(engine: Engine, tmp_path: Path) -> None:
    """Lost: nothing that was acknowledged.
    Seen: WS209: `the disk is full`, and what was not done.
    """
    lines = run_on_small_disk(_SCRIPT, size="96m", place=tmp_path / "disk")
    by_word = {line.partition(" ")[0]: line for line in lines}
    assert by_word["initdb"].startswith("initdb WS209 | the disk is full: no cluster was made")
    assert by_word["prepare"].startswith("prepare WS209 | the disk is full: PostgreSQL cannot start")
    assert by_word["written"] == "written True"
    assert by_word["kept"] == "kept True"
    assert by_word.get("recovery", "recovery WS209").startswith("recovery WS209"), by_word
