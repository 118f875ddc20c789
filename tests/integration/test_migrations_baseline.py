"""A database that was there before the ledger is compared with the files before it is adopted."""

from pathlib import Path

import pytest
from psycopg.sql import SQL

from support.shadows import shadow_maker
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.errors import BaselineRefused, MigrationFailed, MigrationsRefused, UsageProblem
from wedsync.migrations import (
    SHIPPED,
    Conditions,
    ShadowMaker,
    baseline,
    plan_baseline,
    read_files,
    read_fingerprint,
    status,
    up,
)

ME = Conditions(by="alice", key=b"a key of this test")


@pytest.fixture
def maker(cluster: Server, database: ConnectionTarget) -> ShadowMaker:
    return shadow_maker(cluster, database)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two migrations."""
    made = tmp_path / "versions"
    made.mkdir()
    for stem, text, rollback in (
        ("0001_a", "create schema s; create table s.a (id int primary key, note text);", "drop schema s cascade;"),
        ("0002_b", "create index by_note on s.a (note); grant select on s.a to anon;", "drop index s.by_note;"),
    ):
        (made / f"{stem}.sql").write_text(text)
        (made / f"{stem}.rollback.sql").write_text(rollback)
    return made


async def run(target: ConnectionTarget, text: str) -> None:
    async with await target.connect() as connection:
        await connection.execute(text.encode())


SAME = """create schema s; create table s.a (id int, note text); alter table s.a add primary key (id);
create index by_note on s.a (note); grant select on s.a to anon; insert into s.a values (1, 'x');"""


async def test_a_database_that_is_what_the_files_make_is_adopted_and_goes_on(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    await run(database, SAME)
    before = await read_fingerprint(database)
    plan = await plan_baseline(database, maker, directory=directory, key=ME.key)
    assert plan.differences == ()
    assert (await read_fingerprint(database)).digest == before.digest, "a plan changes nothing"
    assert await baseline(database, plan, conditions=ME) == ("0001_a", "0002_b")
    found = await status(database, directory=directory, key=ME.key)
    assert found.is_current
    assert [row.by for row in found.applied] == ["alice as wedsync_owner"] * 2
    async with await database.connect() as connection:
        rows = await connection.execute(SQL("select kind, reason, text from ops.migrations order by seq"))
        kinds = [row[0] for row in await rows.fetchall() if row[0] != "chained"]
    assert kinds == ["baseline", "baseline"]
    (directory / "0003_c.sql").write_text("create table s.c (a int references s.a);")
    (directory / "0003_c.rollback.sql").write_text("drop table s.c;")
    assert [row.id for row in (await up(database, directory=directory, conditions=ME)).applied] == ["0003_c"]


async def test_every_difference_is_listed_and_nothing_recorded_without_a_reason(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    await run(
        database,
        "create schema s; create table s.a (id bigint primary key, note text); create table s.more ();"
        "alter table s.a enable row level security;",
    )
    plan = await plan_baseline(database, maker, directory=directory, key=ME.key)
    owner = '"wedsync_owner": ["DELETE", "INSERT", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE"]'
    assert plan.sentences() == [
        "column s.a.id: type is bigint, the files say integer",
        "index s.by_note: only in the files",
        f'table s.a: grants is {{{owner}}}, the files say {{"anon": ["SELECT"], {owner}}}; '
        "row level security is true, the files say nothing",
        "table s.more: only in the database",
    ]
    with pytest.raises(BaselineRefused, match="4 differences") as raised:
        await baseline(database, plan, conditions=ME)
    assert raised.value.exit_code == 3
    for reason in (None, "  "):
        with pytest.raises(UsageProblem, match="reason"):
            await baseline(database, plan, accept_differences=True, reason=reason, conditions=ME)
    assert (await status(database, directory=directory)).applied == ()
    await baseline(database, plan, accept_differences=True, reason=" grown by hand ", conditions=ME)
    async with await database.connect() as connection:
        rows = await connection.execute(SQL("select reason, detail from ops.migrations where kind = 'baseline'"))
        found = await rows.fetchall()
    assert [row[0] for row in found] == ["grown by hand"] * 2
    assert "only in the database" in found[0][1]
    assert (await status(database, directory=directory, key=ME.key)).is_current


async def test_the_shipped_schema_without_its_ledger_is_adopted_without_a_difference(
    database: ConnectionTarget, maker: ShadowMaker
) -> None:
    await up(database, conditions=ME)
    await run(database, "drop table ops.migrations, ops.migration_head, ops.migration_steps")
    plan = await plan_baseline(database, maker, key=ME.key)
    assert plan.sentences() == []
    assert await baseline(database, plan, conditions=ME) == tuple(file.id for file in read_files(SHIPPED).files)
    assert (await status(database, key=ME.key)).is_current


async def test_a_database_with_a_ledger_is_not_adopted_again(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    await up(database, directory=directory, conditions=ME)
    with pytest.raises(MigrationsRefused, match="has a ledger already") as raised:
        await plan_baseline(database, maker, directory=directory, key=ME.key)
    assert "0002_b" in str(raised.value.detail)


async def test_a_change_after_the_comparison_stops_it(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    await run(database, SAME)
    plan = await plan_baseline(database, maker, directory=directory, key=ME.key)
    await run(database, "alter table s.a add column late int")
    with pytest.raises(MigrationsRefused, match="changed since it was compared"):
        await baseline(database, plan, conditions=ME)
    assert (await status(database, directory=directory)).applied == ()


async def test_files_that_do_not_run_are_found_in_the_shadow(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    (directory / "0002_b.sql").write_text("create index i on s.nothing (id);")
    with pytest.raises(MigrationFailed, match=r"0002_b\.sql:1"):
        await plan_baseline(database, maker, directory=directory, key=ME.key)
