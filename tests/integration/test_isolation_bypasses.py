"""Known ways around row-level security, each tried: it gives nothing, and would without the protection.

The attacker is the owner of another business (`other boss`), with free choice of SQL: more than the data API
allows. The second half of a test takes a protection away inside the transaction that is rolled back: it shows
that the first half can fail.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from support.clusters import role_passwords
from support.isolation import REFUSED, TwoTenants, enter, outcome
from wedsync.cluster import Server

ATTACKER = "other boss"
OWNED_BY = "alter {} {} owner to wedsync_owner"
DEFINERS = {
    "app.my_organizations(text[])",
    "app.my_own_couples(text[])",
    "app.my_couples()",
    "app.my_managed_couples()",
    "app.my_editable_couples()",
    "app.my_admitting_couples()",
    "app.known_organizations()",
    "app.couple_organizations()",
    "app.my_client_couples(text[])",
    "app.couple_forms()",
    "app.my_tasks()",
    "app.accept_invitation(text)",
    "app.guests_as_of(uuid,timestamp with time zone)",
    "app.couple_history(uuid,timestamp with time zone)",
    "app.begin_request(text,bytea)",
    "app.end_request(text,bytea)",
}
"""Functions that run as their owner and that a signed-in caller may call: each was read for what it gives."""

ASKED_FOR_SOMETHING = {
    "app.accept_invitation",
    "app.guests_as_of",
    "app.couple_history",
    "app.begin_request",  # test_requests.py
    "app.end_request",
}


async def run(session: AsyncConnection, *statements: str) -> None:
    """As superuser: take a protection away, or build what an attacker would wish for."""
    await session.execute("reset role")
    for statement in statements:
        await session.execute(statement)  # type: ignore[arg-type]


async def rows(session: AsyncConnection, query: str, values: object = None) -> list[tuple[object, ...]]:
    return await (await session.execute(query, values)).fetchall()  # type: ignore[arg-type]


async def one(session: AsyncConnection, query: str, values: object = None) -> object:
    found = await rows(session, query, values)
    return found[0][0] if found else None


@pytest.fixture
async def gateway(two_tenants: TwoTenants, cluster: Server) -> AsyncIterator[AsyncConnection]:
    """A connection as the gateway has it: a role of no rights that may become three others."""
    password = role_passwords(cluster.home)["wedsync_gateway"]
    target = replace(two_tenants.target, user="wedsync_gateway", password=password)
    async with await target.connect(autocommit=True) as connection:
        yield connection


# Objects over the tables -----------------------------------------------------------------------------


async def test_a_view_shows_what_its_caller_may_see(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    ours = f"select from {{}} where couple_id = '{two_tenants.ours.couple}'"
    for name, options in (("careful", "with (security_invoker = true)"), ("careless", "")):
        await run(
            tenant_session,
            f"create view public.{name} {options} as select * from public.guests",
            OWNED_BY.format("view", name),
            f"grant select on public.{name} to authenticated",
        )
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, ours.format("careful")) == 0
    assert await outcome(tenant_session, ours.format("careless")) != 0  # a plain view reads as its owner
    await run(tenant_session, "drop view careless")
    reachable = await rows(
        tenant_session,
        "select c.oid::regclass::text, c.reloptions from pg_class c"
        " where c.relkind = 'v' and c.relnamespace = 'public'::regnamespace and exists ("
        "   select from unnest(array['anon', 'authenticated']) r where has_table_privilege(r, c.oid, 'select'))",
    )
    assert len(reachable) >= 1  # the careful one, at least
    assert all("security_invoker=true" in (options or []) for _, options in reachable)  # type: ignore[operator]


async def test_no_materialised_view_is_within_reach(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    reach = (
        "select c.oid::regclass::text from pg_class c where c.relkind = 'm' and exists ("
        " select from unnest(array['anon', 'authenticated']) r where has_table_privilege(r, c.oid, 'select'))"
    )
    assert await rows(tenant_session, reach) == []
    await run(
        tenant_session,
        "create materialized view public.everybody as select * from public.guests",
        "grant select on public.everybody to authenticated",
    )
    assert await rows(tenant_session, reach) == [("everybody",)]
    await enter(tenant_session, two_tenants, ATTACKER)
    leak = f"select from everybody where couple_id = '{two_tenants.ours.couple}'"
    assert await outcome(tenant_session, leak) != 0  # policies do not reach into it


async def test_a_partition_read_directly_has_its_own_row_level_security(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    reach = (
        "select c.oid::regclass::text from pg_class c"
        " where c.relispartition and c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)"
        "   and exists (select from unnest(array['anon', 'authenticated', 'wedsync_monitor']) r"
        "                where has_any_column_privilege(r, c.oid, 'select'))"
    )
    assert await rows(tenant_session, reach) == []
    await run(
        tenant_session,
        "create table public.parted (couple_id uuid) partition by hash (couple_id)",
        "create table public.part partition of public.parted for values with (modulus 1, remainder 0)",
        f"insert into public.parted values ('{two_tenants.ours.couple}')",
        "alter table public.parted enable row level security",
        "alter table public.parted force row level security",
        "create policy tenant on public.parted as restrictive using (false)",
        "grant select on public.parted, public.part to authenticated",
    )
    assert await rows(tenant_session, reach) == [("part",)]
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, "select from parted") == 0
    assert await outcome(tenant_session, "select from part") == 1  # around the parent's policies


async def test_an_inherited_table_cannot_be_made_and_none_is_there(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    children = "select from pg_inherits i join pg_class c on c.oid = i.inhrelid where not c.relispartition"
    assert await outcome(tenant_session, children + " and c.relkind = 'r'") == 0
    await enter(tenant_session, two_tenants, ATTACKER)
    inherit = "create table public.mine () inherits (public.guests)"
    assert await outcome(tenant_session, inherit) == "42501"
    await run(
        tenant_session,
        "create table public.more () inherits (public.guests)",
        f"insert into public.more select * from public.guests where couple_id = '{two_tenants.ours.couple}'",
        "grant select on public.more to authenticated",
    )
    assert await outcome(tenant_session, children + " and c.relkind = 'r'") == 1
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, "select from public.more") != 0


# Functions -------------------------------------------------------------------------------------------


async def test_functions_that_run_as_their_owner_are_known_and_give_the_caller_its_own(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    listed = (
        "select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        " where p.prosecdef and n.nspname not in ('pg_catalog', 'information_schema', 'extensions')"
        "   and has_schema_privilege(%(r)s, n.oid, 'usage') and has_function_privilege(%(r)s, p.oid, 'execute')"
        "   and p.prorettype <> 'trigger'::regtype"
    )
    callable_ones = {row[0] for row in await rows(tenant_session, listed, {"r": "authenticated"})}
    assert callable_ones == DEFINERS
    assert await rows(tenant_session, listed, {"r": "anon"}) == []
    ids = {
        row["id"]
        for table in ("organizations", "couples", "forms", "tasks")
        for row in two_tenants.ours.rows[table]
    }
    await enter(tenant_session, two_tenants, ATTACKER)
    seen = 0
    for name in (name for name in DEFINERS if name.partition("(")[0] not in ASKED_FOR_SOMETHING):
        gave = await one(tenant_session, f"select {name.partition('(')[0]}()::text[]")
        assert isinstance(gave, list)
        assert not ids & set(gave), name
        seen += len(gave)
    assert seen > 0
    past = [
        ("select from app.guests_as_of(%s, now())", (two_tenants.ours.couple,)),
        ("select from app.couple_history(%s, '2000-01-01')", (two_tenants.ours.couple,)),
    ]
    for question, values in past:
        assert await outcome(tenant_session, question, values) == 0
    guess = "select public.accept_invitation(%s)"
    forged = f"wsi_{two_tenants.ours.organization.replace('-', '')}.{'0' * 64}"
    assert (
        await outcome(tenant_session, guess, (forged,)) == await outcome(tenant_session, guess, ("x",)) == "PT404"
    )
    await enter(tenant_session, two_tenants, "partner")
    for question, values in past:
        assert await outcome(tenant_session, question, values) not in REFUSED
    found = await one(tenant_session, "select app.my_couples()::text[]")
    assert set(found) & ids  # type: ignore[call-overload]


async def test_definer_triggers_touch_the_row_they_fire_for_only(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    named = await rows(
        tenant_session,
        "select proname::text from pg_proc p where prosecdef and prorettype = 'trigger'::regtype"
        "   and exists (select from pg_trigger t join pg_class c on c.oid = t.tgrelid"
        "                where t.tgfoid = p.oid and c.relnamespace = 'public'::regnamespace)",
    )
    assert {"keep_calendar", "settle_invoice"} <= {row[0] for row in named}
    before = await rows(tenant_session, "select * from availability where organization_id = %s order by id",
                        (two_tenants.ours.organization,))  # fmt: skip
    booking = two_tenants.theirs.rows["bookings"][0]
    await enter(tenant_session, two_tenants, ATTACKER)
    assert (
        await outcome(tenant_session, "update bookings set status = 'confirmed' where id = %s", (booking["id"],))
        == 1
    )
    await tenant_session.execute("update bookings set status = 'confirmed' where id = %s", (booking["id"],))
    ours = two_tenants.ours.rows["invoices"][0]
    pay = "insert into payments (couple_id, organization_id, invoice_id, currency, amount_minor, method)" \
          " values (%s, %s, %s, 'GBP', 1, 'cash')"  # fmt: skip
    assert await outcome(tenant_session, pay, (ours["couple_id"], ours["organization_id"], ours["id"])) == "42501"
    await run(tenant_session)
    after = await rows(tenant_session, "select * from availability where organization_id = %s order by id",
                       (two_tenants.ours.organization,))  # fmt: skip
    assert before == after != []
    assert (
        await one(tenant_session, "select count(*) from availability where booking_id = %s", (booking["id"],)) == 1
    )


async def test_a_function_in_a_condition_sees_no_hidden_row(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    heard: list[str] = []
    tenant_session.add_notice_handler(lambda diagnostic: heard.append(diagnostic.message_primary or ""))
    await enter(tenant_session, two_tenants, ATTACKER)
    body = (
        "returns boolean language plpgsql cost 0.0000001 as $$ begin raise notice '%', name; return true; end $$"
    )
    for schema in ("public", "app", "pg_temp"):
        assert await outcome(tenant_session, f"create function {schema}.leak(name text) {body}") == "42501", schema
    await run(
        tenant_session,
        f"create function public.leak(name text) {body}",
        "grant execute on function public.leak to authenticated",
        f"update public.guests set last_name = 'Hidden' where couple_id = '{two_tenants.ours.couple}'",
    )
    await enter(tenant_session, two_tenants, ATTACKER)
    heard.clear()
    await tenant_session.execute("select from guests where leak(last_name)")
    assert heard
    assert "Hidden" not in heard  # the policy is asked first, however cheap the function says it is
    await run(
        tenant_session,
        "create view public.filtered as select * from public.guests"
        " where couple_id = any ((select app.my_couples())::uuid[])",
        "grant select on public.filtered to authenticated",
        OWNED_BY.format("view", "filtered"),
    )
    await enter(tenant_session, two_tenants, ATTACKER)
    await tenant_session.execute("select from filtered where leak(last_name)")
    assert "Hidden" in heard  # a view that filters is no barrier


async def test_nothing_is_hijacked_through_the_search_path(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    loose = (
        "select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        " where n.nspname in ('public', 'app', 'auth', 'ops', 'audit') and p.prokind in ('f', 'p')"
        "   and not exists (select from unnest(p.proconfig) s where s like 'search_path=%')"
    )
    assert await rows(tenant_session, loose) == []
    fake = "create temporary table couple_members (couple_id uuid, user_id uuid, role text)"
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, fake) == "42501"  # no right to temporary objects
    await run(
        tenant_session,
        "create function public.loose() returns bigint language sql security definer"
        " as $$ select count(*) from couple_members where user_id is null $$",
        fake,
        "insert into couple_members select",
        "grant select on pg_temp.couple_members to public",
        "grant execute on function public.loose to authenticated",
    )
    assert await rows(tenant_session, loose) == [("loose()",)]
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await one(tenant_session, "select public.loose()") == 1  # it read the attacker's table
    assert await one(tenant_session, "select cardinality(app.my_own_couples())") == 0  # ours does not


# Oracles: what an error or its absence tells ------------------------------------------------------------


async def test_a_foreign_key_does_not_tell_what_another_tenant_has(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    add = "insert into guests (couple_id, household_id, first_name, last_name) values (%s, %s, 'A', 'B')"
    theirs, ours = two_tenants.theirs.couple, two_tenants.ours.couple
    household = two_tenants.ours.rows["households"][0]["id"]
    await enter(tenant_session, two_tenants, ATTACKER)
    for couple, refusal in ((theirs, "23503"), (ours, "42501")):
        there = await outcome(tenant_session, add, (couple, household))
        not_there = await outcome(tenant_session, add, (couple, str(uuid4())))
        assert there == not_there == refusal
    await run(
        tenant_session,
        "alter table guests drop constraint guests_couple_id_household_id_fkey",
        "create unique index on households (id)",
        "alter table guests add foreign key (household_id) references households (id)",
    )
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, add, (theirs, household)) == 1  # a key without the tenant tells
    assert await outcome(tenant_session, add, (theirs, str(uuid4()))) == "23503"


async def test_a_unique_key_does_not_tell_what_another_tenant_has(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    add = "insert into guests (couple_id, id, first_name, last_name) values (%s, %s, 'A', 'B')"
    guest = two_tenants.ours.rows["guests"][0]["id"]
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, add, (two_tenants.theirs.couple, guest)) == 1
    assert await outcome(tenant_session, add, (two_tenants.ours.couple, guest)) == "42501"
    await run(tenant_session, "create unique index on guests (id)")
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, add, (two_tenants.theirs.couple, guest)) == "23505"


@pytest.mark.parametrize("action", ["nothing", "update set last_name = 'mine'"])
async def test_on_conflict_does_not_tell_and_does_not_change(
    two_tenants: TwoTenants, tenant_session: AsyncConnection, action: str
) -> None:
    add = (
        "insert into guests (couple_id, id, first_name, last_name) values (%s, %s, 'A', 'B')"
        f" on conflict (couple_id, id) do {action}"
    )
    couple, guest = two_tenants.ours.couple, two_tenants.ours.rows["guests"][0]["id"]
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, add, (couple, guest)) == "42501"
    assert await outcome(tenant_session, add, (couple, str(uuid4()))) == "42501"
    await run(tenant_session, "alter table guests disable row level security")
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, add, (couple, guest)) in {0, 1}
    assert await outcome(tenant_session, add, (couple, str(uuid4()))) == 1


@pytest.mark.parametrize(
    ("condition", "error"),
    [
        ("1 / (case when last_name is null then 1 else 0 end) = 1", "22012"),
        ("last_name::integer = 1", "22P02"),
        ("(to_jsonb(last_name) ->> 'x')::inet is null and last_name::uuid is null", "22P02"),
    ],
)
async def test_an_error_in_a_condition_is_not_raised_by_a_hidden_row(
    two_tenants: TwoTenants, tenant_session: AsyncConnection, condition: str, error: str
) -> None:
    probe = f"select from guests where couple_id = '{two_tenants.ours.couple}' and {condition}"
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, probe) == 0
    await run(tenant_session, "alter table guests disable row level security")
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, probe) == error


async def test_the_calendar_refuses_a_second_booking_without_telling_whose_the_first_is(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    confirm = "update bookings set status = 'confirmed', starts_at = '2026-08-01 10:00+00'," \
              " ends_at = '2026-08-01 12:00+00', supplier_id = %s where id = %s"  # fmt: skip
    first, second = two_tenants.ours.rows["bookings"][:2]
    await enter(tenant_session, two_tenants, "boss")
    await tenant_session.execute(confirm, (first["supplier_id"], first["id"]))  # type: ignore[arg-type]
    with pytest.raises(psycopg.errors.ExclusionViolation) as refused:
        async with tenant_session.transaction():
            await tenant_session.execute(confirm, (first["supplier_id"], second["id"]))  # type: ignore[arg-type]
    assert refused.value.diag.message_detail is None
    # The same hour of another business's supplier is free: nothing is told across tenants.
    theirs = two_tenants.theirs.rows["bookings"][0]
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, confirm, (theirs["supplier_id"], theirs["id"])) == 1
    # A couple's request at a taken time is taken in like any other: it learns nothing of the calendar.
    await enter(tenant_session, two_tenants, "partner")
    ask = (
        "insert into bookings (couple_id, organization_id, supplier_id, starts_at, ends_at, time_zone) values"
        " (%s, %s, %s, '2026-08-01 10:00+00', '2026-08-01 12:00+00', 'Europe/London')"
    )
    assert (
        await outcome(tenant_session, ask, (first["couple_id"], first["organization_id"], first["supplier_id"]))
        == 1
    )


# Commands besides SELECT ------------------------------------------------------------------------------


async def test_a_chosen_id_gives_no_right_to_the_row_that_has_it_elsewhere(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    ours, theirs = two_tenants.ours, two_tenants.theirs
    task = ours.rows["tasks"][0]["id"]
    # The attacker's business works at our wedding and may only read it; at its own wedding it is the partner.
    await run(tenant_session)
    await tenant_session.execute(
        "insert into connections (couple_id, organization_id, supplier_id, status) values (%s, %s, %s, 'active')",
        (ours.couple, theirs.organization, theirs.rows["suppliers"][0]["id"]),
    )
    boss = theirs.people["boss"]
    await tenant_session.execute(
        "insert into couple_members (couple_id, user_id, role) values (%s, %s, 'partner')", (theirs.couple, boss)
    )
    await enter(tenant_session, two_tenants, ATTACKER)
    await tenant_session.execute(
        "insert into tasks (couple_id, id, title) values (%s, %s, 'x')", (theirs.couple, task)
    )
    await tenant_session.execute(
        "insert into task_helpers (couple_id, task_id, user_id) values (%s, %s, %s)", (theirs.couple, task, boss)
    )
    finish = "update tasks set status = 'done' where couple_id = %s and id = %s"
    assert await outcome(tenant_session, finish, (ours.couple, task)) == 0
    assert await outcome(tenant_session, finish, (theirs.couple, task)) == 1
    proof = "insert into task_evidence (couple_id, task_id, note) values (%s, %s, 'done')"
    assert await outcome(tenant_session, proof, (ours.couple, task)) == "42501"


async def test_the_id_of_a_wedding_that_is_gone_does_not_bring_its_history(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    ours = two_tenants.ours
    await run(tenant_session, "alter table payments disable trigger user", "delete from payments",
              "delete from invoices")  # fmt: skip
    await tenant_session.execute("delete from couples where id = %s", (ours.couple,))
    take = (
        "insert into couples (id, organization_id, partner_one_name, partner_two_name, wedding_date, time_zone)"
        " values (%s, %s, 'a', 'b', '2027-01-01', 'Europe/London')"
    )
    await enter(tenant_session, two_tenants, ATTACKER)
    mine = two_tenants.theirs.organization
    assert await outcome(tenant_session, take, (ours.couple, mine)) == "23505"
    assert await outcome(tenant_session, take, (str(uuid4()), mine)) == 1


async def test_a_business_does_not_name_the_stored_bytes_of_another(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    await enter(tenant_session, two_tenants, ATTACKER)
    add = (
        "insert into files (organization_id, name, media_type, size_bytes, sha256, storage_key, uploaded_by)"
        " values (%s, 'x', 'image/png', 1, sha256('x'), %s, auth.uid())"
    )
    mine, key = two_tenants.theirs.organization, two_tenants.ours.rows["files"][0]["storage_key"]
    assert await outcome(tenant_session, add, (mine, key)) == "23514"
    assert await outcome(tenant_session, add, (mine, f"{mine}/1")) == 1


async def test_copy_gives_and_takes_own_rows_only(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    async def copied() -> set[str]:
        async with tenant_session.cursor().copy("copy guests (couple_id) to stdout") as copy:
            return {bytes(block).decode().strip() async for block in copy}

    await enter(tenant_session, two_tenants, ATTACKER)
    assert await copied() == {two_tenants.theirs.couple}
    assert await outcome(tenant_session, "copy guests from stdin") == "0A000"  # refused under row-level security
    assert await outcome(tenant_session, "copy guests to '/tmp/guests'") == "42501"
    assert await outcome(tenant_session, "copy guests to program 'cat'") == "42501"
    await run(tenant_session, "alter table guests disable row level security")
    await enter(tenant_session, two_tenants, ATTACKER)
    assert two_tenants.ours.couple in await copied()


async def test_returning_and_common_table_expressions_give_no_hidden_row(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    couple = two_tenants.ours.couple
    attacks = [
        f"delete from guests where couple_id = '{couple}' returning *",
        f"update guests set last_name = 'mine' where couple_id = '{couple}' returning *",
        f"with gone as (delete from guests where couple_id = '{couple}' returning *) select * from gone",
        f"select * from (select * from guests offset 0) g where couple_id = '{couple}'",
        f"with every as materialized (select * from guests) select * from every where couple_id = '{couple}'",
        f"select * from couples c, lateral (select * from guests g where g.couple_id = '{couple}') g",
        f"select from photo_group_members m join guests g using (couple_id) where couple_id = '{couple}'",
        f"table guests except select * from guests where couple_id <> '{couple}'",
        f"update households h set name = g.last_name from guests g where g.couple_id = '{couple}'",
        f"delete from households h using guests g where g.couple_id = '{couple}'",
        f"select from guests tablesample system (100) where couple_id = '{couple}'",
        f"with recursive r as (select id from guests where couple_id = '{couple}'"
        " union all select id from r where false) select from r",
    ]
    await enter(tenant_session, two_tenants, ATTACKER)
    for attack in attacks:
        assert await outcome(tenant_session, attack) == 0, attack
    await run(
        tenant_session,
        "alter table guests disable row level security",
        "alter table photo_group_members disable row level security",
        "alter table couples disable row level security",
    )
    await enter(tenant_session, two_tenants, ATTACKER)
    for attack in attacks:
        if "delete from guests" not in attack:
            assert await outcome(tenant_session, attack) not in REFUSED, attack


async def test_a_row_does_not_move_to_another_tenant(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    move = "update guests set couple_id = %s, household_id = null where id = %s"
    values = (two_tenants.ours.couple, two_tenants.theirs.rows["guests"][1]["id"])
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, move, values) == "42501"  # the column is not granted …
    await run(tenant_session, "grant update on guests to authenticated")
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, move, values) == "42501"  # … and the policies refuse it as well
    await run(tenant_session, "alter table guests disable row level security")
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, "delete from photo_group_members") != "42501"
    assert await outcome(tenant_session, move, values) in {1, "23503"}


async def test_rights_that_policies_do_not_bound_are_granted_to_nobody(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    granted = (
        "select c.oid::regclass::text, r, p from pg_class c"
        " cross join unnest(array['anon', 'authenticated', 'service_role']) r"
        " cross join unnest(array['truncate', 'references', 'trigger']) p"
        " where c.relkind in ('r', 'p') and c.relnamespace in ("
        "   select oid from pg_namespace where nspname in ('public', 'auth', 'ops', 'audit', 'app'))"
        "   and has_table_privilege(r, c.oid, p)"
    )
    assert await rows(tenant_session, granted) == []
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, "truncate webhook_events") == "42501"
    assert (
        await outcome(tenant_session, "create trigger t after insert on guests execute function app.touch()")
        == "42501"
    )
    await run(tenant_session, "grant truncate on webhook_events to authenticated")
    assert await rows(tenant_session, granted) == [("webhook_events", "authenticated", "truncate")]
    await enter(tenant_session, two_tenants, ATTACKER)
    await tenant_session.execute("truncate webhook_events")
    await run(tenant_session)
    assert await one(tenant_session, "select count(*) from webhook_events") == 0  # of every tenant


# Statistics and plans ---------------------------------------------------------------------------------


async def test_statistics_of_tenants_values_are_not_readable(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    await run(
        tenant_session,
        "create statistics public.guests_names (dependencies, mcv) on first_name, last_name from public.guests",
        "analyze public.guests",
    )
    views = ("pg_stats", "pg_stats_ext")
    await enter(tenant_session, two_tenants, ATTACKER)
    for view in views:
        assert await outcome(tenant_session, f"select from {view} where tablename = 'guests'") == 0, view
    for catalogue in ("pg_statistic", "pg_statistic_ext_data"):
        assert await outcome(tenant_session, f"select stxdinherit from {catalogue}" if "ext" in catalogue
                             else f"select stavalues1 from {catalogue}") == "42501"  # fmt: skip
    assert await outcome(tenant_session, "select from extensions.pg_stat_statements") == "42501"
    await run(tenant_session, "alter table guests disable row level security")
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, "select from pg_stats where tablename = 'guests'") != 0


async def test_explain_analyze_counts_no_hidden_row(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    """The policy is a condition of the index: no row of another tenant is touched, so none is counted."""
    explain = "explain (analyze, format json) select from guests where last_name <> 'nobody'"

    async def removed() -> int:
        plan = json.dumps((await rows(tenant_session, explain))[0][0])
        return sum(int(part.split(",")[0].split("}")[0]) for part in plan.split('"Rows Removed by Filter": ')[1:])

    await enter(tenant_session, two_tenants, ATTACKER)
    await tenant_session.execute("set local enable_seqscan = off")  # as on a table of real size
    assert await removed() == 0
    await tenant_session.execute("set local enable_seqscan = on")
    await tenant_session.execute("set local enable_indexscan = off")
    await tenant_session.execute("set local enable_bitmapscan = off")
    await tenant_session.execute("set local enable_indexonlyscan = off")
    assert await removed() > 0  # read as a whole it does count them: EXPLAIN is not for tenants


async def test_a_prepared_plan_is_of_whoever_executes_it(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    await run(tenant_session, "prepare everybody as select couple_id::text from guests")
    await tenant_session.execute("set local plan_cache_mode = force_generic_plan")
    seen = {row[0] for row in await rows(tenant_session, "execute everybody")}
    assert {two_tenants.ours.couple, two_tenants.theirs.couple} <= seen  # as superuser
    for caller, world in (("boss", two_tenants.ours), (ATTACKER, two_tenants.theirs)):
        await enter(tenant_session, two_tenants, caller)
        assert {row[0] for row in await rows(tenant_session, "execute everybody")} == {world.couple}
    await enter(tenant_session, two_tenants, "nobody")
    assert await rows(tenant_session, "execute everybody") == []
    await run(tenant_session, "deallocate everybody")


async def test_system_columns_lead_to_no_hidden_row(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    place = await one(
        tenant_session, "select ctid::text from guests where couple_id = %s", (two_tenants.ours.couple,)
    )
    by_place = f"select from guests where ctid = '{place}'"
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, by_place) == 0
    assert await outcome(tenant_session, f"delete from guests where ctid = '{place}'") == 0
    assert (
        await outcome(
            tenant_session, f"select from guests where tableoid = 'guests'::regclass and ctid = '{place}'"
        )
        == 0
    )
    await run(tenant_session, "alter table guests disable row level security")
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, by_place) == 1


# Sessions and roles -----------------------------------------------------------------------------------


async def test_claims_end_with_their_transaction(two_tenants: TwoTenants, gateway: AsyncConnection) -> None:
    claims = Jsonb({"sub": two_tenants.ours.people["boss"], "role": "authenticated"})

    async def seen_by_the_next() -> object:
        async with gateway.transaction():
            await gateway.execute("set local role authenticated")
            return await one(gateway, "select count(*) from guests")

    for local, leaks in ((True, False), (False, True)):
        async with gateway.transaction():
            await gateway.execute("select set_config('request.jwt.claims', %s::text, %s)", (claims, local))
            await gateway.execute("set local role authenticated")
            assert await one(gateway, "select count(*) from guests") == 2
        assert await one(gateway, "select current_user::text") == "wedsync_gateway"
        assert (await seen_by_the_next() == 2) is leaks  # SET instead of SET LOCAL stays in the pool
    await gateway.execute("reset all")
    # What was set once and is reset is '', not NULL: nobody, not an error.
    assert await one(gateway, "select current_setting('request.jwt.claims', true)") == ""
    assert await seen_by_the_next() == 0


@pytest.mark.parametrize("claims", ["", "{}", '{"sub": ""}', '{"sub": null}', '{"role": "service_role"}'])
async def test_claims_that_name_nobody_see_nothing(
    two_tenants: TwoTenants, tenant_session: AsyncConnection, claims: str
) -> None:
    await tenant_session.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
    await tenant_session.execute("set local role authenticated")
    assert await one(tenant_session, "select auth.uid()") is None
    for table in two_tenants.schema.tables:
        read = SQL("select from {}").format(table.identifier)
        assert await outcome(tenant_session, read) in REFUSED, table.name


async def test_the_gateway_becomes_three_roles_and_no_other(gateway: AsyncConnection) -> None:
    others = await rows(gateway, "select rolname::text from pg_roles where rolname not in"
                                 " ('anon', 'authenticated', 'service_role', 'wedsync_gateway')")  # fmt: skip
    assert len(others) > 10
    async with gateway.transaction(force_rollback=True):
        for role in ("anon", "authenticated", "service_role"):
            assert await outcome(gateway, SQL("set local role {}").format(Identifier(role))) == -1
        for (role,) in others:
            for command in ("set local role {}", "set local session authorization {}"):
                refused = await outcome(gateway, SQL(command).format(Identifier(str(role))))  # type: ignore[arg-type]
                assert refused == "42501", role
        assert await outcome(gateway, "select from guests") == "42501"  # by itself it has no right at all
        # A caller's role cannot become another: only the gateway's own session can.
        await gateway.execute("set local role authenticated")
        assert await outcome(gateway, "grant service_role to authenticated") == "42501"
        assert await outcome(gateway, "alter role authenticated bypassrls") == "42501"


async def test_row_security_cannot_be_switched_off(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    await enter(tenant_session, two_tenants, ATTACKER)
    await tenant_session.execute("set local row_security = off")
    assert await outcome(tenant_session, "select from guests") == "42501"  # an error instead of all rows
    await run(tenant_session, "alter role authenticated bypassrls")
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await outcome(tenant_session, "select from guests") not in REFUSED
    await run(tenant_session)
    bypassing = await rows(
        tenant_session,
        "select rolname::text from pg_roles"
        " where rolbypassrls and rolname like any (array['wed%', 'auth%', 'anon'])",
    )
    assert set(bypassing) == {("wedsync_owner",), ("wedsync_backup",), ("authenticated",)}


async def test_other_sessions_queries_are_hidden(
    two_tenants: TwoTenants, tenant_session: AsyncConnection, gateway: AsyncConnection
) -> None:
    secret = f"secret_{uuid4().hex}"
    async with gateway.transaction():
        await gateway.execute(f"select '{secret}'")  # type: ignore[arg-type]
        look = "select query from pg_stat_activity where pid = %s"
        pid = gateway.info.backend_pid
        await enter(tenant_session, two_tenants, ATTACKER)
        assert await one(tenant_session, look, (pid,)) == "<insufficient privilege>"
        await run(tenant_session)
        assert secret in str(await one(tenant_session, look, (pid,)))


async def test_locks_and_transaction_numbers_name_no_tenant(
    two_tenants: TwoTenants, tenant_session: AsyncConnection, gateway: AsyncConnection
) -> None:
    """Locks are seen by all; those of ours are hashes, and what a statement locks is a table, not a row's key."""
    claims = Jsonb({"sub": two_tenants.ours.people["boss"], "role": "authenticated"})
    dependency = two_tenants.ours.rows["photo_group_dependencies"][0]
    async with gateway.transaction(force_rollback=True):
        await gateway.execute("select set_config('request.jwt.claims', %s::text, true)", (claims,))
        await gateway.execute("set local role authenticated")
        await gateway.execute("select set_config('transaction_isolation', 'read committed', true)")
        await gateway.execute(
            "insert into photo_group_dependencies (couple_id, photo_group_id, depends_on_id)"
            " select %s, id, %s from photo_groups where id not in (%s, %s)",
            (
                dependency["couple_id"],
                dependency["depends_on_id"],
                dependency["photo_group_id"],
                dependency["depends_on_id"],
            ),
        )
        await enter(tenant_session, two_tenants, ATTACKER)
        locks = await rows(tenant_session, "select l::text from pg_locks l where locktype = 'advisory'")
        assert locks
        keys = {two_tenants.ours.couple, dependency["photo_group_id"]}
        assert not any(key.replace("-", "")[:16] in str(lock) for lock in locks for key in keys)


