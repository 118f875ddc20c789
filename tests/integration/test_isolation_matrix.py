"""Every table, every command, every kind of caller: who may do what, and that nobody else may.

Tables come from the catalogue, rows of two tenants from `support.tenants`. What each caller may do is declared
below, table by table; a table that is missing there fails by its name. A right that is declared is tried as well:
a policy that lets nobody in does not pass.
"""

from dataclasses import dataclass, replace

import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier

from support.isolation import REFUSED, TwoTenants, enter, outcome
from support.tenants import SIGN_IN, Table, Wanted, insert


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What callers may do with a tenant's rows: s(elect), i(nsert), u(pdate), d(elete)."""

    boss: str = ""
    viewer: str = ""
    partner: str = ""
    helper: str = ""
    florist: str = ""
    anybody: str = ""
    """Who is signed in and belongs to another tenant or to none."""

    def of(self, caller: str) -> str:
        if caller == "anonymous":
            return ""
        return getattr(self, caller) if hasattr(self, caller) else self.anybody


WEDDING = Rights(boss="siud", viewer="s", partner="siud", helper="s", florist="s")
BUSINESS = Rights(boss="siud", viewer="s")
SHOWN = replace(BUSINESS, partner="s", helper="s")  # to the couples it works for
RIGHTS = {
    "auth.users": Rights(),
    **dict.fromkeys(SIGN_IN, Rights()),
    "organizations": Rights(boss="su", viewer="s", partner="s", helper="s", florist="s"),
    "organization_members": BUSINESS,
    "suppliers": replace(SHOWN, florist="s"),
    "couples": replace(WEDDING, partner="su"),
    "couple_members": replace(WEDDING, boss="s", helper="s"),  # the couple has partners: they decide
    "connections": WEDDING,
    "invitations": Rights(boss="sid"),
    "api_keys": Rights(boss="siud"),
    "devices": Rights(partner="siud"),
    "clients": BUSINESS,
    "client_notes": BUSINESS,
    "forms": SHOWN,
    "form_fields": SHOWN,
    "form_submissions": Rights(boss="siu", viewer="s", partner="siud", helper="s"),
    "form_drafts": Rights(partner="siud", helper="s"),
    "journeys": BUSINESS,
    "journey_steps": BUSINESS,
    "message_threads": Rights(boss="siu", viewer="s", partner="siu", helper="s"),
    "messages": Rights(boss="siu", viewer="s", partner="siu", helper="s"),
    "notifications": Rights(partner="sud"),
    "files": replace(WEDDING, helper="si"),
    "services": SHOWN,
    "bookings": Rights(boss="siud", viewer="s", partner="siu", helper="s"),
    "availability": BUSINESS,
    "core_field_definitions": Rights(boss="s", viewer="s", partner="s", helper="s", florist="s", anybody="s"),
    "core_field_values": WEDDING,
    "households": WEDDING,
    "guests": WEDDING,
    "guest_dietary": WEDDING,
    "timeline_events": WEDDING,
    "timeline_event_suppliers": WEDDING,
    "tasks": WEDDING,
    "task_helpers": replace(WEDDING, boss="sid", partner="sid"),
    "task_evidence": WEDDING,
    "photo_groups": WEDDING,
    "photo_group_members": replace(WEDDING, boss="sid", partner="sid"),
    "photo_group_dependencies": WEDDING,
    "photo_locations": WEDDING,
    "photographer_assignments": replace(WEDDING, partner="s"),
    "invoices": Rights(boss="siu", viewer="s", partner="s"),  # these are sent: only a draft is removed
    "payments": Rights(boss="siu", viewer="s", partner="s"),
    "webhook_events": Rights(boss="s"),
}
OURS = ("boss", "viewer", "partner", "helper", "florist")
THEIRS = ("other boss", "other partner")
CALLERS = (*OURS, *THEIRS, "nobody", "anonymous")
COMMANDS = {"s": "select", "i": "insert", "u": "update", "d": "delete"}
HELD_BY_OTHER_ROWS = ("23503", "23001")
"""Row-level security let the delete through; rows that depend on this one do not."""


def statement(two_tenants: TwoTenants, table: Table, command: str, caller: str) -> tuple[SQL | Composed, object]:
    """The command on our tenant's row of a table."""
    if command == "i":
        number = 2  # rows 0 and 1 are there
        return insert(table, two_tenants.schema.row(table, Wanted(two_tenants.ours, number, caller)))
    row = two_tenants.ours.rows[table.name][0]
    this = SQL(" and ").join(SQL("{} = {}").format(Identifier(key), SQL("%s")) for key in table.key)
    values = [row[key] for key in table.key]
    match command:
        case "s":
            return SQL("select from {} where {}").format(table.identifier, this), values
        case "u":
            column = Identifier(table.updatable[0] if table.updatable else table.columns[0].name)
            change = SQL("update {0} set {1} = {1} where {2}").format(table.identifier, column, this)
            return change, values
        case _:
            return SQL("delete from {} where {}").format(table.identifier, this), values


