"""Functions of the database that are called again and again: which ones, and how often, is in `ops.routines`.

So a part of the schema brings its own upkeep along with its tables, and this half of the program knows nothing
of what it is about. A routine writes only where there is something to write: each commit makes a quiet database
archive a whole WAL segment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg.rows import TupleRow, class_row
from psycopg.sql import SQL, Identifier

from wedsync.clock import Clock
from wedsync.database import ConnectionTarget
from wedsync.errors import WedsyncError
from wedsync.events import Event, observe
from wedsync.sql import statements

_LOOK_EVERY = timedelta(seconds=5)
_ASK_AGAIN = timedelta(minutes=1)
"""A database without our schema, or a standby, is asked again after this time; the list is read as often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routine:
    """A function of the schema `ops` without arguments."""

    name: str
    every: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutineFailed(Event):
    """A routine ended with an error; it is called again when it is due."""

    level: ClassVar[str] = "error"

    routine: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutinesWait(Event):
    """There is no database to call routines in; it is tried again."""

    level: ClassVar[str] = "warning"

    message: str


def due_routines(
    routines: Sequence[Routine], called_at: Mapping[str, datetime], *, now: datetime
) -> tuple[Routine, ...]:
    """Those never called, or not for as long as they say; a clock that was set back stops none."""
    return tuple(
        routine
        for routine in routines
        if (last := called_at.get(routine.name)) is None or last > now or now - last >= routine.every
    )


class RoutineService:
    """Calls each routine when it is due, until it is cancelled."""

    def __init__(self, *, owner: ConnectionTarget, clock: Clock) -> None:
        """`owner` may call every function of the schema `ops`."""
        self._owner = owner
        self._clock = clock
        self._called_at: dict[str, datetime] = {}
        self._failing: dict[str, str] = {}

    async def run(self) -> None:
        """Call what is due, until cancelled."""
        told = False
        while True:
            try:
                async with await self._owner.connect() as connection:
                    await connection.execute(statements("maintenance")["limit_routines"])
                    while routines := await self.routines(connection):
                        told = False
                        until = self._clock.now() + _ASK_AGAIN
                        while self._clock.now() < until:
                            await self.step(connection, routines)
                            await self._clock.sleep(_LOOK_EVERY)
            except (WedsyncError, DatabaseError, OSError) as error:
                if not told:
                    observe(RoutinesWait(message=str(error)))
                told = True
                await self._clock.sleep(_LOOK_EVERY)
            else:
                await self._clock.sleep(_ASK_AGAIN)

    async def routines(self, connection: AsyncConnection[TupleRow]) -> list[Routine]:
        """What there is to call; nothing on a standby or without our schema."""
        row = await (await connection.execute(statements("maintenance")["has_routines"])).fetchone()
        if row is None or not row[0]:
            return []
        async with connection.cursor(row_factory=class_row(Routine)) as cursor:
            await cursor.execute(statements("maintenance")["routines"])
            return await cursor.fetchall()

    async def step(self, connection: AsyncConnection[TupleRow], routines: Sequence[Routine]) -> tuple[str, ...]:
        """Call what is due now, each in its own transaction; gives the names. Raises if the connection fails."""
        due = due_routines(routines, self._called_at, now=self._clock.now())
        for routine in due:
            self._called_at[routine.name] = self._clock.now()
            try:
                await connection.execute(SQL("select ops.{}()").format(Identifier(routine.name)))
            except DatabaseError as error:
                if connection.closed or connection.broken:
                    raise
                message = " ".join(str(error).split())
                if self._failing.get(routine.name) != message:  # said once, not every minute
                    observe(RoutineFailed(routine=routine.name, message=message))
                self._failing[routine.name] = message
            else:
                self._failing.pop(routine.name, None)
        return tuple(routine.name for routine in due)
