"""Try again while other sessions hold a table; in the end say who they are."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg

from wedsync.errors import MigrationBlocked, MigrationFailed
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.ledger.history import EventKind
from wedsync.migrations.run.blockers import Patience, Watch, watching
from wedsync.migrations.run.session import Session

T = TypeVar("T")


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


async def until_not_blocked(session: Session, how: Applying, attempt: Callable[[], Awaitable[T]]) -> T:
    """The outcome of `attempt`, tried again as long as it raises `Blocked`, with growing pauses.

    Raises `MigrationBlocked` with the names of those in the way after the last try.
    """
    watch: Watch | None = None
    tried = 0
    async with AsyncExitStack() as stack:
        while True:
            tried += 1
            try:
                return await attempt()
            except Blocked as blocked:
                if tried >= how.patience.tries:
                    raise _gave_up(blocked, tried, watch, how.patience) from blocked
                if watch is None:
                    watch = await stack.enter_async_context(watching(session.target, session.pid))
                    how.say(f"{blocked.file.file_name}: a table is held by others; trying again")
                elif watch.seen:
                    how.say(f"try {tried} of {how.patience.tries}: {watch.in_words()}")
                pause = how.patience.pause_after(tried, jitter=random.random())  # noqa: S311 - jitter
                await asyncio.sleep(pause.total_seconds())


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
    "nothing of this was kept; run it again when that transaction has ended, or end it: "
    "select pg_terminate_backend(pid)"
)
_AUTOVACUUM = (
    "autovacuum makes room only for who waits longer than deadlock_timeout: "
    "grant set on parameter deadlock_timeout to the migrating role, or run it again later"
)