# Beside the tables ------------------------------------------------------------------------------------


async def test_no_sequence_is_within_reach(two_tenants: TwoTenants, tenant_session: AsyncConnection) -> None:
    reach = (
        "select c.oid::regclass::text from pg_class c cross join unnest(array['anon', 'authenticated']) r"
        " where c.relkind = 'S' and (has_sequence_privilege(r, c.oid, 'usage')"
        "    or has_sequence_privilege(r, c.oid, 'select')) and has_schema_privilege(r, c.relnamespace, 'usage')"
    )
    assert await rows(tenant_session, reach) == []
    await run(tenant_session, "create sequence public.orders", "select nextval('orders'), nextval('orders')")
    await enter(tenant_session, two_tenants, ATTACKER)
    for call in ("currval('orders')", "nextval('orders')", "last_value from orders", "lastval()"):
        assert await outcome(tenant_session, f"select {call}") == "42501", call
    await run(tenant_session, "grant select on sequence orders to authenticated")
    assert await rows(tenant_session, reach) == [("orders",)]
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await one(tenant_session, "select last_value from orders") == 2  # how much the others do


async def test_no_trigger_notifies_with_a_tenants_data(tenant_session: AsyncConnection) -> None:
    """Whoever has a connection may LISTEN to any channel: nothing is ever sent there."""
    notifying = (
        "select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        " where n.nspname in ('public', 'app', 'auth', 'audit') and p.prosrc ~* '(pg_notify|\\mnotify\\M)'"
    )
    assert await rows(tenant_session, notifying) == []
    await run(
        tenant_session,
        "create function app.tell() returns trigger language plpgsql set search_path = '' as"
        " $$ begin perform pg_notify('guests', new.last_name); return new; end $$",
    )
    assert await rows(tenant_session, notifying) == [("app.tell()",)]


