"""A moment of the past as a second database of the same cluster: what a copy of the moment would hold."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from wedsync.database import ConnectionTarget
from wedsync.rows import BroughtBack, Decisions, Mistake, OnConflict, RowOrder, RowPlan, RowRecoverer
from wedsync.tenants import OWNER_COLUMNS, AuditHistory, read_couple_rows, scrub_erased
from wedsync.tenants.erasures import Erasure


@asynccontextmanager
async def moment(now: ConnectionTarget) -> AsyncGenerator[ConnectionTarget]:
    """The database as it is, as another one; nobody may be connected to it. Dropped afterwards."""
    name = f"past_{uuid4().hex[:12]}"
    admin = replace(now, user="postgres", dbname="postgres")
    copy = SQL("create database {} template {} strategy file_copy").format(
        Identifier(name), Identifier(now.dbname)
    )
    async with await admin.connect() as connection:
        await connection.execute(copy)
    try:
        yield replace(now, user="postgres", dbname=name)
    finally:
        async with await admin.connect() as connection:
            await connection.execute(SQL("drop database {} with (force)").format(Identifier(name)))


@dataclass(frozen=True, kw_only=True)
class TwoTimes:
    """A database now, and the same one at a moment of the past."""

    now: ConnectionTarget
    past: ConnectionTarget
    at: datetime
    recoverer: RowRecoverer

    async def run(self, *queries: str, user: str = "postgres", one_transaction: bool = True) -> list[Any]:
        """Run statements in the present database; the rows of the last one."""
        async with await replace(self.now, user=user).connect(autocommit=not one_transaction) as connection:
            rows: list[Any] = []
            for query in queries:
                cursor = connection.cursor(row_factory=dict_row)
                await cursor.execute(query)  # pyright: ignore[reportArgumentType, reportCallIssue]
                rows = await cursor.fetchall() if cursor.rownumber is not None else []  # also of `select from`
            await connection.commit()
            return rows

    async def order(
        self,
        couple: UUID | str,
        *,
        on_conflict: OnConflict = OnConflict.ASK,
        mistake: Mistake | None = None,
        decisions: Decisions | None = None,
        erasures: Sequence[Erasure] = (),
        with_values: bool = False,
    ) -> RowOrder:
        """What `recover tenant --couple ID --to TIME` orders."""
        couple = UUID(str(couple))
        found = await read_couple_rows(self.now, self.past, couple, erasures)
        return RowOrder(
            words=f"couple {couple}",
            scopes=found.scopes,
            restored_to=self.at,
            since=self.at,
            by="tester",
            reason="a test",
            mistake=mistake or Mistake(),
            decisions=decisions or Decisions(on_conflict=on_conflict),
            belongs_to={"couple_id": str(couple)},
            owner_columns=OWNER_COLUMNS,
            scrub=await scrub_erased(self.past, self.now, erasures),
            notes=found.notes,
            with_values=with_values,
        )

    async def plan(self, couple: UUID | str, **options: Any) -> RowPlan:
        """What would be done."""
        return await self.recoverer.plan(self.past, await self.order(couple, **options))

    async def bring_back(self, couple: UUID | str, **options: Any) -> BroughtBack:
        """Do it."""
        return await self.recoverer.bring_back(self.past, await self.order(couple, **options))


@asynccontextmanager
async def two_times(origin: ConnectionTarget, couple: UUID | str | None = None) -> AsyncGenerator[TwoTimes]:
    """Copies of a database: the present one, which may be damaged, and how it was."""
    async with moment(origin) as past, moment(origin) as now:
        async with await now.connect() as connection:
            row = await (await connection.execute("select clock_timestamp()")).fetchone()
        assert row is not None
        history = AuditHistory(UUID(str(couple))) if couple is not None else AuditHistory()
        yield TwoTimes(
            now=now, past=past, at=row[0], recoverer=RowRecoverer(now, owner="wedsync_owner", history=history)
        )


async def contents(target: ConnectionTarget, *, system_columns: bool = True) -> dict[str, list[str]]:
    """Every row of every table of tenants as text; with `system_columns` its place and author transaction too."""
    found: dict[str, list[str]] = {}
    async with await target.connect() as connection:
        cursor = await connection.execute(
            "select c.oid::regclass::text from pg_class c where c.relkind = 'r' and c.relnamespace in"
            " ('public'::regnamespace, 'auth'::regnamespace, 'app'::regnamespace)"
        )
        for (table,) in await cursor.fetchall():
            columns = "t.ctid::text || ' ' || t.xmin::text || ' ' || t::text" if system_columns else "t::text"
            rows = await connection.execute(
                f"select {columns} from {table} t order by 1"  # pyright: ignore[reportArgumentType]
            )
            found[table] = [row[0] for row in await rows.fetchall()]
    return found
