"""Whatever several people did to several couples: one comes back to the byte, and nobody else notices."""

import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID

import pytest
import pytest_asyncio
from psycopg.sql import SQL, Identifier

from support.damage import ACTORS, Damage, Of, tables_of_couples
from support.databases import fresh_database
from support.rows import TwoTimes, contents, moment
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.demo import load
from wedsync.migrations import up
from wedsync.rows import Choice, Conflict, Decisions, Mistake, RowPlan, RowRecoverer
from wedsync.tenants import OWNER_COLUMNS, AuditHistory

EXAMPLES = 6
Named: TypeAlias = tuple[str, tuple[str, ...]]
"""Table and key of a row."""


@dataclass(frozen=True)
class Row:
    couple: str | None
    place: str
    """ctid and xmin: the same only while nobody wrote it."""
    text: str


@dataclass(frozen=True)
class Season:
    """Some weddings; each example goes on where the last one ended."""

    now: ConnectionTarget
    tables: tuple[Of, ...]
    filled: tuple[Of, ...]
    """Those with rows: the damage is done to them."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def season(cluster: Server) -> AsyncGenerator[Season]:
    async with fresh_database(cluster) as now:
        await up(now)
        await load(now, size=0.03)
        async with await now.connect() as connection:
            tables = await tables_of_couples(connection)
            filled: list[Of] = []
            for table in tables:
                some = SQL("select from {} where {} is not null limit 1")
                names = Identifier("public", table.name), Identifier(table.couple)
                if (await connection.execute(some.format(*names))).rowcount:
                    filled.append(table)
        yield Season(now=replace(now, user="postgres"), tables=tuple(tables), filled=tuple(filled))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("seed", range(EXAMPLES))
async def test_one_couple_comes_back_and_nobody_else_notices(season: Season, seed: int) -> None:
    dice = random.Random(seed)
    async with moment(season.now) as past:
        then = await rows_of(season)
        couples = await largest_couples(season)
        couple = dice.choice(couples)
        async with await season.now.connect() as connection:
            (at,) = await (await connection.execute("select clock_timestamp()")).fetchone() or (None,)
        assert at is not None
        recoverer = RowRecoverer(season.now, owner="wedsync_owner", history=AuditHistory(couple))
        times = TwoTimes(now=season.now, past=past, at=at, recoverer=recoverer)
        damage = Damage(seed, season.filled, couples)
        await damage.do(season.now)
        while not differing(then, damaged := await rows_of(season), couple):
            await damage.do(season.now)
        accounts = await contents(season.now)
        mistake = Mistake(by=(dice.choice(ACTORS),)) if seed % 2 else Mistake()
        plan = await times.plan(couple, mistake=mistake)
        await require_asked(times, couple, mistake, plan, differing(then, damaged, couple))
        decisions = await decide(times, couple, mistake, dice)
        done = await times.bring_back(couple, mistake=mistake, decisions=decisions)

        after = await rows_of(season)
        kept = {name_of(conflict) for conflict in done.plan.conflicts if conflict.choice is Choice.KEEP}
        assert sum(item.kept for item in done.plan.tables) == len(kept)
        for name in then.keys() | damaged.keys() | after.keys():
            before = damaged.get(name)
            if name in kept or (before is not None and before.couple != str(couple)):
                assert after.get(name) == before, f"{name} was not to be touched"
            elif before is None and name in then and then[name].couple != str(couple):
                assert name not in after, f"{name} of somebody else came back"
            else:
                assert text_of(after, name) == text_of(then, name), f"{name} is not as it was"
        assert not await broken_links(season.now)
        for table, lines in (await contents(season.now)).items():
            assert "." not in table or lines == accounts[table], f"{table} was touched"
        if done.recovery is None:
            assert after == damaged
            return
        order = await recoverer.undo_order(
            UUID(done.recovery), by="tester", reason=None, decisions=Decisions(), owner_columns=OWNER_COLUMNS
        )
        await recoverer.undo(order)
        undone = await rows_of(season)
        assert undone.keys() == damaged.keys()
        for name, row in undone.items():
            assert row.text == damaged[name].text, f"{name} is not as before"
            assert row.couple == str(couple) or row == damaged[name], f"{name} was not to be touched by the undo"


async def decide(times: TwoTimes, couple: UUID, mistake: Mistake, dice: random.Random) -> Decisions:
    """Row by row, as an operator does who is asked until nothing is open."""
    chosen: dict[Named, Choice] = {}
    plan = None
    for _ in range(20):
        decisions = Decisions(choices=tuple((*name, choice) for name, choice in chosen.items()))
        plan = await times.plan(couple, mistake=mistake, decisions=decisions)
        waiting = [conflict for conflict in plan.conflicts if conflict.choice is None]
        if not waiting:
            return decisions
        chosen |= {name_of(conflict): dice.choice(conflict.choices) for conflict in waiting}
    raise AssertionError(f"asked again and again: {plan}")


async def require_asked(
    times: TwoTimes, couple: UUID, mistake: Mistake, plan: RowPlan, differ: set[Named]
) -> None:
    """What anybody but the named one added or changed is asked about: read from the history by ourselves."""
    if not mistake.is_named:
        return
    others = await times.run(
        "select distinct table_name, array(select jsonb_array_elements_text(row_key)) as key"
        f"  from audit.record_version where changed_at > '{times.at}' and operation in ('insert', 'update')"
        f"   and user_id <> '{mistake.by[0]}'"
    )
    theirs = {(row["table_name"], tuple(row["key"])) for row in others} & differ
    assert theirs <= {name_of(conflict) for conflict in plan.conflicts}


def name_of(conflict: Conflict) -> Named:
    return conflict.table, conflict.key


def text_of(rows: dict[Named, Row], name: Named) -> str | None:
    return rows[name].text if name in rows else None


def differing(then: dict[Named, Row], now: dict[Named, Row], couple: UUID) -> set[Named]:
    """Rows that are the couple's, then or now, and are not the same."""
    own = {name for rows in (then, now) for name, row in rows.items() if row.couple == str(couple)}
    return {name for name in own if text_of(then, name) != text_of(now, name)}


