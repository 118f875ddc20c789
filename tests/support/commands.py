"""The real command line, as a process of its own, on homes of its own."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from support.clusters import remove_sockets
from support.events import eventually
from support.ports import free_port
from wedsync.config import Home, default_home
from wedsync.process import Finished, is_alive, run, spawn_detached
from wedsync.state import open_state

SOURCE = Path(__file__).parents[2] / "src"
PYTHON = (sys.executable, "-P", "-m", "wedsync")
WITHIN = timedelta(minutes=2)
_SMALL = """
[cluster.settings]
shared_buffers = "32MB"
max_wal_size = "256MB"
min_wal_size = "32MB"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """`wedsync …` on one home."""

    home: Home
    port: int
    db_port: int
    environment: Mapping[str, str]

    async def run(
        self, *words: str, within: timedelta = WITHIN, stdin: bytes | None = None, **variables: str
    ) -> Finished:
        """How a call ended."""
        return await run(
            [*PYTHON, *words],
            deadline=within,
            env={**self.environment, **variables},
            cwd=self.home.root.parent,
            stdin=stdin,
        )

    async def ok(self, *words: str, code: int = 0) -> Finished:
        """A call that ends with `code`."""
        ended = await self.run(*words)
        assert ended.exit_status == code, f"{words}: {ended.exit_status}\n{ended.stdout}\n{ended.stderr}"
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended

    async def json(self, *words: str, code: int = 0) -> Any:
        """The answer of a call with `--json`."""
        return json.loads((await self.ok(*words, "--json", code=code)).stdout)

    async def up(self, *words: str) -> Finished:
        """Set up and start everything, and return."""
        ports = () if self.home.config_file.exists() else self.ports
        return await self.ok("up", "--detach", *ports, *words)

    @property
    def ports(self) -> tuple[str, ...]:
        return ("--port", str(self.port), "--db-port", str(self.db_port))

    def spawn(self, *words: str) -> int:
        """A call that goes on in the background; its words are in `<first word>.txt` beside the home."""
        return spawn_detached(
            [*PYTHON, *words], log=self.said(words[0]), env=dict(self.environment), cwd=self.home.root.parent
        )

    def said(self, word: str) -> Path:
        """Where a call in the background writes to."""
        return self.home.root.parent / f"{word}.txt"

    def pid(self, service: str) -> int | None:
        """Pid of a running service, or of PostgreSQL."""
        with suppress(OSError, ValueError, KeyError, IndexError):
            if service == "postgresql":
                pid = int((self.home.pgdata / "postmaster.pid").read_text().splitlines()[0])
            else:
                pid = int(json.loads((self.home.run / f"{service}.lock").read_text())["pid"])
            return pid if is_alive(pid) else None
        return None

    async def another_pid(self, service: str, than: int) -> int:
        """The service's pid once it is another one."""
        return await eventually(
            lambda: pid if (pid := self.pid(service)) != than else None, what=f"another {service}"
        )  # type: ignore[return-value]

    def events(self, process: str) -> list[str]:
        """What was recorded of a process, oldest first."""
        state = open_state(self.home.state_db)
        try:
            rows = state.rows("select what from process_events where process = ? order by id", (process,))
            return [row["what"] for row in rows]
        finally:
            state.close()


@asynccontextmanager
async def command_line(place: Path, *, configured: bool = False) -> AsyncIterator[CommandLine]:
    """A command line on a home that is not there yet (`configured`: only its file); all is ended afterwards."""
    home = Home(place / "home")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WEDSYNC_", "PG"))}
    environment |= {"WEDSYNC_HOME": str(home.root), "PYTHONPATH": str(SOURCE), "HOME": str(place)}
    made = CommandLine(home=home, port=free_port(), db_port=free_port(), environment=environment)
    _lay_out(home)
    if configured:
        home.root.mkdir(mode=0o700, exist_ok=True)
        home.config_file.write_text(f"[gateway]\nport = {made.port}\n[cluster]\nport = {made.db_port}\n{_SMALL}")
    try:
        yield made
    finally:
        await end(made)
        shutil.rmtree(place, ignore_errors=True)
        remove_sockets(home)


@asynccontextmanager
async def running_home(
    place: Path, *words: str, template: Home | None = None, settings: str = ""
) -> AsyncIterator[CommandLine]:
    """A home that `up` with these words has started, made anew or from a stopped one; with more settings."""
    async with command_line(place, configured=True) as commands:
        if template is not None:
            await _take_over(template, commands.home)
        with commands.home.config_file.open("a") as file:
            file.write(settings)
        await commands.up(*words)
        yield commands


async def _take_over(template: Home, home: Home) -> None:
    """All that a stopped home holds, but its configuration and its engine."""
    parts = [path for path in template.root.iterdir() if path not in {template.config_file, template.engine}]
    (await run(["cp", "-a", "--reflink=auto", *parts, home.root], deadline=WITHIN)).check()


def _lay_out(home: Home) -> None:
    """The directory that the home will be in; an engine that bin/test unpacked is lent to it."""
    home.root.parent.mkdir(parents=True, exist_ok=True)
    unpacked = default_home(os.environ.get("WEDSYNC_ENGINE_HOME"), os.environ).engine
    if unpacked.is_dir():
        home.root.mkdir(mode=0o700)
        home.engine.symlink_to(unpacked)


async def end(commands: CommandLine) -> None:
    """End whatever runs, by pid, also what is broken."""
    for service, number in (
        ("setup", signal.SIGKILL),
        ("supervisor", signal.SIGKILL),
        ("keeper", signal.SIGTERM),
        ("gateway", signal.SIGTERM),
        ("postgresql", signal.SIGQUIT),
    ):
        pid = commands.pid(service)
        if pid is not None:
            os.kill(pid, number)
            with suppress(ChildProcessError):
                await asyncio.to_thread(os.waitpid, pid, 0)
            await eventually(lambda pid=pid: not is_alive(pid), what=f"{service} ends")
