"""What the schema itself sees to: invitations and keys, versions, tasks, photo groups, bookings, money."""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from support.databases import migrated_database
from support.events import eventually
from support.isolation import TwoTenants, become, enter, make_two_tenants, outcome
from wedsync.cluster import Server


async def one(session: AsyncConnection, query: str, *values: object) -> object:
    row = await (await session.execute(query, values)).fetchone()  # type: ignore[arg-type]
    return None if row is None else row[0]


async def refused(session: AsyncConnection, query: str, *values: object) -> psycopg.Error:
    """The error that a statement ends with; the transaction goes on."""
    with pytest.raises(psycopg.Error) as raised:
        async with session.transaction():
            await session.execute(query, values)  # type: ignore[arg-type]
    return raised.value


# Coming in ---------------------------------------------------------------------------------------------


async def test_an_invitation_is_accepted_once_by_who_has_its_token(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    await enter(tenant_session, two_tenants, "boss")
    token = await one(
        tenant_session, "select create_invitation(%s, 'new@example.com', 'staff')", two_tenants.ours.organization
    )
    assert isinstance(token, str)
    await enter(tenant_session, two_tenants, "nobody")
    assert await one(tenant_session, "select count(*) from clients") == 0
    accepted = await one(tenant_session, "select accept_invitation(%s)", token)
    assert accepted == {"organization_id": two_tenants.ours.organization, "couple_id": None, "role": "staff"}
    assert await one(tenant_session, "select count(*) from clients") == 2
    again = await refused(tenant_session, "select accept_invitation(%s)", token)
    assert again.sqlstate == "PT404"
    await tenant_session.execute("reset role")
    assert (
        await one(tenant_session, "select count(*) from invitations i where i::text like %s", f"%{token[-64:]}%")
        == 0
    )


async def test_a_partner_invites_a_helper_and_an_expired_invitation_is_worth_nothing(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    ours = two_tenants.ours
    invite = "select create_invitation(%s, 'aunt@example.com', 'helper', %s)"
    await enter(tenant_session, two_tenants, "partner")
    token = await one(tenant_session, invite, ours.organization, ours.couple)
    await tenant_session.execute("reset role")
    await tenant_session.execute(
        "update invitations set created_at = now() - interval '20 days', expires_at = now()"
    )
    await enter(tenant_session, two_tenants, "nobody")
    assert (await refused(tenant_session, "select accept_invitation(%s)", token)).sqlstate == "PT404"
    await tenant_session.execute("reset role")
    await tenant_session.execute("update invitations set expires_at = now() + interval '1 day'")
    await enter(tenant_session, two_tenants, "nobody")
    await tenant_session.execute("select accept_invitation(%s)", (token,))
    assert await one(tenant_session, "select role from couple_members where user_id = auth.uid()") == "helper"
    for caller in ("helper", "viewer", "florist", "other boss"):
        await enter(tenant_session, two_tenants, caller)
        assert (await refused(tenant_session, invite, ours.organization, ours.couple)).sqlstate == "42501", caller


async def test_a_business_fills_a_wedding_that_has_nobody_and_does_not_join_one_that_has(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    """As a partner it would read what the couple writes and pays to its other suppliers."""
    ours = two_tenants.ours
    join = "insert into couple_members (couple_id, user_id, role) values (%s, %s, %s)"
    await enter(tenant_session, two_tenants, "boss")
    for role in ("partner", "helper"):
        assert await outcome(tenant_session, join, (ours.couple, ours.people["boss"], role)) == "42501"
    promote = "update couple_members set role = 'partner' where user_id = %s"
    assert await outcome(tenant_session, promote, (ours.people["helper"],)) == 0
    push_out = "delete from couple_members where couple_id = %s"
    assert await outcome(tenant_session, push_out, (ours.couple,)) == 0
    # A wedding that the business has just made: its letters go to the two, and no further.
    couple = await one(
        tenant_session,
        "insert into couples (organization_id, partner_one_name, partner_two_name, wedding_date, time_zone)"
        " values (%s, 'Ada', 'Grace', current_date, 'Europe/London') returning id",
        ours.organization,
    )
    invite = "select create_invitation(%s, 'x@example.com', %s, %s)"
    letters = [
        await one(tenant_session, invite, ours.organization, role, couple) for role in 3 * ["partner"] + ["helper"]
    ]
    accept = "select accept_invitation(%s)"
    for caller, letter in (("nobody", letters[0]), ("florist", letters[1])):
        await enter(tenant_session, two_tenants, caller)
        await tenant_session.execute(accept, (letter,))
    await enter(tenant_session, two_tenants, "boss")
    for letter in letters[2:]:
        assert (await refused(tenant_session, accept, letter)).sqlstate == "PT404"
    assert (await refused(tenant_session, invite, ours.organization, "partner", couple)).sqlstate == "42501"
    await enter(tenant_session, two_tenants, "nobody")
    ask = await one(tenant_session, invite, ours.organization, "helper", couple)
    await enter(tenant_session, two_tenants, "other partner")
    await tenant_session.execute(accept, (ask,))  # the partners invite whom they like
    assert await outcome(tenant_session, "delete from couple_members where user_id = auth.uid()") == 2  # may leave


async def test_an_api_key_is_shown_once_and_known_until_it_is_revoked(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    await enter(tenant_session, two_tenants, "boss")
    key = await one(
        tenant_session, "select create_api_key(%s, 'website', '{read,money}')", two_tenants.ours.organization
    )
    assert isinstance(key, str)
    assert await outcome(tenant_session, "select key_hash from api_keys") == "42501"
    assert await outcome(tenant_session, "select app.check_api_key(%s)", (key,)) == "42501"
    await become(tenant_session, "service_role", None)
    check = "select organization_id::text, scopes from app.check_api_key(%s)"
    found = await (await tenant_session.execute(check, (key,))).fetchall()
    assert found == [(two_tenants.ours.organization, ["read", "money"])]
    for wrong in (key[:-1] + "x", key.replace("wsk_", "wsi_"), "", "wsk_" + "0" * 97):
        assert await (await tenant_session.execute(check, (wrong,))).fetchall() == [], wrong
    assert await one(tenant_session, "select count(*) from api_keys where last_used_at is not null") == 1
    await enter(tenant_session, two_tenants, "boss")
    await tenant_session.execute("update api_keys set revoked_at = now() where name = 'website'")
    alive = "update api_keys set revoked_at = null where name = 'website'"
    assert (await refused(tenant_session, alive)).sqlstate == "23514"  # a key that leaked does not come back
    await become(tenant_session, "service_role", None)
    assert await (await tenant_session.execute(check, (key,))).fetchall() == []


async def test_two_accounts_do_not_share_an_address_in_other_letters(tenant_session: AsyncConnection) -> None:
    await tenant_session.execute("insert into auth.users (email) values ('Ada@Example.com')")
    assert (
        await refused(tenant_session, "insert into auth.users (email) values ('ada@example.com')")
    ).sqlstate == "23505"


# Versions ----------------------------------------------------------------------------------------------


async def test_of_two_edits_of_one_core_field_none_is_lost(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    change = (
        "update core_field_values set value = %s, version = %s where couple_id = %s and field_key = 'first_dance'"
    )
    couple = two_tenants.ours.couple
    await enter(tenant_session, two_tenants, "partner")
    await tenant_session.execute(change, (Jsonb("At Last"), 1, couple))
    late = await refused(tenant_session, change, Jsonb("Perfect"), 1, couple)
    assert late.sqlstate == "PT409"
    assert json.loads(late.diag.message_detail or "")["version"] == 2
    await tenant_session.execute(change, (Jsonb("At Last, then Perfect"), 2, couple))
    row = await (
        await tenant_session.execute(
            "select value, version, updated_by::text from core_field_values where field_key = 'first_dance'"
        )
    ).fetchone()
    assert row == ("At Last, then Perfect", 3, two_tenants.ours.people["partner"])


async def test_an_author_cannot_be_invented(two_tenants: TwoTenants, tenant_session: AsyncConnection) -> None:
    await enter(tenant_session, two_tenants, "partner")
    author = await one(
        tenant_session,
        "insert into core_field_values (couple_id, field_key, value, updated_by)"
        " values (%s, 'bridesmaids', '3', %s) returning updated_by::text",
        two_tenants.ours.couple,
        two_tenants.ours.people["boss"],
    )
    assert author == two_tenants.ours.people["partner"]


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("guest_count", [0, 120, None], [-1, 1.5, "120", 6000]),
        ("wedding_date", ["2026-06-13", None], ["13.6.2026", "2026-02-30", 5, {}]),
        ("ceremony_time", ["14:30", "09:00:00"], ["25:00", "2 pm"]),
        ("children_welcome", [True, False], ["yes", 1]),
        ("dress_code", ["black tie"], [["black"], 7]),
        ("colours", [["sage", "ivory"], "sage", {"main": "sage"}], []),
    ],
)
async def test_a_core_field_holds_what_its_definition_says(
    two_tenants: TwoTenants, tenant_session: AsyncConnection, key: str, good: list[object], bad: list[object]
) -> None:
    await tenant_session.execute("delete from core_field_values")
    write = (
        "insert into core_field_values (couple_id, field_key, value) values (%s, %s, %s)"
        " on conflict (couple_id, field_key) do update set value = excluded.value"
    )
    for value in good:
        await tenant_session.execute(write, (two_tenants.ours.couple, key, Jsonb(value)))
    for value in bad:
        error = await refused(tenant_session, write, two_tenants.ours.couple, key, Jsonb(value))
        assert (error.sqlstate, key in str(error)) == ("23514", True), value
    assert (
        await refused(tenant_session, write, two_tenants.ours.couple, "no_such_field", "1")
    ).sqlstate == "23503"


async def test_a_draft_saves_itself_per_device_and_names_its_version(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    ours = two_tenants.ours
    save = "select save_form_draft(%s, %s, %s, %s, %s)"
    form, (phone, laptop) = ours.rows["forms"][1]["id"], [row["id"] for row in ours.rows["devices"]]
    await enter(tenant_session, two_tenants, "partner")

    async def saved(device: str, answers: object, version: int | None) -> object:
        return await one(tenant_session, save, ours.couple, form, device, Jsonb(answers), version)

    assert await saved(phone, {"a": 1}, None) == 1
    assert await saved(phone, {"a": 2}, 1) == 2
    assert await saved(laptop, {"a": 9}, None) == 1  # the other device's draft is its own
    stale = await refused(tenant_session, save, ours.couple, form, phone, Jsonb({"a": 0}), 1)
    assert stale.sqlstate == "PT409"
    assert await saved(phone, {"a": 3}, None) == 3  # names none: the last word counts
    theirs = two_tenants.theirs.rows["forms"][0]["id"]
    unseen = await refused(tenant_session, save, ours.couple, theirs, phone, Jsonb({}), None)
    assert unseen.sqlstate == "PT404"


# The wedding -------------------------------------------------------------------------------------------


async def test_a_helper_finishes_a_given_task_and_changes_nothing_else_of_it(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    ours = two_tenants.ours
    task = ours.rows["tasks"][1]["id"]
    finish = "update tasks set status = 'done' where id = %s"
    proof = "insert into task_evidence (couple_id, task_id, note) values (%s, %s, 'done at noon')"
    await enter(tenant_session, two_tenants, "helper")
    assert await outcome(tenant_session, finish, (task,)) == 0
    assert await outcome(tenant_session, proof, (ours.couple, task)) == "42501"
    await enter(tenant_session, two_tenants, "partner")
    give = "insert into task_helpers (couple_id, task_id, user_id) values (%s, %s, %s)"
    await tenant_session.execute(give, (ours.couple, task, ours.people["helper"]))
    stranger = two_tenants.theirs.people["partner"]
    assert await outcome(tenant_session, give, (ours.couple, task, stranger)) == "23503"
    await enter(tenant_session, two_tenants, "helper")
    assert await outcome(tenant_session, "update tasks set title = 'less' where id = %s", (task,)) == "42501"
    assert await outcome(tenant_session, "delete from tasks where id = %s", (task,)) == 0
    assert await outcome(tenant_session, proof, (ours.couple, task)) == 1
    assert await outcome(tenant_session, finish, (task,)) == 1
    done_at = await one(tenant_session, finish + " returning completed_at", task)
    assert done_at is not None


async def test_photo_groups_do_not_wait_for_each_other(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    await tenant_session.execute("delete from photo_group_dependencies")
    first, second, third = (row["id"] for row in two_tenants.ours.rows["photo_groups"])
    add = "insert into photo_group_dependencies (couple_id, photo_group_id, depends_on_id) values (%s, %s, %s)"
    couple = two_tenants.ours.couple
    await enter(tenant_session, two_tenants, "partner")
    await tenant_session.execute(add, (couple, second, first))
    await tenant_session.execute(add, (couple, third, second))
    for group, other in ((first, third), (first, second), (first, first)):
        assert (await refused(tenant_session, add, couple, group, other)).sqlstate == "23514"
    await tenant_session.execute(add, (couple, third, first))  # a second way there is no circle


@pytest.fixture
async def own_tenants(cluster: Server) -> AsyncIterator[TwoTenants]:
    """Two tenants for a test that commits."""
    async with migrated_database(cluster) as target:
        yield await make_two_tenants(target)


async def is_blocked(session: AsyncConnection, pid: int) -> bool:
    return bool(await one(session, "select cardinality(pg_blocking_pids(%s)) > 0", pid))


async def test_of_two_at_once_one_is_refused(own_tenants: TwoTenants) -> None:
    """Halves of a circle, and bookings of one hour, by two sessions that do not see each other's."""
    ours = own_tenants.ours
    first, second, _ = (row["id"] for row in ours.rows["photo_groups"])
    bookings = [row["id"] for row in ours.rows["bookings"]]
    async with await own_tenants.target.connect() as connection:
        await connection.execute("delete from photo_group_dependencies")
        supplier = ours.rows["suppliers"][0]["id"]
        await connection.execute(
            "update bookings set supplier_id = %s, starts_at = '2026-09-05 10:00+00',"
            " ends_at = '2026-09-05 11:00+00' where organization_id = %s",
            (supplier, ours.organization),
        )
    add = "insert into photo_group_dependencies (couple_id, photo_group_id, depends_on_id) values (%s, %s, %s)"
    confirm = "update bookings set status = 'confirmed' where id = %s"
    for statement, one_way, other_way, state in (
        (add, (ours.couple, second, first), (ours.couple, first, second), "23514"),
        (confirm, (bookings[0],), (bookings[1],), "23P01"),
    ):
        async with (
            await own_tenants.target.connect(autocommit=False) as left,
            await own_tenants.target.connect(autocommit=False) as right,
        ):
            await left.execute(statement, one_way)  # type: ignore[arg-type]
            waiting = asyncio.create_task(right.execute(statement, other_way))  # type: ignore[arg-type]
            await eventually(lambda: is_blocked(left, right.info.backend_pid))
            await left.commit()
            with pytest.raises(psycopg.Error) as raised:
                await waiting
            assert raised.value.sqlstate == state
            await right.rollback()


# Bookings ----------------------------------------------------------------------------------------------


async def test_a_couple_cancels_or_moves_a_request_and_does_not_confirm_or_price_it(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    booking = two_tenants.ours.rows["bookings"][0]["id"]
    await enter(tenant_session, two_tenants, "partner")
    for change, result in (
        ("status = 'confirmed'", "42501"),
        ("price_minor = 1, currency = 'GBP'", "42501"),
        ("starts_at = starts_at - interval '1 hour'", 1),
        ("status = 'cancelled'", 1),
    ):
        assert (
            await outcome(tenant_session, f"update bookings set {change} where id = %s", (booking,)) == result
        ), change
    await enter(tenant_session, two_tenants, "boss")
    await tenant_session.execute("update bookings set status = 'confirmed' where id = %s", (booking,))
    taken = "select count(*) from availability where booking_id = %s"
    assert await one(tenant_session, taken, booking) == 1
    assert await outcome(tenant_session, "delete from availability where booking_id = %s", (booking,)) == 0
    await enter(tenant_session, two_tenants, "partner")
    move = "update bookings set starts_at = starts_at - interval '1 hour' where id = %s"
    assert await outcome(tenant_session, move, (booking,)) == "42501"  # confirmed: no longer
    await tenant_session.execute("update bookings set status = 'cancelled' where id = %s", (booking,))
    await enter(tenant_session, two_tenants, "boss")
    assert await one(tenant_session, taken, booking) == 0  # and the time is free again


# Money -------------------------------------------------------------------------------------------------

NEW_INVOICE = (
    "insert into invoices"
    " (couple_id, organization_id, number, currency, lines, subtotal_minor, tax_minor, total_minor) values"
    " (%(couple)s, %(organization)s, 'A-1', 'GBP', %(lines)s, %(subtotal)s, %(tax)s, %(total)s) returning id"
)


@pytest.mark.parametrize(
    ("lines", "sums", "good"),
    [
        ([{"description": "Day", "quantity": 2, "unit_minor": 500}], (1000, 200, 1200), True),
        ([{"description": "Hours", "quantity": 1.5, "unit_minor": 500}], (750, 0, 750), True),
        ([{"description": "Day", "quantity": 2, "unit_minor": 500}], (1, 0, 1), False),
        ([{"description": "Day", "quantity": 2, "unit_minor": 500}], (1000, 200, 1000), False),
        ([{"description": "Day", "quantity": -2, "unit_minor": 500}], (-1000, 0, -1000), False),
        ([{"description": "Day", "quantity": 1, "unit_minor": "500"}], (500, 0, 500), False),
        ([{"quantity": 1, "unit_minor": 500}], (500, 0, 500), False),
        ([], (0, 0, 0), False),
        ({"description": "Day"}, (0, 0, 0), False),
    ],
)
async def test_the_server_adds_up_an_invoice(
    two_tenants: TwoTenants, tenant_session: AsyncConnection, lines: object, sums: tuple[int, int, int], good: bool
) -> None:
    values = {
        "couple": two_tenants.ours.couple,
        "organization": two_tenants.ours.organization,
        "lines": Jsonb(lines),
        **dict(zip(("subtotal", "tax", "total"), sums, strict=True)),
    }
    await enter(tenant_session, two_tenants, "boss")
    assert await outcome(tenant_session, NEW_INVOICE, values) == (1 if good else "23514")


async def test_payments_move_an_invoice_and_nobody_else_does(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    ours = two_tenants.ours
    invoice = ours.rows["invoices"][1]["id"]
    await tenant_session.execute("delete from payments where invoice_id = %s", (invoice,))
    state = "select status || ' ' || paid_minor from invoices where id = %s"
    pay = (
        "insert into payments (couple_id, organization_id, invoice_id, currency, amount_minor, method, status)"
        " values (%s, %s, %s, %s, %s, 'bank_transfer', 'succeeded') returning id"
    )
    at = (ours.couple, ours.organization, invoice)
    await enter(tenant_session, two_tenants, "boss")
    for change, result in (
        ("status = 'paid'", "23514"),
        ("paid_minor = 90000", "42501"),
        ("total_minor = 1, subtotal_minor = 1", "23514"),
        ("status = 'draft'", "23514"),
        ("notes = 'thank you'", 1),
    ):
        assert (
            await outcome(tenant_session, f"update invoices set {change} where id = %s", (invoice,)) == result
        ), change
    payment = await one(tenant_session, pay, *at, "GBP", 40000)
    assert await one(tenant_session, state, invoice) == "part_paid 40000"
    assert (await refused(tenant_session, pay, *at, "GBP", 50001)).sqlstate == "23514"  # more than is owed
    assert (await refused(tenant_session, pay, *at, "EUR", 100)).sqlstate == "23503"  # another currency
    assert (await refused(tenant_session, pay, *at, "GBP", -5)).sqlstate == "23514"
    assert (
        await refused(tenant_session, "update invoices set status = 'void' where id = %s", invoice)
    ).sqlstate == "23514"
    await tenant_session.execute(pay, (*at, "GBP", 50000))
    assert await one(tenant_session, state, invoice) == "paid 90000"
    await tenant_session.execute("update payments set refunded_minor = 40000 where id = %s", (payment,))
    assert await one(tenant_session, state, invoice) == "part_paid 50000"
    back = await refused(tenant_session, "update payments set refunded_minor = 0 where id = %s", payment)
    assert back.sqlstate == "23514"
    await enter(tenant_session, two_tenants, "partner")
    assert await outcome(tenant_session, pay, (*at, "GBP", 1)) == "42501"
    await enter(tenant_session, two_tenants, "florist")
    assert await one(tenant_session, "select count(*) from payments") == 0


async def test_a_providers_message_counts_once_however_often_it_comes(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    ours = two_tenants.ours
    invoice = ours.rows["invoices"][1]["id"]
    paid = {
        "couple_id": ours.couple,
        "invoice_id": invoice,
        "payment_id": "pi_1",
        "amount_minor": 30000,
        "currency": "GBP",
    }
    await become(tenant_session, "service_role", None)
    state = "select status || ' ' || paid_minor from invoices where id = %s"
    process = "select app.process_webhook(%s, 'stripe', %s)"

    async def receive(event: str, kind: str, payload: object, *, checked: bool = True) -> object:
        query = "select app.receive_webhook(%s, 'stripe', %s, %s, %s, case when %s then now() end)"
        return await one(tenant_session, query, ours.organization, event, kind, Jsonb(payload), checked)

    async def processed(event: str) -> object:
        return await one(tenant_session, process, ours.organization, event)

    # Somebody was there first, without a signature: the true message still counts.
    assert await receive("evt_1", "payment.failed", {**paid, "amount_minor": 1}, checked=False) is True
    unchecked = await refused(tenant_session, process, ours.organization, "evt_1")
    assert unchecked.sqlstate == "28000"
    assert await receive("evt_1", "payment.succeeded", paid) is False
    assert [await processed("evt_1") for _ in range(3)] == ["processed", "duplicate", "duplicate"]
    assert await one(tenant_session, state, invoice) == "part_paid 30000"
    # Another message about the same payment adds nothing either.
    assert await receive("evt_2", "payment.succeeded", paid) is True
    assert await processed("evt_2") == "processed"
    assert await one(tenant_session, state, invoice) == "part_paid 30000"
    with pytest.raises(psycopg.Error) as forged:
        async with tenant_session.transaction():
            await receive("evt_1", "payment.succeeded", {**paid, "amount_minor": 1})
    assert forged.value.sqlstate == "PT409"
    # A price that is not what was kept, and an invoice that is not there: kept, not done, to be tried again.
    for event, wrong in (
        ("evt_3", {**paid, "amount_minor": 1}),
        ("evt_4", {**paid, "payment_id": "pi_2", "invoice_id": str(uuid4())}),
        ("evt_7", {**paid, "amount_minor": "thirty"}),
        ("evt_8", [paid]),
    ):
        await receive(event, "payment.succeeded", wrong)
        assert await processed(event) == "failed", event
    assert await one(tenant_session, "select count(*) from webhook_events where outcome like 'failed%%'") == 4
    await receive("evt_5", "customer.created", {})
    assert await processed("evt_5") == "ignored"
    await receive("evt_6", "payment.refunded", {**paid, "refunded_minor": 10000})
    assert await processed("evt_6") == "processed"
    assert await one(tenant_session, state, invoice) == "part_paid 20000"
    await enter(tenant_session, two_tenants, "boss")
    assert await outcome(tenant_session, "select payload from webhook_events") == "42501"
    assert (await refused(tenant_session, process, ours.organization, "evt_1")).sqlstate == "42501"
