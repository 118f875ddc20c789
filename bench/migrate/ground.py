"""One server, and an empty database of the product's own making for each run."""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

from wedsync.app import Platform
from wedsync.cluster import initialise_cluster
from wedsync.config import Home
from wedsync.database import ConnectionTarget
from wedsync.log import configure_logging

_START = timedelta(minutes=1)
_CONFIG = """\
[cluster]
port = {port}
[gateway]
port = {gateway}
[backup]
enabled = false
[calendar]
enabled = false
"""


class Ground:
    """The home under test; everybody connects to its server through the socket, as the owner of the database."""

    def __init__(self, directory: Path, *, port: int) -> None:
        self.home = Home(directory)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.home.config_file.write_text(_CONFIG.format(port=port, gateway=port + 1))
        configure_logging(level="error")
        self.platform = Platform(self.home, os.environ)

    @property
    def target(self) -> ConnectionTarget:
        """The database that is changed, for its owner."""
        return self.platform.owner_target

    @property
    def variables(self) -> dict[str, str]:
        """The same as libpq's variables, and an environment without others of its kind."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "WEDSYNC_"))}
        target = self.target
        return clean | {
            "PGHOST": target.host,
            "PGPORT": str(target.port),
            "PGUSER": target.user,
            "PGDATABASE": target.dbname,
            "HOME": str(self.home.root),
        }

    def command(self, *words: str) -> list[str]:
        """A call of the product's command line, as `bin/wedsync` makes it."""
        return [sys.executable, "-P", "-m", "wedsync", *words, "--home", str(self.home.root)]

    def start(self) -> None:
        """Make the cluster, with the product's own settings, and start it."""
        platform = self.platform
        asyncio.run(initialise_cluster(engine=platform.engine, home=self.home, config=platform.config))
        # archiving is on, as restore points want it, and keeps nothing: nobody pays for it here
        asyncio.run(platform.server.start(archive_command="/bin/true pgbackrest", deadline=_START))

    def server_cpu_s(self) -> float:
        """Processor seconds of the server: its main process, those that run below it, and those that ended."""
        postmaster = self.platform.server.postmaster_pid()
        below = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        ticks = sum(_ticks(postmaster)) + sum(sum(_ticks(pid)[:2]) for pid in below)
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Stop the server."""
        asyncio.run(self.platform.server.stop("fast"))

    def new_database(self) -> None:
        """Throw the database away and make it anew, with roles and rights."""
        superuser = self.platform.server.target()
        with psycopg.connect(superuser.dsn(with_password=False), autocommit=True) as connection:
            name = Identifier(self.target.dbname)
            connection.execute(SQL("drop database if exists {} with (force)").format(name))
            asyncio.run(self.platform.settle_roles())
            connection.execute("checkpoint")

    def tables(self, prefix: str) -> int:
        """How many tables with this prefix there are."""
        with psycopg.connect(self.target.dsn(with_password=False)) as connection:
            row = connection.execute(
                "select count(*) from pg_tables where schemaname = 'public' and starts_with(tablename, %s)",
                (prefix,),
            ).fetchone()
        assert row is not None
        return int(row[0])


def _ticks(pid: int | str | None) -> list[int]:
    """Of a process, the user's and the system's, then of its children that ended (proc(5)); none if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(field) for field in fields[11:15]]
