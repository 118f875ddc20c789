"""The first run of `up`: killed, refused, and run again."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from support.commands import CommandLine, command_line
from support.events import eventually
from support.ports import free_port
from support.small_disk import is_possible, run_on_small_disk
from wedsync.app import RescueKit, seal_kit
from wedsync.process import is_alive


@pytest.fixture
async def commands(tmp_path: Path, engine: object) -> AsyncIterator[CommandLine]:
    """A command line without a home."""
    async with command_line(tmp_path / "place") as made:
        yield made


_UP_ON_A_SMALL_DISK = """
import os, subprocess, sys
clean = {name: value for name, value in os.environ.items() if not name.startswith("WEDSYNC_")}
words = ["up", "--detach", "--empty", "--home", sys.argv[1] + "/home", "--port", "PORT", "--db-port", "DB_PORT"]
ended = subprocess.run([sys.executable, "-P", "-m", "wedsync", *words], capture_output=True, text=True, env=clean)
print(ended.returncode)
print(ended.stderr)
"""


STEPS = ("make the cluster", "roles, database", "load the demo", "first backup to repo1", "first backup to repo2")


async def ended(pid: int) -> int:
    """The exit status of a call in the background."""
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    return os.waitstatus_to_exitcode(status)


async def count(commands: CommandLine, statement: str) -> int:
    db_url = (await commands.json("keys"))["db_url"]
    async with await psycopg.AsyncConnection.connect(db_url) as connection:
        row = await (await connection.execute(statement.encode())).fetchone()
        assert row is not None
        return int(row[0])


async def test_a_first_run_that_is_killed_at_any_step_is_completed_by_the_next(commands: CommandLine) -> None:
    """Lost: nothing.
    Seen: `All well` after the next call.
    """
    said = commands.said("up")
    for step in STEPS:
        pid = commands.spawn("up", "--detach", *commands.ports)
        await eventually(
            lambda step=step, pid=pid: step in said.read_text() or not is_alive(pid), within_s=60, what=step
        )
        assert step in said.read_text(), said.read_text()
        os.kill(pid, signal.SIGKILL)
        await ended(pid)
        said.unlink()
    done = await commands.ok("up", "--detach", *commands.ports)
    assert "All well" in done.stdout
    assert await count(commands, "select count(*) from ops.migrations where name = 'foundation'") == 1
    assert await count(commands, "select count(*) from couples") == 150
    listed = (await commands.json("backup", "list"))["backups"]
    assert sorted(item["repo"] for item in listed) == [1, 2]


async def test_a_second_region_that_is_away_does_not_stop_the_first_run(commands: CommandLine) -> None:
    """Lost: nothing.
    Seen: `not now: repo2 …`, and a warning.
    """
    elsewhere = commands.home.root.parent / "second"
    elsewhere.mkdir(mode=0o500)
    commands.home.root.mkdir(mode=0o700, exist_ok=True)
    commands.home.config_file.write_text(
        f"[gateway]\nport = {commands.port}\n[cluster]\nport = {commands.db_port}\n"
        f'[backup.repo2]\npath = "{elsewhere}/repo"\n'
    )
    up = await commands.ok("up", "--detach", "--empty")
    assert "first backup to repo2 … " in up.stderr
    assert "not now: repo2" in up.stderr
    answer = await commands.json("status", code=3)
    assert answer["database"]["connects"] is True
    assert answer["last_backup_at"]
    assert "epository 2" in str(answer["issues"])


async def test_ctrl_c_says_what_stays_and_up_goes_on(commands: CommandLine) -> None:
    """Lost: nothing.
    Seen: `what is done stays`; what was stopped.
    """
    pid = commands.spawn("up", "--empty", *commands.ports)
    said = commands.said("up")
    await eventually(lambda: "roles, database" in said.read_text(), what="the server is up")
    os.kill(pid, signal.SIGINT)
    assert await ended(pid) == 130
    assert "interrupted: what is done stays; wedsync up goes on" in said.read_text()
    assert "Traceback" not in said.read_text()

    pid = commands.spawn("up", "--empty")
    await eventually(lambda: "Ctrl-C stops everything" in said.read_text(), within_s=60, what="it runs")
    os.kill(pid, signal.SIGINT)
    await eventually(lambda: "stopping …" in said.read_text(), what="it stops")
    os.kill(pid, signal.SIGINT)
    assert await ended(pid) == 130
    assert "stopping already" in said.read_text()
    assert "stopped: gateway, keeper and PostgreSQL" in said.read_text()
    assert "still running" not in said.read_text()
    assert [commands.pid(name) for name in ("postgresql", "keeper", "gateway")] == [None] * 3


@pytest.mark.parametrize("option", ["--port", "--db-port"])
async def test_a_taken_port_is_named_with_the_next_free_one_and_nothing_is_made(
    commands: CommandLine, option: str
) -> None:
    """Lost: nothing: nothing is made.
    Seen: who has the port, and the next free one.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--port": str(commands.port), "--db-port": str(commands.db_port)} | {option: str(port)}
        words = [word for pair in ports.items() for word in pair]
        refused = await commands.ok("up", "--detach", *words, code=1)
    assert f"port {port} is taken" in refused.stderr
    assert f"(process {os.getpid()})" in refused.stderr
    assert f"is free: set {option} = " in refused.stderr
    assert not commands.home.config_file.exists()


