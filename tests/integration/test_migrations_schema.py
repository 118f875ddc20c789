"""The shipped schema: rules that hold for every table, and two tenants that never meet.

Tables, columns, functions and policies come from the catalogue, so that a new table cannot be forgotten.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from support.databases import fresh_database
from wedsync.cluster import Engine, Server
from wedsync.database import ConnectionTarget
from wedsync.demo.season import COUPLES_PER_CIRCLE, Season
from wedsync.demo.wedding import COLUMNS, Lines, organization_lines, qualified, wedding_lines
from wedsync.migrations import SHIPPED, read_files, up
from wedsync.process import run

SEASON = Season(seed=1, size=2, today=date(2026, 6, 13))
MINE, THEIRS = SEASON.circle(0), SEASON.circle(1)
MY_COUPLE, THEIR_COUPLE = SEASON.wedding(0), SEASON.wedding(COUPLES_PER_CIRCLE)


@pytest.fixture
async def database(cluster: Server) -> AsyncIterator[ConnectionTarget]:
    """The schema with two tenants that share nothing: a row of each in every table."""
    async with fresh_database(cluster) as target:
        await up(target)
        async with await target.connect() as connection:
            for circle, wedding in ((MINE, MY_COUPLE), (THEIRS, THEIR_COUPLE)):
                lines: Lines = organization_lines(circle)
                wedding_lines(wedding, circle, SEASON.today, lines)
                for table, columns in COLUMNS.items():
                    command = SQL("copy {} ({}) from stdin").format(
                        Identifier(*qualified(table)), SQL(", ").join(map(Identifier, columns.split(", ")))
                    )
                    async with connection.cursor().copy(command) as copy:
                        await copy.write("".join(lines[table]))
        yield target


@pytest.fixture
async def session(database: ConnectionTarget) -> AsyncIterator[AsyncConnection]:
    """A superuser's transaction, in which a test becomes somebody; undone at the end."""
    async with await replace(database, user="postgres").connect(autocommit=False) as connection:
        yield connection
        await connection.rollback()


async def become(session: AsyncConnection, role: str, user_id: str | None) -> None:
    claims = Jsonb({"sub": user_id, "role": role}) if user_id else ""
    await session.execute("reset role")
    await session.execute("select set_config('request.jwt.claims', %s::text, true)", (claims,))
    await session.execute(SQL("set local role {}").format(Identifier(role)))


async def tables(session: AsyncConnection) -> dict[str, str]:
    """Tables of public that the demo season fills, and their tenant column."""
    await session.execute("reset role")
    rows = await session.execute(
        "select c.relname, array_agg(a.attname::text) from pg_class c join pg_attribute a on a.attrelid = c.oid"
        " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 group by 1"
    )
    found = {}
    for name, columns in await rows.fetchall():
        if name not in COLUMNS:
            continue
        found[name] = next(column for column in ("couple_id", "organization_id", "id") if column in columns)
    return found | {"couples": "id"}


def tenant(table: str, column: str, *, mine: bool) -> str:
    circle, couple = (MINE, MY_COUPLE) if mine else (THEIRS, THEIR_COUPLE)
    return couple.id if column == "couple_id" or table == "couples" else circle.photographer.id


async def changed(session: AsyncConnection, query: SQL, values: dict[str, object]) -> int | str:
    """Rows that a statement changed, or the SQLSTATE that refused it; undone."""
    await session.execute("savepoint try")
    try:
        return (await session.execute(query, values)).rowcount
    except psycopg.Error as error:
        return error.sqlstate or "?"
    finally:
        await session.execute("rollback to savepoint try")


REFUSED = (0, "42501")
MY_PEOPLE = [
    ("the organization's owner", MINE.photographer.owner_user_id),
    ("a nobody", str(uuid4())),
]


