"""The application itself: paths, methods, profiles, settings of the transaction, catalogues that change."""

import json
from dataclasses import replace

import pytest

from support.rest_app import Call, Desk, Fixed, Gate, gate_to

PATHS = [
    Call("a table", "GET /couples?select=id&order=id", [{"id": 1}, {"id": 2}, {"id": 3}]),
    Call("a function", "GET /rpc/add?a=1&b=2", 3),
    Call("a name that comes near", "GET /coupels", {"code": "PGRST205"}, 404),
    Call("no function", "GET /rpc/no_such_thing", {"code": "PGRST202", "hint": None}, 404),
    Call("a path of three parts", "GET /rpc/add/more", {"code": "PGRST125"}, 404),
    Call(
        "a method of none",
        "TRACE /couples",
        {"code": "PGRST117", "message": "Unsupported HTTP method: TRACE"},
        405,
    ),
    Call("a write to the root", "POST /", {"code": "PGRST117"}, 405, sends={}),
    Call("a method not for functions", "DELETE /rpc/add", {"code": "PGRST101"}, 405),
    Call("a name with a blank", "GET /Guest%20List?select=Key", []),
    Call("the first schema, told", "GET /couples?id=eq.1&select=name", headers={"content-profile": "desk"}),
    Call(
        "another schema",
        "GET /couples?select=name",
        [{"name": "Old & Gold"}],
        given={"accept-profile": "archive"},
        headers={"content-profile": "archive"},
    ),
    Call(
        "another schema's function",
        "POST /rpc/add",
        103,
        sends={"a": 1, "b": 2},
        given={"content-profile": "archive"},
    ),
    Call(
        "a write to another schema",
        "POST /couples?select=name",
        [{"name": "New"}],
        201,
        sends={"id": 9, "name": "New"},
        prefer="return=representation",
        given={"content-profile": "archive"},
    ),
    Call(
        "a schema that is not shown", "GET /couples", {"code": "PGRST106"}, 406, given={"accept-profile": "tools"}
    ),
    Call("options of a table", "OPTIONS /couples", headers={"allow": "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"}),
    Call(
        "options of a table without key", "OPTIONS /notes", headers={"allow": "OPTIONS,GET,HEAD,POST,PATCH,DELETE"}
    ),
    Call("options of a view of a count", "OPTIONS /totals", headers={"allow": "OPTIONS,GET,HEAD"}),
    Call("options of a stable function", "OPTIONS /rpc/greet", headers={"allow": "OPTIONS,GET,HEAD,POST"}),
    Call("options of a volatile function", "OPTIONS /rpc/nothing", headers={"allow": "OPTIONS,POST"}),
    Call("options of nothing", "OPTIONS /nothing", {"code": "PGRST205"}, 404),
    Call(
        "anonymous without the right",
        "GET /tasks",
        {"code": "42501"},
        401,
        role="anon",
        headers={"www-authenticate": "Bearer"},
    ),
    Call("signed in without the right", "GET /secrets", {"code": "42501"}, 403),
    Call("columns that one may see", "GET /secrets?select=id,open", [{"id": 1, "open": "all may read"}]),
    Call(
        "head",
        "HEAD /couples",
        headers={"content-range": "0-2/*", "content-type": "application/json; charset=utf-8"},
    ),
    Call(
        "the query in the order of its names",
        "GET /couples?select=id&id=eq.1",
        headers={"content-location": "/couples?id=eq.1&select=id"},
    ),
    Call("answers depend on headers", "GET /couples?id=eq.1", headers={"vary": "Accept, Prefer, Range"}),
]

