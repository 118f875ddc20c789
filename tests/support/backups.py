"""A throw-away cluster that is backed up, made the product's own way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from support.clusters import START, copy_cluster, new_home, remove_cluster
from support.events import eventually
from wedsync.backup import Backup, BackupKind, PgBackRest, Surveyor
from wedsync.clock import SystemClock
from wedsync.cluster import Engine, Server, find_engine
from wedsync.config import Config, Home
from wedsync.process import run
from wedsync.state import StateStore, open_state


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """A running cluster, its backup engine and its state file."""

    server: Server
    pgbackrest: PgBackRest
    state: StateStore
    surveyor: Surveyor

    @property
    def home(self) -> Home:
        return self.server.home

    @property
    def stanza(self) -> str:
        return self.pgbackrest.config.stanza

    def repository(self, repo: int) -> Path:
        """Directory of a repository."""
        return self.home.root / f"repo{repo}"

    async def execute(self, *statements: str) -> None:
        """Run statements as superuser, each committed by itself."""
        async with await self.server.target().connect() as connection:
            for statement in statements:
                await connection.execute(statement.encode())

    async def commit(self) -> datetime:
        """Make one commit; gives the server's clock right after it."""
        async with await self.server.target().connect() as connection:
            await connection.execute("create table if not exists marks (at timestamptz)")
            cursor = await connection.execute("insert into marks values (clock_timestamp()) returning at")
            await cursor.fetchone()
            cursor = await connection.execute("select clock_timestamp()")
            row = await cursor.fetchone()
            assert row is not None
            moment: datetime = row[0]
            return moment.astimezone(UTC)

    async def archive(self) -> str:
        """Switch to a new WAL segment and wait until the old one is in every reachable repository."""
        async with await self.server.target().connect() as connection:
            await connection.execute("select pg_create_restore_point('switch')")
            cursor = await connection.execute("select pg_walfile_name(pg_switch_wal())")
            row = await cursor.fetchone()
            assert row is not None
            segment: str = row[0]
            await self.wait_archived(segment)
            return segment

    async def wait_archived(self, segment: str) -> None:
        """Return when PostgreSQL says that the segment is archived."""
        async with await self.server.target().connect() as connection:

            async def is_archived() -> bool:
                cursor = await connection.execute(
                    "select coalesce(last_archived_wal >= %s, false) from pg_stat_archiver", (segment,)
                )
                row = await cursor.fetchone()
                return row is not None and bool(row[0])

            await eventually(is_archived, what=f"{segment} is archived")

    async def backup(self, kind: BackupKind = BackupKind.FULL, repo: int = 1) -> Backup:
        return await self.pgbackrest.backup(kind, repo=repo)


async def copy_repositories(source: Home, home: Home, config: Config) -> tuple[PgBackRest, StateStore]:
    """The repositories, keys and data directory of a stopped cluster in a home of their own; no server."""
    new_home(home.root)
    for part in ("repo1", "repo2", "secrets", "pgdata"):
        copied = await run(["cp", "-a", "--reflink=auto", source.root / part, home.root / part], deadline=START)
        copied.check()
    pgbackrest = PgBackRest(engine=find_engine(home), home=home, config=config)
    pgbackrest.write_config()
    return pgbackrest, open_state(home.state_db)


@asynccontextmanager
async def backed_up_cluster(engine: Engine, template: Home, home: Home, config: Config) -> AsyncIterator[BackedUp]:
    """A copy of the template that archives into the repositories of `config`; no backup yet."""
    new_home(home.root)
    server = Server(engine=engine, home=home, config=config)
    state = open_state(home.state_db)
    pgbackrest = PgBackRest(engine=engine, home=home, config=config)
    try:
        await copy_cluster(engine, template, home, config)
        pgbackrest.write_config()
        await server.write_configuration(pgbackrest.archive_command())
        await server.reload()
        await pgbackrest.stanza_create()
        yield BackedUp(
            server=server,
            pgbackrest=pgbackrest,
            state=state,
            surveyor=Surveyor(pgbackrest=pgbackrest, state=state, clock=SystemClock()),
        )
    finally:
        state.close()
        await remove_cluster(server)
