"""Watch a server replay WAL up to its target, tell how far it is, and let it take writes again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from wedsync.cluster import Server, ServerState
from wedsync.database import Lsn
from wedsync.errors import CannotConnect, RecoveryFailed
from wedsync.sql import statements

_POLL_S = 0.05
_PROMOTED = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPosition:
    """How far replay is; `at` is the time of the last transaction that was replayed."""

    in_recovery: bool
    paused: bool
    at: datetime | None
    lsn: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Where replay stopped."""

    last_commit_at: datetime | None
    lsn: Lsn | None
    by_itself: bool
    """Whether the server promoted itself: the target was the end of the WAL."""


async def wait_for_target(
    server: Server, *, deadline: timedelta, on_position: Callable[[ReplayPosition], None]
) -> Reached:
    """Return when the server has paused at its target, or has promoted itself at the end of the WAL.

    The server must take connections already (hot standby). Raises `RecoveryFailed` if it ends before, with
    what its log says; past `deadline` too.
    """
    started = monotonic()
    last: ReplayPosition | None = None
    while monotonic() - started < deadline.total_seconds():
        position = await replay_position(server)
        if position is None:
            if server.state() not in {ServerState.RUNNING, ServerState.STARTING}:
                raise RecoveryFailed(
                    "PostgreSQL ended while it replayed WAL",
                    detail=f"the last transaction replayed is of {last.at}" if last else None,
                    hint=f"its log is in {server.home.log}; run the same command again to go on",
                )
        else:
            last = position
            on_position(position)
            if position.paused or not position.in_recovery:
                return Reached(
                    last_commit_at=position.at,
                    lsn=Lsn.parse(position.lsn) if position.lsn else None,
                    by_itself=not position.in_recovery,
                )
        await asyncio.sleep(_POLL_S)
    raise RecoveryFailed(
        f"WAL was not replayed within {deadline.total_seconds():.0f} s",
        detail=f"the last transaction replayed is of {last.at}" if last else None,
        hint="it goes on replaying; run the same command again, with a longer backup.deadline",
    )


async def promote(server: Server) -> None:
    """Let a paused server take writes, on a new timeline; returns when it does.

    A promotion by function ends recovery with a record in the WAL; `recovery_target_action = promote` would
    write a whole checkpoint first, which costs seconds on a large cluster (measured:
    docs/explanation/recovery.md). A server paused at its target looks for the order once a second, and a signal
    does not end its sleep before (tried; xlogrecovery.c, recoveryPausesHere). Resuming it for a moment does; on a
    busy machine it then ends recovery at once, and by the whole checkpoint (tried, too).
    """
    started = monotonic()
    async with await server.target().connect() as connection:
        await connection.execute(statements("recovery")["promote"])
        while monotonic() - started < _PROMOTED.total_seconds():
            position = await _ask(connection)
            if position is not None and not position.in_recovery:
                return
            await asyncio.sleep(_POLL_S)
    raise RecoveryFailed(
        f"the server did not take writes within {_PROMOTED.total_seconds():.0f} s of being told to",
        hint=f"its log is in {server.home.log}; run the same command again to go on",
    )


async def replay_position(server: Server) -> ReplayPosition | None:
    """How far the server's replay is; `None` if it takes no connection."""
    try:
        async with await server.target().connect(connect_timeout=timedelta(seconds=5)) as connection:
            return await _ask(connection)
    except (CannotConnect, psycopg.OperationalError):
        return None


async def _ask(connection: AsyncConnection[TupleRow]) -> ReplayPosition | None:
    async with connection.cursor(row_factory=class_row(ReplayPosition)) as cursor:
        await cursor.execute(statements("recovery")["replay_position"])
        return await cursor.fetchone()


def replay_words(first: datetime, at: datetime, target: datetime, took_s: float) -> str:
    """`replaying 11:02:11 of 11:05:30, about 40 s left`; the estimate comes when there is something to go by."""
    words = f"replaying {at.astimezone():%H:%M:%S} of {target.astimezone():%H:%M:%S}"
    done_s = (at - first).total_seconds()
    left_s = (target - at).total_seconds()
    if took_s < 1 or done_s <= 0 or left_s <= 0:
        return words
    return f"{words}, about {left_s / done_s * took_s:.0f} s left"
