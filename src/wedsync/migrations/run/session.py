"""One connection that migrates: what it sends, and the ledger it appends to."""

import select
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from time import monotonic
from typing import Self

from psycopg import AsyncClientCursor, AsyncConnection, generators
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow, class_row

from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationsRefused
from wedsync.migrations.files.directory import Problem
from wedsync.migrations.ledger.chain import Head, broken_links, chained, head_after, without_codes
from wedsync.migrations.ledger.history import Entry, EventKind, LedgerRow
from wedsync.sql import statements

LOCK_TIMEOUT = timedelta(milliseconds=100)
"""How long a statement waits for a table, and readers behind it, before it steps aside and tries again."""

_AT_ONCE_S = 0.003
"""So long a message is waited for on the spot, before other tasks get their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What a database knows of its migrations."""

    rows: tuple[LedgerRow, ...] = ()
    """By `seq`."""
    head: Head = field(default_factory=Head)
    is_upgraded: bool = True
    """Whether it has its present form, not that of the first version."""

    @property
    def is_chained(self) -> bool:
        """Whether the rows carry authentication codes."""
        return self.head.key_id is not None or any(row.mac is not None for row in self.rows)

    def tampering(self, key: bytes | None) -> tuple[Problem, ...]:
        """What was changed by hand; nothing where that cannot be known: no key, or a first version."""
        if key is None or not self.is_upgraded:
            return ()
        if self.is_chained:
            return broken_links(self.rows, self.head, key)
        return (without_codes(len(self.rows)),) if self.rows else ()


class Session:
    """A connection with the settings of a run, and the end of the ledger's chain."""

    def __init__(
        self,
        connection: AsyncConnection[TupleRow],
        *,
        target: ConnectionTarget,
        role: str,
        pid: int,
        by: str | None,
        key: bytes | None,
        lock_timeout: timedelta,
    ) -> None:
        self.connection = connection
        self.target = target
        self.pid = pid
        self.by = role if by is None else f"{by} as {role}"
        self.key = key
        self.lock_timeout = lock_timeout
        self.head = Head()
        self._words = AsyncClientCursor(connection)

    @classmethod
    async def begin(
        cls,
        connection: AsyncConnection[TupleRow],
        *,
        target: ConnectionTarget,
        by: str | None,
        key: bytes | None,
        lock_timeout: timedelta = LOCK_TIMEOUT,
    ) -> Self:
        """Take over a connection in autocommit; `by` names the person or service beside the role."""
        connection.prepare_threshold = None  # each run's files end with DEALLOCATE ALL
        row = await (await connection.execute(_sql("who_am_i"))).fetchone()
        role, pid = row or ("", 0)
        made = cls(connection, target=target, role=role, pid=pid, by=by, key=key, lock_timeout=lock_timeout)
        await made.send(made.settings())
        return made

    @cached_property
    def end_of_file(self) -> str:
        """The statements after a file's own: what it set for itself ends with it, and the moment is told."""
        return f"{self.bound('end_of_file')}{self.settings()}"

    def settings(self, *, lock_timeout: timedelta | None = None) -> str:
        """The statement that makes this run's settings."""
        waits = self.lock_timeout if lock_timeout is None else lock_timeout
        return self.bound("prepare_session", lock_timeout_ms=round(waits.total_seconds() * 1000))

    def bound(self, statement: str, /, **values: object) -> str:
        """A statement of ours with its values in it, to be sent together with others."""
        return self._words.mogrify(_sql(statement), values)

    async def send(self, text: str) -> list[PGresult]:
        """Send statements as one simple query, which PostgreSQL splits; all their results, errors among them.

        `execute` does not let one count the results, and an error without a position is that of the
        statement after those that ended well. Raises `psycopg.OperationalError` when the connection is lost.
        """
        pgconn = self.connection.pgconn
        pgconn.send_query(text.encode())
        # Most files take a millisecond or two: the event loop would cost as much again.
        waiting = select.poll()
        waiting.register(pgconn.socket, select.POLLIN)
        until = monotonic() + _AT_ONCE_S
        while pgconn.is_busy() and waiting.poll(max(0.0, until - monotonic()) * 1000):
            pgconn.consume_input()
        return await self.connection.wait(generators.execute(pgconn))

    @property
    def transaction_status(self) -> TransactionStatus:
        """Whether a transaction is open, or failed."""
        return TransactionStatus(self.connection.pgconn.transaction_status)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """A transaction in which the ledger may be appended to; undone, the chain ends where it did before."""
        before = self.head
        try:
            async with self.connection.transaction():
                yield
        except BaseException:
            self.head = before
            raise

    def row_for(self, entry: Entry, *, at: datetime) -> LedgerRow:
        """The ledger's next row."""
        row = LedgerRow(
            seq=self.head.seq + 1,
            kind=entry.kind,
            number=entry.number,
            name=entry.name,
            checksum=entry.checksum,
            raw_checksum=entry.raw_checksum,
            text_sha256=sha256(entry.text.encode()).hexdigest(),
            applied_at=at.astimezone(UTC),
            took_ms=entry.took_ms,
            by=self.by,
            reason=entry.reason,
            detail=entry.detail_text,
            mac=None,
        )
        return row if self.key is None else chained(row, after=self.head.last_mac, key=self.key)

    def insertion(self, row: LedgerRow, *, text: str) -> str:
        """The statement that appends `row`; the head follows with `head_at`."""
        return self.bound(
            "append",
            **{name: getattr(row, name) for name in ("seq", "number", "name", "checksum", "raw_checksum")},
            **{name: getattr(row, name) for name in ("applied_at", "took_ms", "by", "reason", "detail", "mac")},
            kind=str(row.kind),
            text=text,
        )

    def head_at(self, row: LedgerRow) -> str:
        """The statement that makes `row` the last one; once for several, since each leaves a dead row behind."""
        head = head_after(row, self.key)
        return self.bound("move_head", seq=head.seq, last_mac=head.last_mac, key_id=head.key_id, head_mac=head.mac)

    async def append(self, entry: Entry) -> LedgerRow:
        """Append to the ledger; inside `transaction()`, together with what the row tells of."""
        now = await (await self.connection.execute("select clock_timestamp()")).fetchone()
        assert now is not None  # noqa: S101 - a select without a table gives one row
        row = self.row_for(entry, at=now[0])
        await self.connection.execute(f"{self.insertion(row, text=entry.text)}{self.head_at(row)}".encode())
        self.head = head_after(row, self.key)
        return row


