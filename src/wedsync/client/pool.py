"""The connections of a service: psycopg's pool, with what it does not do by itself.

Before a connection is lent its socket is looked at, which costs no round trip: one that the server has closed is
never lent. Who holds a connection for long is told of.
"""

import asyncio
import select
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from weakref import WeakSet

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool
from psycopg_pool import PoolClosed as PoolIsClosed
from psycopg_pool import PoolTimeout as NothingFree

from wedsync.client.settings import ClientSettings
from wedsync.client.watch import ConnectionHeld, OnHeld, calling_place
from wedsync.database import WAIT_FOR_RECEIVER, ConnectionTarget
from wedsync.errors import CommitUnknown, PoolClosed, PoolTimeout

Connection = AsyncConnection[TupleRow]
_PREPARE_AFTER = 5
_LOOKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """How the connections stand."""

    total_connections: int
    idle_connections: int
    waiting_requests: int
    max_connections: int


@dataclass(frozen=True, slots=True)
class _Loan:
    place: str
    since: float


class Pool:
    """Lends connections, each to one caller at a time."""

    def __init__(self, target: ConnectionTarget, settings: ClientSettings, *, on_held: OnHeld) -> None:
        self._target = target
        self._settings = settings
        self._on_held = on_held
        self._loans: dict[int, _Loan] = {}
        self._doubtful: WeakSet[Connection] = WeakSet()
        """Those on which a commit was reported as done whose wait for the receiver of WAL was cancelled."""
        statement_ms = round(settings.statement_timeout.total_seconds() * 1000)
        given = target.parameters()
        options = f"{given.pop('options', '')} -c statement_timeout={statement_ms}".strip()
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            make_conninfo(**given, options=options),
            kwargs={
                "autocommit": True,
                "prepare_threshold": _PREPARE_AFTER if settings.prepare else None,
                "connect_timeout": max(1, round(settings.connect_timeout.total_seconds())),
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 2,
                "tcp_user_timeout": 10_000,
            },
            min_size=min(settings.min_connections, settings.max_connections),
            max_size=settings.max_connections,
            timeout=settings.acquire_timeout.total_seconds(),
            max_idle=settings.idle_timeout.total_seconds(),
            configure=self._listen,
            check=_look,
            name=settings.application_name,
            open=False,
        )

    async def open(self) -> None:
        """Open the first connections. Raises `CannotConnect`, saying why, where there is none to be had."""
        await self._pool.open()
        try:
            await self._pool.wait(timeout=self._settings.connect_timeout.total_seconds())
        except NothingFree:
            await self._pool.close()
            connection = await self._target.connect(connect_timeout=self._settings.connect_timeout)
            await connection.close()
            raise PoolTimeout(
                f"{self._settings.min_connections} connections could not be opened within"
                f" {self._settings.connect_timeout.total_seconds():g} s",
                detail="one could: the server, or its role, may be at its limit",
                hint="ask for fewer: ClientSettings(min_connections=…)",
            ) from None

    async def close(self) -> None:
        """Close all connections; those that are lent, when they come back. Tells of those that are lent now."""
        for loan in [*self._loans.values()]:
            self._on_held(ConnectionHeld(place=loan.place, held_s=round(monotonic() - loan.since, 1)))
        await self._pool.close()

    @asynccontextmanager
    async def lend(self) -> AsyncGenerator[Connection]:
        """A connection that works, for as long as the block lasts. Raises `PoolTimeout`, `PoolClosed`.

        Raises `CommitUnknown` at the end of a block in which somebody cancelled a commit's wait for the receiver
        of WAL: PostgreSQL reports it as done, and this machine alone has it.
        """
        connection = await self._take()
        self._doubtful.discard(connection)
        loan = _Loan(calling_place(), monotonic())
        self._loans[id(connection)] = loan
        late = asyncio.get_running_loop().call_later(
            self._settings.leak_after.total_seconds(), self._tell, id(connection)
        )
        try:
            yield connection
            if connection in self._doubtful:
                raise CommitUnknown(
                    "a commit's wait for the receiver of WAL was cancelled: it is on this machine alone",
                    detail="it is lost if the machine is, before the archive has it",
                    hint="look whether it is there before doing it again",
                )
        finally:
            late.cancel()
            del self._loans[id(connection)]
            if connection.pgconn.transaction_status != TransactionStatus.IDLE and not connection.closed:
                await (
                    connection.close()
                )  # whoever had it was cancelled in the middle: no statement of its may go on
            await self._pool.putconn(connection)

    def status(self) -> PoolStatus:
        """How the connections stand now."""
        told = self._pool.get_stats()
        return PoolStatus(
            total_connections=told["pool_size"],
            idle_connections=told["pool_available"],
            waiting_requests=told["requests_waiting"],
            max_connections=told["pool_max"],
        )

    async def _listen(self, connection: Connection) -> None:
        def take(notice: psycopg.errors.Diagnostic) -> None:
            if notice.source_function == WAIT_FOR_RECEIVER:
                self._doubtful.add(connection)

        connection.add_notice_handler(take)

    async def _take(self) -> Connection:
        try:
            return await self._pool.getconn()
        except NothingFree as error:
            status = self.status()
            longest = min(self._loans.values(), key=lambda loan: loan.since, default=None)
            held = f"; {longest.place} holds one for {monotonic() - longest.since:.0f} s" if longest else ""
            raise PoolTimeout(
                f"no connection became free within {self._settings.acquire_timeout.total_seconds():g} s",
                detail=f"{status.total_connections} connections, {len(self._loans)} lent,"
                f" {status.waiting_requests} callers wait{held}",
                hint="is the database there (test_connection)? Else hold connections for less long,"
                " or raise max_connections",
            ) from error
        except PoolIsClosed as error:
            raise PoolClosed("the client is closed", hint="use it inside `async with connect(…) as db`") from error

    def _tell(self, connection: int) -> None:
        loan = self._loans.get(connection)
        if loan is not None:
            self._on_held(ConnectionHeld(place=loan.place, held_s=round(monotonic() - loan.since, 1)))


async def _look(connection: Connection) -> None:
    """Raise if the server has closed an idle connection; its farewell lies in the socket then."""
    watch = select.poll()
    watch.register(connection.pgconn.socket, select.POLLIN)
    for _ in range(_LOOKS):  # a message, perhaps, and then the end
        if not watch.poll(0):
            return
        connection.pgconn.consume_input()
    raise psycopg.OperationalError("the server has something to say on an idle connection")
