"""Files in transactions: each file whole in one message, its row of the ledger in the same transaction."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic

import psycopg
from psycopg.pq import ConnStatus, TransactionStatus

from wedsync.errors import MigrationBlocked, MigrationFailed
from wedsync.migrations.blockers import Patience, Watch, watching
from wedsync.migrations.chain import Head, head_after
from wedsync.migrations.failure import LOCK_CONFLICTS, connection_lost, explained, first_error
from wedsync.migrations.history import Entry, EventKind, LedgerRow
from wedsync.migrations.migration import MigrationFile
from wedsync.migrations.session import Session

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEGIN = "begin;\n"


class Blocked(Exception):
    """A file met a table that another session holds; its transaction was undone."""

    def __init__(self, file: MigrationFile, error: psycopg.Error, explained: MigrationFailed) -> None:
        super().__init__(str(error))
        self.file = file
        self.explained = explained


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """How files are applied, and who is told."""

    patience: Patience
    kind: EventKind = EventKind.APPLIED
    detail: Mapping[str, object] = field(default_factory=dict[str, object])
    """What each row of the ledger says besides."""
    say: Callable[[str], None] = lambda _: None
    on_file: Callable[[MigrationFile], None] = lambda _: None
    """Told of each file before its first try."""


async def apply_in_one_transaction(
    session: Session, files: Sequence[MigrationFile], how: Applying, *, flush: bool = True
) -> list[LedgerRow]:
    """Apply files in one transaction, all or none; again from its start while others hold a table.

    Without `flush` the commit does not wait for the disk: one that does has to follow. Raises
    `MigrationFailed`, and `MigrationBlocked` with the names of those in the way after the last try.
    """
    for file in files[:1]:
        how.on_file(file)
    watch: Watch | None = None
    tried = 0
    async with AsyncExitStack() as stack:
        while True:
            tried += 1
            try:
                return await _try(session, files, how, flush=flush, first=tried == 1)
            except Blocked as blocked:
                if tried >= how.patience.tries:
                    raise _gave_up(blocked, tried, watch, how.patience) from blocked
                pause = how.patience.pause_after(tried, jitter=random.random())  # noqa: S311 - jitter
                if watch is None:
                    watch = await stack.enter_async_context(watching(session.target, session.pid))
                    how.say(f"{blocked.file.file_name}: a table is held by others; trying again")
                elif watch.seen:
                    how.say(f"try {tried} of {how.patience.tries}: {watch.in_words()}")
                await asyncio.sleep(pause.total_seconds())


async def _try(
    session: Session, files: Sequence[MigrationFile], how: Applying, *, flush: bool, first: bool
) -> list[LedgerRow]:
    rows: list[LedgerRow] = []
    before, file = session.head, files[0]
    try:
        for number, file in enumerate(files):
            if first and number:
                how.on_file(file)
            rows.append(await _run(session, file, how, begin=number == 0, alone=len(files) == 1))
            last = number + 1 == len(files)
            ending = session.bound("commit" if flush else "commit_later") if last else ""
            text = session.insertion(rows[-1], text=file.text)
            await _checked(session, file, f"{text}\n{ending}")
            session.head = head_after(rows[-1], session.key)
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
    results = await session.send(f"{prefix}{file.text};\n{session.bound('end_of_file')}{session.settings()}")
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


def _gave_up(blocked: Blocked, tried: int, watch: Watch | None, patience: Patience) -> MigrationBlocked:
    said = blocked.explained
    autovacuum = watch is not None and any(blocker.is_autovacuum for blocker in watch.seen)
    return MigrationBlocked(
        f"{said.message}; tried {tried} times, {patience.lock_timeout.total_seconds() * 1000:.0f} ms each",
        detail="\n        ".join(
            [watch.in_words() if watch else "tried once: its holder was not looked for", said.detail or ""]
        ).rstrip(),
        hint=_AUTOVACUUM if autovacuum else _END_IT,
    )


_END_IT = (
    "nothing of this file was kept; run it again when that transaction has ended, or end it: "
    "select pg_terminate_backend(pid)"
)
_AUTOVACUUM = (
    "autovacuum makes room only for who waits longer than deadlock_timeout: "
    "grant set on parameter deadlock_timeout to the migrating role, or run it again later"
)
