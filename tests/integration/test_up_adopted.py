"""`up` and the rest on a PostgreSQL that is not ours: plain initdb, on this host."""

import os
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from support.commands import CommandLine, command_line
from support.events import eventually
from support.ports import free_port
from wedsync.cluster import Engine
from wedsync.database import ConnectionTarget
from wedsync.process import run

MINUTE = timedelta(minutes=1)


class Plain:
    """A cluster as initdb makes it."""

    def __init__(self, engine: Engine, place: Path) -> None:
        self.engine, self.data, self.port = engine, place / "data", free_port()
        self.log = place / "log"

    @property
    def target(self) -> ConnectionTarget:
        return ConnectionTarget(host="127.0.0.1", port=self.port, dbname="postgres", user="postgres")

    async def make(self) -> None:
        words = ["--auth=trust", "--username=postgres", "--no-sync", "--locale=C", "--encoding=UTF8"]
        made = await run(
            [self.engine.program("initdb"), "-D", self.data, *words], deadline=MINUTE, env=self.engine.environment
        )
        made.check()

    async def control(self, word: str) -> None:
        options = f"-c port={self.port} -c unix_socket_directories=/tmp -c listen_addresses=127.0.0.1 -c fsync=on"
        done = await run(
            [
                *(self.engine.program("pg_ctl"), "-D", self.data, "-w", "-l", self.log, "-m", "fast"),
                *("-o", options, word),
            ],
            deadline=MINUTE,
            env=self.engine.environment,
        )
        done.check()

    async def execute(self, *statements: str) -> None:
        async with await self.target.connect() as connection:
            for statement in statements:
                await connection.execute(statement.encode())


@pytest.fixture
async def plain(engine: Engine, tmp_path: Path) -> AsyncIterator[Plain]:
    made = Plain(engine, tmp_path)
    await made.make()
    await made.control("start")
    yield made
    await made.control("stop")


@pytest.fixture
async def commands(plain: Plain, tmp_path: Path) -> AsyncIterator[CommandLine]:
    """A command line on a home that adopts the plain cluster."""
    async with command_line(tmp_path / "place") as made:
        made.home.root.mkdir(mode=0o700, exist_ok=True)
        adopt(made, plain)
        yield made


def adopt(commands: CommandLine, plain: Plain, *, user: str = "postgres", files: bool = False) -> None:
    """Write the home's configuration as docs/how-to/adopt.md says."""
    here = f'data_directory = "{plain.data}"\n' if files else ""
    commands.home.config_file.write_text(
        'profile = "external"\n'
        f"[gateway]\nport = {commands.port}\n"
        f'[database]\ndsn = "host=/tmp port={plain.port} user={user} dbname=postgres"\n{here}'
        '[backup]\nheartbeat_every = "1s"\n'
    )


async def test_up_looks_after_an_adopted_server_and_says_what_is_missing(
    commands: CommandLine, plain: Plain
) -> None:
    up = await commands.ok("up", "--detach")
    assert re.search(r"look at the adopted PostgreSQL … \d+ of \d+ features; wedsync doctor says", up.stderr)
    assert "left out: database.data_directory" in up.stderr
    assert await eventually(lambda: commands.pid("keeper"), what="the keeper runs")
    assert not commands.home.pgdata.exists()
    keys = await commands.json("keys")
    assert keys["db_url"].startswith(f"postgresql://postgres@:{plain.port}/postgres?host=%2Ftmp")
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{keys['api_url']}/readyz")).status_code == 200

    answer = await commands.json("status", code=3)
    assert answer["database"]["connects"] is True
    assert "no backups are taken" in str(answer["issues"])
    doctor = await commands.json("doctor", code=3)
    assert {"point-in-time recovery"} <= {item["feature"] for item in doctor if not item["available"]}
    for words in (
        ("backup", "run"),
        ("backup", "list"),
        ("recover", "window"),
        ("recover", "plan", "--to", "latest"),
    ):
        refused = await commands.ok(*words, code=2)
        assert "WS001" in refused.stderr

    pending = await commands.json("migrate", "status", code=3)
    assert len(pending["pending"]) > 3
    server = (plain.data / "postmaster.pid").read_text().splitlines()[0]
    stopped = await commands.json("down")
    assert set(stopped["stopped"]) == {"gateway", "keeper", "supervisor"}
    os.kill(int(server), 0)


async def test_an_adopted_server_that_is_away_or_refuses_is_said(commands: CommandLine, plain: Plain) -> None:
    await plain.execute("create role app login")
    adopt(commands, plain, user="app")
    up = await commands.ok("up", "--detach")
    assert "wedsync doctor says how to get" in up.stderr
    refused = await commands.run("migrate", "up")
    assert refused.exit_status == 1
    assert "Traceback" not in refused.stderr
    await commands.ok("status", code=3)
    await plain.control("stop")
    try:
        answer = await commands.json("status", code=3)
        assert answer["state"] == "down"
        assert "cannot be reached" in answer["sentence"]
        for words in (("doctor",), ("migrate", "status"), ("demo", "load")):
            away = await commands.ok(*words, code=1)
            assert "WS201" in away.stderr
        await commands.ok("down")
        assert "not now: " in (await commands.ok("up", "--detach")).stderr
    finally:
        await plain.control("start")


async def test_an_adopted_server_on_this_host_is_backed_up_after_doctors_remedies(
    commands: CommandLine, plain: Plain
) -> None:
    adopt(commands, plain, files=True)
    doctor = await commands.json("doctor", code=3)
    remedies = {item["feature"]: item["remedy"] for item in doctor}
    assert "restart PostgreSQL" in remedies["point-in-time recovery"]
    for remedy in remedies["point-in-time recovery"]:
        await (plain.control("restart") if remedy == "restart PostgreSQL" else plain.execute(remedy))

    up = await commands.ok("up", "--detach")
    assert "repo1 ready, repo2 ready" in up.stderr

    async def backed_up() -> bool:
        backups = (await commands.json("backup", "list"))["backups"]
        return {item["repo"] for item in backups} == {1, 2}

    await eventually(backed_up, within_s=60, what="the keeper takes the first backups")
    heartbeat = "select count(*) from pg_tables where (schemaname, tablename) = ('ops', 'heartbeat')"
    async with await plain.target.connect() as connection:
        row = await (await connection.execute(heartbeat.encode())).fetchone()
        assert row == (0,), "a heartbeat needs the schema ops, which nobody asked for"
    refused = await commands.ok("migrate", "up", code=1)
    assert "wedsync doctor gives the statements" in refused.stderr
    await plain.execute(*remedies["tenant isolation roles"])
    await commands.ok("migrate", "up")

    async def window() -> bool:
        await plain.execute("select pg_create_restore_point('now'), pg_switch_wal()")  # not to wait for a minute
        return (await commands.run("recover", "window")).exit_status == 0

    await eventually(window, within_s=60, what="a window opens")
    refused = await commands.ok("recover", "run", "--to", "latest", "--yes", code=2)
    assert "works on a cluster that the platform runs itself" in refused.stderr
