"""The connections of a pool: how they come, and how they go."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import monotonic

from wedsync.database.pipeline.connection import PipelinedConnection
from wedsync.database.pipeline.observed import DatabaseAway, DatabaseBack, PoolCannotGrow
from wedsync.errors import CannotConnect
from wedsync.events import observe

_FIRST_PAUSE_S = 0.05
_FULL = (
    "too many clients",
    "too many connections",
    "remaining connection slots",
    "no more connections allowed",
)
_CEILING_HOLDS_S = 60.0
"""A server that had no more connections is asked for more again after this long."""


class Members:
    """The open connections, those on their way, and what the last failure to open one was."""

    def __init__(
        self,
        open_one: Callable[[], Awaitable[PipelinedConnection]],
        changed: Callable[[], None],
        *,
        max_size: int,
        longest_pause_s: float = 2.0,
    ) -> None:
        self._longest_pause_s = longest_pause_s
        self._open_one = open_one
        self._changed = changed
        self._max_size = max_size
        self._ceiling: int | None = None
        self._ceiling_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._not_before = 0.0
        self.all: list[PipelinedConnection] = []
        """Every open connection, the lent ones too."""
        self.away_since: float | None = monotonic()
        """Since when there is no connection at all."""
        self.back_at = 0.0
        """When connections came about after there was none."""
        self.failure: CannotConnect | None = None
        """Why the last one did not come about; none once one has."""

    @property
    def opening(self) -> int:
        """How many are on their way."""
        return len(self._tasks)

    @property
    def max_size(self) -> int:
        """How many there may be now: less than was asked for while the server gives no more."""
        if self._ceiling is not None and monotonic() >= self._ceiling_until:
            self._ceiling = None
        return self._max_size if self._ceiling is None else self._ceiling

    def add(self, connection: PipelinedConnection) -> None:
        """It came about."""
        self.all.append(connection)
        if self.away_since is not None:
            self.back_at = monotonic()
            if self._failures:
                observe(DatabaseBack(away_s=round(self.back_at - self.away_since, 3)))
        self.away_since = self.failure = None
        self._failures = 0

    async def arrived(self) -> None:
        """Wait until those that are on their way have come, or not."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def ask(self, count: int) -> None:
        """Begin to open `count` more; after a failure one at a time, with growing pauses."""
        if self._failures:
            count = 0 if self._tasks or monotonic() < self._not_before else min(count, 1)
        for _ in range(count):
            task = asyncio.create_task(self._bring())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def remove(self, connection: PipelinedConnection) -> None:
        """It ended."""
        if connection in self.all:
            self.all.remove(connection)
        if not self.all and self.away_since is None:
            self.away_since = monotonic()

    async def close(self) -> None:
        """End all, and what is on its way."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in tuple(self.all):
            connection.close()

    async def _bring(self) -> None:
        try:
            connection = await self._open_one()
        except CannotConnect as error:
            self._failed(error)
        else:
            self.add(connection)
        self._changed()

    def _failed(self, error: CannotConnect) -> None:
        self.failure = error
        self._failures += 1
        now = monotonic()
        pause_s = min(self._longest_pause_s, _FIRST_PAUSE_S * 2 ** min(self._failures, 10))
        self._not_before = now + pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        why = error.in_one_line()
        if not self.all:
            if self._failures == 1:
                observe(DatabaseAway(why=why))
        elif _is_full(why):
            self._ceiling, self._ceiling_until = len(self.all), now + _CEILING_HOLDS_S
            self._failures = 0
            observe(PoolCannotGrow(connections=len(self.all), why=why))


def _is_full(why: str) -> bool:
    """Whether server, role or pooler have no connection left (SQLSTATE 53300, which libpq does not tell)."""
    return any(words in why for words in _FULL)
