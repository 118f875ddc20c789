"""A dry run in a shadow database: what it says, and that the database itself is left alone."""

from dataclasses import replace
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier, Literal

from support.shadows import shadow_maker
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.errors import BeyondShadow, MigrationFailed, MigrationsRefused, ShadowRefused
from wedsync.migrations import SHIPPED, Conditions, ShadowMaker, dry_run, read_files, shadow_of, status, up

ME = Conditions(by="alice")
BASE = """
create schema s;
create table s.guests (id bigint generated always as identity primary key, name text, seat int);
create index by_name on s.guests (name);
create table s.tables (id int primary key);
insert into s.guests (name) select 'guest ' || n from generate_series(1, 1500) n;
analyze s.guests;
create sequence s.counter;
select nextval('s.counter');
"""


@pytest.fixture
def maker(cluster: Server, database: ConnectionTarget) -> ShadowMaker:
    return shadow_maker(cluster, database)


@pytest.fixture
async def directory(tmp_path: Path, database: ConnectionTarget) -> Path:
    """One migration that is applied."""
    made = tmp_path / "versions"
    made.mkdir()
    write(made, "0001_base", BASE)
    await up(database, directory=made, conditions=ME)
    return made


def write(directory: Path, stem: str, text: str) -> None:
    (directory / f"{stem}.sql").write_text(text)
    (directory / f"{stem}.rollback.sql").write_text("select 1;\n")


async def everything(target: ConnectionTarget) -> dict[str, list[tuple[object, ...]]]:
    """What a dry run must not change: sequences, the ledger, rows, locks, databases, roles."""
    found = {}
    async with await target.connect() as connection:
        for name, query in {
            "sequences": SQL("select schemaname, sequencename, last_value from pg_sequences order by 1, 2"),
            "ledger": SQL("select * from ops.migrations order by seq"),
            "head": SQL("select * from ops.migration_head"),
            "steps": SQL("select * from ops.migration_steps"),
            "rows": SQL("select count(*), max(id) from s.guests"),
            "locks": SQL(
                "select locktype, mode from pg_locks where pid <> pg_backend_pid() and database ="
                " (select oid from pg_database where datname = current_database()) and locktype = 'advisory'"
            ),
            "databases": SQL("select datname, shobj_description(oid, 'pg_database') from pg_database order by 1"),
            "roles": SQL("select * from pg_roles order by 1"),
            "members": SQL("select * from pg_auth_members order by 1, 2"),
            "tablespaces": SQL("select * from pg_tablespace order by 1"),
        }.items():
            found[name] = await (await connection.execute(query)).fetchall()
    return found


