"""Take a witness of the running database: an exact place, and what its snapshot shows."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import ClassVar

from psycopg import AsyncConnection, DatabaseError, errors, sql
from psycopg.rows import TupleRow, dict_row

from wedsync.database import ConnectionTarget
from wedsync.drills.witness.digests import Part, digest_part, settle, tables_of
from wedsync.drills.witness.model import LeftOut, Span, TableDigest, Witness
from wedsync.drills.witness.place import ExactPlace, exact_place
from wedsync.drills.witness.records import newest_witness, record_witness
from wedsync.drills.witness.spans import Share, Table, choose_spans
from wedsync.errors import WitnessHeldUp
from wedsync.events import Event, observe
from wedsync.migrations import Fingerprint, fingerprint_of
from wedsync.sql import statements
from wedsync.state import StateStore

_BYTES_PER_S = 60_000_000
"""What one session digests on two shared cores while others work; half of what it does alone."""
_NICE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What a witness may cost."""

    budget: timedelta = timedelta(seconds=20)
    """Reading takes about this long, and never twice as long; what does not fit is read in parts, in turn."""
    wait: timedelta = timedelta(seconds=30)
    """For the end of transactions that write."""
    lock_wait: timedelta = timedelta(milliseconds=500)
    """For a table that somebody is changing: then it is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessTaken(Event):
    """A witness was written down."""

    level: ClassVar[str] = "info"
    lsn: str
    tables: int
    rows: int
    left_out: int
    took_s: float
    waited_s: float


class WitnessTaker:
    """Takes witnesses of one database."""

    def __init__(self, target: ConnectionTarget, *, state: StateStore, effort: Effort | None = None) -> None:
        """`target` is a role that may make a replication slot and read every row."""
        self._target = target
        self._state = state
        self._effort = effort or Effort()

    async def take(self, reason: str) -> Witness:
        """Take one and write it down.

        Raises `WitnessHeldUp`, `WitnessRefused`, `CannotConnect`; then nothing is written and no slot is left.
        """
        began = monotonic()
        read_before = self._read_before()
        async with await self._target.connect() as connection:
            await settle(
                connection,
                lock_timeout_s=self._effort.lock_wait.total_seconds(),
                idle_timeout_s=2 * self._effort.wait.total_seconds(),
            )
            async with connection.transaction():
                # A transaction has its snapshot with its first question: nothing is asked before.
                await connection.execute("set transaction isolation level repeatable read read only")
                async with exact_place(self._target, wait=self._effort.wait) as place:
                    await connection.execute(
                        sql.SQL("set transaction snapshot {}").format(sql.Literal(place.snapshot))
                    )
                witness, shapes, catalogue = await self._measure(connection, place, reason, read_before)
        witness, catalogue = await self._without_changed(witness, shapes, catalogue)
        written = record_witness(self._state, replace(witness, took_s=monotonic() - began), catalogue)
        observe(
            WitnessTaken(
                lsn=str(written.lsn),
                tables=len(written.tables),
                rows=written.rows,
                left_out=len(written.left_out),
                took_s=round(written.took_s, 2),
                waited_s=round(written.waited_s, 2),
            )
        )
        return written

    def _read_before(self) -> dict[str, Span]:
        last = newest_witness(self._state)
        return {table.table: table.span for table in last.tables if table.span is not None} if last else {}

    async def _measure(
        self, connection: AsyncConnection[TupleRow], place: ExactPlace, reason: str, read_before: dict[str, Span]
    ) -> tuple[Witness, dict[str, str], Fingerprint]:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statements("witness")["session"])
            session = await cursor.fetchone() or {}
        _be_nice(self._target, session["pid"])
        budget_s = self._effort.budget.total_seconds()
        try:
            tables = await tables_of(connection)
            catalogue = await fingerprint_of(connection)
        except errors.LockNotAvailable as error:
            raise WitnessHeldUp(
                "somebody is changing the schema", hint="the next try follows by itself"
            ) from error
        shares = choose_spans(tables, budget_bytes=round(budget_s * _BYTES_PER_S), read_before=read_before)
        digests, left_out = await _digests(connection, shares, until=monotonic() + 2 * budget_s)
        witness = Witness(
            at=session["at"],
            system_id=place.system_id,
            timeline=place.timeline,
            lsn=place.lsn,
            database=session["database"],
            reason=reason,
            tables=tuple(digests),
            left_out=tuple(left_out),
            took_s=0.0,
            waited_s=place.waited_s,
        )
        return witness, {table.name: table.shape for table in tables}, catalogue

    async def _without_changed(
        self, witness: Witness, shapes: dict[str, str], catalogue: Fingerprint
    ) -> tuple[Witness, Fingerprint | None]:
        """Leave out what was changed since the place: a scan finds the newest file and columns of a table."""
        async with await self._target.connect() as connection:
            await settle(connection, lock_timeout_s=1, idle_timeout_s=60)
            now = {table.name: table.shape for table in await tables_of(connection)}
            after = await fingerprint_of(connection)
        kept = [item for item in witness.tables if now.get(item.table) == shapes[item.table]]
        changed = [
            LeftOut(table=item.table, reason="it was changed or emptied meanwhile")
            for item in witness.tables
            if now.get(item.table) != shapes[item.table]
        ]
        same = after.digest == catalogue.digest
        return (
            replace(witness, tables=tuple(kept), left_out=(*witness.left_out, *changed)),
            catalogue if same else None,
        )


async def _digests(
    connection: AsyncConnection[TupleRow], shares: Sequence[Share], *, until: float
) -> tuple[list[TableDigest], list[LeftOut]]:
    digests: list[TableDigest] = []
    left_out: list[LeftOut] = []
    for share in shares:
        left_s = until - monotonic()
        if left_s <= 0:
            left_out.append(LeftOut(table=share.table.name, reason="the time was up"))
            continue
        try:
            digests.append(await digest_part(connection, _part(share.table, share.span), within_s=left_s))
        except DatabaseError as error:
            if connection.closed:
                raise
            left_out.append(LeftOut(table=share.table.name, reason=_reason(error)))
    return digests, left_out


def _part(table: Table, span: Span | None) -> Part:
    return Part(table=table.name, blocks=table.blocks, span=span)


def _reason(error: Exception) -> str:
    match error:
        case errors.UndefinedTable():
            return "it was dropped meanwhile"
        case errors.LockNotAvailable():
            return "somebody was changing it"
        case errors.QueryCanceled():
            return "the time was up"
        case _:
            return " ".join(str(error).split())[:200]


def _be_nice(target: ConnectionTarget, pid: int) -> None:
    """Lower the priority of the session's process where it is one of ours on this machine."""
    if target.is_local_socket:
        with suppress(ProcessLookupError, PermissionError):
            os.setpriority(os.PRIO_PROCESS, pid, _NICE)