async def test_both_tenants_have_rows_in_every_table(session: AsyncConnection) -> None:
    for table, column in (await tables(session)).items():
        for mine in (True, False):
            count = await session.execute(
                SQL("select count(*) from public.{} where {} = %s").format(Identifier(table), Identifier(column)),
                (tenant(table, column, mine=mine),),
            )
            assert (await count.fetchone())[0] > 0, f"give {table} rows in the demo season"  # type: ignore[index]


@pytest.mark.parametrize(("who", "user_id"), MY_PEOPLE, ids=[who for who, _ in MY_PEOPLE])
async def test_no_row_of_another_tenant_is_read_changed_removed_or_added(
    session: AsyncConnection, who: str, user_id: str
) -> None:
    for table, column in (await tables(session)).items():
        values: dict[str, object] = {"theirs": tenant(table, column, mine=False)}
        name, key = Identifier(table), Identifier(column)
        await session.execute("reset role")
        async with session.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(
                SQL("select to_jsonb(t) as row from public.{} t where {} = %(theirs)s limit 1").format(name, key),
                values,
            )
            found = await cursor.fetchone()
        assert found is not None
        row = found["row"]
        if "id" in row and table not in {"couples", "organizations"}:
            row["id"] = str(uuid4())
        values["row"] = Jsonb(row)
        await become(session, "authenticated", user_id)
        read = await session.execute(
            SQL("select count(*) from public.{} where {} = %(theirs)s").format(name, key), values
        )
        assert await read.fetchone() == (0,), table
        for statement in (
            SQL("update public.{} set {} = {} where {} = %(theirs)s").format(name, key, key, key),
            SQL("delete from public.{} where {} = %(theirs)s").format(name, key),
            SQL("insert into public.{} select * from jsonb_populate_record(null::public.{}, %(row)s)").format(
                name, name
            ),
        ):
            assert await changed(session, statement, values) in REFUSED, (table, statement.as_string(session))


async def test_no_own_row_is_moved_to_another_tenant(session: AsyncConnection) -> None:
    for table, column in (await tables(session)).items():
        await become(session, "authenticated", MINE.photographer.owner_user_id)
        values = {"mine": tenant(table, column, mine=True), "theirs": tenant(table, column, mine=False)}
        statement = SQL("update public.{} set {} = %(theirs)s where {} = %(mine)s").format(
            Identifier(table), Identifier(column), Identifier(column)
        )
        assert await changed(session, statement, dict(values)) == "42501", table


async def test_the_anonymous_reach_no_table(session: AsyncConnection) -> None:
    for table in await tables(session):
        await become(session, "anon", None)
        statement = SQL("select from public.{}").format(Identifier(table))
        assert await changed(session, statement, {}) == "42501", table


async def test_own_rows_are_read_everywhere_and_written_where_meant(session: AsyncConnection) -> None:
    for table, column in (await tables(session)).items():
        await become(session, "authenticated", MINE.photographer.owner_user_id)
        read = await session.execute(
            SQL("select count(*) from public.{} where {} = %s").format(Identifier(table), Identifier(column)),
            (tenant(table, column, mine=True),),
        )
        assert (await read.fetchone())[0] > 0, table  # type: ignore[index]
    guest = SQL("update public.guests set rsvp_status = 'accepted' where couple_id = %(couple)s")
    assert await changed(session, guest, {"couple": MY_COUPLE.id}) != 0


async def test_a_viewer_reads_and_changes_nothing(session: AsyncConnection) -> None:
    viewer = str(uuid4())
    await session.execute("insert into auth.users (id) values (%s)", (viewer,))
    await session.execute(
        "insert into public.organization_members values (%s, %s, 'viewer')", (MINE.photographer.id, viewer)
    )
    await become(session, "authenticated", viewer)
    read = await (await session.execute("select count(*) from public.guests")).fetchone()
    assert read is not None
    assert read[0] > 50
    for statement in (
        SQL("update public.guests set table_number = 1"),
        SQL("delete from public.guests"),
        SQL("update public.couples set status = 'cancelled'"),
    ):
        assert await changed(session, statement, {}) == 0


