"""Secure the state that a recovery is about to replace, so that it can be taken back."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from wedsync.backup import PgBackRest
from wedsync.cluster import Server
from wedsync.errors import RecoveryRefused
from wedsync.sql import statements

_POLL_S = 0.05
_LISTING_EVERY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """A named place in the WAL."""

    lsn: str
    segment: str
    at: datetime


async def mark_present(server: Server, name: str) -> RestorePoint:
    """Commit, set the restore point `name`, and let the segment that holds it be archived."""
    sql = statements("recovery")
    async with await server.target().connect() as connection:
        await connection.execute(sql["commit_now"])
        async with connection.cursor(row_factory=class_row(RestorePoint)) as cursor:
            await cursor.execute(sql["mark_present"], {"name": name})
            point = await cursor.fetchone()
        await connection.execute(sql["switch_wal"])
    if point is None:
        raise RecoveryRefused("the present state could not be marked", hint="wedsync status")
    return point


async def wait_until_archived(
    server: Server, pgbackrest: PgBackRest, segment: str, *, repo: int, deadline: timedelta
) -> bool:
    """Whether `segment` came into the archive before `deadline`.

    The server's own word is asked often; the repository's listing sometimes: where another repository is out
    of reach, the server still waits for that one while this one has the segment long since.
    """
    started = listed = monotonic()
    async with await server.target().connect() as connection:
        while monotonic() - started < deadline.total_seconds():
            if await _archived_by_server(connection, segment):
                return True
            if monotonic() - listed >= _LISTING_EVERY_S:
                listed = monotonic()
                for archive in await pgbackrest.archives(repo):
                    if segment in archive.sizes:
                        return True
            await asyncio.sleep(_POLL_S)
    return False


async def _archived_by_server(connection: AsyncConnection[TupleRow], segment: str) -> bool:
    row = await (await connection.execute(statements("recovery")["archiver"])).fetchone()
    last = str(row[0]) if row is not None and row[0] else ""
    return last[:8] == segment[:8] and last[:24] >= segment
