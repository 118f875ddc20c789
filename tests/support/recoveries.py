"""A protected home made as `bin/up` makes it, copies of it, and writers whose acknowledged commits are known."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from support.clusters import START, new_home
from support.events import eventually
from support.ports import free_port
from wedsync.app import Platform, Preparation
from wedsync.backup import BackupKind, RunReason
from wedsync.cluster import ServerState
from wedsync.cluster.datadir import processes_in
from wedsync.config import Home
from wedsync.errors import CannotConnect
from wedsync.process import run
from wedsync.recovery import Phase, Recovered, RecoveryPlan

_SETTINGS = """\
profile = "local"
environment = "production"

[cluster]
port = {port}

[cluster.settings]
shared_buffers = "32MB"
max_wal_size = "256MB"
min_wal_size = "32MB"
autovacuum = "off"

[gateway]
port = {gateway}

[backup]
enabled = false
"""


class _Quiet:
    def note(self, words: str) -> None:
        del words


def open_home(home: Home) -> Platform:
    """The home's objects, with ports of its own."""
    home.config_file.write_text(_SETTINGS.format(port=free_port(), gateway=free_port()))
    home.config_file.chmod(0o600)
    return Platform(home, {})


async def make_protected(root: Path) -> Home:
    """A home after its first run, stopped."""
    home = new_home(root)
    platform = open_home(home)
    preparation = Preparation(platform, step=lambda _: nullcontext(_Quiet()), say=lambda _: None)
    await preparation.prepare(demo=False)
    async with await platform.server.target().connect() as connection:
        await connection.execute("create table marks (n bigint primary key, padding text)")
    await platform.server.stop()
    platform.state.close()
    return home


@dataclass(kw_only=True)
class Protected:
    """A running, protected cluster; `said` is all that recoveries reported."""

    platform: Platform
    number: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def home(self) -> Home:
        return self.platform.home

    async def commit(self, *, padding: int = 0) -> int:
        """Commit one row; gives its number."""
        self.number += 1
        async with await self.platform.server.target().connect() as connection:
            await connection.execute("insert into marks values (%s, repeat('x', %s))", (self.number, padding))
        return self.number

    async def moment(self) -> datetime:
        """The server's clock: after all commits so far, before all that come."""
        async with await self.platform.server.target().connect() as connection:
            row = await (await connection.execute("select clock_timestamp()")).fetchone()
        assert row is not None
        found: datetime = row[0]
        return found.astimezone(UTC)

    async def rows(self) -> list[int]:
        """Numbers of the rows that are there."""
        async with await self.platform.server.target().connect() as connection:
            found = await (await connection.execute("select n from marks order by n")).fetchall()
        return [row[0] for row in found]

    async def transactions(self) -> int:
        """How many transactions the cluster has had; none of them fails in these tests."""
        async with await self.platform.server.target().connect() as connection:
            row = await (
                await connection.execute("select pg_snapshot_xmax(pg_current_snapshot())::text")
            ).fetchone()
        assert row is not None
        return int(row[0])

    async def archive(self) -> str:
        """Switch to a new segment; return when the old one is archived."""
        async with await self.platform.server.target().connect() as connection:
            await connection.execute("select pg_create_restore_point('switch')")
            row = await (await connection.execute("select pg_walfile_name(pg_switch_wal())")).fetchone()
            assert row is not None
            segment: str = row[0]

            async def is_archived() -> bool:
                cursor = await connection.execute(
                    "select coalesce(last_archived_wal >= %s, false) from pg_stat_archiver", (segment,)
                )
                found = await cursor.fetchone()
                return found is not None and bool(found[0])

            await eventually(is_archived, what=f"{segment} is archived")
        return segment

    async def backup(self, kind: BackupKind = BackupKind.INCR, repo: int = 1) -> str:
        """Take a backup that a recovery to any later moment can begin with; gives its label.

        pgBackRest knows the end of a backup to the second: within that second an older one is chosen.
        """
        taken = await self.platform.backup_runs.take(kind, repo=repo, reason=RunReason.OPERATOR)
        clock = self.platform.clock
        await eventually(lambda: clock.now() > taken.consistent_from, what="the second of its end is over")
        return taken.label

    async def plan(self, to: datetime | None) -> RecoveryPlan:
        self.platform.pgbackrest.write_config()
        return await self.platform.recoverer.plan(to)

    async def recover(self, to: datetime | None) -> Recovered:
        return await self.carry_out(await self.plan(to))

    async def undo(self) -> Recovered:
        return await self.carry_out(await self.platform.recoverer.plan_undo())

    async def carry_out(self, plan: RecoveryPlan) -> Recovered:
        def report(phase: Phase, words: str) -> None:
            self.said.append(f"{phase}: {words}")

        return await self.platform.recoverer.run(plan, report=report)

    async def start(self) -> None:
        await self.platform.server.start(
            archive_command=self.platform.pgbackrest.archive_command(), deadline=START
        )

    def reopen(self) -> None:
        """Read the configuration again, and the state file that is there now."""
        self.platform.state.close()
        self.platform = Platform(self.home, {})

    async def kill(self) -> None:
        """kill -9 of the whole server."""
        for pid in processes_in(self.home.pgdata):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await eventually(lambda: self.platform.server.state() is ServerState.CRASHED, what="the server is dead")


@asynccontextmanager
async def sheltering(own: Protected) -> AsyncIterator[None]:
    """Give WAL second names, as the keeper does, until the context ends."""
    task = asyncio.create_task(own.platform.shelter().run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def protected_copy(template: Home, home: Home) -> AsyncIterator[Protected]:
    """A running copy of a protected home, removed afterwards however it is then."""
    shutil.rmtree(home.root, ignore_errors=True)
    (await run(["cp", "-a", "--reflink=auto", template.root, home.root], deadline=START)).check()
    platform = open_home(home)
    platform.pgbackrest.write_config()
    own = Protected(platform=platform)
    try:
        await own.start()
        yield own
    finally:
        await platform.server.stop("immediate")
        platform.state.close()
        shutil.rmtree(home.root, ignore_errors=True)
        if home.sockets != home.run:
            shutil.rmtree(home.sockets, ignore_errors=True)


@dataclass(kw_only=True)
class Load:
    """Clients that commit as fast as they can; `acknowledged` are the rows the server said are committed."""

    acknowledged: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)


@asynccontextmanager
async def load(own: Protected, clients: int = 4, commits: int = 2500) -> AsyncIterator[Load]:
    """Write until the context ends, each client so many commits; one whose connection breaks stops.

    The number bounds the WAL: past the segment that is open when the directory is deleted, nothing can be written.
    """
    ledger = Load()

    async def write(client: int) -> None:
        n = client * 1_000_000
        with suppress(psycopg.OperationalError, CannotConnect):
            async with await own.platform.server.target().connect() as connection:
                for _ in range(commits):
                    n += 1
                    try:
                        await connection.execute("insert into marks values (%s, repeat('x', 400))", (n,))
                    except (psycopg.OperationalError, asyncio.CancelledError):
                        ledger.unknown.append(n)
                        raise
                    ledger.acknowledged.append(n)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(write(client)) for client in range(1, clients + 1)]
        await eventually(lambda: len(ledger.acknowledged) > 50, what="clients write")
        try:
            yield ledger
        finally:
            for task in tasks:
                task.cancel()
