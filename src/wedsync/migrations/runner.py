"""Apply migrations: one runner at a time, one transaction a file, stop at the first error."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import psycopg
from psycopg import AsyncConnection, generators
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import TupleRow, class_row

from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationFailed, MigrationsBusy, MigrationsRefused
from wedsync.events import Event, observe
from wedsync.migrations.files import SHIPPED, content_problems, read_files
from wedsync.migrations.ledger import Applied, Status, compare
from wedsync.migrations.migration import MigrationFile
from wedsync.migrations.problems import Problem
from wedsync.migrations.statements import statement_at
from wedsync.sql import statements

_LOCK_KEY = int.from_bytes(b"migrate1")
_LOCK_POLL_S = 0.1
_LOCK_TIMEOUT = "3s"
"""How long a statement waits for a table: readers queue behind it for as long."""
_STATEMENT_SHOWN = 600

OnFile: TypeAlias = Callable[[MigrationFile], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationApplied(Event):
    """A migration was applied and committed."""

    migration: str
    took_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _LockHolder:
    pid: int
    user_name: str
    program: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRun:
    """What `up` did, or would do."""

    dry_run: bool
    applied: tuple[Applied, ...]
    would_apply: tuple[MigrationFile, ...]
    took_s: float

    def to_json(self) -> dict[str, object]:
        return {
            "dry_run": self.dry_run,
            "applied": [row.to_json() for row in self.applied],
            "would_apply": [file.id for file in self.would_apply],
            "took_s": round(self.took_s, 3),
        }


async def status(target: ConnectionTarget, *, directory: Path = SHIPPED) -> Status:
    """Compare the files with the ledger; takes no lock, changes nothing."""
    found = read_files(directory)
    async with await target.connect() as connection:
        return compare(found, await _read_ledger(connection))


async def up(
    target: ConnectionTarget,
    *,
    directory: Path = SHIPPED,
    dry_run: bool = False,
    by: str | None = None,
    wait: timedelta = timedelta(minutes=5),
    on_file: OnFile | None = None,
) -> MigrationRun:
    """Apply what is pending, in order, each file in its own transaction.

    `by` names the person or service for the ledger, beside the database role. `on_file` is told of each
    file before it runs. Raises `MigrationsRefused` before any SQL of a file if anything is wrong with the
    files or the ledger (and before connecting, if the files alone show it), `MigrationFailed` at the first
    error, `MigrationsBusy` if another runner is still at work after `wait`.
    """
    started = monotonic()
    found = read_files(directory)
    _refuse(found.problems)
    async with await target.connect() as connection:
        if dry_run:
            compared = compare(found, await _read_ledger(connection))
            _refuse(compared.problems)
            _refuse(tuple(problem for file in compared.pending for problem in content_problems(file)))
            return MigrationRun(
                dry_run=True, applied=(), would_apply=compared.pending, took_s=monotonic() - started
            )
        await connection.execute(_sql("prepare_session"), {"lock_timeout": _LOCK_TIMEOUT})
        async with _only_runner(connection, wait):
            await connection.execute(_sql("create_ledger"))
            compared = compare(found, await _read_ledger(connection))
            _refuse(compared.problems)
            _refuse(tuple(problem for file in compared.pending for problem in content_problems(file)))
            applied: list[Applied] = []
            for file in compared.pending:
                if on_file is not None:
                    on_file(file)
                applied.append(await _apply(connection, file, by))
    return MigrationRun(dry_run=False, applied=tuple(applied), would_apply=(), took_s=monotonic() - started)


def _sql(name: str) -> bytes:
    return statements("migrations")[name]


def _refuse(problems: tuple[Problem, ...]) -> None:
    if problems:
        first = problems[0]
        raise MigrationsRefused(
            first.message if len(problems) == 1 else f"{len(problems)} problems; nothing was run",
            detail="\n        ".join(problem.message for problem in problems) if len(problems) > 1 else None,
            hint=first.hint,
        )


async def _read_ledger(connection: AsyncConnection[TupleRow]) -> list[Applied]:
    exists = await (await connection.execute(_sql("ledger_exists"))).fetchone()
    if exists is None or not exists[0]:
        return []
    async with connection.cursor(row_factory=class_row(Applied)) as cursor:
        await cursor.execute(_sql("read_ledger"))
        return await cursor.fetchall()


@asynccontextmanager
async def _only_runner(connection: AsyncConnection[TupleRow], wait: timedelta) -> AsyncGenerator[None]:
    """Hold the advisory lock of this database's migrations; a killed runner loses it with its session."""
    until = monotonic() + wait.total_seconds()
    while not await _try_lock(connection):
        if monotonic() >= until:
            raise MigrationsBusy(
                f"another runner is migrating this database; waited {wait.total_seconds():g} s",
                detail=await _lock_holder(connection),
                hint="let it end, then run this again: what it applied is not applied twice",
            )
        await asyncio.sleep(_LOCK_POLL_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            await connection.execute(_sql("unlock"), {"key": _LOCK_KEY})


async def _try_lock(connection: AsyncConnection[TupleRow]) -> bool:
    row = await (await connection.execute(_sql("try_lock"), {"key": _LOCK_KEY})).fetchone()
    return row is not None and bool(row[0])


async def _lock_holder(connection: AsyncConnection[TupleRow]) -> str | None:
    async with connection.cursor(row_factory=class_row(_LockHolder)) as cursor:
        await cursor.execute(_sql("lock_holder"), {"key": _LOCK_KEY})
        holder = await cursor.fetchone()
    if holder is None:
        return None
    since = holder.since.isoformat()
    return f"{holder.user_name} (pid {holder.pid}, {holder.program}), connected since {since}"


async def _apply(connection: AsyncConnection[TupleRow], file: MigrationFile, by: str | None) -> Applied:
    started = monotonic()
    try:
        async with connection.transaction():
            await _run_whole(connection, file)
            # What the file set for itself ends with it; our own settings of the session were made outside.
            await connection.execute(_sql("reset_session"))
            async with connection.cursor(row_factory=class_row(Applied)) as cursor:
                await cursor.execute(
                    _sql("record"),
                    {
                        "number": file.number,
                        "name": file.name,
                        "checksum": file.checksum,
                        "raw_checksum": file.raw_checksum,
                        "took_ms": round((monotonic() - started) * 1000),
                        "by": by,
                        "text": file.text,
                    },
                )
                row = await cursor.fetchone()
        await connection.execute(_sql("reset_settings"))
        await connection.execute(_sql("prepare_session"), {"lock_timeout": _LOCK_TIMEOUT})
    except psycopg.Error as error:
        # A statement's own error was named already; this is the ledger's row, the COMMIT, or the connection.
        raise MigrationFailed(
            f"{file.file_name}: {error.diag.message_primary or ' '.join(str(error).split())}",
            detail="its statements ran, but the end of its transaction failed",
            hint="wedsync migrate status tells whether it is applied",
        ) from error
    if row is None:
        raise MigrationFailed(f"{file.file_name}: the ledger did not take its row")
    observe(MigrationApplied(migration=file.id, took_ms=row.took_ms))
    return row


async def _run_whole(connection: AsyncConnection[TupleRow], file: MigrationFile) -> None:
    """Send a file as one simple query, so that PostgreSQL splits it; raises what failed and where.

    The results are counted, which `execute` does not let one do: an error without a position (a
    constraint, a division by zero) is the statement after those that ended well.
    """
    connection.pgconn.send_query(file.text.encode())
    try:
        results = await connection.wait(generators.execute(connection.pgconn))
    except psycopg.OperationalError as error:
        raise MigrationFailed(
            f"{file.file_name}: the connection was lost while it ran",
            detail=" ".join(str(error).split()),
            hint="PostgreSQL undoes an unfinished transaction: run wedsync migrate up again",
        ) from error
    failed = next((result for result in results if result.status == ExecStatus.FATAL_ERROR), None)
    if failed is not None:
        finished = results.index(failed)
        raise _explained(file, psycopg.errors.error_from_result(failed), finished=finished)
    if connection.pgconn.transaction_status != TransactionStatus.INTRANS:
        raise MigrationFailed(
            f"{file.file_name} ended the transaction that it ran in",
            detail="part of it may be kept, and the ledger does not know it",
            hint="take COMMIT and ROLLBACK out of the file and of the procedures it calls",
        )


def _explained(file: MigrationFile, error: psycopg.Error, *, finished: int) -> MigrationFailed:
    diag = error.diag
    position = int(diag.statement_position) if diag.statement_position else None
    statement, line = statement_at(file.statements, position=position, finished=finished)
    place = file.file_name if line is None else f"{file.file_name}:{line}"
    seen = [
        *([_shown(statement.text)] if statement is not None else []),
        *([f"detail: {diag.message_detail}"] if diag.message_detail else []),
        *([f"in: {diag.context}"] if diag.context else []),
    ]
    return MigrationFailed(
        f"{place}: {diag.message_primary} ({diag.sqlstate})",
        detail="\n        ".join(seen) or None,
        hint=_hint(diag.sqlstate, diag.message_hint),
    )


def _shown(statement: str) -> str:
    cut = statement if len(statement) <= _STATEMENT_SHOWN else statement[:_STATEMENT_SHOWN] + " …"
    return cut.replace("\n", "\n        ")


def _hint(sqlstate: str | None, from_server: str | None) -> str:
    if sqlstate == "55P03":
        return f"another session held the table for more than {_LOCK_TIMEOUT}: run it again when it has ended"
    ending = "nothing of this file was kept; files before it stay applied"
    if sqlstate == "42704":  # undefined_object: a role, on a cluster that is not ours
        return f"wedsync doctor gives the statements that make missing roles; {ending}"
    return f"{from_server}; {ending}" if from_server else ending
