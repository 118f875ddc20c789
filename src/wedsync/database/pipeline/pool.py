"""The connections that all requests share."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Self

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, kwargs_row

from wedsync.config import ReadsInRecovery
from wedsync.database.pipeline.connection import CLEANING, PipelinedConnection
from wedsync.database.pipeline.dispatch import Dispatcher
from wedsync.database.pipeline.failure import ServerError, StatementFailed
from wedsync.database.pipeline.lease import Lent
from wedsync.database.pipeline.login import check_login, read_login
from wedsync.database.pipeline.members import Members
from wedsync.database.pipeline.observed import PoolerFound
from wedsync.database.pipeline.prepared import PreparedNames
from wedsync.database.pipeline.replay import RecoveryWatch, Replay, replay_of
from wedsync.database.pipeline.status import PoolHealth, PoolStatus
from wedsync.database.pipeline.work import Result, Statement, Work
from wedsync.database.target import ConnectionTarget
from wedsync.errors import PoolTimeout, ServerNotReady, WedsyncError
from wedsync.events import observe
from wedsync.sql import statements

_CHECK = Work(
    role="none", settings=(), statements=(Statement(b"select 1"),), read_only=True, statement_timeout_ms=5000
)
_UTF8 = "set client_encoding to 'UTF8'"
_HOUSEKEEPING_S = 1.0
_DRAIN = timedelta(seconds=5)
_LOCAL_PAUSE_S, _REMOTE_PAUSE_S = 0.2, 2.0
"""Between tries to connect, at the most: a socket where nobody listens costs nothing to ask."""


class PipelinePool:
    """A few connections, each with batches of many requests queued on it.

    `async with PipelinePool(target) as pool: await pool.run(work)`. Used from one event loop. Refuses what the
    database would not begin with in good time; how it decides is in docs/explanation/pipeline.md.
    """

    def __init__(
        self,
        target: ConnectionTarget,
        *,
        min_size: int = 10,
        max_size: int = 100,
        idle_timeout: timedelta = timedelta(seconds=30),
        connect_timeout: timedelta = timedelta(seconds=10),
        acquire_timeout: timedelta = timedelta(seconds=60),
        slow_after: timedelta = timedelta(seconds=1),
        prepared_statements: int = 100,
        result_bytes_max: int = 256 * 1024 * 1024,
        roles: Sequence[str] = (),
        reads_in_recovery: ReadsInRecovery = ReadsInRecovery.CONSISTENT,
    ) -> None:
        """`prepared_statements` are kept on each connection at most (0: none). Each of `roles` has to be one
        that the login role can become; `open` looks."""
        self._target = target
        self._min_size = min(min_size, max_size)
        self._max_size = max_size
        self._idle_timeout_s = idle_timeout.total_seconds()
        self._connect_timeout = connect_timeout
        self._acquire_timeout = acquire_timeout
        self._prepared_statements = prepared_statements
        self._result_bytes_max = result_bytes_max
        self._roles = tuple(roles)
        self._dispatcher = Dispatcher(min_size=self._min_size, slow_after=slow_after)
        self._members = Members(
            self._connect,
            self._dispatcher.changed,
            max_size=max_size,
            longest_pause_s=_LOCAL_PAUSE_S if target.is_local_socket else _REMOTE_PAUSE_S,
        )
        self._dispatcher.members = self._members
        self._recovery = RecoveryWatch(self.run, reads=reads_in_recovery)
        self._dispatcher.recovery = self._recovery
        self._dispatcher.is_at_receiver = self._is_at_receiver
        self._housekeeper: asyncio.TimerHandle | None = None
        self.is_pooled = False
        """Whether another pooler, such as PgBouncer, is between us and the server."""
        self.remarks: tuple[str, ...] = ()
        """What is to be said of the login role, once open."""

    async def open(self) -> None:
        """Open the connections that are always there.

        Raises `CannotConnect` if not even one comes about, `LoginRoleUnfit` if the login role cannot become
        one of the roles. Once open, does nothing.
        """
        if self._housekeeper is not None:
            return
        first = await self._connect(check_roles=True)
        self._members.add(first)
        self._members.ask(self._min_size - 1)
        await self._members.arrived()
        self._housekeeper = asyncio.get_running_loop().call_later(_HOUSEKEEPING_S, self._keep_house)

    async def close(self) -> None:
        """Let no further request in, wait a little for those under way, and end all connections."""
        dispatcher = self._dispatcher
        if self._housekeeper is not None:
            self._housekeeper.cancel()
        self._recovery.close()
        dispatcher.close()
        await dispatcher.drained(_DRAIN)
        await self._members.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, work: Work) -> list[Result]:
        """What the statements of `work` gave, in their order, once the transaction has committed.

        Raises `StatementFailed` where PostgreSQL refused one (all is undone); before anything is run
        `Overloaded`, or `CannotConnect` while the database is away; `CommitUnknown` where the connection was
        lost after a write was sent; `PipelineBroken` where a read was lost time and again.
        """
        dispatcher = self._dispatcher
        for statement in work.statements:
            for parameter in statement.parameters:
                if parameter is not None and b"\0" in parameter:
                    raise StatementFailed(_NUL)  # libpq would end the value there
        batch = dispatcher.submit(work)
        dispatcher.under_way += 1
        try:
            return await batch.future
        finally:
            dispatcher.under_way -= 1

    @asynccontextmanager
    async def lend(self, purpose: str, *, at_most: timedelta = timedelta(seconds=30)) -> AsyncGenerator[Lent]:
        """A connection for one caller alone with a transaction open, committed at the end of the `async with`.

        An error that leaves it rolls back. After `at_most` it is taken back: the transaction is undone, and
        who had it is logged with the place in the code. Raises `PoolTimeout` if none is free in time.
        """
        frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage] - past contextlib: who asks
        taken_at = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        connection = await self._borrowed()
        lent = Lent(connection, purpose=purpose, taken_at=taken_at, at_most=at_most)
        try:
            await lent.begin()
            yield lent
            await lent.commit()
        except BaseException:
            lent.roll_back()
            raise
        finally:
            lent.end()
            self._dispatcher.changed()

    def status(self) -> PoolStatus:
        """The connections, and who waits for them."""
        members = self._members.all
        return PoolStatus(
            total_connections=len(members),
            idle_connections=sum(each.depth == 0 and not each.is_lent for each in members),
            waiting_requests=self._dispatcher.waiting,
            max_connections=self._members.max_size,
            lent_connections=sum(each.is_lent for each in members),
            requests_under_way=self._dispatcher.under_way,
            request_limit=self._dispatcher.limit.value,
        )

    @property
    def replay(self) -> Replay | None:
        """How the server is while it is in recovery; `None`: it takes writes, or is away."""
        return self._recovery.now

    @property
    def first_replay(self) -> Replay | None:
        """How it was when the first connection of this recovery came about; `None` as for `replay`."""
        return self._recovery.first if self._recovery.now is not None else None

    async def health(self, *, deadline: timedelta = timedelta(seconds=5)) -> PoolHealth:
        """Whether the database answers, and how quickly."""
        began = monotonic()
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                await self.run(_CHECK)
        except TimeoutError:
            return PoolHealth(
                healthy=False, latency_ms=None, error=f"no answer within {deadline.total_seconds():g} s"
            )
        except WedsyncError as error:
            return PoolHealth(healthy=False, latency_ms=None, error=error.in_one_line())
        return PoolHealth(healthy=True, latency_ms=round((monotonic() - began) * 1000, 2), error=None)

    async def _borrowed(self) -> PipelinedConnection:
        borrower = self._dispatcher.borrow()
        try:
            async with asyncio.timeout(self._acquire_timeout.total_seconds()):
                return await borrower
        except TimeoutError:
            status = self.status()
            raise PoolTimeout(
                f"no connection became free within {self._acquire_timeout.total_seconds():g} s",
                detail=f"{status.total_connections} of {status.max_connections} are there, "
                f"{status.lent_connections} lent; {status.waiting_requests} requests wait",
                hint="raise database.pool.max_size, or see what runs so long: pg_stat_activity",
            ) from None
        except BaseException:
            if borrower.done() and not borrower.cancelled() and borrower.exception() is None:
                borrower.result().lend(is_lent=False)  # it came in the moment in which nobody wanted it any more
            raise

    async def _connect(self, *, check_roles: bool = False) -> PipelinedConnection:
        session = await self._target.connect(connect_timeout=self._connect_timeout)
        try:
            session.prepare_threshold = None
            cleaning = CLEANING
            if session.pgconn.parameter_status(b"client_encoding") != b"UTF8":
                await session.execute(_UTF8)
                cleaning += (_UTF8.encode(),)
            cursor = await session.execute(statements("pipeline")["session"])
            row = await cursor.fetchone()
            is_pooled = row is None or row[0] != session.pgconn.backend_pid
            if check_roles and self._roles:
                self.remarks = check_login(*await read_login(session, self._roles))
            if is_pooled and not self.is_pooled:
                self.is_pooled = True
                self._dispatcher.deep = 1
                observe(PoolerFound(server=f"{self._target.host}:{self._target.port}"))
            # Several hosts may be several servers: what holds for one of them says nothing of the others.
            if self._target.as_given is None and session.pgconn.parameter_status(b"in_hot_standby") == b"on":
                await self._tell_recovery(session)
            names = PreparedNames(0 if is_pooled else self._prepared_statements)
            return PipelinedConnection(
                session,
                self._dispatcher,
                names=names,
                result_bytes_max=self._result_bytes_max,
                # Behind a pooler it might be the session of somebody else.
                cleaning=() if is_pooled else cleaning,
            )
        except psycopg.OperationalError as error:
            raise ServerNotReady("a new connection was lost at once", detail=str(error)) from error
        except BaseException:
            await session.close()
            raise

    async def _is_at_receiver(self, backend_pid: int) -> bool:
        """What cannot be asked now counts as one that waits: it is left alone."""
        asked = Statement(statements("pipeline")["waits_for"], (b"%d" % backend_pid,))
        try:
            (found,) = await self.run(
                Work(role="none", settings=(), statements=(asked,), read_only=True, statement_timeout_ms=1000)
            )
        except WedsyncError:
            return True
        return any(row[0] == b"SyncRep" for row in found.rows)

    async def _tell_recovery(self, session: AsyncConnection[TupleRow]) -> None:
        cursor = session.cursor(row_factory=kwargs_row(replay_of))
        await cursor.execute(statements("pipeline")["replay"])
        replay = await cursor.fetchone()
        if replay is not None:
            self._recovery.found(replay)

    def _keep_house(self) -> None:
        """Once a second: end what has long been idle, replace what is missing."""
        self._housekeeper = asyncio.get_running_loop().call_later(_HOUSEKEEPING_S, self._keep_house)
        members = self._members
        now = monotonic()
        spare = len(members.all) - self._min_size
        for connection in reversed(members.all):
            connection.keep()
            is_idle = connection.depth == 0 and connection.takes
            if spare > 0 and is_idle and now - connection.used_at > self._idle_timeout_s:
                spare -= 1
                connection.close()
        self._dispatcher.changed()


_NUL = ServerError(severity="ERROR", sqlstate="22021", message='invalid byte sequence for encoding "UTF8": 0x00')
