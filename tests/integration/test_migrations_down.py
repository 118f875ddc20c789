"""Undoing migrations: newest first, no row lost that nobody accepted, and the shipped files lead back exactly."""

from pathlib import Path

import pytest
from psycopg.sql import SQL

from support.shadows import shadow_maker
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.errors import DataLossRefused, MigrationFailed, MigrationsFrozen, MigrationsRefused, UsageProblem
from wedsync.migrations import (
    LEDGER,
    SHIPPED,
    Conditions,
    RestorePointRule,
    ShadowMaker,
    differences,
    down,
    plan_down,
    read_files,
    read_fingerprint,
    status,
    up,
)

LEFT_BY_0001 = tuple(f"schema {name}: comment was nothing, is " for name in ("audit", "auth", "ops"))
"""Schemas that the cluster brings; the rollback of 0001 leaves the comments that 0001 put on them."""
ME = Conditions(by="alice", key=b"a key of this test")


@pytest.fixture
def maker(cluster: Server, database: ConnectionTarget) -> ShadowMaker:
    return shadow_maker(cluster, database)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "versions"
    made.mkdir()
    return made


def write(directory: Path, stem: str, text: str, rollback: str) -> None:
    (directory / f"{stem}.sql").write_text(text)
    (directory / f"{stem}.rollback.sql").write_text(rollback)


async def ask(target: ConnectionTarget, query: str) -> object:
    async with await target.connect() as connection:
        row = await (await connection.execute(query)).fetchone()  # type: ignore[arg-type]
    return None if row is None else row[0]