async def test_a_rescue_onto_a_taken_port_is_refused_before_anything_is_restored(
    commands: CommandLine, tmp_path: Path
) -> None:
    """Lost: nothing: nothing is restored.
    Seen: who has the port, and the next free one.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        kit = RescueKit(
            made_at=datetime(2026, 6, 14, tzinfo=UTC),
            made_by="test",
            config=f"[gateway]\nport = {commands.port}\n[cluster]\nport = {port}\n",
            secrets={"repo1_key": b"a key"},
            tls={},
        )
        (tmp_path / "passphrase.txt").write_text("correct horse battery staple\n")
        (tmp_path / "kit.txt").write_text(seal_kit(kit, "correct horse battery staple"))
        refused = await commands.ok(
            "up", "--detach", "--rescue", str(tmp_path / "kit.txt"),
            "--passphrase-file", str(tmp_path / "passphrase.txt"), code=1,
        )  # fmt: skip
    assert f"port {port} is taken" in refused.stderr
    assert "is free: set cluster.port in wedsync.toml = " in refused.stderr
    assert "find the newest state" not in refused.stderr
    assert not commands.home.pgdata.exists()


async def test_one_port_for_both_is_wrong_usage(commands: CommandLine) -> None:
    """Lost: nothing: nothing is made.
    Seen: `choose two`.
    """
    port = str(free_port())
    refused = await commands.ok("up", "--detach", "--port", port, "--db-port", port, code=2)
    assert "choose two" in refused.stderr


async def test_a_home_that_cannot_be_written_is_said(commands: CommandLine) -> None:
    """Lost: nothing: nothing is made.
    Seen: WS102 and the path.
    """
    place = commands.home.root.parent / "closed"
    place.mkdir(mode=0o555)
    for home in (place / "home", Path("/proc/home"), Path("/etc")):
        refused = await commands.ok("up", "--detach", *commands.ports, "--home", str(home), code=1)
        assert "WS102" in refused.stderr
        assert str(home) in refused.stderr


async def test_no_new_cluster_is_made_where_a_repository_cannot_be_read(commands: CommandLine) -> None:
    """Lost: nothing: the backups in it are not orphaned.
    Seen: `no new cluster is made: repo2 cannot be read`.
    """
    repository = commands.home.root / "repo2"
    repository.mkdir(parents=True)
    repository.chmod(0)
    try:
        refused = await commands.ok("up", "--detach", "--empty", *commands.ports, code=1)
    finally:
        repository.chmod(0o700)
    assert "no new cluster is made: repo2 cannot be read" in refused.stderr
    assert not commands.home.pgdata.exists()


async def test_without_a_home_commands_say_so_and_write_nothing(commands: CommandLine) -> None:
    """Lost: nothing.
    Seen: WS102: `bin/up makes one`.
    """
    empty = commands.home.root.parent / "empty"
    empty.mkdir()
    for home in (empty, empty / "nothing"):
        for words in (("status",), ("backup", "list"), ("recover", "window"), ("down",), ("keys",)):
            refused = await commands.ok(*words, "--home", str(home), "--json", code=1)
            assert '"WS102"' in refused.stdout
            assert "bin/up makes one" in refused.stderr
    assert list(empty.iterdir()) == []


@pytest.mark.skipif(not is_possible(), reason="this machine gives an ordinary user no disk of its own")
@pytest.mark.parametrize("size", ["2m", "30m"])
def test_a_disk_that_is_too_small_is_said(tmp_path: Path, size: str) -> None:
    """Lost: nothing.
    Seen: `the disk is full`, and no traceback.
    """
    script = _UP_ON_A_SMALL_DISK.replace("DB_PORT", str(free_port())).replace("PORT", str(free_port()))
    code, *said = run_on_small_disk(script, size=size, place=tmp_path / "disk")
    assert code == "1", said
    assert "disk is full" in "\n".join(said) or "no space" in "\n".join(said).lower(), said
    assert "Traceback" not in "\n".join(said)
