"""A throw-away PostgreSQL with the rows, its processor time, and the callers' tokens."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import jwt
import psycopg

from wedsync.cluster import find_engine
from wedsync.config import Home

HERE = Path(__file__).resolve().parent
SECRET = "bench-secret-that-is-at-least-thirty-two-bytes-long"  # noqa: S105 - of a server that lives for minutes
CALLERS = 10
"""How many people call by turns, of the hundred who have rows."""
ROWS_OF_EACH = 1000
_DATABASE = "bench"
_SETTINGS = """
port = {port}
unix_socket_directories = '{directory}'
listen_addresses = '127.0.0.1'
shared_buffers = 256MB
max_connections = 120
max_wal_size = 4GB
autovacuum = off
log_min_messages = error
"""


class Ground:
    """The server below `directory`; everybody connects through 127.0.0.1, without TLS and without a password."""

    def __init__(self, directory: Path, *, port: int) -> None:
        self.directory = directory
        self.port = port
        self._engine = find_engine(Home(directory))

    def start(self) -> None:
        """Make the server, fill it and start it."""
        self.directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        files = self.directory / "pgdata"
        self._run("initdb", "-D", files, "-U", "postgres", "-A", "trust", "--encoding=UTF8", "--locale=C.UTF-8")
        with (files / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS.format(port=self.port, directory=self.directory))
        self._run("pg_ctl", "-D", files, "-l", self.directory / "server.log", "-w", "start")
        self._run("createdb", *self._options, _DATABASE)
        self._run(
            "psql", *self._options, "-q", "-v", "ON_ERROR_STOP=1", "-d", _DATABASE, "-f", HERE / "schema.sql"
        )

    def stop(self) -> None:
        """Stop the server."""
        self._run("pg_ctl", "-D", self.directory / "pgdata", "-m", "fast", "-w", "stop")

    def dsn(self, user: str = "bench_gateway") -> str:
        """Where to connect: the login that may only become another role, or `postgres`."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{_DATABASE}"

    def cpu_s(self) -> float:
        """Processor seconds of the server: its main process, those below it, and those that ended."""
        postmaster = int((self.directory / "pgdata/postmaster.pid").read_text().split()[0])
        below = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return seconds(postmaster, ended_children=True) + sum(seconds(int(pid)) for pid in below)

    def settle(self) -> int:
        """Take the rows away that were added; gives how many they were. The next finds what the first found."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            added = connection.execute("delete from notes where id > 100000").rowcount
            if added:
                connection.execute("vacuum (analyze) notes")
            connection.execute("checkpoint")
        return added

    def pgbench(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run pgbench against it."""
        return self._run("pgbench", *self._options, *words, "-U", "bench_gateway", _DATABASE)

    @property
    def _options(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]

    def _run(self, program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._engine.program(program), *words],
            env=self._engine.environment,
            check=True,
            text=True,
            # a pipe would be kept open by the server that pg_ctl starts
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.STDOUT if program != "pg_ctl" else subprocess.DEVNULL,
        )


def seconds(pid: int, *, ended_children: bool = False) -> float:
    """Processor seconds of a process (proc(5)), its threads included; none if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11 : 15 if ended_children else 13])) / os.sysconf("SC_CLK_TCK")


def user_id(caller: int) -> str:
    """The id that schema.sql gives."""
    return f"00000000-0000-4000-8000-{caller:012}"


def claims(caller: int) -> Mapping[str, object]:
    """What the token of a caller says."""
    now = int(time.time())
    return {
        "sub": user_id(caller),
        "role": "authenticated",
        "aud": "authenticated",
        "iat": now,
        "exp": now + 86_400,
    }


def token(caller: int) -> str:
    """The token of a caller."""
    return jwt.encode(dict(claims(caller)), SECRET, algorithm="HS256")
