"""One statement on one connection: run it, time it, give its rows."""

from collections.abc import AsyncGenerator, Sequence, Sized
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar

from psycopg import AsyncCursor
from psycopg.abc import Params
from psycopg.abc import QueryNoTemplate as Query
from psycopg.rows import AsyncRowFactory, class_row, dict_row
from psycopg.sql import Composable

from wedsync.client.pool import Connection
from wedsync.client.settings import ClientSettings
from wedsync.client.watch import OnSlow, SlowStatement, shown_text

T = TypeVar("T")
Row = dict[str, Any]


class Statements:
    """Runs statements and tells of slow ones."""

    def __init__(self, settings: ClientSettings, on_slow: OnSlow) -> None:
        self._slow_s = settings.slow_after.total_seconds()
        self._on_slow = on_slow

    @asynccontextmanager
    async def timed(self, connection: Connection, statement: Query, parameters: object) -> AsyncGenerator[None]:
        """Tell of what happens inside if it takes long; `parameters` are counted, never shown."""
        began = monotonic()
        succeeded = False
        try:
            yield
            succeeded = True
        finally:
            took_s = monotonic() - began
            if took_s > self._slow_s:
                self._on_slow(
                    SlowStatement(
                        text=shown_text(_text(statement, connection)),
                        parameters=len(parameters) if isinstance(parameters, Sized) else 0,
                        took_ms=round(took_s * 1000, 1),
                        succeeded=succeeded,
                    )
                )

    async def run(
        self, connection: Connection, statement: Query, parameters: Params | None, rows: AsyncRowFactory[T]
    ) -> AsyncCursor[T]:
        """The cursor of a statement that has run."""
        cursor = connection.cursor(row_factory=rows)
        async with self.timed(connection, statement, parameters):
            await cursor.execute(statement, parameters)
        return cursor

    async def run_many(
        self, connection: Connection, statement: Query, parameters: Sequence[Params]
    ) -> AsyncCursor[Row]:
        """The same statement for each group of parameters, in one batch."""
        cursor = connection.cursor(row_factory=dict_row)
        async with self.timed(connection, statement, parameters):
            await cursor.executemany(statement, parameters)
        return cursor


def row_factory(into: type[T] | None) -> AsyncRowFactory[Any]:
    """Rows as dictionaries, or as a class that takes the columns by name."""
    return dict_row if into is None else class_row(into)


def _text(statement: Query, connection: Connection) -> str:
    match statement:
        case str():
            return statement
        case bytes():
            return statement.decode(errors="replace")
        case Composable():
            return statement.as_string(connection)
