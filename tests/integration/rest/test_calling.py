"""Calling functions through the data API."""

import pytest

from support.rest_app import Call, Gate

OBJECT = "application/vnd.pgrst.object+json"
FORM = {"content-type": "application/x-www-form-urlencoded"}

CALLS = [
    Call(
        "a number",
        "POST /rpc/add",
        3,
        sends={"a": 1, "b": 2},
        headers={"content-type": "application/json; charset=utf-8"},
    ),
    Call("a number by address", "GET /rpc/add?a=1&b=2", 3, headers={"content-range": "0-0/*"}),
    Call(
        "counted",
        "GET /rpc/add?a=1&b=2",
        3,
        prefer="count=exact",
        headers={"content-range": "0-0/1", "preference-applied": "count=exact"},
    ),
    Call("head", "HEAD /rpc/add?a=1&b=2", headers={"content-type": "application/json; charset=utf-8"}),
    Call("a text", "POST /rpc/greet", "Hello, Mia", sends={"name": "Mia"}),
    Call("a default", "POST /rpc/greet", "Hello, you", sends={}),
    Call("a default without body", "POST /rpc/greet", "Hello, you", sends=b""),
    Call("the last of several", "GET /rpc/greet?name=A&name=B", "Hello, B"),
    Call(
        "nothing", "POST /rpc/nothing", "", 204, sends={}, headers={"content-type": None, "content-length": None}
    ),
    Call("null", "GET /rpc/no_number", None),
    Call("a list of numbers", "GET /rpc/numbers", [1, 2, 3], headers={"content-range": "0-2/*"}),
    Call("variadic, none", "GET /rpc/list_of", []),
    Call("variadic, one", "GET /rpc/list_of?words=hi", ["hi"]),
    Call("variadic, several", "GET /rpc/list_of?words=hi&words=there,all", ["hi", "there,all"]),
    Call("variadic, a JSON list", "POST /rpc/list_of", ["hi", "there"], sends={"words": ["hi", "there"]}),
    Call("variadic, a form", "POST /rpc/list_of", ["hi", "there"], sends=b"words=hi&words=there", given=FORM),
    Call("a form", "POST /rpc/add", 5, sends=b"a=2&b=3", given=FORM),
    Call(
        "a form beside filters", "POST /rpc/open_tasks?id=lt.3&select=id", [{"id": 2}], sends=b"of=1", given=FORM
    ),
    Call("the first of a list", "POST /rpc/add", 3, sends=[{"a": 1, "b": 2}, {"a": 5, "b": 6}]),
    Call("whole body", "POST /rpc/whole", {"a": [1, {"b": None}]}, sends={"a": [1, {"b": None}]}),
    Call(
        "whole text",
        "POST /rpc/whole_text",
        "just words",
        sends=b"just words",
        given={"content-type": "text/plain"},
    ),
    Call(
        "whole bytes",
        "POST /rpc/size_of",
        4,
        sends=b"\x00\xff\\x",
        given={"content-type": "application/octet-stream"},
    ),
    Call("whole body for a name", "POST /rpc/named_json", {"code": "PGRST202"}, 404, sends={"A": 1}),
    Call("a JSON argument", "POST /rpc/named_json", {"A": 1}, sends={"data": {"A": 1}}),
    Call("arrays and objects", "POST /rpc/arrays", '{1,2}{"a": 1}', sends={"numbers": [1, 2], "data": {"a": 1}}),
    Call("arrays by address", "GET /rpc/arrays?numbers=%7B1,2%7D&data=%7B%7D", "{1,2}{}"),
    Call("overload of one", "GET /rpc/over?a=1", "one"),
    Call("overload of none", "GET /rpc/over?a=1&d=1", {"code": "PGRST202"}, 404),
    Call(
        "overload of two",
        "POST /rpc/twice",
        {
            "code": "PGRST203",
            "message": "Could not choose the best candidate function between: desk.twice(a => integer), desk.twice(a => text)",
        },
        300,
        sends={"a": 1},
    ),
    Call("overload of two with a default", "GET /rpc/over?a=1&b=2", {"code": "PGRST203"}, 300),
    Call("overload of three", "GET /rpc/over?a=1&b=2&c=3", "three"),
    Call(
        "unknown argument",
        "GET /rpc/add?a=1&b=2&c=3",
        {"code": "PGRST202", "message": "Could not find the function desk.add(a, b, c) in the schema cache"},
        404,
    ),
    Call("missing argument", "GET /rpc/add?a=1", {"code": "PGRST202"}, 404),
    Call("wrong argument", "GET /rpc/add?a=x&b=2", {"code": "22P02"}, 400),
    Call(
        "an argument that is no SQL", "GET /rpc/greet?name='%7C%7Cpg_sleep(9)%7C%7C'", "Hello, '||pg_sleep(9)||'"
    ),
    Call("columns chosen", "POST /rpc/add?columns=a,b", 3, sends={"a": 1, "b": 2, "c": 3}),
    Call("one row", "GET /rpc/the_couple?id=1&select=id,name", {"id": 1, "name": "Ada & Bo"}),
    Call("rows", "GET /rpc/open_tasks?select=id", [{"id": 2}, {"id": 3}, {"id": 4}]),
    Call("rows, filtered", "GET /rpc/open_tasks?id=gt.2&select=id", [{"id": 3}, {"id": 4}]),
    Call("rows, filtered by what is not shown", "GET /rpc/open_tasks?title=like.*cakes&select=id", [{"id": 2}]),
    Call(
        "rows, in order",
        "POST /rpc/open_tasks?order=title&select=title",
        [{"title": "Find a venue"}, {"title": "Send invitations"}, {"title": "Taste cakes"}],
        sends={},
    ),
    Call(
        "rows, cut",
        "GET /rpc/open_tasks?limit=1&offset=1&select=id",
        [{"id": 3}],
        headers={"content-range": "1-1/*"},
    ),
    Call(
        "rows, cut and counted",
        "GET /rpc/open_tasks?limit=1&select=id",
        [{"id": 2}],
        206,
        prefer="count=exact",
        headers={"content-range": "0-0/3"},
    ),
    Call(
        "rows, cut by a header",
        "GET /rpc/open_tasks?select=id",
        [{"id": 3}],
        given={"range": "1-1"},
        headers={"content-range": "1-1/*"},
    ),
    Call(
        "rows past the end",
        "GET /rpc/open_tasks?offset=9&select=id",
        {"code": "PGRST103"},
        416,
        prefer="count=exact",
    ),
    Call(
        "rows with related rows",
        "GET /rpc/open_tasks?of=1&select=title,couples(name)",
        [{"title": "Taste cakes", "couples": {"name": "Ada & Bo"}}],
    ),
    Call(
        "computed field of rows", "GET /rpc/open_tasks?of=1&select=title_upper", [{"title_upper": "TASTE CAKES"}]
    ),
    Call("a table of its own", "GET /rpc/table_of?n=2", [{"number": 1, "square": 1}, {"number": 2, "square": 4}]),
    Call(
        "a table of its own, chosen",
        "GET /rpc/table_of?n=3&square=gt.1&select=number&order=number.desc",
        [{"number": 3}, {"number": 2}],
    ),
    Call("out parameters", "GET /rpc/both_ways?value=4", {"value": 4, "next": 5}),
    Call(
        "rows that were written",
        "POST /rpc/finish?select=id,is_done",
        [{"id": 2, "is_done": True}],
        sends={"task": 2},
    ),
    Call("a write by GET", "GET /rpc/finish?task=2", {"code": "25006"}, 405),
    Call("a write of nothing", "POST /rpc/add_note", "", 204, sends={"body": "x"}),
    Call("one object of a list", "POST /rpc/open_tasks?select=id", {"id": 2}, sends={"of": 1}, accept=OBJECT),
    Call(
        "one object of several",
        "GET /rpc/open_tasks",
        {"code": "PGRST116", "details": "The result contains 3 rows"},
        406,
        accept=OBJECT,
    ),
    Call("one object of a number", "GET /rpc/add?a=1&b=2", 3, accept=OBJECT),
    Call(
        "CSV",
        "GET /rpc/table_of?n=2",
        "number,square\n1,1\n2,4",
        accept="text/csv",
        headers={"content-type": "text/csv; charset=utf-8"},
    ),
    Call(
        "at most",
        "POST /rpc/finish?select=id",
        {"code": "PGRST124"},
        400,
        sends={"task": 0},
        prefer="handling=strict, max-affected=1",
    ),
    Call(
        "at most, of one",
        "POST /rpc/nothing",
        {"code": "PGRST128"},
        400,
        sends={},
        prefer="handling=strict, max-affected=1",
    ),
    Call(
        "return is not for functions",
        "POST /rpc/add",
        3,
        sends={"a": 1, "b": 2},
        prefer="return=minimal",
        headers={"preference-applied": None},
    ),
    Call(
        "a status of its own", "GET /rpc/teapot", "", 418, headers={"x-pot": "tea", "cache-control": "max-age=60"}
    ),
    Call("headers that are none", "GET /rpc/broken_headers", {"code": "PGRST111"}, 500),
    Call(
        "an error with a status",
        "POST /rpc/pay",
        {"code": "PT402", "message": "Payment required", "details": "Quota is spent", "hint": "Pay"},
        402,
        sends={},
    ),
    Call(
        "an answer of its own",
        "POST /rpc/raw_answer",
        {"code": "mine", "message": "own words"},
        409,
        sends={},
        headers={"x-own": "yes"},
    ),
    Call("not JSON", "POST /rpc/add", {"code": "PGRST102"}, 400, sends=b"{"),
    Call(
        "a function that may not be called",
        "POST /rpc/finish",
        {"code": "42501"},
        401,
        sends={"task": 1},
        role="anon",
    ),
]

