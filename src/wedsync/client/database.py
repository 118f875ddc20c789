"""One database of one process: its connections, and how it is."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import psycopg

from wedsync.client.pool import Pool, PoolStatus
from wedsync.client.session import Session
from wedsync.client.settings import ClientSettings
from wedsync.client.statement import Statements
from wedsync.client.watch import OnHeld, OnSlow, tell
from wedsync.client.where import find_target
from wedsync.errors import WedsyncError
from wedsync.sql import statements


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTest:
    """Whether the database answers."""

    success: bool
    latency_ms: float | None
    """One question and its answer; waiting for a connection is not counted."""
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the database is for this process."""

    healthy: bool
    """It answers, and callers do not queue up for connections."""
    latency: float | None
    """Milliseconds."""
    error: str | None
    pool: PoolStatus


class Database(Session):
    """The database as its login role; `as_user` and `as_service` give it as somebody else."""

    def __init__(self, pool: Pool, settings: ClientSettings, own: Statements) -> None:
        super().__init__(pool, settings, own)
        self._connections = pool

    def status(self) -> PoolStatus:
        """How the connections stand."""
        return self._connections.status()

    async def test_connection(self) -> ConnectionTest:
        """Ask the database something; never raises for one that is away."""
        try:
            async with self._connections.lend() as connection:
                began = monotonic()
                await connection.execute(statements("client")["ping"])
                return ConnectionTest(success=True, latency_ms=round((monotonic() - began) * 1000, 3), error=None)
        except WedsyncError as error:
            return ConnectionTest(success=False, latency_ms=None, error=error.in_one_line())
        except psycopg.Error as error:
            return ConnectionTest(success=False, latency_ms=None, error=" ".join(str(error).split()))

    async def health(self) -> Health:
        """How the database is for this process."""
        tested, status = await self.test_connection(), self.status()
        crowded = status.waiting_requests > 0 and status.idle_connections == 0
        error = tested.error
        if error is None and crowded:
            error = f"{status.waiting_requests} callers wait for one of {status.max_connections} connections"
        return Health(healthy=error is None, latency=tested.latency_ms, error=error, pool=status)


@asynccontextmanager
async def connect(
    dsn: str | None = None,
    *,
    home: Path | str | None = None,
    settings: ClientSettings | None = None,
    on_slow: OnSlow = tell,
    on_held: OnHeld = tell,
) -> AsyncGenerator[Database]:
    """A database, by its DSN or as that of a home: once in a process, for as long as it works.

    `on_slow` hears of slow statements, `on_held` of connections that are not given back; both are log lines if
    nothing is said. Raises `CannotConnect` where the database is not there.
    """
    chosen = settings or ClientSettings()
    target = find_target(dsn, home, application_name=chosen.application_name)
    pool = Pool(target, chosen, on_held=on_held)
    await pool.open()
    try:
        yield Database(pool, chosen, Statements(chosen, on_slow))
    finally:
        await pool.close()
