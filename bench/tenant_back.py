"""One couple out of 2,000 brought back, beside the same by hand with psql, by turns in one run.

    python bench/tenant_back.py DIRECTORY [--size 13.4] [--guests 1000000] [--rounds 5]

DIRECTORY is new, empty or that of an earlier run; as any user but root. The past is a second database of the same
cluster, as a preview would show it: measured is from the preview being there to the commit. The damage: all guests
of one couple are deleted, with all that goes with them. By hand: psql copies the rows of every table out of the
past and, in one transaction, deletes what is there and copies them in; it compares nothing, asks nothing, keeps
nothing for an undo. After each round every other row of every table is compared by place, transaction and content
(ctid, xmin, text); a round that touched one fails.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg.sql import SQL, Identifier, Literal

from wedsync.app import Platform, Preparation
from wedsync.config import Home
from wedsync.database import ConnectionTarget
from wedsync.demo import load
from wedsync.process import run
from wedsync.rows import RowOrder, RowRecoverer, Scope
from wedsync.tenants import OWNER_COLUMNS, AuditHistory, read_couple_rows

FILL = """
insert into public.guests (couple_id, first_name, last_name, dietary_notes)
select c.id, 'Guest', 'Number ' || n, repeat(md5(n::text || c.id::text), 3)
  from public.couples c cross join generate_series(1, %(each)s) as n
"""

LONG = timedelta(minutes=30)


class Quiet:
    def note(self, words: str) -> None:
        """Say nothing."""


async def make(platform: Platform, *, size: float, guests: int) -> None:
    """A season of weddings, and guests until there are so many."""
    await Preparation(platform, step=lambda _: nullcontext(Quiet()), say=lambda _: None).prepare(demo=False)
    await load(platform.owner_target, size=size)
    async with await now_target(platform).connect() as live:
        cursor = await live.execute("select (select count(*) from couples), (select count(*) from guests)")
        row = await cursor.fetchone()
        assert row is not None
        couples, there = row
        await live.execute("alter table guests disable trigger user")  # the history is not what is filled
        await live.execute(FILL, {"each": max(0, -(-(guests - there) // couples))})
        await live.execute("alter table guests enable trigger user")
        for event in ("insert", "update", "delete", "truncate"):
            await live.execute(
                SQL("alter table guests enable always trigger {}").format(Identifier(f"audit_{event}"))
            )
        await live.execute("vacuum analyze")


def now_target(platform: Platform) -> ConnectionTarget:
    return platform.server.target("postgres", platform.config.database.name)


async def copy_database(platform: Platform) -> ConnectionTarget:
    """The database as it is, as another one."""
    name = platform.config.database.name
    async with await platform.server.target("postgres", "postgres").connect() as admin:
        await admin.execute("drop database if exists rows_past")
        await admin.execute(
            SQL("create database rows_past template {} strategy file_copy").format(Identifier(name))
        )
    return replace(now_target(platform), dbname="rows_past")


async def digest(target: ConnectionTarget, couple: UUID) -> dict[str, Any]:
    """Every row that is not the couple's, in every table of public: place, transaction and content."""
    found: dict[str, Any] = {}
    async with await target.connect() as live:
        cursor = await live.execute(
            "select c.relname, bool_or(a.attname = 'couple_id') from pg_class c"
            " join pg_attribute a on a.attrelid = c.oid"
            " where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' group by 1"
        )
        for table, has_couple in await cursor.fetchall():
            column = "id" if table == "couples" else "couple_id"
            other = (
                SQL("t.{} is distinct from {}").format(Identifier(column), Literal(couple))
                if has_couple or table == "couples"
                else SQL("true")
            )
            query = SQL(
                "select count(*), bit_xor(hashtextextended(t.ctid::text || t.xmin::text || t::text, 0))"
                " from {} t where {}"
            ).format(Identifier("public", table), other)
            found[table] = await (await live.execute(query)).fetchone()
    return found


