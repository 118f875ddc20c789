"""What a moment of the past has that now has not, and the reverse: the command line and the operations API."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import psycopg

from wedsync.app.copies import find_preview, held_still, make_preview
from wedsync.app.platform import Platform
from wedsync.app.waking import wake_preview
from wedsync.database import ConnectionTarget
from wedsync.errors import CannotConnect, LiveDatabaseAway, NotThere, PreviewAway, TenantUnknown
from wedsync.recovery import Report
from wedsync.rows import RowDifference, compare_tables, differing_rows
from wedsync.tenants import (
    CoupleDifference,
    Difference,
    by_couple,
    compared,
    named,
    names_of_couples,
    parse_id,
    tables_compared,
)

MOST_COUPLES = 200
_LOOKS_FOR = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Of what the difference is asked for: everything, one table (with its rows), one couple, or both."""

    table: str | None = None
    couple: str | None = None
    limit: int = 100
    offset: int = 0
    with_values: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The difference, and whether there are more rows than those."""

    difference: Difference
    more: bool


async def find_difference(
    platform: Platform, past: ConnectionTarget, wanted: Wanted, *, past_at: datetime | None
) -> Found:
    """Compare a moment of the past with now; all of now is of one moment.

    Raises `LiveDatabaseAway` while there is no now to compare with, `NotThere` for a table that neither has,
    `TenantUnknown` for a couple that neither has, `UsageProblem` for one that is no id.
    """
    began = monotonic()
    couple = str(parse_id(wanted.couple, "couple")) if wanted.couple is not None else None
    now = platform.server.target("postgres", platform.config.database.name)
    columns = await _tables(past, now, wanted.table)
    if couple is not None and not await _names([couple], past, now):
        raise TenantUnknown(f"there is no couple {couple}, neither now nor then")
    by = {table: column for table, column in columns.items() if column is not None}
    now_at = platform.clock.now()
    tables = await compare_tables(past, now, list(by if couple is not None else columns), by=by)
    couples = by_couple(tables, only=couple)
    shown = await _with_names(couples[:MOST_COUPLES], past, now)
    rows: Sequence[RowDifference] | None = None
    if wanted.table is not None:
        where = {by[wanted.table]: couple} if couple is not None else None
        rows = await differing_rows(
            past,
            now,
            wanted.table,
            where=where,
            limit=wanted.offset + wanted.limit + 1,
            with_values=wanted.with_values,
        )
        rows = rows[wanted.offset :]
    return Found(
        difference=Difference(
            past_at=past_at,
            now_at=now_at,
            tables=[compared(table, couple=couple) for table in tables],
            couples=shown,
            couples_in_all=len(couples),
            took_s=round(monotonic() - began, 3),
            rows=rows[: wanted.limit] if rows is not None else None,
        ),
        more=rows is not None and len(rows) > wanted.limit,
    )


async def difference_at(platform: Platform, wanted: Wanted, *, at: str, by: str, report: Report) -> Found:
    """The difference to a moment: of a preview that shows it, or can move there, or is made for it."""
    made = await make_preview(platform, at, by=by, report=report)
    return await difference_of(platform, wanted, preview=made.id)


async def difference_of(platform: Platform, wanted: Wanted, *, preview: str) -> Found:
    """The difference to a preview. Raises `CopyUnknown`, `PreviewAway`."""
    await wake_preview(platform, preview)
    shown = await find_preview(platform, preview)
    platform.copies.registry.used(preview, at=platform.clock.now())
    try:
        with held_still(platform, shown) as past:
            return await find_difference(platform, past, wanted, past_at=shown.last_commit_at)
    except psycopg.OperationalError as error:
        raise PreviewAway(
            "the comparison was broken off: a connection was lost, or waited for too long",
            detail=" ".join(str(error).split()),
            hint="ask again: it begins anew, and a preview whose server ended is started again",
        ) from error


async def _tables(past: ConnectionTarget, now: ConnectionTarget, table: str | None) -> Mapping[str, str | None]:
    """The tables to compare, and by which column rows belong to couples."""
    try:
        async with await now.connect(connect_timeout=_LOOKS_FOR) as connection:
            present = await tables_compared(connection)
    except CannotConnect as error:
        raise LiveDatabaseAway(
            "there is no now to compare with: the live database does not answer",
            detail=error.detail or error.message,
            hint="the past can be read all the same; wedsync status says what is wrong with the database",
        ) from error
    async with await past.connect(connect_timeout=_LOOKS_FOR) as connection:
        then = await tables_compared(connection)
    both = {**then, **present}
    if table is None:
        return both
    if table not in both:
        raise NotThere(f"there is no table {table[:80]!r}", hint="write it with its schema: public.guests")
    return {table: both[table]}


async def _with_names(
    couples: Sequence[CoupleDifference], past: ConnectionTarget, now: ConnectionTarget
) -> list[CoupleDifference]:
    return named(couples, await _names([each.couple for each in couples], past, now))


async def _names(ids: Sequence[str], past: ConnectionTarget, now: ConnectionTarget) -> Mapping[str, str]:
    """What couples are called now; those that are gone, as they were called then."""

    async def names(target: ConnectionTarget) -> Mapping[str, str]:
        async with await target.connect() as connection:
            return await names_of_couples(connection, ids)

    then, present = await asyncio.gather(names(past), names(now))
    return {**then, **present}
