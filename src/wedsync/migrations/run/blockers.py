"""A table that others hold: step aside after a moment, try again, and in the end say who holds it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from psycopg.rows import class_row

from wedsync.database import ConnectionTarget
from wedsync.sql import statements
from wedsync.words import duration_words

_LOOK_EVERY_S = 0.02
_QUERY_SHOWN = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long and how often a statement asks for a lock that it does not get."""

    lock_timeout: timedelta = timedelta(milliseconds=100)
    """Readers behind the statement wait for as long, and no longer."""
    tries: int = 30
    first_pause: timedelta = timedelta(milliseconds=100)
    longest_pause: timedelta = timedelta(seconds=2)
    concurrent_wait: timedelta = timedelta(minutes=30)
    """For CREATE INDEX CONCURRENTLY and its like, behind which nobody waits: for each older transaction."""

    def pause_after(self, tried: int, *, jitter: float) -> timedelta:
        """How long to stand aside after the `tried`-th try, from 1; `jitter` is from 0 to 1."""
        doubled = self.first_pause * 2 ** min(tried - 1, 20)
        return min(doubled, self.longest_pause) * (0.5 + jitter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A session that holds a lock which somebody waits for."""

    pid: int
    user_name: str
    program: str
    state: str
    query: str
    age_s: float
    """Of its transaction."""
    is_autovacuum: bool

    def __str__(self) -> str:
        query = " ".join(self.query.split())
        cut = query if len(query) <= _QUERY_SHOWN else query[: _QUERY_SHOWN - 1] + "…"
        who = ", ".join(word for word in (self.user_name, self.program) if word)
        return f"pid {self.pid} ({who or self.state}), {self.state}, for {duration_words(self.age_s)}: {cut}"


class Watch:
    """Who was last seen in the way of a session."""

    def __init__(self) -> None:
        self.seen: tuple[Blocker, ...] = ()
        self.failed: BaseException | None = None

    def in_words(self) -> str:
        """The holders, a line each, or why they are not known."""
        if self.seen:
            return "\n        ".join(f"held by {blocker}" for blocker in self.seen)
        return f"its holder is not known: {self.failed}" if self.failed else "its holder was gone when asked"


@asynccontextmanager
async def watching(target: ConnectionTarget, pid: int) -> AsyncGenerator[Watch]:
    """Look, over a connection of its own, at who blocks the session `pid` while it waits."""
    watch = Watch()
    async with await target.connect() as connection:

        async def look() -> None:
            async with connection.cursor(row_factory=class_row(Blocker)) as cursor:
                while True:
                    await cursor.execute(statements("migrations")["blockers"], {"pid": pid})
                    watch.seen = tuple(await cursor.fetchall()) or watch.seen
                    await asyncio.sleep(_LOOK_EVERY_S)

        looking = asyncio.create_task(look(), name="blockers")
        try:
            yield watch
        finally:
            looking.cancel()
            await asyncio.wait([looking])
            watch.failed = None if looking.cancelled() else looking.exception()
