"""Statements and transactions as somebody: the login role, a user, the service."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from random import random
from typing import Any, TypeVar, overload

import psycopg
from psycopg.abc import Params
from psycopg.abc import QueryNoTemplate as Query
from psycopg.errors import (
    DeadlockDetected,
    FeatureNotSupported,
    ObjectNotInPrerequisiteState,
    ReadOnlySqlTransaction,
    SerializationFailure,
)

from wedsync.client.identity import Identity, service, user
from wedsync.client.pool import Connection, Pool
from wedsync.client.settings import ClientSettings
from wedsync.client.statement import Row, Statements, row_factory
from wedsync.client.transaction import Transaction, lost
from wedsync.errors import BeingTakenBack, CommitUnknown, ConnectionLost, TransactionUndone
from wedsync.sql import statements

T = TypeVar("T")

_PASSING = (SerializationFailure, DeadlockDetected, ConnectionLost, BeingTakenBack)
"""Nothing was kept, and the next try may fare better."""


_NOT_IN_RECOVERY = (ReadOnlySqlTransaction, ObjectNotInPrerequisiteState, FeatureNotSupported)
"""A write; a function that is for the primary alone; SERIALIZABLE."""


class Isolation(StrEnum):
    """How much a transaction sees of others."""

    READ_COMMITTED = "read committed"
    REPEATABLE_READ = "repeatable read"
    SERIALIZABLE = "serializable"


_BEGIN: dict[tuple[Isolation | None, bool], bytes] = {
    (None, False): b"begin",
    (None, True): b"begin read only",
    (Isolation.READ_COMMITTED, False): b"begin isolation level read committed",
    (Isolation.READ_COMMITTED, True): b"begin isolation level read committed read only",
    (Isolation.REPEATABLE_READ, False): b"begin isolation level repeatable read",
    (Isolation.REPEATABLE_READ, True): b"begin isolation level repeatable read read only",
    (Isolation.SERIALIZABLE, False): b"begin isolation level serializable",
    (Isolation.SERIALIZABLE, True): b"begin isolation level serializable read only",
}


class Session:
    """Runs statements as one identity; any number of tasks may use it at once."""

    def __init__(
        self,
        pool: Pool,
        settings: ClientSettings,
        own: Statements,
        *,
        identity: Identity | None = None,
        read_only: bool = False,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._statements = own
        self._identity = identity
        self._read_only = read_only

    def as_user(self, claims: Mapping[str, object], *, read_only: bool = False) -> "Session":
        """The same database as the user whom a token's claims name: row-level security holds."""
        return self._as(user(claims), read_only=read_only)

    def as_service(self, *, read_only: bool = False) -> "Session":
        """The same database as `service_role`, which sees every tenant's rows."""
        return self._as(service(), read_only=read_only)

    @overload
    async def fetch(self, statement: Query, parameters: Params | None = None) -> list[Row]: ...
    @overload
    async def fetch(self, statement: Query, parameters: Params | None = None, *, into: type[T]) -> list[T]: ...
    async def fetch(
        self, statement: Query, parameters: Params | None = None, *, into: type[Any] | None = None
    ) -> list[Any]:
        """All rows of one statement, as dictionaries or as `into`."""

        async def rows(connection: Connection) -> list[Any]:
            cursor = await self._in_one_trip(connection, statement, parameters, into)
            return await cursor.fetchall()

        return await self._alone(rows)

    @overload
    async def fetch_one(self, statement: Query, parameters: Params | None = None) -> Row | None: ...
    @overload
    async def fetch_one(
        self, statement: Query, parameters: Params | None = None, *, into: type[T]
    ) -> T | None: ...
    async def fetch_one(
        self, statement: Query, parameters: Params | None = None, *, into: type[Any] | None = None
    ) -> Any:
        """The first row of one statement; `None` if there is none."""

        async def row(connection: Connection) -> Any:
            cursor = await self._in_one_trip(connection, statement, parameters, into)
            return await cursor.fetchone()

        return await self._alone(row)

    async def execute(self, statement: Query, parameters: Params | None = None) -> int:
        """Run one statement; gives how many rows it touched."""

        async def touched(connection: Connection) -> int:
            cursor = await self._in_one_trip(connection, statement, parameters, None)
            return max(cursor.rowcount, 0)

        return await self._alone(touched)

    @asynccontextmanager
    async def transaction(self, isolation: Isolation | None = None) -> AsyncGenerator[Transaction]:
        """What happens inside is kept together when the block ends, or undone when it raises.

        Raises `ConnectionLost` (undone), `CommitUnknown` (kept or not, nobody can say), `TransactionUndone`
        (a statement failed, and the block went on as if it had not), `BeingTakenBack` (it wrote to a database
        that is in recovery).
        """
        async with self._pool.lend() as connection, self._unless_in_recovery(connection):
            await self._begin(connection, isolation)
            transaction = Transaction(connection, self._statements)
            try:
                yield transaction
            except BaseException:
                transaction.end()
                with suppress(psycopg.Error):
                    await connection.execute(b"rollback")
                raise
            transaction.end()
            await self._commit(connection)

    async def run(self, work: Callable[[Transaction], Awaitable[T]], *, isolation: Isolation | None = None) -> T:
        """Do `work` in a transaction, and again from the start where it failed by something that passes.

        That is: a serialization failure, a deadlock, a connection lost before COMMIT was sent. `work` may be
        called several times, so it changes nothing but the database. `CommitUnknown` is not tried again.
        """
        return await self._again(lambda: self._once(work, isolation))

    async def _once(self, work: Callable[[Transaction], Awaitable[T]], isolation: Isolation | None) -> T:
        async with self.transaction(isolation) as transaction:
            return await work(transaction)

    async def _alone(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """One statement: again after what passes. A write whose connection was lost may have been kept."""

        async def attempt() -> T:
            async with self._pool.lend() as connection, self._unless_in_recovery(connection):
                try:
                    return await work(connection)
                except SerializationFailure:
                    raise  # also where the connection ended with it: what was replayed was in its way
                except psycopg.OperationalError as error:
                    if not await _is_gone(connection, error):
                        raise
                    if self._read_only:
                        raise lost(error) from error
                    raise _unknown(error) from error

        return await self._again(attempt)

    @asynccontextmanager
    async def _unless_in_recovery(self, connection: Connection) -> AsyncGenerator[None]:
        """Say of what the server refuses because of its recovery that it has to wait for the end of that."""
        try:
            yield
        except _NOT_IN_RECOVERY as error:
            if self._read_only or connection.closed or not _is_in_recovery(connection):
                raise
            raise BeingTakenBack(
                "the database is being taken back and takes no writes yet; reads are served",
                detail=" ".join(str(error).split()),
                hint="nothing was changed: come again in some seconds",
            ) from error

    async def _again(self, attempt: Callable[[], Awaitable[T]]) -> T:
        retries = self._settings.retries
        failures = 0
        while True:
            try:
                return await attempt()
            except _PASSING:
                failures += 1
                if failures >= retries.tries:
                    raise
            await asyncio.sleep(retries.wait_s(failures, chance=random()))  # noqa: S311 - spreads, hides nothing

    async def _in_one_trip(
        self, connection: Connection, statement: Query, parameters: Params | None, into: type[Any] | None
    ) -> psycopg.AsyncCursor[Any]:
        """A statement as our identity: one round trip, which is one transaction of its own."""
        rows = row_factory(into)
        if self._identity is None and not self._read_only:
            return await self._statements.run(connection, statement, parameters, rows)
        cursor = connection.cursor(row_factory=rows)
        async with self._statements.timed(connection, statement, parameters), connection.pipeline():
            await self._become(connection)
            await cursor.execute(statement, parameters)
        return cursor

    async def _become(self, connection: Connection) -> None:
        if self._read_only:
            await connection.execute(statements("client")["read_only"])
        if self._identity is not None:
            await connection.execute(statements("client")["become"], self._identity.parameters())

    async def _begin(self, connection: Connection, isolation: Isolation | None) -> None:
        try:
            async with connection.pipeline():
                await connection.execute(_BEGIN[isolation, self._read_only])
                if self._identity is not None:
                    await connection.execute(statements("client")["become"], self._identity.parameters())
        except psycopg.OperationalError as error:
            if await _is_gone(connection, error):
                raise lost(error) from error
            raise

    async def _commit(self, connection: Connection) -> None:
        try:
            ended = await connection.execute(b"commit")
        except psycopg.OperationalError as error:
            if not await _is_gone(connection, error):
                raise
            raise (lost(error) if self._read_only else _unknown(error)) from error
        if ended.statusmessage == "ROLLBACK":
            raise TransactionUndone(
                "the transaction is undone: one of its statements had failed",
                hint="let the error of the statement leave the block, or put the statement into a savepoint()",
            )

    def _as(self, identity: Identity, *, read_only: bool) -> "Session":
        return Session(self._pool, self._settings, self._statements, identity=identity, read_only=read_only)


async def _is_gone(connection: Connection, error: psycopg.OperationalError) -> bool:
    """Whether the connection ended with this error; the driver may say so before it closes it.

    Words without an SQLSTATE are libpq's or the driver's own, such as "cannot exit pipeline mode while busy" where
    the server shut down in the middle of one: what is left of such a connection is closed.
    """
    if not connection.closed and error.sqlstate is None:
        await connection.close()
    return connection.closed


def _is_in_recovery(connection: Connection) -> bool:
    """By what the server said last: it tells of the end of its recovery by itself."""
    return connection.pgconn.parameter_status(b"in_hot_standby") == b"on"


def _unknown(error: psycopg.Error) -> CommitUnknown:
    return CommitUnknown(
        "the connection was lost after a write was sent: it may be kept, or not",
        detail=" ".join(str(error).split()),
        hint="look at what it was to change before doing it again",
    )