async def rows_of(season: Season) -> dict[Named, Row]:
    """Every row of every table of couples."""
    found: dict[Named, Row] = {}
    async with await season.now.connect() as connection:
        for table in season.tables:
            cursor = await connection.execute(
                SQL(
                    "select array(select jsonb_array_elements_text(jsonb_build_array({}))), {}::text,"
                    " t.ctid::text || ' ' || t.xmin::text, t::text from {} t"
                ).format(
                    SQL(", ").join(map(Identifier, table.key)),
                    Identifier(table.couple),
                    Identifier("public", table.name),
                )
            )
            for key, couple, place, text in await cursor.fetchall():
                found[f"public.{table.name}", tuple(key)] = Row(couple=couple, place=place, text=text)
    return found


async def largest_couples(season: Season) -> list[UUID]:
    async with await season.now.connect() as connection:
        cursor = await connection.execute(
            "select c.id from public.couples c join public.guests g on g.couple_id = c.id"
            " group by 1 order by count(*) desc, 1 limit 3"
        )
        return [row[0] for row in await cursor.fetchall()]


async def broken_links(now: ConnectionTarget) -> list[Any]:
    """Foreign keys that do not hold, each asked by its own query."""
    found: list[Any] = []
    async with await now.connect() as connection:
        cursor = await connection.execute(
            "select c.conname, c.conrelid::regclass::text, c.confrelid::regclass::text,"
            "  string_agg(format('p.%I = c.%I', p.attname, a.attname), ' and '),"
            "  string_agg(format('c.%I is not null', a.attname), ' and ')"
            "  from pg_constraint c cross join unnest(c.conkey, c.confkey) as k (here, there)"
            "  join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.here"
            "  join pg_attribute p on p.attrelid = c.confrelid and p.attnum = k.there"
            " where c.contype = 'f' and c.connamespace = 'public'::regnamespace group by c.oid"
        )
        links = await cursor.fetchall()
        assert links
        for name, child, parent, same, given in links:
            query = f"select from {child} c where {given} and not exists (select from {parent} p where {same})"
            broken = await connection.execute(query)  # pyright: ignore
            found += [name] * broken.rowcount
    return found