async def test_it_says_locks_rewrites_scans_and_index_builds_with_the_sizes_in_use(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    write(
        directory,
        "0002_change",
        """alter table s.guests add column note text;
        alter table s.guests alter column seat set not null;
        alter table s.guests alter column seat type bigint;
        create table s.new (id int primary key, guest bigint);
        alter table s.new add foreign key (guest) references s.guests;
        drop table s.tables;
        comment on index s.by_name is 'x';""",
    )
    write(directory, "0003_more", "alter table s.new add column x int; create index seats on s.guests (seat);")
    done = await dry_run(database, maker, directory=directory, conditions=ME)
    assert [file.file.id for file in done.files] == ["0002_change", "0003_more"]
    statements = [it for file in done.files for it in file.statements]
    touched = [{one.table: one for one in it.touched} for it in statements]
    assert touched[0]["s.guests"].lock == "ACCESS EXCLUSIVE"
    assert not touched[0]["s.guests"].rewritten
    assert not touched[0]["s.guests"].scanned
    assert touched[1]["s.guests"].scanned
    assert touched[1]["s.guests"].held_before
    assert touched[2]["s.guests"].rewritten
    assert touched[2]["s.guests"].indexes == ("s.by_name", "s.guests_pkey")
    assert touched[3] == {}
    assert touched[4].get("s.new") is None, "made by the run itself"
    assert touched[5]["s.tables"].dropped
    assert "s.tables_pkey" not in touched[5]
    assert touched[7] == {}, "made by a file of the same run"
    assert touched[8]["s.guests"].lock == "SHARE"
    assert touched[8]["s.guests"].indexes == ("s.seats",)
    assert done.sizes["s.guests"].rows == 1500
    assert done.sizes["s.guests"].size_bytes > 100_000
    assert (
        touched[0]["s.guests"]
        .sentence(done.sizes["s.guests"])
        .startswith("ACCESS EXCLUSIVE on s.guests (1.5 k rows, ")
    )
    assert [it.sentence() for it in done.changes] == [
        "column s.guests.note is new",
        "column s.guests.seat: not null was nothing, is true; type was integer, is bigint",
        "index s.by_name: comment was nothing, is x",
        "index s.seats is new",
        "table s.new is new",
        "table s.tables is gone",
    ]
    assert done.unlike == ()


async def test_afterwards_the_database_is_as_before(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    write(
        directory,
        "0002_change",
        "alter table s.guests drop column name; select nextval('s.counter'); insert into s.tables values (1);"
        "delete from s.guests;",
    )
    before = await everything(database)
    done = await dry_run(database, maker, directory=directory, conditions=ME)
    assert done.target_unchanged
    assert done.before.digest == done.after.digest
    assert len(done.before.objects) > 20
    assert await everything(database) == before
    assert [file.id for file in (await status(database, directory=directory)).pending] == ["0002_change"]


async def test_every_shipped_file_runs_in_a_shadow_of_an_empty_database(
    database: ConnectionTarget, maker: ShadowMaker
) -> None:
    done = await dry_run(database, maker, conditions=ME)
    assert [file.file.id for file in done.files] == [file.id for file in read_files(SHIPPED).files]
    assert done.unlike == ()
    async with await database.connect() as connection:
        assert await (await connection.execute("select to_regclass('public.guests')")).fetchone() == (None,)


async def test_a_shadow_of_the_shipped_schema_has_the_same_fingerprint(
    database: ConnectionTarget, maker: ShadowMaker
) -> None:
    await up(database, conditions=ME)
    done = await dry_run(database, maker, conditions=ME)
    assert done.files == ()
    assert [it.sentence() for it in done.unlike] == []


async def test_steps_outside_a_transaction_run_one_by_one(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    write(
        directory,
        "0002_slow",
        "-- transaction: none\ncreate index concurrently seats on s.guests (seat);\n"
        "alter table s.guests add constraint c check (seat > 0) not valid;\nvacuum s.guests;\n",
    )
    done = await dry_run(database, maker, directory=directory, conditions=ME)
    first, second, third = done.files[0].statements
    assert [it.own_transaction for it in (first, second, third)] == [True, False, True]
    assert [(it.table, it.lock, it.indexes) for it in first.touched] == [
        ("s.guests", "SHARE UPDATE EXCLUSIVE", ("s.seats",))
    ]
    assert [(it.table, it.lock) for it in second.touched] == [("s.guests", "ACCESS EXCLUSIVE")]
    assert done.changes[0].sentence() == "constraint s.guests.c is new"


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("select 1;\nselect 2;\n\nalter table s.nothing add x int;", ":4:", "dry run: nothing was changed"),
        ("select 1,\n  wrong from s.guests;", ":2:", "nothing was changed"),
        ("create table s.x (t int references s.tables);\ninsert into s.x values (1);", ":2:", "tables are empty"),
    ],
)
async def test_an_error_names_file_and_line_and_leaves_nothing(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path, *, text: str, place: str, hint: str
) -> None:
    write(directory, "0002_good", "create table s.good ();")
    write(directory, "0003_bad", text)
    before = await everything(database)
    with pytest.raises(MigrationFailed) as raised:
        await dry_run(database, maker, directory=directory, conditions=ME)
    assert f"0003_bad.sql{place}" in raised.value.message
    assert hint in str(raised.value.hint)
    assert await everything(database) == before


async def test_files_that_disagree_with_the_ledger_are_refused_before_a_shadow_is_made(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    write(directory, "0001_base", BASE + "select 1;")
    with pytest.raises(MigrationsRefused, match="0001_base"):
        await dry_run(
            database, replace(maker, admin=replace(maker.admin, port=1)), directory=directory, conditions=ME
        )


async def test_what_would_change_the_server_is_refused_before_anything_runs(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    write(directory, "0002_beyond", "create table s.x ();\n\ncreate role somebody;\n")
    nowhere = replace(maker, admin=replace(maker.admin, port=1))
    with pytest.raises(BeyondShadow, match=r"0002_beyond\.sql:3: changes roles; a shadow") as raised:
        await dry_run(database, nowhere, directory=directory, conditions=ME)
    assert raised.value.detail == "create role somebody"


@pytest.mark.parametrize(
    "statement",
    [
        "create role somebody",
        "alter role wedsync_owner set work_mem = '5MB'",
        "grant anon to wedsync_monitor",
        "grant connect on database wedsync to anon",
        "comment on database wedsync is 'x'",
        "alter tablespace pg_default owner to wedsync_owner",
    ],
)
async def test_what_the_parser_does_not_see_is_undone_and_refused(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path, statement: str
) -> None:
    """Inside DO the parser sees a string only. As superuser, since the owner may do none of it."""
    write(directory, "0002_beyond", f"do $do$ begin execute $s${statement}$s$; end $do$;")
    before = await everything(database)
    with pytest.raises(BeyondShadow, match="whole server"):
        await dry_run(replace(database, user="postgres"), maker, directory=directory, conditions=ME)
    assert await everything(database) == before


async def test_a_role_that_may_not_create_databases_is_told_so(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    with pytest.raises(ShadowRefused, match="may not create a database") as raised:
        await dry_run(database, replace(maker, admin=database), directory=directory, conditions=ME)
    assert "alter role" in str(raised.value.hint)
    assert "createdb" in str(raised.value.hint)


async def test_what_a_killed_run_left_is_removed_and_nothing_else(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    async with await maker.admin.connect() as admin, shadow_of(database, maker) as running:
        prefix = running.dbname[:-12]
        comment = await (
            await admin.execute(
                "select shobj_description(oid, 'pg_database') from pg_database where datname = %s",
                (running.dbname,),
            )
        ).fetchone()
        assert comment is not None
        leftovers = {"1" * 12: comment[0], "2" * 12: None}
        others = {
            "3" * 12: "mine, do not touch",
            "4" * 12: comment[0].replace(database.dbname, "another"),
            "5" * 12: None,
        }
        for suffix, text in (leftovers | others).items():
            await admin.execute(SQL("create database {}").format(Identifier(prefix + suffix)))
            if text is not None:
                await admin.execute(
                    SQL("comment on database {} is {}").format(Identifier(prefix + suffix), Literal(text))
                )
        async with await replace(maker.admin, dbname=prefix + "5" * 12).connect() as inside:
            await inside.execute("create table precious ()")
        try:
            async with shadow_of(database, maker) as another:
                names = {row[0] for row in (await everything(database))["databases"]}
                assert {name for name in names if str(name).startswith(prefix)} == {
                    running.dbname, another.dbname, *(prefix + suffix for suffix in others)
                }  # fmt: skip
        finally:
            for suffix in leftovers | others:
                await admin.execute(SQL("drop database if exists {}").format(Identifier(prefix + suffix)))
    assert not [row for row in (await everything(database))["databases"] if str(row[0]).startswith(prefix)]


async def test_the_shadow_is_nobody_elses_to_enter(
    database: ConnectionTarget, maker: ShadowMaker, directory: Path
) -> None:
    async with shadow_of(database, maker) as shadow, await shadow.connect() as inside:
        asked = await inside.execute("select has_database_privilege('anon', current_database(), 'connect')")
        assert await asked.fetchone() == (False,)