async def test_large_objects_are_out_of_reach(two_tenants: TwoTenants, tenant_session: AsyncConnection) -> None:
    """All callers share one role, so one caller's large object would be everybody's."""
    made = await one(tenant_session, "select lo_from_bytea(0, 'secret')")
    await enter(tenant_session, two_tenants, ATTACKER)
    for call in (
        "lo_from_bytea(0, 'x')",
        "lo_create(0)",
        "lo_creat(-1)",
        "lo_import('/etc/passwd')",
        f"lo_get({made})",
    ):
        assert await outcome(tenant_session, f"select {call}") == "42501", call
    await run(tenant_session, f"grant select on large object {made} to authenticated")
    await enter(tenant_session, two_tenants, ATTACKER)
    assert await one(tenant_session, f"select lo_get({made})") == b"secret"


async def test_files_and_programs_of_the_server_are_out_of_reach(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    await enter(tenant_session, two_tenants, ATTACKER)
    for call in ("pg_read_file('PG_VERSION')", "pg_ls_dir('.')", "pg_read_binary_file('PG_VERSION')",
                 "query_to_xml('select * from auth.users', true, false, '')"):  # fmt: skip
        assert await outcome(tenant_session, f"select {call}") == "42501", call
    dump = await one(tenant_session, "select table_to_xml('public.guests', true, false, '')::text")
    assert two_tenants.theirs.couple in str(dump)
    assert two_tenants.ours.couple not in str(dump)