MEDIA = [
    Call("anything", "GET /couples?id=eq.1&select=id", [{"id": 1}], accept="*/*"),
    Call(
        "nothing that there is",
        "GET /couples",
        {"code": "PGRST107", "message": "None of these media types are available: text/unknown"},
        406,
        accept="text/unknown",
    ),
    Call(
        "no media type",
        "GET /couples",
        {"code": "PGRST107", "message": "None of these media types are available: undefined"},
        406,
        accept="undefined",
    ),
    Call("the first that there is", "GET /couples?id=eq.1&select=id", "id\n1", accept="text/unknown, text/csv"),
    Call(
        "the most wanted",
        "GET /couples?id=eq.1&select=id",
        "id\n1",
        accept="application/json;q=0.5, text/csv;q=0.9",
    ),
    Call("parameters do not matter", "GET /couples?id=eq.1&select=id", "id\n1", accept="text/csv; version=1"),
    Call(
        "one object",
        "GET /couples?id=eq.1&select=id",
        {"id": 1},
        accept=OBJECT,
        headers={"content-type": f"{OBJECT}; charset=utf-8"},
    ),
    Call(
        "one object in other letters",
        "GET /couples?id=eq.1&select=id",
        {"id": 1},
        accept="ApplicatIon/vnd.PgRsT.object",
    ),
    Call(
        "one object of none",
        "GET /couples?id=eq.77",
        {
            "code": "PGRST116",
            "message": "Cannot coerce the result to a single JSON object",
            "details": "The result contains 0 rows",
            "hint": None,
        },
        406,
        accept=OBJECT,
    ),
    Call(
        "one object without nulls",
        "GET /couples?id=eq.3&select=id,email",
        {"id": 3},
        accept=f"{OBJECT};nulls=stripped",
    ),
    Call(
        "a list without nulls",
        "GET /couples?id=eq.3&select=id,email",
        [{"id": 3}],
        accept="application/vnd.pgrst.array+json;nulls=stripped",
        headers={"content-type": "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"},
    ),
    Call(
        "a list with nulls",
        "GET /couples?id=eq.3&select=id,email",
        [{"id": 3, "email": None}],
        accept="application/vnd.pgrst.array+json",
        headers={"content-type": "application/json; charset=utf-8"},
    ),
    Call("CSV of values", "GET /rpc/numbers", "pgrst_scalar\n1\n2\n3", accept="text/csv"),
    Call("CSV of nothing", "GET /couples?id=eq.77", "\n", accept="text/csv"),
    Call(
        "CSV with quotes",
        "GET /helpers?select=person,note&order=person",
        "person,note\nOlga,speech\nPaul,",
        accept="text/csv",
    ),
    Call("no GeoJSON without PostGIS", "GET /couples", {"code": "PGRST107"}, 406, accept="application/geo+json"),
    Call(
        "a page of rows",
        "GET /couples?id=lt.3&order=id",
        "<li>Ada & Bo</li><li>Cem & Dia</li>",
        accept="text/html",
        headers={"content-type": "text/html"},
    ),
    Call("a page of whole rows only", "GET /couples?select=id", {"code": "PGRST107"}, 406, accept="text/html"),
    Call(
        "a page by a function",
        "GET /rpc/page",
        "<p>Ada &amp; Bo</p>",
        accept="text/html",
        headers={"content-type": "text/html"},
    ),
    Call("a picture", "GET /rpc/picture", b"\x89PNG", accept="image/png", headers={"content-type": "image/png"}),
    Call(
        "plans are for administrators",
        "GET /couples",
        {"code": "PGRST107"},
        406,
        accept="application/vnd.pgrst.plan",
    ),
    Call(
        "a plan",
        "GET /couples",
        role="service_role",
        accept="application/vnd.pgrst.plan+json; options=verbose|nonsense",
        headers={
            "content-type": 'application/vnd.pgrst.plan+json; for="application/json"; options=verbose; charset=utf-8'
        },
    ),
    Call(
        "a plan in words",
        "GET /couples",
        role="service_role",
        accept="application/vnd.pgrst.plan",
        headers={"content-type": 'application/vnd.pgrst.plan+text; for="application/json"; charset=utf-8'},
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
async def test_call(gate: Gate, call: Call) -> None:
    await gate.check(call)


@pytest.mark.parametrize("call", MEDIA, ids=lambda call: call.name)
async def test_media_type(gate: Gate, call: Call) -> None:
    await gate.check(call)


async def test_plan_says_how_a_write_would_be_carried_out_and_writes_nothing(gate: Gate) -> None:
    answer = await gate.ask(
        "POST /couples",
        sends={"id": 9, "name": "N"},
        headers={"accept": "application/vnd.pgrst.plan+json"},
        role="service_role",
    )
    assert answer.json()[0]["Plan"]["Plans"][0]["Operation"] == "Insert"


async def test_what_a_function_does_to_its_session_is_not_there_for_the_next_caller(gate: Gate) -> None:
    await gate.check(Call("a lock of the session", "POST /rpc/keep_a_lock", 1, sends={}))
    await gate.check(Call("seen by another", "GET /rpc/locks_kept", 0))
