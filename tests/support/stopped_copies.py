"""A copy of a protected cluster that stands at a place of its WAL, made with the bare engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psycopg

from support.events import eventually
from support.recoveries import Protected
from wedsync.backup import RestoreTarget, TargetAction, TargetKind
from wedsync.cluster import ServerState
from wedsync.database import ConnectionTarget, Lsn
from wedsync.errors import CannotConnect
from wedsync.process import run

_LONG = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class StoppedCopy:
    """A copy of its own directory; only a unix socket leads to it."""

    own: Protected
    directory: Path
    sockets: Path

    def target(self, user: str = "postgres", dbname: str | None = None) -> ConnectionTarget:
        source = self.own.platform.server.target(user, dbname or self.own.platform.config.database.name)
        return replace(source, host=str(self.sockets), port=54000)

    async def move_to(self, lsn: Lsn, *, exclusive: bool = True) -> None:
        """Go on to a later place."""
        await self._pg_ctl("stop", "-m", "fast")
        with (self.directory / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"recovery_target_lsn = '{lsn}'\n")
            settings.write(f"recovery_target_inclusive = {'off' if exclusive else 'on'}\n")
        await self.start()

    async def start(self) -> None:
        with (self.directory / "postgresql.auto.conf").open("a") as settings:
            settings.write(
                f"port = 54000\nunix_socket_directories = '{self.sockets}'\nlisten_addresses = ''\n"
                "ssl = off\nlogging_collector = off\nhot_standby = on\nrecovery_target_action = 'pause'\n"
            )
        await self._pg_ctl("start", "-w", "-l", str(self.directory / "server.log"))
        await eventually(self._is_paused, what="the copy stands at its place")

    async def stop(self) -> None:
        await self._pg_ctl("stop", "-m", "immediate")

    async def promote(self) -> None:
        async with await self.target().connect() as connection:
            await connection.execute("select pg_promote()")

    async def _is_paused(self) -> bool:
        assert (self.directory / "postmaster.pid").exists(), (self.directory / "server.log").read_text()[-2000:]
        try:
            async with await self.target().connect() as connection:
                row = await (
                    await connection.execute(
                        "select pg_is_in_recovery() and pg_get_wal_replay_pause_state() = 'paused'"
                    )
                ).fetchone()
        except (CannotConnect, psycopg.OperationalError):
            return False
        return row is not None and bool(row[0])

    async def _pg_ctl(self, *words: str) -> None:
        engine = self.own.platform.engine
        finished = await run(
            [engine.program("pg_ctl"), "-D", self.directory, *words], deadline=_LONG, env=engine.environment
        )
        if words[0] == "start":
            finished.check()


@asynccontextmanager
async def stopped_copy(own: Protected, directory: Path, lsn: Lsn, *, label: str) -> AsyncIterator[StoppedCopy]:
    """A copy from a backup of repo1 that stops right before `lsn`, whose WAL is archived."""
    assert own.platform.server.state() is ServerState.RUNNING
    target = RestoreTarget(kind=TargetKind.LSN, lsn=lsn, timeline=1, action=TargetAction.PAUSE, exclusive=True)
    await own.platform.pgbackrest.restore(repo=1, label=label, pgdata=directory, target=target, archiving=False)
    copy = StoppedCopy(own=own, directory=directory, sockets=own.home.sockets)
    try:
        await copy.start()
        yield copy
    finally:
        await copy.stop()