def _sql(name: str) -> bytes:
    return statements("migrations")[name]


async def read_ledger(connection: AsyncConnection[TupleRow]) -> Ledger:
    """The ledger as it is, of either version; changes nothing."""
    columns = await _columns(connection)
    if not columns:
        return Ledger()
    upgraded = "seq" in columns
    async with connection.cursor(row_factory=class_row(LedgerRow)) as cursor:
        await cursor.execute(_sql("read_ledger" if upgraded else "read_first_ledger"))
        rows = tuple(await cursor.fetchall())
    head = Head(seq=len(rows))
    if upgraded:
        async with connection.cursor(row_factory=class_row(Head)) as cursor:
            await cursor.execute(_sql("read_head"))
            head = await cursor.fetchone() or Head()
    return Ledger(rows=rows, head=head, is_upgraded=upgraded)


async def prepare_ledger(session: Session) -> Ledger:
    """Make or upgrade the ledger, and stand at its end; under the runners' lock.

    Rows of the first version get their codes as they are upgraded, and no others by themselves: a ledger that
    lost all of its codes looks the same as one that never had any. Raises `MigrationsRefused` without a key
    where the ledger is chained: what was appended would break it.
    """
    columns = await _columns(session.connection)
    if "seq" not in columns:
        async with session.transaction():
            await session.connection.execute(_sql("upgrade_ledger" if columns else "create_ledger"))
            await session.connection.execute(_sql("create_ledger_companions"))
            found = await read_ledger(session.connection)
            if session.key is not None and found.rows:
                await chain_rows(session, found.rows, reason=None)
    ledger = await read_ledger(session.connection)
    session.head = ledger.head
    if session.key is None and ledger.is_chained:
        raise MigrationsRefused(
            "the ledger is protected by a key, and none was given",
            detail=f"ops.migrations was chained with key {ledger.head.key_id}",
            hint="run this from the home that holds secrets/migration_chain_key",
        )
    return ledger


async def chain_rows(
    session: Session, rows: Sequence[LedgerRow], *, reason: str | None, accepted: Sequence[str] = ()
) -> LedgerRow:
    """Give every row its code anew, and append a row that says so; inside a transaction of the session."""
    if session.key is None:
        raise MigrationsRefused("the ledger cannot be chained without a key", hint="give this home's")
    last = ""
    for row in rows:
        last = chained(row, after=last, key=session.key).mac or ""
        await session.connection.execute(_sql("set_mac"), {"seq": row.seq, "mac": last})
    session.head = Head(seq=max((row.seq for row in rows), default=0), last_mac=last)
    detail = {"rows": len(rows), "accepted": list(accepted)}
    return await session.append(Entry(kind=EventKind.CHAINED, name="chained", reason=reason, detail=detail))


async def _columns(connection: AsyncConnection[TupleRow]) -> frozenset[str]:
    row = await (await connection.execute(_sql("ledger_shape"))).fetchone()
    return frozenset(row[0] if row else ())
