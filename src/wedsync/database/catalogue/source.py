"""The catalogue as it is now, without a request that has to wait for it.

A catalogue serves until the next one is there. It is read again when somebody says so (`NOTIFY pgrst, 'reload
schema'`, as PostgREST has it; our migrations say it as they commit), when its fingerprint is found changed, which
is asked each minute, and when a request failed on a name that the catalogue does not know, or that the database
does not know any more.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from wedsync.clock import Clock, SystemClock
from wedsync.database.catalogue.load import load_catalogue, read_fingerprint
from wedsync.database.catalogue.model import Catalogue
from wedsync.database.target import ConnectionTarget
from wedsync.errors import CatalogueNotLoaded, WedsyncError
from wedsync.events import Event, observe

CHANNEL = "pgrst"
_LISTEN = b"listen pgrst"
_RELOAD = {"", "reload schema"}
"""Payloads that ask for a new catalogue; `reload config` is for PostgREST alone."""

_POLL = timedelta(minutes=1)
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE, _LONGEST_LOCAL_PAUSE = timedelta(seconds=30), timedelta(seconds=2)
_BREATH = 5
"""After a question that found nothing new, so many times its duration until the next: names that do not exist keep
the database busy for a sixth of the time, and a request waiting for half a second at most."""
_LONGEST_BREATH_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueLoaded(Event):
    """The data API knows the database as it is now."""

    tables: int
    relationships: int
    functions: int
    took_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueLoadFailed(Event):
    """The catalogue could not be read; the old one, if there is one, goes on serving."""

    level = "warning"

    message: str
    has_older: bool


class CatalogueSource:
    """The newest catalogue that was read, and the service that keeps it so.

    It has two connections of its own: one listens, the other asks. Behind PgBouncer in transaction mode nothing is
    heard; the question each minute and those of failed requests remain.
    """

    def __init__(
        self,
        target: ConnectionTarget,
        schemas: Sequence[str],
        *,
        extra_search_path: Sequence[str] = (),
        clock: Clock | None = None,
        poll: timedelta = _POLL,
    ) -> None:
        self._target = target
        self._schemas = tuple(schemas)
        self._extra_search_path = tuple(extra_search_path)
        self._clock = clock or SystemClock()
        self._poll = poll
        self._current: Catalogue | None = None
        self._connection: AsyncConnection[TupleRow] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._asked_at = 0.0
        self._next_question_at = 0.0

    @property
    def current(self) -> Catalogue:
        """What requests are planned with; raises `CatalogueNotLoaded` until it was read once."""
        if self._current is None:
            raise CatalogueNotLoaded(
                "the catalogue of the database was not read yet",
                detail=str(self._target),
                hint="it is tried again by itself; the log says why it failed",
            )
        return self._current

    async def refresh(self) -> Catalogue:
        """Read the catalogue now. Raises what keeps it from being read; the old one then stays."""
        async with self._one_at_a_time:
            return await self._load()

    async def refresh_if_changed(self, seen: Catalogue) -> bool:
        """Whether there is another catalogue than `seen` to plan with, after asking the database if need be.

        Never raises for the database's sake: who asks has an answer already, if a sad one.
        """
        if self._current is seen:
            try:
                await self._ask()
            except (psycopg.Error, WedsyncError) as error:
                self._failed(error)
        return self._current is not None and self._current is not seen

    async def run(self) -> None:
        """Keep the catalogue new until cancelled; reconnects, and reads again what could not be read."""
        pause = _FIRST_PAUSE
        try:
            while True:
                try:
                    async with await self._target.connect() as listener:
                        hears = listener.pgconn.parameter_status(b"in_hot_standby") != b"on"
                        if hears:  # a server in recovery has no notifications
                            await listener.execute(_LISTEN)
                        await self._ask()  # what changed while nobody listened
                        pause = _FIRST_PAUSE
                        if hears:
                            await self._listen(listener)
                except (psycopg.Error, WedsyncError) as error:
                    self._failed(error)
                    longest = _LONGEST_LOCAL_PAUSE if self._target.is_local_socket else _LONGEST_PAUSE
                    pause = min(pause * 2, longest)
                await self._clock.sleep(pause)
        finally:
            await self.close()

    async def close(self) -> None:
        """Give up the connection that asks."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _listen(self, listener: AsyncConnection[TupleRow]) -> None:
        while True:
            wanted = False
            async for notice in listener.notifies(timeout=self._poll.total_seconds(), stop_after=1):
                wanted |= notice.payload in _RELOAD
            if wanted:
                async for _ in listener.notifies(timeout=0):
                    pass  # one catalogue for all that were sent meanwhile
                await self.refresh()
            else:
                await self._ask()

    async def _ask(self) -> None:
        """Read the catalogue if its fingerprint changed; for all who came before the question was sent, once."""
        came_at = monotonic()
        async with self._one_at_a_time:
            if self._asked_at > came_at:
                return
            if self._current is None:
                await self._load()
                return
            await asyncio.sleep(max(0.0, self._next_question_at - monotonic()))
            started = monotonic()
            async with self._connected() as connection:
                found = await read_fingerprint(
                    connection, self._schemas, extra_search_path=self._extra_search_path
                )
            ended = monotonic()
            self._next_question_at = ended + min(_BREATH * (ended - started), _LONGEST_BREATH_S)
            if found == self._current.fingerprint:
                self._asked_at = started
            else:
                await self._load()

    async def _load(self) -> Catalogue:
        started = monotonic()
        async with self._connected() as connection:
            loaded = await load_catalogue(
                connection,
                self._schemas,
                extra_search_path=self._extra_search_path,
                time_zones=self._current.time_zones if self._current else None,
            )
        self._current = loaded
        self._asked_at = started
        observe(
            CatalogueLoaded(
                tables=len(loaded.tables),
                relationships=sum(map(len, loaded.relationships.values())),
                functions=sum(map(len, loaded.functions.values())),
                took_ms=round((monotonic() - started) * 1000),
            )
        )
        return loaded

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[AsyncConnection[TupleRow]]:
        """The connection that asks, opened if it is not; given up after an error, for the next is better new."""
        if self._connection is None or not await _is_alive(self._connection):
            await self.close()
            self._connection = await self._target.connect()
            self._connection.prepare_threshold = None  # a pooler may hand out another server each time
        try:
            yield self._connection
        except BaseException:
            await self.close()
            raise

    def _failed(self, error: Exception) -> None:
        said = error.in_one_line() if isinstance(error, WedsyncError) else " ".join(str(error).split())
        observe(CatalogueLoadFailed(message=said, has_older=self._current is not None))


async def _is_alive(connection: AsyncConnection[TupleRow]) -> bool:
    """Whether the server still answers: it may have restarted since the last question."""
    if connection.closed or connection.broken:
        return False
    try:
        await connection.execute(b"select")
    except psycopg.OperationalError:
        return False
    return True
