"""The ground of the comparison: one home with the demo season, one server, one archive."""

import asyncio
import itertools
import os
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from wedsync.app import Platform, Preparation
from wedsync.config import Home
from wedsync.demo import load
from wedsync.log import configure_logging

_ROWS = 200


class _Quiet:
    def note(self, words: str) -> None:
        """Steps are not shown."""


class Ground:
    """The home under test; everybody backs up its server and restores into its data directory."""

    def __init__(self, directory: Path, *, port: int) -> None:
        self.home = Home(directory)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.home.config_file.write_text(f"[cluster]\nport = {port}\n")
        configure_logging(level="error")
        self.platform = Platform(self.home, os.environ)

    def command(self, *words: str) -> list[str]:
        """A call of the product's command line, as `bin/wedsync` makes it."""
        return [sys.executable, "-P", "-m", "wedsync", *words, "--home", str(self.home.root)]

    @property
    def pgbackrest(self) -> list[str]:
        """A bare call of the engine, with the product's own settings and repository."""
        platform = self.platform
        return [
            str(platform.engine.pgbackrest),
            f"--config={self.home.pgbackrest_config}",
            f"--stanza={platform.config.backup.stanza}",
        ]

    def program(self, name: str) -> str:
        """One of PostgreSQL's programs."""
        return str(self.platform.engine.program(name))

    @property
    def server(self) -> str:
        """The server's socket, and its superuser, as libpq wants it."""
        return f"host={self.home.sockets} port={self.platform.config.cluster.port} user=postgres"

    @property
    def conninfo(self) -> str:
        """The database with the season, for its superuser."""
        return f"{self.server} dbname={self.platform.config.database.name}"

    def prepare(self, *, size: float) -> int:
        """Set the home up and load the season; gives the bytes of all databases."""
        quiet = Preparation(self.platform, step=lambda _: nullcontext(_Quiet()), say=lambda _: None)
        asyncio.run(quiet.prepare(demo=False))
        asyncio.run(load(self.platform.owner_target, size=size))
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")
            row = connection.execute("select sum(pg_database_size(oid))::bigint from pg_database").fetchone()
        assert row is not None
        return int(row[0])

    def change(self, share: float) -> None:
        """Change this share of the guests, the largest table, in one stretch; then a checkpoint."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(
                "update guests set updated_at = clock_timestamp() where id in"
                " (select id from guests order by ctid desc limit (select count(*) * %s from guests)::int)",
                (share,),
            )
            connection.execute("checkpoint")

    def write_wal(self, megabytes: int) -> datetime:
        """Write about so much WAL in small transactions; gives a moment right behind the last of them."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            began = connection.execute("select pg_current_wal_lsn()").fetchone()
            assert began is not None
            guests = [row[0] for row in connection.execute("select id from guests order by id")]
            for first in itertools.cycle(range(0, len(guests), _ROWS)):
                connection.execute(
                    "update guests set updated_at = clock_timestamp() where id = any(%s)",
                    (guests[first : first + _ROWS],),
                )
                row = connection.execute("select pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", began).fetchone()
                assert row is not None
                if int(row[0]) >= megabytes * 1024 * 1024:
                    break
            moment = datetime.now(UTC) + timedelta(seconds=1)
            time.sleep(2)  # the moment lies between two commits, with a second to either side
            connection.execute(
                "update guests set updated_at = clock_timestamp() where id ="
                " (select id from guests order by id limit 1)"
            )
            connection.execute("select pg_switch_wal()")
        asyncio.run(self.platform.pgbackrest.check())
        return moment

    def stream_to(self, slot: str) -> None:
        """Close the present WAL segment; return when the receiver at this slot has it whole."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            active = "select 1 from pg_replication_slots where slot_name = %s and active"
            while connection.execute(active, (slot,)).fetchone() is None:
                time.sleep(0.1)
            # The receiver ends a segment when it sees the next one begin.
            emit = "select pg_logical_emit_message(true, 'bench', 'a record')"
            connection.execute(emit)
            switched = connection.execute("select pg_switch_wal()").fetchone()
            connection.execute(emit)
            received = "select restart_lsn >= %s from pg_replication_slots where slot_name = %s"
            while (row := connection.execute(received, (switched and switched[0], slot)).fetchone()) and not row[
                0
            ]:
                time.sleep(0.1)

    def copy_archive(self, destination: Path) -> None:
        """The archived segments as plain files, for who has no archive of its own."""
        destination.mkdir(parents=True, exist_ok=True)

        async def fetch() -> None:
            for archive in await self.platform.pgbackrest.archives(1):
                for segment in archive.sizes:
                    if not (destination / segment).exists():
                        await self.platform.pgbackrest.archive_get(
                            segment, destination / segment, repo=1, system_id=archive.system_id
                        )

        asyncio.run(fetch())

    def lose_data(self) -> None:
        """Stop the server at once and remove its data directory."""
        asyncio.run(self.platform.server.stop("immediate"))
        if self.home.pgdata.exists():
            shutil.rmtree(self.home.pgdata)

    def last_change_at(self) -> datetime:
        """The newest change that the database holds."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            row = connection.execute("select max(updated_at) from guests").fetchone()
        assert row is not None
        return row[0]

    def last_change_before(self, moment: datetime) -> datetime:
        """The newest change up to a moment: what a recovery to it must show."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            row = connection.execute(
                "select max(updated_at) from guests where updated_at <= %s", (moment,)
            ).fetchone()
        assert row is not None
        return row[0]

    def stop(self) -> None:
        """Stop the server."""
        asyncio.run(self.platform.server.stop("fast"))


def size_bytes(paths: Iterable[Path]) -> int:
    """Bytes of all files below the directories."""
    return sum(
        file.lstat().st_size for path in paths if path.exists() for file in path.rglob("*") if not file.is_dir()
    )


__all__ = ["Ground", "size_bytes"]
