"""The gateway over the whole schema: who may do what, writes done once, programs' keys, providers' messages."""

import asyncio
import json
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from hmac import digest
from typing import Any
from uuid import uuid4

import httpx
import pytest

from support.clusters import role_passwords
from support.databases import migrated_database
from support.gateways import WEBHOOK_SECRET, Way, token, way_into
from support.isolation import TwoTenants, make_two_tenants
from support.workers import held
from wedsync.cluster import Server

HOUSEHOLDS = "/rest/v1/households"
HEADERS = (
    *("apikey", "accept", "accept-profile", "authorization", "content-profile", "cookie", "idempotency-key"),
    *("origin", "prefer", "range", "x-forwarded-for", "x-request-id", "x-anything"),
)
INJECTIONS = ("'; drop table public.couples; --", "\\'; select 1/0; --", "$1", '"}, "role": "x')


@pytest.fixture(scope="module")
def weddings(cluster: Server) -> Iterator[TwoTenants]:
    """Two tenants of each kind, for the tests of this file."""
    with held(migrated_database(cluster)) as target:
        yield asyncio.run(make_two_tenants(target))


@pytest.fixture
async def way(weddings: TwoTenants, cluster: Server) -> AsyncIterator[Way]:
    password = role_passwords(cluster.home)["wedsync_gateway"]
    login = cluster.tcp_target("wedsync_gateway", password, weddings.target.dbname)
    async with way_into(login) as made:
        yield made


async def owner_sees(weddings: TwoTenants, query: str, *values: object) -> Any:
    async with await weddings.target.connect() as connection:
        row = await (await connection.execute(query, values)).fetchone()  # type: ignore[arg-type]
        return row[0] if row else None


def boss(weddings: TwoTenants) -> dict[str, str]:
    return token("authenticated", weddings.ours.people["boss"])


# -- callers ------------------------------------------------------------------------------------------


async def test_without_a_token_one_is_anon_and_may_do_nothing_that_anon_may_not(
    way: Way, weddings: TwoTenants
) -> None:
    """Every table and function that the gateway shows, over HTTP, against what the catalogue says of `anon`."""
    shown = way.gateway.catalogues.current
    assert len(shown.tables) > 30
    readable = await owner_sees(
        weddings,
        "select coalesce(array_agg(relname::text), '{}') from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind in ('r', 'v', 'p', 'm') and has_table_privilege('anon', oid, 'select')",
    )
    refused = 0
    for _, name in shown.tables:
        read = await way.http.get(f"/rest/v1/{name}?limit=1")
        assert (read.status_code == 200) == (name in readable), name
        for answer in (
            await way.http.post(f"/rest/v1/{name}", json={}),
            await way.http.delete(f"/rest/v1/{name}?limit=0"),
        ):
            assert not answer.is_success, (name, answer.status_code)
        refused += read.status_code == 401
    assert refused == len(shown.tables) - len(readable)


@pytest.mark.parametrize("role", ["postgres", "wedsync_owner", "wedsync_gateway", "none", "service_role'; --"])
async def test_a_token_of_a_role_that_is_not_served_is_refused(way: Way, role: str) -> None:
    answer = await way.http.get(HOUSEHOLDS, headers=token(role))
    assert answer.status_code in {401, 403}


async def test_a_caller_sees_its_own_rows_and_no_others(way: Way, weddings: TwoTenants) -> None:
    answer = await way.http.get(f"{HOUSEHOLDS}?select=couple_id", headers=boss(weddings))
    seen = {row["couple_id"] for row in answer.json()}
    assert weddings.ours.couple in seen
    assert weddings.theirs.couple not in seen


async def test_the_history_knows_request_and_address(way: Way, weddings: TwoTenants) -> None:
    name = f"house {uuid4()}"
    row = {"couple_id": weddings.ours.couple, "name": name}
    headers = boss(weddings) | {"X-Request-Id": "known-request"}
    made = await way.http.post(HOUSEHOLDS, json=row, headers=headers)
    assert made.status_code == 201, made.text
    assert made.headers["x-request-id"] == "known-request"
    query = "select request_id from audit.record_version where new_row ->> 'name' = %s"
    assert await owner_sees(weddings, query, name) == "known-request"