async def test_every_shipped_file_leads_back_exactly_and_forth_again(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    """up to n, down 1: the catalogue of n - 1; up again: the catalogue of n. For each n."""
    files = read_files(SHIPPED).files
    assert len(files) >= 10
    before, seen = await read_fingerprint(database), set[str]()
    wrong: dict[str, list[str]] = {}
    for file in files:
        for name in (file.file_name, file.rollback_file_name):
            (directory / name).write_bytes((SHIPPED / name).read_bytes())
        await up(database, directory=directory, conditions=ME)
        there = await read_fingerprint(database)
        plan = await plan_down(database, maker, directory=directory, key=ME.key)
        assert (await down(database, plan, accept_data_loss=True, conditions=ME)).undone == (file.id,)
        back = differences(before.without(LEDGER), (await read_fingerprint(database)).without(LEDGER))
        await up(database, directory=directory, conditions=ME)
        again = differences(there, await read_fingerprint(database))
        said = [f"after down: {it.sentence()}" for it in back if not it.sentence().startswith(LEFT_BY_0001)]
        said += [f"after up again: {it.sentence()}" for it in again]
        if said:
            wrong[file.id] = said
        before = there
        seen.add(there.digest)
    assert wrong == {}
    assert len(seen) == len(files)


async def test_all_of_the_shipped_schema_goes_in_one_call(database: ConnectionTarget, maker: ShadowMaker) -> None:
    before = await read_fingerprint(database)
    await up(database, conditions=ME)
    plan = await plan_down(database, maker, steps=99, key=ME.key)
    assert [file.id for file in plan.files] == [file.id for file in reversed(read_files(SHIPPED).files)]
    await down(database, plan, accept_data_loss=True, conditions=ME)
    left = differences(before, (await read_fingerprint(database)).without(LEDGER))
    assert [it.sentence() for it in left if not it.sentence().startswith(LEFT_BY_0001)] == []


LOSSES = [
    ("drop table s.a;", ["0002_b drops s.a: 3 rows"]),
    ("drop table s.a; create table s.a (id int, note text, kept text);", ["0002_b drops s.a: 3 rows"]),
    ("alter table s.a drop column note;", ["0002_b drops the column s.a.note: 2 values"]),
    ("alter table s.a alter column id type smallint;", ["0002_b changes the type of s.a.id: 3 values"]),
    ("delete from s.a;", ["0002_b deletes from s.a: 3 rows"]),
    ("delete from s.a where id > 2;", ["0002_b deletes from s.a: 1 row"]),
    ("update s.a set note = 'x' where id > 1 and note like 'n%';", ["0002_b overwrites values in s.a: 1 row"]),
    ("truncate s.a, s.empty;", ["0002_b empties s.a: 3 rows"]),
    ("do $$ begin delete from s.a; end $$;", ["0002_b may change rows of s.a: 3 rows"]),
    ("do $$ begin execute 'drop ' || 'table s.a'; end $$;", ["0002_b drops s.a: 3 rows"]),
    ("select s.clear();", ["0002_b may change rows of s.a: 3 rows"]),
    ("with gone as (delete from s.a returning id) select * from gone;", ["0002_b may change rows of s.a: 3 rows"]),
    ("drop schema s cascade;", ["0002_b drops s.a: 3 rows", "0002_b drops s.parts: 2 rows"]),
    ("drop table s.parts;", ["0002_b drops s.parts: 2 rows"]),
    ("drop table s.part_one;", ["0002_b drops s.part_one: 1 row"]),
    ("drop domain s.word cascade;", ["0002_b drops the column s.a.kept: 3 values"]),
]
HARMLESS = [
    "drop table s.empty;",
    "alter table s.a drop column never;",
    "alter table s.a add column more int; insert into s.empty values (1);",
    "delete from s.empty; delete from s.a where id > 100; truncate s.empty;",
    "drop index s.by_id; drop function s.clear(); drop view s.seen;",
    "do $$ begin perform 1; end $$;",
]
LOSABLE = """
create schema s;
create domain s.word as text;
create table s.a (id int, note text, kept s.word default 'k', never text);
create index by_id on s.a (id);
create view s.seen as select id from s.empty_source() as t (id);
create table s.empty (id int);
create table s.parts (id int) partition by list (id);
create table s.part_one partition of s.parts for values in (1);
create table s.part_two partition of s.parts for values in (2);
create function s.clear() returns void language sql as 'delete from s.a';
insert into s.a values (1, 'n1'), (2, 'n2'), (3, null);
insert into s.parts values (1), (2);
""".replace("s.empty_source() as t (id)", "generate_series(1, 2) as t (id)")


@pytest.mark.parametrize(("rollback", "said"), LOSSES, ids=[rollback for rollback, _ in LOSSES])
async def test_what_would_be_lost_is_counted_and_refused_before_anything_runs(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path, rollback: str, said: list[str]
) -> None:
    write(directory, "0001_a", LOSABLE, "drop schema s cascade;")
    write(directory, "0002_b", "select 1;", rollback)
    await up(database, directory=directory, conditions=ME)
    before = await read_fingerprint(database)
    plan = await plan_down(database, maker, directory=directory, key=ME.key)
    assert [loss.sentence() for loss in plan.losses] == said
    with pytest.raises(DataLossRefused) as raised:
        await down(database, plan, conditions=ME)
    assert raised.value.exit_code == 3
    assert said[0] in str(raised.value.detail)
    assert "--accept-data-loss" in str(raised.value.hint)
    assert (await read_fingerprint(database)).digest == before.digest
    assert await ask(database, "select count(*) from s.a") == 3
    assert [row.id for row in (await status(database, directory=directory)).applied] == ["0001_a", "0002_b"]


@pytest.mark.parametrize("rollback", HARMLESS)
async def test_without_a_loss_nothing_has_to_be_accepted(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path, rollback: str
) -> None:
    write(directory, "0001_a", LOSABLE, "drop schema s cascade;")
    write(directory, "0002_b", "select 1;", rollback)
    await up(database, directory=directory, conditions=ME)
    plan = await plan_down(database, maker, directory=directory, key=ME.key)
    assert plan.losses == ()
    assert (await down(database, plan, conditions=ME)).undone == ("0002_b",)


async def test_newest_first_with_a_restore_point_and_the_ledger_keeps_what_happened(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    for number, name in enumerate("abc", start=1):
        write(directory, f"{number:04d}_{name}", f"create table public.{name} ();", f"drop table public.{name};")
    await up(database, directory=directory, conditions=ME)
    plan = await plan_down(database, maker, directory=directory, to="0001_a", key=ME.key)
    done = await down(database, plan, conditions=Conditions(by="bob", key=ME.key))
    assert done.undone == ("0003_c", "0002_b")
    assert done.restore_point is not None
    assert "0003_c" in done.restore_point.name
    found = await status(database, directory=directory, key=ME.key)
    assert [row.id for row in found.applied] == ["0001_a"]
    assert [file.id for file in found.pending] == ["0002_b", "0003_c"]
    assert found.problems == (), "the chain of the ledger holds"
    async with await database.connect() as connection:
        rows = await (
            await connection.execute(SQL("select kind, name, by, text from ops.migrations order by seq"))
        ).fetchall()
    assert [row[:2] for row in rows if row[0] != "chained"] == [
        ("applied", "a"), ("applied", "b"), ("applied", "c"), ("undone", "c"), ("undone", "b")
    ]  # fmt: skip
    assert rows[-1][2:] == ("bob as wedsync_owner", "drop table public.b;\n")
    assert [row.id for row in (await up(database, directory=directory, conditions=ME)).applied] == [
        "0002_b",
        "0003_c",
    ]
    assert (await status(database, directory=directory, key=ME.key)).is_current


async def test_a_rollback_that_does_not_work_is_found_in_the_shadow(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    write(directory, "0001_a", "create table public.a (id int);", "drop table public.a;\n\ndrop table public.b;")
    await up(database, directory=directory, conditions=ME)
    with pytest.raises(MigrationFailed, match=r"0001_a\.rollback\.sql:3: .*does not exist") as raised:
        await plan_down(database, maker, directory=directory, key=ME.key)
    assert "not changed" in str(raised.value.hint)
    assert await ask(database, "select to_regclass('public.a')::text") == "a"


async def test_a_rollback_without_a_transaction_goes_step_by_step(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    write(
        directory,
        "0001_a",
        "create table public.a (id int); create index i on public.a (id);",
        "drop table public.a;",
    )
    write(directory, "0002_b", "select 1;", "-- transaction: none\ndrop index concurrently public.i;\nselect 2;")
    await up(database, directory=directory, conditions=ME)
    plan = await plan_down(database, maker, directory=directory, key=ME.key)
    assert (await down(database, plan, conditions=ME)).undone == ("0002_b",)
    assert await ask(database, "select to_regclass('public.i')::text") is None
    assert await ask(database, "select count(*) from ops.migration_steps") == 0
    assert [row.id for row in (await status(database, directory=directory)).applied] == ["0001_a"]


async def test_an_edited_file_stops_it_and_so_does_one_that_is_not_applied(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    write(directory, "0001_a", "create table public.a ();", "drop table public.a;")
    await up(database, directory=directory, conditions=ME)
    with pytest.raises(UsageProblem, match="0002_b"):
        await plan_down(database, maker, directory=directory, to="0002_b", key=ME.key)
    with pytest.raises(UsageProblem, match="--steps"):
        await plan_down(database, maker, directory=directory, steps=0, key=ME.key)
    write(directory, "0001_a", "create table public.a (id int);", "drop table public.a;")
    with pytest.raises(MigrationsRefused, match="was edited"):
        await plan_down(database, maker, directory=directory, key=ME.key)


async def test_a_plan_is_not_carried_out_when_others_migrated_since(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    write(directory, "0001_a", "create table public.a ();", "drop table public.a;")
    await up(database, directory=directory, conditions=ME)
    plan = await plan_down(database, maker, directory=directory, key=ME.key)
    write(directory, "0002_b", "create table public.b ();", "drop table public.b;")
    await up(database, directory=directory, conditions=ME)
    with pytest.raises(MigrationsRefused, match="others migrated"):
        await down(database, plan, conditions=ME)


async def test_rows_that_came_after_the_plan_count_too(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    write(directory, "0001_a", "create table public.a (id int);", "drop table public.a;")
    await up(database, directory=directory, conditions=ME)
    plan = await plan_down(database, maker, directory=directory, key=ME.key)
    assert plan.losses == ()
    async with await database.connect() as connection:
        await connection.execute("insert into public.a values (1)")
    with pytest.raises(DataLossRefused, match="1 rows"):
        await down(database, plan, conditions=ME)


class Frozen:
    async def reasons(self) -> list[str]:
        return ["it is Saturday"]


async def test_a_frozen_day_is_kept_here_too(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    write(directory, "0001_a", "create table public.a ();", "drop table public.a;")
    await up(database, directory=directory, conditions=ME)
    plan = await plan_down(database, maker, directory=directory, key=ME.key)
    frozen = Conditions(key=ME.key, freeze=Frozen(), restore_point=RestorePointRule.NONE)
    with pytest.raises(MigrationsFrozen):
        await down(database, plan, conditions=frozen)
    assert await ask(database, "select to_regclass('public.a')::text") == "a"
