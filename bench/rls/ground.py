"""A server with the product's schema and a thousand weddings; who calls, and what is theirs."""

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from wedsync.app import Platform
from wedsync.cluster import initialise_cluster
from wedsync.config import Home
from wedsync.log import configure_logging
from wedsync.migrations import up

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
_DATA = Path(__file__).with_name("data.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody signed in."""

    name: str
    user: UUID
    organization: UUID | None
    couples: tuple[UUID, ...]
    """All weddings that the policies show them."""

    @property
    def claims(self) -> str:
        """Of their token, as the gateway hands them to the database."""
        return json.dumps({"sub": str(self.user), "role": "authenticated"})


def made_id(kind: str, number: int) -> UUID:
    """The identifier that data.sql gives."""
    return UUID(hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest())


class Ground:
    """The home under test, its server and its data."""

    def __init__(self, directory: Path, *, port: int) -> None:
        self.home = Home(directory)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.home.config_file.write_text(_CONFIG.format(port=port, gateway=port + 1))
        configure_logging(level="error")
        self.platform = Platform(self.home, os.environ)

    def start(self) -> None:
        """Make the cluster and the schema, as `bin/up` does, without backups."""
        platform = self.platform
        asyncio.run(initialise_cluster(engine=platform.engine, home=self.home, config=platform.config))
        asyncio.run(platform.server.start(archive_command="/bin/true pgbackrest", deadline=_START))
        asyncio.run(platform.settle_roles())
        asyncio.run(up(platform.owner_target, conditions=platform.migration_conditions()))

    def stop(self) -> None:
        """Stop the server."""
        asyncio.run(self.platform.server.stop("fast"))

    def connect(self) -> Connection[TupleRow]:
        """A superuser's connection, whom row-level security does not touch unless he takes another role."""
        target = self.platform.server.target(dbname=self.platform.config.database.name)
        return psycopg.connect(target.dsn(with_password=False), autocommit=True)

    def fill(self, *, couples: int, guests: int) -> int:
        """Make the rows; gives the number of guests there are."""
        with self.connect() as connection:
            connection.execute("set session_replication_role = replica")
            connection.execute("select set_config('bench.couples', %s, false)", (str(couples),))
            connection.execute("select set_config('bench.guests', %s, false)", (str(guests),))
            connection.execute(_DATA.read_bytes())
            connection.execute("vacuum (analyze)")
            row = connection.execute("select count(*) from guests").fetchone()
        assert row is not None
        return int(row[0])

    def callers(self) -> dict[str, Caller]:
        """A photographer, a planner, and one of a couple."""
        photographer = ("photographer-user", made_id("photographer", 2))
        planner = ("planner-user", made_id("planner", 2))
        return {
            "photographer": self._caller("photographer", made_id(photographer[0], 2), photographer[1]),
            "planner": self._caller("planner", made_id(planner[0], 2), planner[1]),
            "partner": self._caller("partner", made_id("partner", 21), None),
        }

    def _caller(self, name: str, user: UUID, organization: UUID | None) -> Caller:
        caller = Caller(name=name, user=user, organization=organization, couples=())
        with self.connect() as connection, signed_in(connection, caller):
            row = connection.execute("select app.my_couples()").fetchone()
        assert row is not None
        couples: list[UUID] = row[0]
        assert couples, f"{name} has no wedding"
        return Caller(name=name, user=user, organization=organization, couples=tuple(sorted(couples)))


@contextmanager
def signed_in(connection: Connection[TupleRow], caller: Caller) -> Iterator[None]:
    """A transaction of this caller, as the gateway makes it."""
    with connection.transaction():
        connection.execute("set local role authenticated")
        connection.execute("select set_config('request.jwt.claims', %s, true)", (caller.claims,))
        yield