# -- SQL in headers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("value", INJECTIONS)
async def test_sql_in_a_header_is_a_value_or_refused(
    way: Way, weddings: TwoTenants, header: str, value: str
) -> None:
    before = await owner_sees(weddings, "select count(*) from public.couples")
    for method in ("GET", "POST", "PATCH"):
        headers = boss(weddings) | {header: value}
        answer = await way.http.request(
            method, f"{HOUSEHOLDS}?id=eq.{uuid4()}", headers=headers, json={"name": "x"}
        )
        assert answer.status_code < 500, answer.text
    assert await owner_sees(weddings, "select count(*) from public.couples") == before


# -- writes that are done once ------------------------------------------------------------------------


async def added(weddings: TwoTenants, name: str) -> int:
    return await owner_sees(weddings, "select count(*) from public.households where name = %s", name)


async def test_a_write_with_a_key_is_done_once_and_answered_alike(way: Way, weddings: TwoTenants) -> None:
    name = f"once {uuid4()}"
    headers = boss(weddings) | {"Idempotency-Key": str(uuid4()), "Prefer": "return=representation"}
    row = {"couple_id": weddings.ours.couple, "name": name}
    first, second = [await way.http.post(HOUSEHOLDS, json=row, headers=headers) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
    assert await added(weddings, name) == 1


async def test_a_key_names_one_request_of_one_caller(way: Way, weddings: TwoTenants) -> None:
    key = str(uuid4())
    headers = boss(weddings) | {"Idempotency-Key": key}
    row = {"couple_id": weddings.ours.couple, "name": f"mine {key}"}
    assert (await way.http.post(HOUSEHOLDS, json=row, headers=headers)).status_code == 201
    other = await way.http.post(HOUSEHOLDS, json=row | {"name": f"other {key}"}, headers=headers)
    assert (other.status_code, await added(weddings, f"other {key}")) == (422, 0)
    theirs = token("authenticated", weddings.theirs.people["boss"]) | {"Idempotency-Key": key}
    row = {"couple_id": weddings.theirs.couple, "name": f"theirs {key}"}
    assert (await way.http.post(HOUSEHOLDS, json=row, headers=theirs)).status_code == 201


async def test_the_same_write_at_the_same_time_is_done_once(way: Way, weddings: TwoTenants) -> None:
    name = f"at once {uuid4()}"
    headers = boss(weddings) | {"Idempotency-Key": str(uuid4())}
    row = {"couple_id": weddings.ours.couple, "name": name}
    answers = await asyncio.gather(*(way.http.post(HOUSEHOLDS, json=row, headers=headers) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {201}
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 3
    assert await added(weddings, name) == 1


async def test_a_write_that_failed_leaves_its_key_free(way: Way, weddings: TwoTenants) -> None:
    name = f"later {uuid4()}"
    headers = boss(weddings) | {"Idempotency-Key": str(uuid4())}
    wrong = {"couple_id": weddings.theirs.couple, "name": name}
    assert (await way.http.post(HOUSEHOLDS, json=wrong, headers=headers)).status_code == 403
    right = {"couple_id": weddings.ours.couple, "name": name}
    assert (await way.http.post(HOUSEHOLDS, json=right, headers=headers)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_a_key_that_cannot_be_kept(way: Way, weddings: TwoTenants, key: str) -> None:
    headers = boss(weddings) | {"Idempotency-Key": key}
    row = {"couple_id": weddings.ours.couple, "name": "never"}
    answer = await way.http.post(HOUSEHOLDS, json=row, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "WS834")


@pytest.mark.parametrize("who", [{}, token("authenticated")], ids=["anonymous", "without a name"])
async def test_a_key_is_kept_for_callers_who_have_a_name(
    way: Way, weddings: TwoTenants, who: dict[str, str]
) -> None:
    """All others would share theirs, and with them the answers."""
    row = {"couple_id": weddings.ours.couple, "name": "never"}
    answer = await way.http.post(HOUSEHOLDS, json=row, headers=who | {"Idempotency-Key": "mine"})
    assert (answer.status_code, answer.json()["code"]) == (401, "WS835")


async def test_requests_are_forgotten_after_a_day(way: Way, weddings: TwoTenants) -> None:
    assert await owner_sees(weddings, "select true from ops.routines where name = 'prune_requests'")
    headers = boss(weddings) | {"Idempotency-Key": "old one"}
    row = {"couple_id": weddings.ours.couple, "name": "old"}
    assert (await way.http.post(HOUSEHOLDS, json=row, headers=headers)).status_code == 201
    await owner_sees(
        weddings,
        "with aged as (update ops.requests set created_at = now() - interval '25 hours' where key = 'old one'"
        " returning 1) select count(*) from aged",
    )
    await owner_sees(weddings, "select ops.prune_requests()::text")
    assert await owner_sees(weddings, "select count(*) from ops.requests where key = 'old one'") == 0


# -- programs -----------------------------------------------------------------------------------------


async def key_of(way: Way, weddings: TwoTenants, *scopes: str) -> dict[str, str]:
    order = {"p_organization_id": weddings.ours.organization, "p_name": "a program", "p_scopes": scopes}
    answer = await way.http.post("/rest/v1/rpc/create_api_key", json=order, headers=boss(weddings))
    assert answer.status_code == 200, answer.text
    return {"apikey": answer.json()}


async def test_a_program_acts_for_its_organization_within_its_scopes(way: Way, weddings: TwoTenants) -> None:
    reads, writes = await key_of(way, weddings, "read"), await key_of(way, weddings, "read", "write")
    for key in (reads, writes):
        answer = await way.http.get("/rest/v1/couples?select=id", headers=key)
        seen = {row["id"] for row in answer.json()}
        assert weddings.ours.couple in seen
        assert weddings.theirs.couple not in seen
        assert (await way.http.get("/rest/v1/invoices", headers=key)).json() == []
    row = {"couple_id": weddings.ours.couple, "name": f"by a program {uuid4()}"}
    assert (await way.http.post(HOUSEHOLDS, json=row, headers=reads)).status_code == 405
    assert (await way.http.post(HOUSEHOLDS, json=row, headers=writes)).status_code == 201
    money = await key_of(way, weddings, "read", "money")
    assert len((await way.http.get("/rest/v1/invoices", headers=money)).json()) > 0


async def test_a_key_that_is_revoked_or_made_up_is_refused(
    way: Way, weddings: TwoTenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wedsync.api.callers.api_keys._HOLDS_S", 0.0)
    key = await key_of(way, weddings, "read")
    assert (await way.http.get("/rest/v1/couples", headers=key)).status_code == 200
    revoke = {"revoked_at": "2026-01-01T00:00:00Z"}
    answer = await way.http.patch(
        f"/rest/v1/api_keys?prefix=eq.{key['apikey'][:44]}", json=revoke, headers=boss(weddings)
    )
    assert answer.status_code == 204, answer.text
    assert (await way.http.get("/rest/v1/couples", headers=key)).status_code == 401
    for made_up in ("wsk_", "wsk_x", f"wsk_{'0' * 32}.{'0' * 64}", "wsk_" + "x" * 500):
        assert (await way.http.get("/rest/v1/couples", headers={"apikey": made_up})).status_code == 401


# -- providers ----------------------------------------------------------------------------------------


def event_of(weddings: TwoTenants, **more: Any) -> dict[str, Any]:
    invoice = weddings.ours.rows["invoices"][0]
    return {
        "type": "payment.succeeded",
        "data": {
            "organization_id": invoice["organization_id"],
            "couple_id": invoice["couple_id"],
            "invoice_id": invoice["id"],
            "payment_id": f"pay_{uuid4()}",
            "amount_minor": 100,
            "currency": invoice["currency"],
        }
        | more,
    }


async def send(
    way: Way,
    event: dict[str, Any],
    *,
    identity: str = "",
    at: float | None = None,
    secret: str = WEBHOOK_SECRET,
    provider: str = "payco",
) -> httpx.Response:
    body, identity = json.dumps(event).encode(), identity or f"msg_{uuid4()}"
    sent = str(int(time.time() if at is None else at))
    key = b64decode(secret.removeprefix("whsec_"))
    signature = b64encode(digest(key, f"{identity}.{sent}.".encode() + body, "sha256")).decode()
    headers = {"webhook-id": identity, "webhook-timestamp": sent, "webhook-signature": f"v1,AAAA v1,{signature}"}
    return await way.http.post(f"/webhooks/v1/{provider}", content=body, headers=headers)


async def test_a_payment_is_booked_once_however_often_it_is_told(way: Way, weddings: TwoTenants) -> None:
    event, identity = event_of(weddings), f"msg_{uuid4()}"
    answers = [await send(way, event, identity=identity) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200], answers[0].text
    assert [answer.json()["outcome"] for answer in answers] == ["processed", "duplicate", "duplicate"]
    query = "select count(*) from public.payments where provider_payment_id = %s and status = 'succeeded'"
    assert await owner_sees(weddings, query, event["data"]["payment_id"]) == 1
    changed = await send(way, event_of(weddings), identity=identity)
    assert changed.status_code == 409


async def test_the_common_form_of_signature_and_event(way: Way, weddings: TwoTenants) -> None:
    data = event_of(weddings)["data"]
    thing = {
        "id": data["payment_id"],
        "amount": 100,
        "currency": data["currency"].lower(),
        "metadata": {name: data[name] for name in ("organization_id", "couple_id", "invoice_id")},
    }
    event = {"id": f"evt_{uuid4()}", "type": "payment_intent.succeeded", "data": {"object": thing}}
    body, sent = json.dumps(event).encode(), str(int(time.time()))
    signature = digest(WEBHOOK_SECRET.encode(), sent.encode() + b"." + body, "sha256").hex()
    headers = {"Stripe-Signature": f"t={sent},v1={signature},v0=old"}
    answer = await way.http.post("/webhooks/v1/payco", content=body, headers=headers)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "processed"), answer.text
    # Another id beside the signature makes no other message of it.
    answer = await way.http.post("/webhooks/v1/payco", content=body, headers=headers | {"webhook-id": "another"})
    assert (answer.status_code, answer.json()["outcome"]) == (200, "duplicate"), answer.text


async def test_what_is_not_signed_as_it_should_is_refused(way: Way, weddings: TwoTenants) -> None:
    event = event_of(weddings)
    wrong = "whsec_" + b64encode(b"another secret").decode()
    refused = [
        await send(way, event, secret=wrong),
        await send(way, event, at=time.time() - 301),
        await send(way, event, at=time.time() + 301),
        await send(way, event, provider="others"),
        await way.http.post("/webhooks/v1/payco", json=event),
        await way.http.post("/webhooks/v1/payco", json=event, headers={"webhook-signature": "v1,"}),
        await way.http.post("/webhooks/v1/payco", json=event, headers={"x-signature": "t=1,v1="}),
        await way.http.post("/webhooks/v1/../x", json=event),
    ]
    assert {answer.status_code for answer in refused[:-1]} == {401}
    query = "select count(*) from public.webhook_events where payload ->> 'payment_id' = %s"
    assert await owner_sees(weddings, query, event["data"]["payment_id"]) == 0


async def test_a_message_that_cannot_be_done_is_kept_and_asked_for_again(way: Way, weddings: TwoTenants) -> None:
    event = event_of(weddings, invoice_id=str(uuid4()))
    answer = await send(way, event)
    assert (answer.status_code, answer.json()["outcome"]) == (409, "failed")
    for broken in (
        {"type": "payment.succeeded"},
        {"type": 1, "data": {}},
        event_of(weddings, organization_id="x"),
        event_of(weddings) | {"type": "other\0"},
        event_of(weddings) | {"type": "other", "note": "\0"},
    ):
        assert (await send(way, broken)).status_code == 422
    nobody = event_of(weddings, organization_id=str(uuid4()))
    assert (await send(way, nobody)).status_code == 422


# -- a database that is not ours ----------------------------------------------------------------------


async def test_a_login_that_does_not_fit_is_refused_with_what_to_do(weddings: TwoTenants, cluster: Server) -> None:
    password = role_passwords(cluster.home)["wedsync_gateway"]
    login = cluster.tcp_target("wedsync_gateway", password, weddings.target.dbname)
    for settings, words in (
        ({"anon_role": "nobody_here"}, "is not there: nobody_here"),
        ({"anon_role": "wedsync_owner"}, "may not become wedsync_owner"),
        ({"schemas": "public nowhere"}, "is not there: nowhere"),
    ):
        with pytest.RaisesGroup(
            pytest.RaisesExc(Exception, match=words), allow_unwrapped=True, flatten_subgroups=True
        ):
            async with way_into(login, **settings):
                pass
    with pytest.RaisesGroup(
        pytest.RaisesExc(Exception, match="refuses 'wedsync_gateway'"),
        allow_unwrapped=True,
        flatten_subgroups=True,
    ):
        async with way_into(replace(login, password="wrong")):
            pass
