"""An exact place of the WAL, with a snapshot that shows what was committed before it and nothing else.

A recovery to a time or a position shows the commits whose record lies before it. An ordinary snapshot cannot be
given such a place: others commit between the two questions. PostgreSQL gives both at once when a logical
replication slot is made with an exported snapshot (PostgreSQL manual, 55.4, CREATE_REPLICATION_SLOT): the first
copy of a replicated database relies on it. The slot is temporary and gone as soon as the snapshot is taken up, so
it neither keeps WAL nor holds back vacuum.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic

from psycopg import AsyncConnection, errors, sql
from psycopg import Error as DatabaseError
from psycopg.rows import TupleRow

from wedsync.database import ConnectionTarget, Lsn
from wedsync.errors import CannotConnect, WitnessHeldUp, WitnessRefused

_REFUSED = (
    errors.InsufficientPrivilege,
    errors.ObjectNotInPrerequisiteState,
    errors.ConfigurationLimitExceeded,
    errors.FeatureNotSupported,
    errors.InvalidAuthorizationSpecification,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactPlace:
    """A position, whose WAL it is in, and the name of the snapshot that matches it."""

    system_id: str
    timeline: int
    lsn: Lsn
    """The snapshot shows the transactions whose commit record ends before it."""
    snapshot: str
    waited_s: float


@asynccontextmanager
async def exact_place(target: ConnectionTarget, *, wait: timedelta) -> AsyncGenerator[ExactPlace]:
    """A place at the present end of the WAL; its snapshot can be taken up inside the context.

    It comes about when all transactions that write have ended that were open at its beginning. Raises
    `WitnessHeldUp` if that takes longer than `wait`, `WitnessRefused` where the server or the role allows no slot.
    """
    began = monotonic()
    # The server ends the waiting too: a session that only waits does not notice that its client was killed.
    options = f"-c lock_timeout={round(wait.total_seconds() * 1000)}"
    replication = replace(target, further={**target.further, "replication": "database", "options": options})
    try:
        connection = await replication.connect()
    except CannotConnect as error:
        raise _refused(error.detail or error.message) if _is_refusal(error) else error from error
    async with connection:
        name = f"wedsync_witness_{os.getpid()}_{secrets.token_hex(4)}"
        try:
            async with asyncio.timeout(wait.total_seconds()):
                system_id, timeline = await _identity(connection)
                lsn, snapshot = await _make_slot(connection, name)
        except (TimeoutError, errors.LockNotAvailable) as error:
            raise WitnessHeldUp(
                f"transactions that write were open for longer than {wait.total_seconds():g} s",
                hint="the next try follows by itself; who holds it up: pg_stat_activity, the oldest xact_start",
            ) from error
        except _REFUSED as error:
            raise _refused(str(error)) from error
        try:
            yield ExactPlace(
                system_id=system_id, timeline=timeline, lsn=lsn, snapshot=snapshot, waited_s=monotonic() - began
            )
        finally:
            with suppress(DatabaseError):  # a connection that broke has taken the slot with it
                await connection.execute(sql.SQL("DROP_REPLICATION_SLOT {} WAIT").format(sql.Identifier(name)))


async def _identity(connection: AsyncConnection[TupleRow]) -> tuple[str, int]:
    cursor = await connection.execute("IDENTIFY_SYSTEM")
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the protocol gives one row
    return str(row[0]), int(row[1])


async def _make_slot(connection: AsyncConnection[TupleRow], name: str) -> tuple[Lsn, str]:
    """The slot's consistent point and the name of its snapshot, which lives until this connection does more."""
    cursor = await connection.execute(
        sql.SQL("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')").format(
            sql.Identifier(name)
        )
    )
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the protocol gives one row
    return Lsn.parse(row[1]), str(row[2])


def _is_refusal(error: CannotConnect) -> bool:
    said = error.detail or ""
    return any(words in said for words in ("replication", "wal_sender", "walsender", "no pg_hba.conf entry"))


def _refused(said: str) -> WitnessRefused:
    return WitnessRefused(
        "the server gives no exact place in its WAL",
        detail=" ".join(said.split()),
        hint="it takes wal_level = logical, a free replication slot and WAL sender, and a role with REPLICATION",
    )