def test_every_table_says_who_may_do_what(two_tenants: TwoTenants) -> None:
    missing = two_tenants.schema.names - RIGHTS.keys()
    assert not missing, f"declare in RIGHTS who may do what with {sorted(missing)}"
    assert not RIGHTS.keys() - two_tenants.schema.names


def test_both_tenants_have_rows_in_every_table(two_tenants: TwoTenants) -> None:
    for world in (two_tenants.ours, two_tenants.theirs):
        assert {name for name, rows in world.rows.items() if rows} == two_tenants.schema.names
    assert len(two_tenants.schema.tables) > 40


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_caller_does_what_is_declared_and_nothing_else(
    two_tenants: TwoTenants, tenant_session: AsyncConnection, caller: str, command: str
) -> None:
    await enter(tenant_session, two_tenants, caller)
    wrong: dict[str, str] = {}
    tried = 0
    for table in two_tenants.schema.tables:
        tried += 1
        got = await outcome(tenant_session, *statement(two_tenants, table, command, caller))
        allowed = command in RIGHTS[table.name].of(caller)
        wanted: tuple[int | str, ...]
        if allowed:
            wanted = (1, *HELD_BY_OTHER_ROWS) if command == "d" else (1,)
        elif caller == "anonymous" or command == "i":
            wanted = ("42501",)  # and no other error: it would tell what is there
        else:
            wanted = REFUSED
        if got not in wanted:
            wrong[table.name] = f"{COMMANDS[command]} gave {got}, declared {' or '.join(map(str, wanted))}"
    assert tried == len(two_tenants.schema.tables)
    assert not wrong


async def test_it_is_the_policies_that_keep_others_out(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    """With row-level security off, the strangers of the cases above read our rows: those cases can fail."""
    readable = [table for table in two_tenants.schema.tables if "s" in RIGHTS[table.name].boss]
    for table in readable:
        await tenant_session.execute(SQL("alter table {} disable row level security").format(table.identifier))
    await enter(tenant_session, two_tenants, "other boss")
    for table in readable:
        assert await outcome(tenant_session, *statement(two_tenants, table, "s", "other boss")) == 1, table.name
    assert len(readable) > 35


async def test_there_are_as_many_cases_as_the_catalogue_asks_for(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    row = await (
        await tenant_session.execute(
            "select count(*) from pg_class where relkind in ('r', 'p') and not relispartition"
            "   and relnamespace in ('public'::regnamespace, 'auth'::regnamespace)"
        )
    ).fetchone()
    assert row is not None
    assert len(RIGHTS) * len(CALLERS) * len(COMMANDS) == row[0] * len(CALLERS) * len(COMMANDS) > 1500


@pytest.mark.parametrize("caller", OURS)
async def test_nothing_of_another_tenant_is_in_what_a_caller_reads(
    two_tenants: TwoTenants, tenant_session: AsyncConnection, caller: str
) -> None:
    """Without a condition, as a careless query would."""
    await enter(tenant_session, two_tenants, caller)
    seen = 0
    for table in two_tenants.schema.tables:
        if "s" not in RIGHTS[table.name].of(caller) or table.name == "core_field_definitions":
            continue
        for key in {"couple_id", "organization_id", "user_id", "id"} & set(table.key):
            theirs = [row[key] for row in two_tenants.theirs.rows[table.name]]
            read = SQL("select from {} where {} = any (%s::uuid[])").format(table.identifier, Identifier(key))
            assert await outcome(tenant_session, read, (theirs,)) == 0, table.name
        everything = await outcome(tenant_session, SQL("select from {}").format(table.identifier))
        assert isinstance(everything, int)
        assert 0 < everything <= 5, table.name
        seen += 1
    assert seen >= (20 if caller != "florist" else 15)


async def test_no_column_that_says_whose_a_row_is_can_be_updated(two_tenants: TwoTenants) -> None:
    """Nor any other of the key: a row does not move to another tenant, not even between two own ones."""
    for table in two_tenants.schema.tables:
        whose = {*table.key, "couple_id", "organization_id", "user_id"} - {"key"}
        moved = whose & set(table.updatable) - ({"couple_id"} if table.name == "clients" else set())
        assert not moved, (table.name, moved)


async def test_a_client_is_linked_to_an_own_wedding_only(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    client = two_tenants.ours.rows["clients"][0]["id"]
    await enter(tenant_session, two_tenants, "boss")
    link = "update clients set couple_id = %s where id = %s"
    assert await outcome(tenant_session, link, (two_tenants.ours.couple, client)) == 1
    assert await outcome(tenant_session, link, (two_tenants.theirs.couple, client)) == "42501"
