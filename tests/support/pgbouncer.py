"""A PgBouncer of a test's own."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.events import eventually
from support.ports import free_port
from wedsync.database import ConnectionTarget


@dataclass(slots=True)
class PgBouncer:
    """A running PgBouncer in transaction mode in front of one database."""

    target: ConnectionTarget
    """To connect through it."""
    folder: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it takes connections."""
        program, libraries = _program()
        environment = {**os.environ, **({"LD_LIBRARY_PATH": libraries} if libraries else {})}
        self.process = await asyncio.create_subprocess_exec(
            program, str(self.folder / "pgbouncer.ini"), env=environment, stderr=asyncio.subprocess.DEVNULL
        )

        async def takes_connections() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.target.port)
            except OSError:
                return False
            writer.close()
            return True

        await eventually(takes_connections, what=(self.folder / "log").read_text() if self.has_log else program)

    @property
    def has_log(self) -> bool:
        """Whether it has said anything."""
        return (self.folder / "log").exists()

    async def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()


@asynccontextmanager
async def pgbouncer(behind: ConnectionTarget, folder: Path, *, servers: int) -> AsyncIterator[PgBouncer]:
    """PgBouncer with `servers` connections to the database `behind`, which is reached by socket or address."""
    port = free_port()
    folder.mkdir()  # noqa: ASYNC240 - a test
    (folder / "users.txt").write_text(f'"{behind.user}" "{behind.password}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{behind.dbname} = host={behind.host} port={behind.port} dbname={behind.dbname}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = {folder}/users.txt\nlogfile = {folder}/log\n"
        f"stats_users = {behind.user}\n"
        f"pool_mode = transaction\ndefault_pool_size = {servers}\nmax_client_conn = 100\n"
    )
    target = ConnectionTarget(
        host="127.0.0.1", port=port, dbname=behind.dbname, user=behind.user, password=behind.password
    )
    made = PgBouncer(target, folder)
    try:
        await made.start()
        yield made
    finally:
        await made.kill()


def _program() -> tuple[str, str]:
    """PgBouncer and the directories of its libraries: the system's, or what bin/test unpacked."""
    if found := shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        return found, ""
    unpacked = Path(os.environ.get("WEDSYNC_TEST_PGBOUNCER", "/nowhere"))
    if not (unpacked / "usr/sbin/pgbouncer").exists():
        pytest.fail("these tests need PgBouncer; bin/test unpacks it")
    libraries = {str(each.parent) for each in unpacked.glob("usr/lib/**/*.so*")}
    return str(unpacked / "usr/sbin/pgbouncer"), ":".join(sorted(libraries))
