"""Who asks, and for what: people of the season, and weddings of the load test's own that it may write to."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, namedtuple_row

from wedsync.database import ConnectionTarget
from wedsync.errors import LoadTestRefused
from wedsync.sql import statements

_LOCK_KEY: Final = int.from_bytes(b"loadtest")
_SLUG: Final = "wedsync-load-test"
"""Of the business that everything belongs to which a load test writes."""
_PEOPLE: Final = 200
_WRITERS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """Somebody who plans a wedding."""

    user_id: str
    couple_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplier:
    """Somebody of a business."""

    user_id: str
    organization_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What requests are made of."""

    today: date
    partners: tuple[Partner, ...]
    """With their own wedding, which is only read."""
    suppliers: tuple[Supplier, ...]
    writers: tuple[Partner, ...]
    """With a wedding of the load test, which is written to; the first one has the guests and groups."""


@asynccontextmanager
async def prepared(target: ConnectionTarget) -> AsyncGenerator[Ground]:
    """Make the load test's weddings; they are removed at the end, with all that was written to them.

    `target` is the owner of the tables. What a run left behind that was killed goes first. Raises
    `LoadTestRefused` where another load test runs, or where there are no people.
    """
    async with await target.connect() as connection:
        cursor = await connection.execute(_sql("lock"), {"key": _LOCK_KEY})
        row = await cursor.fetchone()
        if row is None or not row[0]:
            raise LoadTestRefused(
                "a load test runs already", hint="two at once would measure each other: wait for it"
            )
        await _remove(connection)
        ground = await _make(connection)
        try:
            yield ground
        finally:
            await _remove(connection)


async def _make(connection: AsyncConnection[TupleRow]) -> Ground:
    async with connection.transaction(), connection.cursor(row_factory=namedtuple_row) as cursor:
        await cursor.execute(_sql("today"))
        today = (await cursor.fetchall())[0][0]
        await cursor.execute(_sql("partners"), {"most": _PEOPLE})
        partners = tuple(Partner(user_id=row[0], couple_id=row[1]) for row in await cursor.fetchall())
        await cursor.execute(_sql("suppliers"), {"most": _PEOPLE})
        suppliers = tuple(Supplier(user_id=row[0], organization_id=row[1]) for row in await cursor.fetchall())
        if not partners or not suppliers:
            raise LoadTestRefused(
                "there is nobody who could ask",
                detail=f"{len(partners)} people with a wedding, {len(suppliers)} of businesses with connections",
                hint="load the demo season: wedsync demo load",
            )
        await cursor.execute(_sql("add_business"), {"slug": _SLUG})
        business = (await cursor.fetchall())[0]
        writers: list[Partner] = []
        for partner in partners[:_WRITERS]:
            given = {
                "organization_id": business[0],
                "supplier_id": business[1],
                "user_id": partner.user_id,
            }
            await cursor.execute(_sql("add_wedding"), given)
            writers.append(Partner(user_id=partner.user_id, couple_id=(await cursor.fetchall())[0][0]))
        await cursor.execute(_sql("fill_wedding"), {"couple_id": writers[0].couple_id})
    await connection.execute("analyze public.photo_groups, public.photo_group_members, public.guests")
    return Ground(today=today, partners=partners, suppliers=suppliers, writers=tuple(writers))


async def _remove(connection: AsyncConnection[TupleRow]) -> None:
    async with connection.transaction():
        await connection.execute(_sql("remove_weddings"), {"slug": _SLUG})
        await connection.execute(_sql("remove_business"), {"slug": _SLUG})


def _sql(name: str) -> bytes:
    return statements("loadtest")[name]
