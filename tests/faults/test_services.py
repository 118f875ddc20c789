"""Services that are killed, on one home that the tests of this file share; they run in their order."""

import asyncio
import fcntl
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest

from support.commands import CommandLine, running_home
from support.events import eventually
from support.workers import held
from wedsync.config import Home
from wedsync.process import is_alive
from wedsync.state import as_text, open_state


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory, protected_template: Home) -> Iterator[CommandLine]:
    """A home without weddings, up and running."""
    with held(running_home(tmp_path_factory.mktemp("services"), template=protected_template)) as made:
        yield made


@pytest.mark.parametrize("service", ["keeper", "gateway", "postgresql"])
async def test_a_killed_service_is_restarted_and_the_fact_is_recorded(commands: CommandLine, service: str) -> None:
    """Lost: nothing.
    Seen: `status`: it was restarted.
    """
    await eventually(lambda: commands.events(service)[-1:] in (["started"], ["adopted"]), what=f"{service} runs")
    pid = commands.pid(service)
    assert pid
    os.kill(pid, signal.SIGKILL)
    await commands.another_pid(service, pid)
    await eventually(lambda: commands.events(service)[-2:] == ["died", "restarted"], what="it is recorded")

    async def told() -> bool:
        answer = json.loads((await commands.run("status", "--json")).stdout)
        codes = {(issue["code"], issue["words"].partition(" ")[0]) for issue in answer["issues"]}
        return answer["database"]["connects"] is True and ("restarted", service) in {
            (code, name.lower()) for code, name in codes
        }

    await eventually(told, what="status says that it was restarted")


async def test_up_after_a_killed_supervisor_adopts_what_runs(commands: CommandLine) -> None:
    """Lost: nothing: nothing is stopped.
    Seen: `ran already`, `adopted`.
    """
    before = {name: commands.pid(name) for name in ("postgresql", "keeper", "gateway", "supervisor")}
    assert all(before.values())
    os.kill(before["supervisor"] or 0, signal.SIGKILL)
    await eventually(lambda: not is_alive(before["supervisor"] or 0), what="the supervisor is gone")
    found = await commands.json("status", code=3)
    assert found["processes"]["supervisor"] is False

    again = await commands.up()
    assert "ran already" in again.stderr
    after = {name: commands.pid(name) for name in before}
    assert after.pop("supervisor") not in {None, before.pop("supervisor")}
    assert after == before
    for name in ("postgresql", "keeper", "gateway"):
        await eventually(lambda name=name: commands.events(name)[-1] == "adopted", what=f"{name} is adopted")


async def test_two_calls_of_up_at_once_start_everything_once(commands: CommandLine) -> None:
    """Lost: nothing.
    Seen: the second waits or is told WS108.
    """
    await commands.ok("down")
    first, second = await asyncio.gather(commands.run("up", "--detach"), commands.run("up", "--detach"))
    codes = sorted([first.exit_status, second.exit_status])
    assert codes in ([0, 0], [0, 1]), first.stderr + second.stderr
    if codes == [0, 1]:
        refused = first if first.exit_status else second
        assert "WS108" in refused.stderr
    assert commands.pid("supervisor")
    assert "Traceback" not in first.stderr + second.stderr