async def test_another_supplier_of_the_wedding_does_not_read_its_messages(session: AsyncConnection) -> None:
    florist, supplier, user = str(uuid4()), str(uuid4()), str(uuid4())
    await session.execute("insert into auth.users (id) values (%s)", (user,))
    await session.execute("insert into organizations (id, name, slug) values (%s, 'Fern', 'fern')", (florist,))
    await session.execute("insert into organization_members values (%s, %s, 'owner')", (florist, user))
    await session.execute(
        "insert into suppliers (organization_id, id, name, category) values (%s, %s, 'Fern', 'florist')",
        (florist, supplier),
    )
    await session.execute(
        "insert into connections (couple_id, organization_id, supplier_id, status) values (%s, %s, %s, 'active')",
        (MY_COUPLE.id, florist, supplier),
    )
    await become(session, "authenticated", user)
    guests = await (await session.execute("select count(*) from guests")).fetchone()
    messages = await (await session.execute("select count(*) from messages")).fetchone()
    assert guests is not None
    assert guests[0] > 0
    assert messages == (0,)
    assert await changed(session, SQL("update guests set table_number = 1"), {}) == 0


async def test_a_new_wedding_is_readable_by_the_statement_that_adds_it(session: AsyncConnection) -> None:
    await become(session, "authenticated", MINE.photographer.owner_user_id)
    added = await session.execute(
        "insert into couples (organization_id, partner_one_name, partner_two_name, wedding_date, time_zone)"
        " values (%s, 'Ada', 'Grace', current_date, 'Europe/London') returning id",
        (MINE.photographer.id,),
    )
    assert await added.fetchone() is not None


async def test_empty_claims_are_nobody(session: AsyncConnection) -> None:
    await become(session, "authenticated", None)
    row = await (await session.execute("select auth.uid(), auth.role(), auth.jwt()")).fetchone()
    assert row == (None, None, None)
    assert await (await session.execute("select count(*) from guests")).fetchone() == (0,)


async def test_every_table_forces_row_level_security_with_one_restrictive_tenant_policy(
    session: AsyncConnection,
) -> None:
    rows = await session.execute(
        "select c.relname, c.relrowsecurity and c.relforcerowsecurity, obj_description(c.oid, 'pg_class'),"
        "       array(select p.policyname::text from pg_policies p where p.tablename = c.relname"
        "              and p.permissive = 'RESTRICTIVE' and p.cmd = 'ALL'"
        "              and p.roles @> array['anon', 'authenticated']::name[])"
        "  from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')"
    )
    for name, forced, comment, restrictive in await rows.fetchall():
        assert forced, name
        assert restrictive == ["tenant"], name
        assert comment, f"say what {name} holds: comment on table"


async def test_policies_call_functions_once_a_statement(session: AsyncConnection) -> None:
    rows = await session.execute(
        "select tablename, policyname, coalesce(qual, '') || coalesce(with_check, '') from pg_policies"
    )
    once = re.compile(r"\( SELECT (app|auth)\.\w+\([^()]*\) AS \w+\)")
    for table, policy, text in await rows.fetchall():
        rest = once.sub("", text)
        assert not re.search(r"\b(app|auth)\.|SELECT", rest), (table, policy, rest)


async def test_keys_and_indexes_lead_with_the_tenant(session: AsyncConnection) -> None:
    columns = await tables(session)
    rows = await session.execute(
        "select c.relname, i.relname, a.attname from pg_index x join pg_class c on c.oid = x.indrelid"
        " join pg_class i on i.oid = x.indexrelid"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum = x.indkey[0]"
        " where c.relnamespace = 'public'::regnamespace"
    )
    for table, index, first in await rows.fetchall():
        if index in {"core_field_definitions_pkey", "core_field_values_by_definition"}:
            continue  # nobody's
        asked_by_policies = index in {"organization_members_by_user", "couple_members_by_user"}
        unique_over_all = index == "organizations_slug_key"
        tenants = {columns.get(table), "couple_id", "organization_id", "user_id"}
        assert first in tenants or asked_by_policies or unique_over_all, (table, index, first)


