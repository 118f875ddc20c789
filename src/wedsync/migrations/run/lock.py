"""One runner at a time: the advisory lock of a database's migrations."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from wedsync.errors import MigrationsBusy
from wedsync.sql import statements

_KEY = int.from_bytes(b"migrate1")
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    pid: int
    user_name: str
    program: str
    since: datetime

    def __str__(self) -> str:
        return f"{self.user_name} (pid {self.pid}, {self.program}), connected since {self.since.isoformat()}"


@asynccontextmanager
async def only_runner(
    connection: AsyncConnection[TupleRow], *, wait: timedelta, say: Callable[[str], None]
) -> AsyncGenerator[None]:
    """Hold the lock of this database's migrations; a killed runner loses it with its session.

    It is asked for again and again, without a transaction: waiting inside a statement holds a snapshot, and
    a CREATE INDEX CONCURRENTLY of the one who works waits for that. `say` is told once whom we wait for.
    Raises `MigrationsBusy` after `wait`.
    """
    until = monotonic() + wait.total_seconds()
    told = False
    while not await _try(connection):
        if monotonic() >= until:
            raise MigrationsBusy(
                f"another runner is migrating this database; waited {wait.total_seconds():g} s",
                detail=await _holder(connection),
                hint="let it end, then run this again: what it applied is not applied twice",
            )
        if not told and (holder := await _holder(connection)) is not None:
            say(f"another runner is at work: {holder}; waiting for it")
            told = True
        await asyncio.sleep(_POLL_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            await connection.execute(statements("migrations")["unlock"], {"key": _KEY})


async def _try(connection: AsyncConnection[TupleRow]) -> bool:
    row = await (await connection.execute(statements("migrations")["try_lock"], {"key": _KEY})).fetchone()
    return row is not None and bool(row[0])


async def _holder(connection: AsyncConnection[TupleRow]) -> str | None:
    async with connection.cursor(row_factory=class_row(_Holder)) as cursor:
        await cursor.execute(statements("migrations")["lock_holder"], {"key": _KEY})
        holder = await cursor.fetchone()
    return None if holder is None else str(holder)