@contextmanager
def recovery_lock(commands: CommandLine) -> Iterator[None]:
    """Hold the lock of a recovery, as one under way does."""
    lock = os.open(commands.home.run / "recovery.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.pwrite(lock, json.dumps({"pid": os.getpid(), "purpose": "recovery", "since": "now"}).encode(), 0)
    try:
        yield
    finally:
        os.ftruncate(lock, 0)
        os.close(lock)


async def test_down_during_a_recovery_is_refused(commands: CommandLine) -> None:
    """Lost: nothing: it is refused.
    Seen: `a recovery is under way`.
    """
    with recovery_lock(commands):
        refused = await commands.ok("down", code=1)
    assert "a recovery is under way" in refused.stderr
    assert commands.pid("postgresql")


async def test_up_during_a_recovery_starts_no_server_between_its_steps(commands: CommandLine) -> None:
    """Lost: nothing: it is refused.
    Seen: `a recovery is under way`.
    """
    await commands.ok("down")
    with recovery_lock(commands):
        refused = await commands.ok("up", "--detach", code=1)
    assert "a recovery is under way" in refused.stderr
    assert "WS108" in refused.stderr
    assert commands.pid("postgresql") is None


async def test_an_unfinished_recovery_keeps_the_server_down_and_says_what_to_do(commands: CommandLine) -> None:
    """Lost: nothing.
    Seen: `PostgreSQL stays down`, and the command that goes on.
    """
    await commands.ok("down")
    state = open_state(commands.home.state_db)
    state.write(
        "insert into recoveries (id, target, target_at, phase, started_at, outcome, plan)"
        " values ('r', '2026-06-14T10:05:30+00:00', '2026-06-14T10:05:30+00:00', 'restoring', ?, 'running', '{}')",
        (as_text(datetime.now(UTC)),),
    )
    try:
        up = await commands.up()
        assert "PostgreSQL stays down" in up.stderr
        assert "wedsync recover run --to '2026-06-14T10:05:30+00:00' --yes" in up.stderr
        assert commands.pid("postgresql") is None
        assert commands.pid("gateway")
        await eventually(lambda: commands.events("postgresql")[-1] == "waiting", what="the supervisor waits")
        answer = await commands.json("status", code=3)
        assert answer["state"] == "down"
        assert "recover run" in answer["sentence"]
    finally:
        state.write("delete from recoveries where id = 'r'")
        state.close()
    await eventually(lambda: commands.pid("postgresql"), what="the supervisor starts it")


async def test_a_data_directory_that_is_gone_is_never_replaced_by_a_new_cluster(commands: CommandLine) -> None:
    """Lost: nothing: it is refused.
    Seen: `data directory is gone`, `recover run --to latest`.
    """
    await commands.ok("down")
    aside = commands.home.root / "aside"
    commands.home.pgdata.rename(aside)
    refused = await commands.ok("up", "--detach", code=1)
    assert "data directory is gone" in refused.stderr
    assert "recover run --to latest" in refused.stderr
    lost = commands.home.state_db.rename(commands.home.root / "state.aside")
    refused = await commands.ok("up", "--detach", code=1)
    assert "data directory is gone" in refused.stderr
    assert not commands.home.pgdata.exists()
    aside.rename(commands.home.pgdata)
    lost.rename(commands.home.state_db)


@pytest.mark.parametrize("how", ["deleted", "damaged"])
async def test_a_lost_state_file_is_rebuilt_from_what_is_there(commands: CommandLine, how: str) -> None:
    """Lost: runs and measurements in the file; no data, no backup.
    Seen: `there already`; a damaged file is named.
    """
    await commands.ok("down")
    before = await commands.json("backup", "list")
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (commands.home.root / name).unlink(missing_ok=True)
    if how == "damaged":
        commands.home.state_db.write_bytes(b"this is no database\n" * 500)
        for words in (("up", "--detach"), ("backup", "list"), ("keys", "--sign-in")):
            refused = await commands.ok(*words, code=1)
            assert "WS107" in refused.stderr
            assert "move it away" in refused.stderr
        answer = await commands.json("status", code=3)
        assert "state.db" in json.dumps(answer["issues"])
        commands.home.state_db.rename(commands.home.root / "state.damaged")

    up = await commands.up()
    assert "load the demo" not in up.stderr
    assert "apply migrations" not in up.stderr
    assert up.stderr.count("there already") == 3, up.stderr
    assert await commands.json("backup", "list") == before
    assert (await commands.json("recover", "window"))["windows"]
    again = await commands.ok("up", "--detach")
    assert "running already" in again.stderr


async def test_a_state_file_deleted_under_running_services_is_noticed(commands: CommandLine) -> None:
    """Lost: what the file held; no data, no backup.
    Seen: nothing: a new file is written to.
    """
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (commands.home.root / name).unlink(missing_ok=True)
    keeper = commands.pid("keeper")
    assert keeper
    os.kill(keeper, signal.SIGKILL)
    await commands.another_pid("keeper", keeper)
    await eventually(lambda: commands.events("keeper") == ["died", "restarted"], what="the new file has it")
    link = (await commands.json("keys", "--sign-in"))["sign_in_url"]
    address, _, token = link.partition("?token=")
    async with httpx.AsyncClient(follow_redirects=True) as client:
        assert (await client.post(address, data={"token": token})).status_code == 200


async def test_a_server_whose_files_were_deleted_is_told_and_taken_back(commands: CommandLine) -> None:
    """Lost: nothing that was sheltered or archived.
    Seen: `critical` or `down`, with `recover run --to latest`.
    """
    shutil.rmtree(commands.home.pgdata, ignore_errors=True)
    answer = await commands.json("status", code=3)
    assert answer["state"] in {"critical", "down"}
    assert "recover run --to latest" in answer["sentence"]
