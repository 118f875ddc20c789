"""Small commits that move the recovery window of a quiet database forward.

PostgreSQL stops at a moment only where a later commit proves that it was reached, and an idle database has
none. But each commit makes `archive_timeout` close and archive a whole segment: 16 MB written, some kilobytes
kept. So there are two rhythms: while others write, the segment is archived anyway, and a beat follows every
`backup.heartbeat_every`; when nobody else has written since the last beat, one beat each quarter of an hour
(measured in docs/explanation/backup.md).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg.rows import DictRow, dict_row

from wedsync.clock import Clock
from wedsync.database import ConnectionTarget
from wedsync.errors import WedsyncError
from wedsync.events import Event, observe
from wedsync.sql import statements
from wedsync.state import StateStore, as_text

IDLE_EVERY = timedelta(minutes=15)
_PRUNE_EVERY = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A commit of ours: when, and the next transaction id right after it."""

    at: datetime
    next_transaction: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatFailed(Event):
    """The database took no heartbeat."""

    level = "warning"

    message: str


def is_beat_due(
    last: Beat | None,
    *,
    next_transaction: int,
    now: datetime,
    active_every: timedelta,
    idle_every: timedelta = IDLE_EVERY,
) -> bool:
    """Whether to commit a heartbeat now; `next_transaction` tells whether anybody else wrote since `last`."""
    if last is None or now < last.at:
        return True
    others_wrote = next_transaction > last.next_transaction
    return now - last.at >= (active_every if others_wrote else max(idle_every, active_every))


class HeartbeatService:
    """Beats until it is cancelled; waits while the database is away or in recovery."""

    def __init__(
        self,
        *,
        owner: ConnectionTarget,
        state: StateStore,
        clock: Clock,
        every: timedelta,
        keep: timedelta,
    ) -> None:
        """`owner` may write the table `ops.heartbeat`; beats older than `keep` are forgotten."""
        self._owner = owner
        self._state = state
        self._clock = clock
        self._every = every
        self._keep = keep
        self._last: Beat | None = None
        self._pruned_at: datetime | None = None

    async def run(self) -> None:
        """Beat when it is due, until cancelled."""
        told = False
        while True:
            try:
                async with await self._owner.connect() as connection:
                    connection.row_factory = dict_row  # pyright: ignore[reportAttributeAccessIssue] - psycopg's own way to change it
                    await self._beat_on(connection)  # pyright: ignore[reportArgumentType]
            except (WedsyncError, DatabaseError, OSError) as error:
                if not told:
                    observe(HeartbeatFailed(message=str(error)))
                told = True
            else:
                told = False
            await self._clock.sleep(self._every)

    async def _beat_on(self, connection: AsyncConnection[DictRow]) -> None:
        await self.prepare(connection)
        while await self.beat_once(connection) is not False:
            await self._clock.sleep(self._every)

    async def prepare(self, connection: AsyncConnection[DictRow]) -> None:
        """Make the table of one row, unless it is there or the server only replays."""
        cursor = await connection.execute(statements("backup")["next_transaction"])
        if await cursor.fetchone() is not None:
            await connection.execute(statements("backup")["create_heartbeat"])

    async def beat_once(self, connection: AsyncConnection[DictRow]) -> bool | None:
        """Beat if it is due. True: done; `None`: not due; False: the database is in recovery."""
        sql = statements("backup")
        cursor = await connection.execute(sql["next_transaction"])
        row = await cursor.fetchone()
        if row is None:
            return False
        now = self._clock.now()
        if not is_beat_due(
            self._last, next_transaction=row["next_transaction"], now=now, active_every=self._every
        ):
            return None
        cursor = await connection.execute(sql["beat"])
        beat = await cursor.fetchone()
        cursor = await connection.execute(sql["after_beat"])
        after = await cursor.fetchone()
        if beat is None or after is None:
            return None
        self._last = Beat(at=now, next_transaction=after["next_transaction"])
        self._state.write(
            "insert or replace into heartbeats (at, timeline, lsn) values (?, ?, ?)",
            (as_text(beat["beat_at"]), after["timeline"], after["lsn"]),
        )
        self._prune(now)
        return True

    def _prune(self, now: datetime) -> None:
        if self._pruned_at is not None and now - self._pruned_at < _PRUNE_EVERY:
            return
        self._pruned_at = now
        self._state.write("delete from heartbeats where at < ?", (as_text(now - self._keep),))
