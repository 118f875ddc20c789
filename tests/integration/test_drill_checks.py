"""Each check of a drill passes on a whole database, says what it looked at, and fails on what it is there for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from support.recoveries import Protected
from wedsync.database import ConnectionTarget
from wedsync.drills import Check, CheckResult, DrillContext, DrillOrder
from wedsync.drills.checks.catalogue import check_catalogue
from wedsync.drills.checks.collations import check_collations
from wedsync.drills.checks.constraints import check_constraints
from wedsync.drills.checks.digests import check_digests
from wedsync.drills.checks.extensions import check_extensions
from wedsync.drills.checks.indexes import check_indexes
from wedsync.drills.checks.isolation import check_isolation
from wedsync.drills.checks.ledger import check_ledger
from wedsync.drills.checks.pages import check_pages
from wedsync.drills.checks.photo_groups import check_photo_groups
from wedsync.drills.checks.structure import check_structure
from wedsync.drills.witness import WitnessTaker

READING: tuple[Check, ...] = (
    check_isolation,
    check_constraints,
    check_indexes,
    check_collations,
    check_extensions,
    check_ledger,
    check_photo_groups,
    check_structure,
)


@dataclass(frozen=True)
class Standing:
    """The cluster itself in the place of a copy: a check cannot tell them apart."""

    own: Protected

    @property
    def directory(self) -> Path:
        return self.own.home.root

    def target(self, user: str = "postgres", dbname: str | None = None) -> ConnectionTarget:
        return self.own.platform.server.target(user, dbname or "postgres")


def context(own: Protected, **changes: object) -> DrillContext:
    made = DrillContext(
        copy=Standing(own),
        data_directory=own.home.pgdata,
        order=DrillOrder(),
        repo=1,
        label="20260613-120000F",
        moment=None,
        state=own.platform.state,
        engine=own.platform.engine,
        database=own.platform.config.database.name,
        heartbeat_every=timedelta(seconds=10),
        migration_key=own.platform.migration_key(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def database(own: Protected) -> ConnectionTarget:
    return own.platform.server.target("postgres", own.platform.config.database.name)


async def sql(own: Protected, *texts: str) -> None:
    async with await database(own).connect() as connection:
        for text in texts:
            await connection.execute(text.encode())


async def value(own: Protected, text: str) -> object:
    async with await database(own).connect() as connection:
        row = await (await connection.execute(text.encode())).fetchone()
    assert row is not None
    return row[0]


def assert_wrong(found: CheckResult, *words: str) -> None:
    assert not found.ok
    assert not found.skipped, found
    for word in words:
        assert word in found.detail, found.detail


async def test_all_is_well_with_a_whole_database(protected: Protected) -> None:
    own = protected
    for check in READING:
        found = await check(context(own))
        assert found.ok, found
        assert not found.skipped
        assert any(letter.isdigit() for letter in found.detail), found
    assert (await check_structure(context(own))).detail.count("0 pages") == 0


async def test_digests_and_catalogue_tell_what_is_not_as_the_witness_saw_it(protected: Protected) -> None:
    own = protected
    await sql(
        own,
        "create table ledger (id int primary key, amount int)",
        "insert into ledger select i, i from generate_series(1, 1000) i",
    )
    witness = await WitnessTaker(database(own), state=own.platform.state).take("operator")
    at_place = context(own, witness=witness)
    for check in (check_digests, check_catalogue):
        found = await check(at_place)
        assert found.ok, found
    await sql(own, "update ledger set amount = amount + 1 where id = 500")
    assert_wrong(await check_digests(at_place), "public.ledger has as many rows", "1000", "not the same")
    await sql(own, "delete from ledger where id = 500")
    assert_wrong(await check_digests(at_place), "public.ledger had 1000 rows, has 999")
    await sql(own, "drop table ledger")
    assert_wrong(await check_digests(at_place), "public.ledger is gone")
    assert_wrong(await check_catalogue(at_place), "table public.ledger is gone")


async def test_without_a_witness_nothing_was_compared_and_the_check_says_so(protected: Protected) -> None:
    for check in (check_digests, check_catalogue):
        found = await check(context(protected))
        assert found.skipped
        assert not found.ok
        assert "not compared" in found.detail


async def test_a_policy_that_is_gone_is_named(protected: Protected) -> None:
    own = protected
    witness = await WitnessTaker(database(own), state=own.platform.state).take("operator")
    policy = await value(own, "select polname from pg_policy where polrelid = 'public.guests'::regclass limit 1")
    await sql(own, f'drop policy "{policy}" on public.guests')
    assert_wrong(await check_catalogue(context(own, witness=witness)), "policy", str(policy), "is gone")


async def test_row_level_security_that_is_off_or_empty_is_named(protected: Protected) -> None:
    own = protected
    await sql(own, "alter table public.guests disable row level security")
    assert_wrong(await check_isolation(context(own)), "row-level security is off on public.guests")
    await sql(
        own,
        "alter table public.guests enable row level security",
        """do $$ declare p record; begin
             for p in select polname from pg_policy where polrelid = 'public.guests'::regclass loop
               execute format('drop policy %I on public.guests', p.polname);
             end loop; end $$""",
    )
    assert_wrong(await check_isolation(context(own)), "public.guests has no policy")


async def test_rows_that_break_a_constraint_are_found_though_it_says_it_is_valid(protected: Protected) -> None:
    own = protected
    await sql(
        own,
        "create table parents (id int primary key)",
        "create table children (id int primary key, parent int constraint known references parents,"
        " age int constraint grown check (age >= 0))",
        "insert into parents values (1)",
        "insert into children values (1, 1, 5), (2, null, null)",
    )
    assert (await check_constraints(context(own))).ok
    await sql(own, "set session_replication_role = replica; insert into children values (3, 77, 5)")
    assert_wrong(await check_constraints(context(own)), "public.children", "known")
    await sql(
        own,
        "delete from children where id = 3",
        "alter table children drop constraint grown",
        "insert into children values (4, 1, -5)",
        "alter table children add constraint grown check (age >= 0) not valid",
    )
    assert_wrong(
        await check_constraints(context(own)), "grown of public.children is not validated", "breaks grown"
    )


async def test_an_index_that_was_left_invalid_is_named(protected: Protected) -> None:
    own = protected
    await sql(own, "create index marked on public.guests (id)")
    await sql(own, "update pg_index set indisvalid = false where indexrelid = 'public.marked'::regclass")
    assert_wrong(await check_indexes(context(own)), "public.marked is invalid")


async def test_text_that_is_sorted_otherwise_here_is_named(protected: Protected) -> None:
    own = protected
    await sql(own, "update pg_database set datcollversion = '1.0' where datname = current_database()")
    assert_wrong(await check_collations(context(own)), "was version 1.0", "REINDEX")


async def test_an_extension_that_is_not_installed_here_is_named(protected: Protected) -> None:
    own = protected
    await sql(own, "update pg_extension set extversion = '0.99' where extname = 'pg_stat_statements'")
    assert_wrong(await check_extensions(context(own)), "pg_stat_statements 0.99 is not installed here")


async def test_a_row_of_the_migrations_ledger_that_was_changed_is_named(protected: Protected) -> None:
    own = protected
    await sql(own, "set session_replication_role = replica; update ops.migrations set took_ms = 1 where seq = 3")
    assert_wrong(await check_ledger(context(own)), "was changed by hand")
    assert (await check_ledger(context(own, migration_key=None))).skipped


async def test_photo_groups_without_their_foreign_keys_are_named(protected: Protected) -> None:
    own = protected
    name = await value(
        own,
        "select conname from pg_constraint where conrelid = 'public.photo_group_members'::regclass"
        " and contype = 'f' limit 1",
    )
    await sql(own, f'alter table public.photo_group_members drop constraint "{name}" cascade')
    assert_wrong(await check_photo_groups(context(own)))


async def damage(own: Protected, relation: str, spoil: Callable[[bytearray], None]) -> None:
    """Change the first page of a relation in its file, while the server is stopped."""
    path = own.home.pgdata / str(await value(own, f"select pg_relation_filepath('{relation}')"))
    await own.platform.server.stop("fast")
    page = bytearray(path.read_bytes())
    spoil(page)
    path.write_bytes(page)


async def test_a_damaged_page_is_found_by_its_checksum(protected: Protected) -> None:
    own = protected
    await sql(own, "create table pages as select i, repeat('x', 500) as t from generate_series(1, 200) i")
    await own.platform.server.stop("fast")
    found = await check_pages(context(own))
    assert found.ok, found
    assert "pages in" in found.detail
    await own.start()

    def spoil(page: bytearray) -> None:
        page[8192 + 4000] ^= 0xFF

    await damage(own, "pages", spoil)
    assert_wrong(await check_pages(context(own)), "block 1 of base/", "is damaged")


async def test_a_row_that_is_missing_from_its_index_is_found(protected: Protected) -> None:
    own = protected
    await sql(
        own,
        "create table listed (id int, name text)",
        "create index listed_name on listed (name)",
        "insert into listed select i, md5(i::text) from generate_series(1, 500) i",
        # what a replayed WAL that lost an index insertion leaves behind
        "update pg_index set indisready = false, indislive = false where indexrelid = 'listed_name'::regclass",
        "insert into listed values (501, 'forgotten')",
        "update pg_index set indisready = true, indislive = true where indexrelid = 'listed_name'::regclass",
    )
    assert_wrong(await check_structure(context(own)), "listed", "lacks matching index tuple")
