"""The keeper, who decides whether commits wait for the receiver, stands still itself."""

import asyncio
import os
import signal
from pathlib import Path

import psycopg

from support.commands import CommandLine, command_line
from support.events import eventually
from wedsync.state import open_state

ZERO_LOSS = """
[backup.zero_loss]
mode = "sync"
directory = "{directory}"
when_down = "degrade"
degrade_after = "1s"
"""


def mode(commands: CommandLine) -> str | None:
    """How commits are protected, as it was written down last."""
    state = open_state(commands.home.state_db)
    try:
        row = state.row("select mode from exposure order by at desc limit 1")
        return None if row is None else row["mode"]
    finally:
        state.close()


def receiving(directory: Path) -> int:
    """The pid of the pg_receivewal that writes there."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (entry / "cmdline").is_file():
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[0].endswith("pg_receivewal") and any(word.startswith(str(directory)) for word in words):
                return int(entry.name)
    raise AssertionError(f"nobody receives into {directory}")


async def test_a_keeper_that_stands_still_keeps_no_commit_waiting_for_ever(tmp_path: Path, engine: object) -> None:
    """SIGSTOP of the keeper and of pg_receivewal, whom commits wait for: nobody is left to let them go.

    Lost: nothing; from then on a loss of the machine would cost what the archive has not.
    Seen: the supervisor kills a keeper that stands still for 30 s (`hung`); then `zero_loss_degraded`.
    """
    directory = tmp_path / "received"
    async with command_line(tmp_path / "hung", configured=True) as commands:
        file = commands.home.config_file
        file.write_text(file.read_text() + ZERO_LOSS.format(directory=directory))
        await commands.up("--empty")
        stopped: list[int] = []
        try:
            await eventually(lambda: mode(commands) == "sync", what="commits wait for the receiver", within_s=60)
            keeper = commands.pid("keeper")
            assert keeper is not None
            stopped += [keeper, receiving(directory)]
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            url = (await commands.json("keys"))["db_url"]
            async with asyncio.timeout(120), await psycopg.AsyncConnection.connect(url) as connection:
                await connection.execute("create table once (n int)")
            assert "hung" in commands.events("keeper")
            assert await commands.another_pid("keeper", keeper)
            await eventually(lambda: mode(commands) == "degraded", what="it is told")
            os.kill(stopped.pop(), signal.SIGCONT)
            await eventually(lambda: mode(commands) == "sync", what="commits wait again", within_s=60)
        finally:
            for pid in stopped[1:]:
                os.kill(pid, signal.SIGCONT)
            await commands.ok("down")
