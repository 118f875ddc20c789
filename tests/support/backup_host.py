"""A pgBackRest host for tests: a server of its own in another network namespace, where it takes backups itself.

The way there and back is a socket in the file system on either side: no privileges are needed. Where an
ordinary user may have no namespace, the host is on the same network; all else is the same.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

from support.authority import Authority
from support.events import eventually
from support.ports import free_port
from support.recoveries import Protected
from wedsync.app import Platform
from wedsync.backup import serve_backup_host
from wedsync.cluster import is_free, write_private
from wedsync.config import Home

_CONFIG = """\
[global]
repo2-path={folder}/repo
repo2-cipher-type=aes-256-cbc
repo2-cipher-pass={key}
repo2-bundle=y
repo2-retention-full=9
lock-path={folder}/lock
log-path={folder}/log
spool-path={folder}/spool
start-fast=y
tls-server-address=127.0.0.1
tls-server-port={port}
tls-server-ca-file={ca}
tls-server-cert-file={folder}/localhost.crt
tls-server-key-file={folder}/localhost.key
tls-server-auth=database=*

[wedsync]
pg1-host=localhost
pg1-host-type=tls
pg1-host-port={database_port}
pg1-host-config={config}
pg1-host-cmd={program}
pg1-host-ca-file={ca}
pg1-host-cert-file={folder}/backup-host.crt
pg1-host-key-file={folder}/backup-host.key
pg1-path={pgdata}
pg1-port={pgport}
pg1-socket-path={sockets}
pg1-user=wedsync_backup
"""
_SERVE = """\
[backup.serve]
address = "127.0.0.1"
port = {port}

[backup.repo2]
kind = "tls"
[backup.repo2.options]
host = "localhost"
host-port = "{host_port}"
host-config = "{config}"
host-cmd = "{program}"
host-ca-file = "tls/region.crt"
host-cert-file = "tls/database.crt"
host-key-file = "tls/database.key"
"""


@cache
def has_namespaces() -> bool:
    """Whether an ordinary user of this machine may have a network of its own (many containers forbid it)."""
    tools = shutil.which("unshare"), shutil.which("nsenter")
    if None in tools:
        return False
    tried = subprocess.run([str(tools[0]), "-Urn", "true"], capture_output=True, check=False)
    return tried.returncode == 0


@dataclass(frozen=True, kw_only=True)
class BackupHost:
    """A running host that takes the backups of one home."""

    own: Protected
    folder: Path
    enter: Sequence[str]
    """Words before a command that is to run there."""
    environment: Mapping[str, str]

    def run(self, *words: str) -> str:
        """Run pgBackRest there; gives what it printed."""
        program = str(self.own.platform.engine.pgbackrest)
        call = [*self.enter, program, f"--config={self.folder}/pgbackrest.conf", "--stanza=wedsync", *words]
        done = subprocess.run(call, capture_output=True, text=True, env=self.environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@asynccontextmanager
async def backup_host(own: Protected) -> AsyncIterator[BackupHost]:
    """Give a home a second region on a host of its own, and serve that host."""
    engine, home = own.platform.engine, own.home
    environment = {**os.environ, **engine.environment}
    with TemporaryDirectory(prefix="wedsync-host-") as place, ExitStack() as stack:
        folder = Path(place)
        for part in ("repo", "lock", "log", "spool"):
            (folder / part).mkdir()
        authority = Authority(folder)
        for name in ("localhost", "database", "backup-host"):
            authority.sign(name, hosts=("localhost",))
        apart = has_namespaces()
        port, database_port = free_port(), free_port()
        host_port = free_port() if apart else port
        served_at = free_port() if apart else database_port
        enter: list[str] = []
        if apart:
            enter = _other_network(
                stack, folder, host_port=host_port, port=port, database_port=database_port, served_at=served_at
            )
        _lend(home, authority)
        settings = home.config_file.read_text().partition("[backup.repo2]")[0]
        config = folder / "pgbackrest.conf"
        program = engine.pgbackrest
        home.config_file.write_text(
            settings + _SERVE.format(port=served_at, host_port=host_port, config=config, program=program)
        )
        config.write_text(
            _CONFIG.format(
                folder=folder,
                key=(home.secrets / "repo2_key").read_text().strip(),
                port=port,
                ca=authority.file,
                database_port=database_port,
                config=home.pgbackrest_config,
                program=program,
                pgdata=home.pgdata,
                pgport=own.platform.config.cluster.port,
                sockets=home.sockets,
            )
        )
        config.chmod(0o600)
        server = [*enter, str(program), f"--config={config}", "server"]
        stack.enter_context(_program(server, folder / "log" / "server", environment))
        own.platform.state.close()
        own.platform = Platform(home, {})
        own.platform.pgbackrest.write_config()
        serving = asyncio.create_task(serve_backup_host(own.platform.pgbackrest, own.platform.clock))
        try:
            await eventually(lambda: not is_free(host_port, "127.0.0.1") and not is_free(served_at, "127.0.0.1"))
            statuses = await own.platform.pgbackrest.stanza_create()
            assert all(status.ok for status in statuses), statuses
            yield BackupHost(own=own, folder=folder, enter=enter, environment=environment)
        finally:
            serving.cancel()
            await asyncio.wait([serving])


def _lend(home: Home, authority: Authority) -> None:
    """What the machine of the database needs of the certificates."""
    home.tls.mkdir(exist_ok=True)
    for name, lent in (
        ("region.crt", "ca.crt"),
        ("database.crt", "database.crt"),
        ("database.key", "database.key"),
        ("backup-server.crt", "localhost.crt"),
        ("backup-server.key", "localhost.key"),
    ):
        write_private(home.tls / name, (authority.directory / lent).read_bytes(), replace=True)


def _other_network(
    stack: ExitStack, folder: Path, *, host_port: int, port: int, database_port: int, served_at: int
) -> list[str]:
    """Make a network with nothing but its own loopback device, and a way in and out; gives how to enter it."""
    there, back = folder / "in", folder / "out"
    words = [sys.executable, "-m", "support.pass_on"]
    environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    inside = ["unshare", "-Urn", *words, "--loopback", f"{there}={port}", f"{database_port}={back}"]
    pid = stack.enter_context(_program(inside, folder / "log" / "inside", environment, wait_for=there))
    outside = [*words, f"{host_port}={there}", f"{back}={served_at}"]
    stack.enter_context(_program(outside, folder / "log" / "outside", environment, wait_for=back))
    return ["nsenter", f"--target={pid}", "--user", "--net", "--preserve-credentials"]


@contextmanager
def _program(
    words: Sequence[str], log: Path, environment: Mapping[str, str], *, wait_for: Path | None = None
) -> Iterator[int]:
    """A program until the context ends; gives its pid when it has made `wait_for`."""
    with log.open("w") as said, subprocess.Popen(words, env=environment, stdout=said, stderr=said) as process:
        try:
            while wait_for is not None and not wait_for.exists():
                assert process.poll() is None, log.read_text()
                sleep(0.02)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
