"""Files in transactions: each file whole in one message, its row of the ledger in the same transaction."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic

import psycopg
from psycopg.pq import ConnStatus, TransactionStatus

from wedsync.errors import MigrationFailed
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.ledger.chain import Head, head_after
from wedsync.migrations.ledger.history import Entry, EventKind, LedgerRow
from wedsync.migrations.run.failure import LOCK_CONFLICTS, connection_lost, explained, first_error
from wedsync.migrations.run.retry import Applying, Blocked, until_not_blocked
from wedsync.migrations.run.session import Session

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEGIN = "begin;\n"


async def apply_in_one_transaction(
    session: Session, files: Sequence[MigrationFile], how: Applying, *, flush: bool = True
) -> list[LedgerRow]:
    """Apply files in one transaction, all or none; again from its start while others hold a table.

    Without `flush` the commit does not wait for the disk: one that does has to follow. Raises
    `MigrationFailed`, and `MigrationBlocked` with the names of those in the way after the last try.
    """
    told: set[str] = set()

    def begins(file: MigrationFile) -> None:
        if file.id not in told:
            told.add(file.id)
            how.on_file(file)

    return await until_not_blocked(session, how, lambda: _try(session, files, how, begins, flush=flush))


async def _try(
    session: Session,
    files: Sequence[MigrationFile],
    how: Applying,
    begins: Callable[[MigrationFile], None],
    *,
    flush: bool,
) -> list[LedgerRow]:
    rows: list[LedgerRow] = []
    before, file = session.head, files[0]
    try:
        for number, file in enumerate(files):
            begins(file)
            rows.append(await _run(session, file, how, begin=number == 0, alone=len(files) == 1))
            session.head = head_after(rows[-1], session.key)
        inserted = [session.insertion(row, text=file.text) for row, file in zip(rows, files, strict=True)]
        ending = [session.head_at(rows[-1]), session.bound("commit" if flush else "commit_later")]
        await _checked(session, file, "\n".join([*inserted, *ending]))
    except psycopg.OperationalError as error:
        session.head = before
        raise connection_lost(file, error) from error
    except BaseException:
        await _undo(session, before)
        raise
    return rows


async def _run(session: Session, file: MigrationFile, how: Applying, *, begin: bool, alone: bool) -> LedgerRow:
    """Run a file's statements and take back what it set for itself; the row that tells of it."""
    prefix = _BEGIN if begin else ""
    started = monotonic()
    results = await session.send(f"{prefix}{file.text};\n{session.end_of_file}")
    took_ms = round((monotonic() - started) * 1000)
    failure = first_error(results)
    if failure is not None:
        error, finished = failure
        if session.connection.pgconn.status != ConnStatus.OK and isinstance(error, psycopg.OperationalError):
            raise connection_lost(file, error) from error
        kept = None if alone else "nothing was kept: all files were in one transaction"
        said = explained(file, error, finished=max(0, finished - begin), before=len(prefix), kept=kept)
        if error.sqlstate in LOCK_CONFLICTS:
            raise Blocked(file, error, said) from error
        raise said from error
    if session.transaction_status != TransactionStatus.INTRANS:
        raise MigrationFailed(
            f"{file.file_name} ended the transaction that it ran in",
            detail="part of it may be kept, and the ledger does not know it",
            hint="take COMMIT and ROLLBACK out of the file and of the procedures it calls",
        )
    entry = Entry(
        kind=how.kind,
        name=file.name,
        number=None if how.kind is EventKind.ADHOC else file.number,
        checksum=file.checksum,
        raw_checksum=file.raw_checksum,
        text=file.text,
        took_ms=took_ms,
        detail=how.detail,
    )
    # The settings of the run are the last result, the moment the one before.
    return session.row_for(entry, at=_moment(results[-2].get_value(0, 0)))


async def _checked(session: Session, file: MigrationFile, text: str) -> None:
    """Send what ends a file's part of the transaction."""
    failure = first_error(await session.send(text))
    if failure is None:
        return
    error, _ = failure
    if session.connection.pgconn.status != ConnStatus.OK:
        kept = "whether it was committed is not known; file and ledger row are either both there or neither"
        raise connection_lost(file, psycopg.OperationalError(str(error)), kept=kept) from error
    raise MigrationFailed(
        f"{file.file_name}: {error.diag.message_primary or ' '.join(str(error).split())} ({error.sqlstate})",
        detail="its statements ran, but the end of its transaction failed",
        hint="nothing of it was kept; a deferred constraint is checked at the end",
    ) from error


async def _undo(session: Session, head: Head) -> None:
    session.head = head
    connection = session.connection
    if not connection.closed and session.transaction_status in {
        TransactionStatus.INTRANS,
        TransactionStatus.INERROR,
    }:
        await session.send("rollback")


def _moment(epoch_s: bytes | None) -> datetime:
    return _EPOCH + timedelta(microseconds=int(Decimal((epoch_s or b"0").decode()) * 1_000_000))
