"""Several statements that are kept together or not at all."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, overload

import psycopg
from psycopg.abc import Params
from psycopg.abc import QueryNoTemplate as Query

from wedsync.client.pool import Connection
from wedsync.client.statement import Row, Statements, row_factory
from wedsync.errors import ConnectionLost, UsageProblem

T = TypeVar("T")


class Transaction:
    """Statements of one transaction. Errors of PostgreSQL come as psycopg's, by their SQLSTATE."""

    def __init__(self, connection: Connection, statements: Statements) -> None:
        self._connection: Connection | None = connection
        self._statements = statements

    @property
    def connection(self) -> Connection:
        """psycopg's connection, for what is not here (COPY, server-side cursors); leave the transaction to us."""
        if self._connection is None:
            raise UsageProblem("this transaction has ended", hint="use it inside its `async with` block")
        return self._connection

    @overload
    async def fetch(self, statement: Query, parameters: Params | None = None) -> list[Row]: ...
    @overload
    async def fetch(self, statement: Query, parameters: Params | None = None, *, into: type[T]) -> list[T]: ...
    async def fetch(
        self, statement: Query, parameters: Params | None = None, *, into: type[Any] | None = None
    ) -> list[Any]:
        """All rows, as dictionaries or as `into`."""
        async with self._held():
            cursor = await self._statements.run(self.connection, statement, parameters, row_factory(into))
            return await cursor.fetchall()

    @overload
    async def fetch_one(self, statement: Query, parameters: Params | None = None) -> Row | None: ...
    @overload
    async def fetch_one(
        self, statement: Query, parameters: Params | None = None, *, into: type[T]
    ) -> T | None: ...
    async def fetch_one(
        self, statement: Query, parameters: Params | None = None, *, into: type[Any] | None = None
    ) -> Any:
        """The first row; `None` if there is none."""
        async with self._held():
            cursor = await self._statements.run(self.connection, statement, parameters, row_factory(into))
            return await cursor.fetchone()

    async def execute(self, statement: Query, parameters: Params | None = None) -> int:
        """Run a statement; gives how many rows it touched."""
        async with self._held():
            cursor = await self._statements.run(self.connection, statement, parameters, row_factory(None))
            return max(cursor.rowcount, 0)

    async def execute_many(self, statement: Query, parameters: Sequence[Params]) -> int:
        """Run a statement for each group of parameters, in one batch; gives how many rows they touched."""
        async with self._held():
            cursor = await self._statements.run_many(self.connection, statement, parameters)
            return max(cursor.rowcount, 0)

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """What fails inside is undone alone; the error goes on, and the transaction can."""
        async with self._held(), self.connection.transaction():
            yield

    def end(self) -> None:
        """Nothing more may be run."""
        self._connection = None

    @asynccontextmanager
    async def _held(self) -> AsyncGenerator[None]:
        connection = self.connection
        try:
            yield
        except psycopg.OperationalError as error:
            if connection.closed:
                raise lost(error) from error
            raise


def lost(error: psycopg.Error) -> ConnectionLost:
    """The connection ended before COMMIT was sent."""
    return ConnectionLost(
        "the connection to the database was lost; the transaction is undone",
        detail=" ".join(str(error).split()),
        hint="run it again, or let db.run(…) do that",
    )
