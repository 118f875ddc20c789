"""How far a long step is, and for whom it waits."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from psycopg.rows import class_row

from wedsync.migrations.run.blockers import Blocker, Watch
from wedsync.migrations.run.session import Session
from wedsync.sql import statements

_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexProgress:
    """A row of `pg_stat_progress_create_index`."""

    phase: str
    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.phase}, {100 * self.done // self.total} %" if self.total else self.phase


@asynccontextmanager
async def reporting(session: Session, say: Callable[[str], None]) -> AsyncGenerator[Watch]:
    """Tell, over a connection of its own, how the session's statement goes on, once a second where it changed."""
    watch = Watch()
    async with await session.target.connect() as connection:

        async def look() -> None:
            said: tuple[str | int, ...] = ()
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                async with connection.cursor(row_factory=class_row(Blocker)) as cursor:
                    await cursor.execute(statements("migrations")["blockers"], {"pid": session.pid})
                    watch.seen = tuple(await cursor.fetchall())
                async with connection.cursor(row_factory=class_row(IndexProgress)) as cursor:
                    await cursor.execute(statements("migrations")["index_progress"], {"pid": session.pid})
                    progress = await cursor.fetchone()
                told = (str(progress or ""), *(blocker.pid for blocker in watch.seen))
                if told not in {said, ("",)}:
                    words = [told[0], *(f"waits for {blocker}" for blocker in watch.seen)]
                    say("; ".join(word for word in words if word))
                said = told

        looking = asyncio.create_task(look(), name="progress")
        try:
            yield watch
        finally:
            looking.cancel()
            await asyncio.wait([looking])
            watch.failed = None if looking.cancelled() else looking.exception()