async def by_hand(platform: Platform, past: ConnectionTarget, scopes: Sequence[Scope], directory: Path) -> float:
    """What an operator who knows the schema would write."""
    async with await now_target(platform).connect() as live:
        out = [
            SQL("copy (select * from {} where {}) to {}")
            .format(Identifier(*scope.table.split(".")), scope.where, Literal(str(directory / scope.table)))
            .as_string(live)
            for scope in scopes
        ]
        into = ["begin; set local session_replication_role = replica;"]
        into += [
            SQL("delete from {} where {};")
            .format(Identifier(*scope.table.split(".")), scope.where)
            .as_string(live)
            for scope in scopes
        ]
        into += [
            SQL("copy {} from {};")
            .format(Identifier(*scope.table.split(".")), Literal(str(directory / scope.table)))
            .as_string(live)
            for scope in scopes
        ]
    psql = platform.engine.program("psql")
    began = time.perf_counter()
    for target, script in ((past, ";".join(out)), (now_target(platform), "\n".join([*into, "commit;"]))):
        done = await run(
            [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", target.dsn(with_password=False), "-c", script],
            deadline=LONG,
            env=platform.engine.environment,
        )
        done.check()
    return time.perf_counter() - began


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", type=float, default=13.4)
    parser.add_argument("--guests", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--port", type=int, default=21700)
    options = parser.parse_args()
    home = Home(options.directory.resolve())
    home.root.mkdir(parents=True, exist_ok=True)
    home.config_file.write_text(
        f"[cluster]\nport = {options.port}\n[gateway]\nport = {options.port + 1}\n[backup]\nenabled = false\n"
    )
    platform = Platform(home, {"HOME": str(home.root)})
    try:
        if home.pgdata.exists():
            await platform.server.start(archive_command="/bin/true pgbackrest", deadline=LONG)
        else:
            await make(platform, size=options.size, guests=options.guests)
        await measure(platform, rounds=options.rounds)
    finally:
        await platform.server.stop("immediate")


async def measure(platform: Platform, *, rounds: int) -> None:
    now = now_target(platform)
    past = await copy_database(platform)
    async with await now.connect() as live:
        cursor = await live.execute(
            "select (select count(*) from couples), (select count(*) from guests),"
            " pg_database_size(current_database()),"
            " (select couple_id from photo_group_members group by 1 order by count(*) desc limit 1)"
        )
        row = await cursor.fetchone()
        assert row is not None
        couples, guests, size, couple = row
    print(f"{couples:,} couples, {guests:,} guests, {size / 1e6:,.0f} MB")
    ours: list[float] = []
    brought: set[int] = set()
    peers: list[float] = []
    plans: list[float] = []
    files = platform.home.root / "by-hand"
    files.mkdir(exist_ok=True)
    recoverer = RowRecoverer(now, owner="wedsync_owner", history=AuditHistory(couple))
    for number in range(rounds):
        for who in ("ours", "hand") if number % 2 == 0 else ("hand", "ours"):
            since = datetime.now(UTC)
            async with await now.connect() as live:
                await live.execute(SQL("delete from guests where couple_id = {}").format(Literal(couple)))
            before = await digest(now, couple)
            rows = await read_couple_rows(now, past, couple, ())
            if who == "ours":
                order = RowOrder(
                    words=f"couple {couple}",
                    scopes=rows.scopes,
                    restored_to=since,
                    since=since,
                    by="bench",
                    belongs_to={"couple_id": str(couple)},
                    owner_columns=OWNER_COLUMNS,
                )
                began = time.perf_counter()
                plan = await recoverer.plan(past, order)
                plans.append(time.perf_counter() - began)
                began = time.perf_counter()
                done = await recoverer.bring_back(past, order, expected=plan.fingerprint)
                ours.append(time.perf_counter() - began)
                brought.add(done.plan.rows)
            else:
                peers.append(await by_hand(platform, past, rows.scopes, files))
            assert await digest(now, couple) == before, f"{who}: a row of somebody else was touched"
    print(f"rows brought back  {brought}")
    for name, times in (("plan", plans), ("bring back", ours), ("by hand", peers)):
        print(f"{name:18} {statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})")
    print(f"ratio to by hand   {statistics.median(ours) / statistics.median(peers):.2f}")
    print("others' rows are bit-identical after every round")


if __name__ == "__main__":
    asyncio.run(main())
