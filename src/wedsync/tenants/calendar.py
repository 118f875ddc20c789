"""The days on which nothing disruptive is done: Saturdays, and the day of a wedding and the day before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from wedsync.clock import Clock
from wedsync.database import ConnectionTarget
from wedsync.errors import CalendarUnreadable, ConfigProblem
from wedsync.sql import statements

_SATURDAY = 5
_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Wedding:
    """A wedding near today; of the couple only the id."""

    couple_id: str
    wedding_date: date
    time_zone: str
    today_there: date
    """The present day in the wedding's own time zone."""

    @property
    def days_away(self) -> int:
        return (self.wedding_date - self.today_there).days

    def __str__(self) -> str:
        when = "today" if self.days_away == 0 else "tomorrow"
        return f"wedding of couple {self.couple_id} is {when}: {self.wedding_date}, {self.time_zone}"


def reasons_to_wait(today: date, time_zone: str, weddings: Sequence[Wedding]) -> tuple[str, ...]:
    """Why nothing disruptive may be done, a line each; none: it may.

    `today` is the platform's day in `time_zone`. A Saturday is reason enough. `weddings` that are neither
    today nor tomorrow, each by the clocks of its own place, are passed over.
    """
    near = sorted(
        (wedding for wedding in weddings if wedding.days_away in {0, 1}),
        key=lambda wedding: (wedding.wedding_date, wedding.couple_id),
    )
    more = len(near) - _LISTED
    return (
        *((f"it is Saturday, {today}, in {time_zone}",) if today.weekday() == _SATURDAY else ()),
        *(str(wedding) for wedding in near[:_LISTED]),
        *((f"and {more} more weddings today or tomorrow",) if more > 0 else ()),
    )


class WeddingCalendar:
    """The weddings of a database, asked when something disruptive is about to be done."""

    def __init__(self, target: ConnectionTarget, *, clock: Clock, time_zone: str) -> None:
        self._target = target
        self._clock = clock
        self._time_zone = time_zone

    async def reasons(self) -> Sequence[str]:
        """Why nothing disruptive may be done now; none in a database that has no weddings.

        A cancelled wedding does not count. Raises `CalendarUnreadable` where the role does not see all of them.
        """
        sql = statements("tenants")
        values: dict[str, object] = {"now": self._clock.now(), "time_zone": self._time_zone}
        async with await self._target.connect() as connection:
            try:
                await connection.execute(sql["see_every_row"])
                there = await (await connection.execute(sql["couples_exist"])).fetchone()
                if there is None or not there[0]:
                    return ()
                today = await (await connection.execute(sql["calendar_today"], values)).fetchone()
                if today is None or not today[1]:
                    return ()
                return reasons_to_wait(today[0], self._time_zone, await _weddings_near(connection, values))
            except psycopg.errors.InvalidParameterValue as error:
                raise ConfigProblem(
                    f"calendar.time_zone is {self._time_zone!r}, which PostgreSQL does not know",
                    detail=error.diag.message_primary,
                    hint="a name such as Europe/London: select name from pg_timezone_names",
                ) from error
            except psycopg.errors.ProgrammingError as error:
                raise CalendarUnreadable(
                    "whether a wedding is near cannot be seen",
                    detail=error.diag.message_primary,
                    hint="let the role see every row of public.couples (bypassrls, select); in a database that is "
                    "not WedSync's: calendar.enabled = false",
                ) from error


async def _weddings_near(connection: AsyncConnection[TupleRow], values: dict[str, object]) -> list[Wedding]:
    async with connection.cursor(row_factory=class_row(Wedding)) as cursor:
        try:
            await cursor.execute(statements("tenants")["weddings_near"], values)
            return await cursor.fetchall()
        except psycopg.errors.InvalidParameterValue as error:
            raise CalendarUnreadable(
                "a wedding near today is in a time zone that PostgreSQL does not know",
                detail=error.diag.message_primary,
                hint="correct it: select id, time_zone from public.couples where not app.is_time_zone(time_zone)",
            ) from error