SETTINGS = [
    Call("method", "GET /rpc/seen?setting=request.method", "GET"),
    Call("path", "GET /rpc/seen?setting=request.path", "/rpc/seen"),
    Call("role", "GET /rpc/seen?setting=role", "authenticated"),
    Call("name of the request", "GET /rpc/seen?setting=request.id", "r-1"),
    Call("address of the client", "GET /rpc/seen?setting=request.forwarded_for", "192.0.2.7"),
    Call("a reading transaction", "GET /rpc/seen?setting=transaction_read_only", "on"),
    Call("a stable function reads", "POST /rpc/seen", "on", sends={"setting": "transaction_read_only"}),
    Call("search path", "GET /rpc/seen?setting=search_path", '"desk", "tools"'),
    Call("cookies", "GET /rpc/seen?setting=request.cookies", '{"a":"1","b":"2"}', given={"cookie": "a=1; b=2"}),
    Call(
        "time zone",
        "GET /rpc/now_in_zone",
        "Asia/Tokyo",
        prefer="timezone=Asia/Tokyo",
        headers={"preference-applied": "timezone=Asia/Tokyo"},
    ),
]


@pytest.mark.parametrize("call", PATHS, ids=lambda call: call.name)
async def test_path(gate: Gate, call: Call) -> None:
    await gate.check(call)


@pytest.mark.parametrize("call", SETTINGS, ids=lambda call: call.name)
async def test_transaction_knows(gate: Gate, call: Call) -> None:
    await gate.check(call)


async def test_headers_are_told_to_the_database_without_cookies(gate: Gate) -> None:
    answer = await gate.ask("GET /rpc/seen?setting=request.headers", headers={"X-Tenant": "ada", "cookie": "s=1"})
    told = json.loads(answer.json())
    assert told["x-tenant"] == "ada"
    assert "cookie" not in told


async def test_claims_are_told_to_the_database(gate: Gate) -> None:
    answer = await gate.ask("GET /rpc/seen?setting=request.jwt.claims")
    assert json.loads(answer.json())["role"] == "authenticated"


async def test_root_describes_what_the_caller_may_use(gate: Gate) -> None:
    answer = await gate.ask("GET /")
    assert answer.headers["content-type"] == "application/openapi+json; charset=utf-8"
    described = answer.json()
    assert {"/couples", "/rpc/add"} <= set(described["paths"])
    anonymous = (await gate.ask("GET /", role="anon")).json()
    assert "/couples" in anonymous["paths"]
    assert "/tasks" not in anonymous["paths"]


async def test_root_of_another_schema(gate: Gate) -> None:
    answer = await gate.ask("GET /", headers={"accept-profile": "archive"})
    assert set(answer.json()["definitions"]) == {"couples"}


async def test_root_is_no_csv(gate: Gate) -> None:
    answer = await gate.ask("GET /", headers={"accept": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST107")


async def test_function_has_its_own_statement_timeout(gate: Gate) -> None:
    answer = await gate.ask("GET /rpc/slow")
    assert (answer.status_code, answer.json()["code"]) == (500, "57014")


async def test_request_is_planned_anew_once_when_the_catalogue_changed(desk: Desk) -> None:
    older = replace(desk.catalogue, tables={}, fingerprint="older")
    catalogues = Fixed(older, newer=desk.catalogue)
    async with gate_to(desk, catalogues=catalogues) as gate:
        answer = await gate.ask("GET /couples?id=eq.1&select=name")
    assert answer.json() == [{"name": "Ada & Bo"}]
    assert catalogues.current is desk.catalogue


async def test_column_that_is_gone_is_asked_for_again_with_the_new_catalogue(desk: Desk) -> None:
    tasks = desk.catalogue.tables["desk", "tasks"]
    gone = replace(tasks.columns["title"], name="gone")
    older = replace(
        desk.catalogue,
        tables={**desk.catalogue.tables, tasks.id: replace(tasks, columns={**tasks.columns, "gone": gone})},
        fingerprint="older",
    )
    async with gate_to(desk, catalogues=Fixed(older, newer=desk.catalogue)) as gate:
        answer = await gate.ask("POST /tasks", sends={"couple_id": 1, "gone": "x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST204")
