"""A busy Saturday: several writers that go on through restarts and count what was acknowledged."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Final, TypeAlias

import psycopg
from psycopg import AsyncConnection
from psycopg.errors import Diagnostic
from psycopg.rows import TupleRow

from wedsync.database import ConnectionTarget
from wedsync.demo.ledger import Ledger, LedgerLine, Outcome, newest_seq
from wedsync.demo.words import FROM_COUPLE, MEN, SURNAMES, WOMEN
from wedsync.errors import CannotConnect, DemoRefused
from wedsync.sql import statements

_KINDS: Final = {
    "answer_invitation": 35,
    "send_message": 25,
    "move_timeline": 12,
    "edit_photo_group": 12,
    "edit_core_field": 10,
    "invite_guest": 6,
}
"""What a Saturday is made of, by weight; each is a statement of `sql/demo.sql`."""
_LOCK_KEY: Final = int.from_bytes(b"demolive")
_RETRY_FIRST_S: Final = 0.05
_RETRY_LAST_S: Final = 1.0
_TICK_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTick:
    """How the writing goes, once a second and at its end."""

    committed: int
    unknown: int
    failed: int
    """Transactions that the server refused or that were cut off before COMMIT: undone, and known to be."""
    connected: int
    """Writers that have a connection now."""
    writers: int
    per_s: float
    """Commits in the last second."""
    newest_commit_at: datetime | None


OnTick: TypeAlias = Callable[[LiveTick], None]


async def live(
    target: ConnectionTarget,
    *,
    rate_per_s: float = 20.0,
    writers: int = 4,
    ledger: Path | None = None,
    on_tick: OnTick | None = None,
    until: asyncio.Event | None = None,
) -> LiveTick:
    """Write until `until` is set (or for ever), about `rate_per_s` transactions a second; gives the sums.

    Lost connections are opened again for as long as it takes. Raises `DemoRefused` where there are no
    weddings to write to, and `CannotConnect` only if the very first connection fails.
    """
    stop = until or asyncio.Event()
    told = newest_seq(ledger)  # a recovery may have taken the database back behind its own ledger
    book = Ledger(ledger)
    try:
        couples, newest = await _prepare(target)
        saturday = _Saturday(
            target=target, couples=couples, book=book, stop=stop, first_seq=max(newest, told) + 1, writers=writers
        )
        async with asyncio.TaskGroup() as tasks:
            ticker = tasks.create_task(saturday.tick(on_tick))
            async with asyncio.TaskGroup() as all_writers:
                for number in range(writers):
                    all_writers.create_task(saturday.write(number, every_s=writers / rate_per_s))
            ticker.cancel()
        last = saturday.sums(per_s=0.0)
        if on_tick is not None:
            on_tick(last)
        return last
    finally:
        book.close()


class _Saturday:
    """What the writers share."""

    def __init__(
        self,
        *,
        target: ConnectionTarget,
        couples: Sequence[object],
        book: Ledger,
        stop: asyncio.Event,
        first_seq: int,
        writers: int,
    ) -> None:
        self._target = target
        self._couples = couples
        self._book = book
        self._stop = stop
        self._seq = count(first_seq)
        self._writers = writers
        self._connected = 0
        self._committed = 0
        self._unknown = 0
        self._failed = 0
        self._newest_commit_at: datetime | None = None

    def sums(self, *, per_s: float) -> LiveTick:
        return LiveTick(
            committed=self._committed,
            unknown=self._unknown,
            failed=self._failed,
            connected=self._connected,
            writers=self._writers,
            per_s=per_s,
            newest_commit_at=self._newest_commit_at,
        )

    async def tick(self, on_tick: OnTick | None) -> None:
        """Report once a second, until cancelled."""
        before, at = 0, monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            now = monotonic()
            if on_tick is not None:
                on_tick(self.sums(per_s=(self._committed - before) / (now - at)))
            before, at = self._committed, now

    async def write(self, number: int, *, every_s: float) -> None:
        """One writer: transactions at its own pace, a new connection whenever the old one is lost."""
        retry_s = _RETRY_FIRST_S
        while not self._stop.is_set():
            try:
                async with self._connection() as (connection, warnings):
                    retry_s = _RETRY_FIRST_S
                    await self._write_on(connection, warnings, number, every_s)
            except (CannotConnect, psycopg.Error):
                # The database restarts, is read-only, is being restored: that is what this program is for.
                await self._pause(random.uniform(0.5, 1.0) * retry_s)
                retry_s = min(_RETRY_LAST_S, 2 * retry_s)

    async def _write_on(
        self, connection: AsyncConnection[TupleRow], warnings: list[str], number: int, every_s: float
    ) -> None:
        due = monotonic() + random.uniform(0, every_s)
        while not self._stop.is_set():
            await self._pause(due - monotonic())
            if self._stop.is_set():
                return
            due = max(due + every_s, monotonic() - every_s)  # after a stall: no burst to catch up
            await self._transaction(connection, warnings, number)

    async def _transaction(self, connection: AsyncConnection[TupleRow], warnings: list[str], number: int) -> None:
        kind = random.choices(list(_KINDS), weights=list(_KINDS.values()))[0]
        seq = next(self._seq)
        try:
            await connection.execute(_sql(kind), self._values())
            noted = await connection.execute(_sql("note_commit"), {"seq": seq, "writer": number, "kind": kind})
            committed_at = _moment(await noted.fetchone())
        except psycopg.Error as error:
            self._failed += 1
            if connection.closed or connection.broken or isinstance(error, psycopg.OperationalError):
                raise
            await connection.rollback()  # a conflict of two writers, or a row that a recovery took away
            return
        warnings.clear()
        try:
            await connection.commit()
        except BaseException as error:  # a cancelled COMMIT is as unknown as one that was cut off
            if isinstance(error, psycopg.Error) and error.sqlstate and not connection.broken:
                self._failed += 1  # the server lives and says that it did not commit
                return
            self._unknown += 1
            await asyncio.shield(self._note(seq, number, kind, committed_at, Outcome.UNKNOWN))
            raise
        if warnings:
            # PostgreSQL says COMMIT and warns when the wait for a synchronous standby was cancelled.
            self._unknown += 1
            await self._note(seq, number, kind, committed_at, Outcome.UNKNOWN)
            return
        self._committed += 1
        self._newest_commit_at = committed_at
        await self._note(seq, number, kind, committed_at, Outcome.COMMITTED)

    async def _note(self, seq: int, writer: int, kind: str, committed_at: datetime, outcome: Outcome) -> None:
        await self._book.append(
            LedgerLine(
                seq=seq,
                writer=writer,
                kind=kind,
                outcome=outcome,
                committed_at=committed_at,
                acknowledged_at=datetime.now(UTC),
            )
        )

    def _values(self) -> dict[str, object]:
        body = random.choice(FROM_COUPLE)
        return {
            "couple": random.choice(self._couples),
            "first_name": random.choice(WOMEN + MEN),
            "last_name": random.choice(SURNAMES),
            "body": body.format(guests=random.randint(40, 180), other=random.choice(MEN)),
        }

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[tuple[AsyncConnection[TupleRow], list[str]]]:
        """A connection, and the warnings that the server sends on it."""
        warnings: list[str] = []

        def keep(notice: Diagnostic) -> None:
            if notice.severity_nonlocalized == "WARNING":
                warnings.append(notice.message_primary or "")

        connection = await self._target.connect(autocommit=False)
        connection.add_notice_handler(keep)
        self._connected += 1
        try:
            # A recovery may have gone back to before this table.
            await _ensure_commits(connection)
            await connection.commit()
            yield connection, warnings
        finally:
            self._connected -= 1
            await connection.close()

    async def _pause(self, pause_s: float) -> None:
        """Wait, but not longer than until the end."""
        if pause_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stop.wait()


async def _ensure_commits(connection: AsyncConnection[TupleRow]) -> None:
    # Two CREATE … IF NOT EXISTS at once can still collide.
    await connection.execute(_sql("one_at_a_time"), {"key": _LOCK_KEY})
    await connection.execute(_sql("create_commits"))


def _moment(row: TupleRow | None) -> datetime:
    if row is None or not isinstance(row[0], datetime):
        raise psycopg.DataError("INSERT … RETURNING gave no time")
    return row[0]


async def _prepare(target: ConnectionTarget) -> tuple[list[object], int]:
    """The weddings to write to, and the newest sequence number in the database."""
    async with await target.connect() as connection:
        try:
            async with connection.transaction():
                await _ensure_commits(connection)
            couples = [row[0] for row in await (await connection.execute(_sql("busy_couples"))).fetchall()]
            newest = await (await connection.execute(_sql("newest_commit"))).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise DemoRefused(
                f"{target} does not have the platform's schema yet", hint="wedsync migrate up"
            ) from error
    if not couples:
        raise DemoRefused(f"{target} has no weddings to write to", hint="wedsync demo load")
    return couples, 0 if newest is None else int(newest[0])


def _sql(name: str) -> bytes:
    return statements("demo")[name]
