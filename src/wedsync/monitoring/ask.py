"""Ask a database for its figures: one connection, a few questions, within a time."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from time import monotonic

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row, dict_row

from wedsync.database import ConnectionTarget
from wedsync.errors import CannotConnect, FiguresMissing, WedsyncError
from wedsync.monitoring.metrics import DatabaseMetrics, Ping, TableSize, read_metrics
from wedsync.sql import statements

_CONNECTS_WITHIN = timedelta(seconds=3)
_ANSWERS_WITHIN = timedelta(seconds=5)


async def ask_metrics(target: ConnectionTarget) -> DatabaseMetrics:
    """The figures of a database of the platform; `target`: a role that may call its functions.

    Raises `CannotConnect` where it does not answer in time, `FiguresMissing` where the functions are not there.
    """
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN.total_seconds()):
            async with await target.connect(connect_timeout=_CONNECTS_WITHIN) as connection:
                found = await _summary(connection)
                return replace(found, storage=replace(found.storage, table_sizes=await _tables(connection)))
    except TimeoutError as error:
        raise _silent() from error


async def ask_health(target: ConnectionTarget) -> tuple[Ping, DatabaseMetrics | None]:
    """Whether the database answers, and its figures without the tables; never raises for one that is away."""
    latency_ms: float | None = None
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN.total_seconds()):
            async with await target.connect(connect_timeout=_CONNECTS_WITHIN) as connection:
                began = monotonic()
                await connection.execute(statements("metrics")["ping"])
                latency_ms = round((monotonic() - began) * 1000, 3)
                found = await _summary(connection)
    except TimeoutError:
        return Ping(connection_healthy=False, latency_ms=latency_ms, error=_silent().message), None
    except FiguresMissing as error:
        return Ping(connection_healthy=True, latency_ms=latency_ms, error=error.in_one_line()), None
    except WedsyncError as error:
        return Ping(connection_healthy=False, latency_ms=latency_ms, error=error.in_one_line()), None
    except psycopg.Error as error:
        lost = " ".join(str(error).split())
        return Ping(connection_healthy=False, latency_ms=latency_ms, error=lost), None
    return Ping(connection_healthy=True, latency_ms=latency_ms, error=None), found


async def _summary(connection: AsyncConnection[TupleRow]) -> DatabaseMetrics:
    try:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statements("metrics")["summary"])
            row = await cursor.fetchone()
    except (psycopg.errors.UndefinedFunction, psycopg.errors.InsufficientPrivilege) as error:
        raise FiguresMissing(
            "the database does not have the functions that give its figures",
            detail=error.diag.message_primary,
            hint="wedsync migrate up",
        ) from error
    assert row is not None  # noqa: S101 - a question without FROM has one row
    return read_metrics(row, ())


async def _tables(connection: AsyncConnection[TupleRow]) -> tuple[TableSize, ...]:
    async with connection.cursor(row_factory=class_row(TableSize)) as cursor:
        await cursor.execute(statements("metrics")["table_sizes"])
        return tuple(await cursor.fetchall())


def _silent() -> CannotConnect:
    return CannotConnect(f"the database does not answer within {_ANSWERS_WITHIN.total_seconds():g} s")