async def test_foreign_keys_between_tenants_tables_carry_the_tenant(session: AsyncConnection) -> None:
    columns = await tables(session)
    rows = await session.execute(
        "select conrelid::regclass::text, conname, confrelid::regclass::text,"
        "       array(select attname::text from pg_attribute where attrelid = conrelid and attnum = any (conkey))"
        "  from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace"
    )
    for _table, name, referenced, key in await rows.fetchall():
        if referenced == "core_field_definitions":
            continue  # nobody's
        assert {columns.get(referenced), "couple_id", "organization_id", "user_id"} & set(key), name


async def test_functions_are_nobodys_until_granted_and_have_a_fixed_search_path(session: AsyncConnection) -> None:
    rows = await session.execute(
        "select p.oid::regprocedure::text, coalesce(array_to_string(p.proconfig, ','), ''),"
        "       has_function_privilege('public', p.oid, 'execute')"
        "  from pg_proc p where p.pronamespace in ('app'::regnamespace, 'auth'::regnamespace)"
    )
    found = await rows.fetchall()
    assert len(found) > 10
    for name, settings, is_public in found:
        assert 'search_path=""' in settings, name
        assert not is_public, name


async def test_keys_made_by_the_database_are_of_version_7_and_sort_by_time(session: AsyncConnection) -> None:
    row = await (
        await session.execute(
            "select array(select app.uuid_v7() from generate_series(1, 300)),"
            "       (pg_sleep(0.003), app.uuid_v7())::text"
        )
    ).fetchone()
    assert row is not None
    assert {key.version for key in row[0]} == {7}
    assert len(set(row[0])) == 300
    assert max(map(str, row[0])) < row[1].split(",")[-1].rstrip(")")


async def test_constraints_refuse_what_cannot_be(session: AsyncConnection) -> None:
    for statement in (
        "update couples set time_zone = 'Europe/Atlantis'",
        "update couples set time_zone = '+02:00'",
        "update timeline_events set ends_at = starts_at - interval '1 minute'",
        "update photo_groups set estimated_duration = 0",
        "update guests set side = 'left'",
    ):
        assert await changed(session, SQL(statement), {}) == "23514", statement  # type: ignore[arg-type]


async def test_a_change_sets_updated_at(session: AsyncConnection) -> None:
    row = await (
        await session.execute(
            "update guests set table_number = 3 returning updated_at > now() - interval '1 second'"
        )
    ).fetchone()
    assert row == (True,)


async def test_each_rollback_takes_back_exactly_its_migration(cluster: Server, engine: Engine) -> None:
    async with fresh_database(cluster) as target:

        async def dump() -> str:
            finished = await run(
                [
                    engine.program("pg_dump"),
                    "--schema-only",
                    "--exclude-table=ops.migrations",
                    target.dsn(with_password=False),
                ],
                deadline=timedelta(seconds=60),
                env=engine.environment,
            )
            finished.check()
            return re.sub(r"^\\(un)?restrict .*$", "", finished.stdout, flags=re.MULTILINE)

        files = read_files(SHIPPED).files
        async with await target.connect() as connection:
            before = [await dump()]
            for file in files:
                await connection.execute(file.text.encode())
                before.append(await dump())
            for file in reversed(files):
                undo = (SHIPPED / f"{file.id}.rollback.sql").read_bytes()
                before.pop()
                await connection.execute(undo)
                assert _without_left_overs(await dump()) == _without_left_overs(before[-1]), file.id
            for file in files:  # and forward once more
                await connection.execute(file.text.encode())


def _without_left_overs(dump: str) -> str:
    """Without the comments of the schemas that stay."""
    kept = re.sub(r"^COMMENT ON SCHEMA .*$", "", dump, flags=re.MULTILINE)
    kept = re.sub(r"^--.*$", "", kept, flags=re.MULTILINE)
    return re.sub(r"\n{2,}", "\n", kept)
