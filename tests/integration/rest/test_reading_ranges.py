"""How many rows, which of them, and what the answer says of the others."""

import pytest

from support.rest_app import Call, Desk, Gate, gate_to
from wedsync.api.rest import RestSettings

RANGES = [
    Call("all rows", "GET /guests?select=id", headers={"content-range": "0-5/*"}),
    Call("none", "GET /empty_table", [], headers={"content-range": "*/*"}),
    Call(
        "limit",
        "GET /guests?select=id&order=id&limit=2",
        [{"id": 1}, {"id": 2}],
        headers={"content-range": "0-1/*"},
    ),
    Call(
        "offset",
        "GET /guests?select=id&order=id&limit=2&offset=4",
        [{"id": 5}, {"id": 6}],
        headers={"content-range": "4-5/*"},
    ),
    Call("negative offset is none", "GET /guests?select=id&offset=-4", headers={"content-range": "0-5/*"}),
    Call("limit nothing", "GET /guests?limit=0", [], headers={"content-range": "*/*"}),
    Call(
        "range",
        "GET /guests?select=id&order=id",
        [{"id": 2}, {"id": 3}],
        headers={"content-range": "1-2/*"},
        given={"range": "1-2"},
    ),
    Call(
        "open range",
        "GET /guests?select=id&order=id",
        [{"id": 5}, {"id": 6}],
        headers={"content-range": "4-5/*"},
        given={"range": "4-"},
    ),
    Call(
        "range past the end",
        "GET /guests?select=id&order=id",
        [{"id": 6}],
        headers={"content-range": "5-5/*"},
        given={"range": "5-99"},
    ),
    Call(
        "range and limit",
        "GET /guests?select=id&order=id&limit=2",
        [{"id": 1}, {"id": 2}],
        headers={"content-range": "0-1/*"},
        given={"range": "0-5"},
    ),
    Call(
        "range and offset",
        "GET /guests?select=id&order=id&offset=2",
        [{"id": 3}],
        headers={"content-range": "2-2/*"},
        given={"range": "1-2"},
    ),
    Call(
        "range of no unit is ignored",
        "GET /guests?select=id",
        headers={"content-range": "0-5/*"},
        given={"range": "bytes=0-1"},
    ),
    Call(
        "range, reversed",
        "GET /guests",
        {
            "code": "PGRST103",
            "details": "The lower boundary must be lower than or equal to the upper boundary in the Range header.",
        },
        416,
        given={"range": "3-1"},
    ),
    Call("range is for GET only", "HEAD /guests", headers={"content-range": "0-5/*"}, given={"range": "0-1"}),
    Call("limit with HEAD", "HEAD /guests?limit=2", headers={"content-range": "0-1/*"}),
    Call(
        "a limit inside does not count",
        "GET /weddings?select=id,guests(id)&guests.limit=1",
        headers={"content-range": "0-3/*"},
    ),
]

COUNTS = [
    Call(
        "exact",
        "GET /guests?select=id",
        headers={"content-range": "0-5/6", "preference-applied": "count=exact"},
        prefer="count=exact",
    ),
    Call(
        "exact, a part",
        "GET /guests?select=id&limit=2",
        status=206,
        headers={"content-range": "0-1/6"},
        prefer="count=exact",
    ),
    Call(
        "exact, filtered",
        "GET /guests?select=id&coming=is.true&limit=1",
        status=206,
        headers={"content-range": "0-0/4"},
        prefer="count=exact",
    ),
    Call("exact of nothing", "GET /guests?id=eq.99", [], headers={"content-range": "*/0"}, prefer="count=exact"),
    Call(
        "exact with a filter whose value comes twice",
        "GET /guests?select=id&id=gt.2&limit=1&offset=1&order=id",
        [{"id": 4}],
        206,
        headers={"content-range": "1-1/4"},
        prefer="count=exact",
    ),
    Call(
        "exact with inner",
        "GET /venues?select=id,weddings!inner(id)&limit=1",
        status=206,
        headers={"content-range": "0-0/2"},
        prefer="count=exact",
    ),
    Call(
        "exact with a filter inside inner",
        "GET /venues?select=id,weddings!inner(id)&weddings.id=in.(1,3)&limit=1",
        headers={"content-range": "0-0/1"},
        prefer="count=exact",
    ),
    Call(
        "exact without a relation",
        "GET /venues?select=id,weddings(id)&weddings=is.null&limit=1",
        [{"id": 3, "weddings": []}],
        headers={"content-range": "0-0/1"},
        prefer="count=exact",
    ),
    Call(
        "exact through a function",
        "GET /guests?select=id,the_wedding!inner(id)&the_wedding.id=eq.2&limit=1",
        status=206,
        headers={"content-range": "0-0/2"},
        prefer="count=exact",
    ),
    Call(
        "exact with HEAD",
        "HEAD /guests?limit=3",
        status=206,
        headers={"content-range": "0-2/6"},
        prefer="count=exact",
    ),
    Call(
        "past the end",
        "GET /guests?offset=100",
        {"code": "PGRST103", "details": "An offset of 100 was requested, but there are only 6 rows."},
        416,
        headers={"content-range": "*/6"},
        prefer="count=exact",
    ),
    Call("past the end, uncounted", "GET /guests?offset=100", [], headers={"content-range": "*/*"}),
    Call(
        "planned",
        "GET /guests?select=id&limit=2",
        status=206,
        headers={"content-range": "0-1/6"},
        prefer="count=planned",
    ),
    Call(
        "estimated, few",
        "GET /guests?select=id&limit=2&coming=is.true",
        status=206,
        headers={"content-range": "0-1/4"},
        prefer="count=estimated",
    ),
]

FEW = [
    Call(
        "at most two rows",
        "GET /guests?select=id&order=id",
        [{"id": 1}, {"id": 2}],
        headers={"content-range": "0-1/*"},
    ),
    Call("a smaller limit holds", "GET /guests?select=id&order=id&limit=1", [{"id": 1}]),
    Call("a larger one does not", "GET /guests?select=id&order=id&limit=5000", [{"id": 1}, {"id": 2}]),
    Call("with an offset", "GET /guests?select=id&order=id&offset=3", [{"id": 4}, {"id": 5}]),
    Call(
        "inside, too",
        "GET /weddings?select=guests(id)&id=eq.1&guests.order=id",
        [{"guests": [{"id": 1}, {"id": 2}]}],
    ),
    Call("one row is one row", "GET /guests?select=id,weddings(id)&id=eq.4", [{"id": 4, "weddings": {"id": 2}}]),
    Call(
        "exact counts all",
        "GET /guests?select=id",
        status=206,
        headers={"content-range": "0-1/6"},
        prefer="count=exact",
    ),
    Call(
        "estimated above the number",
        "GET /guests?select=id",
        status=206,
        headers={"content-range": "0-1/6"},
        prefer="count=estimated",
    ),
    Call("rows are counted even so", "GET /weddings?select=guests(count)&id=eq.1", [{"guests": [{"count": 3}]}]),
    Call("aggregates are off", "GET /guests?select=count()", {"code": "PGRST123"}, 400),
    Call("inside, too", "GET /weddings?select=guests(id.count())", {"code": "PGRST123"}, 400),
]


@pytest.mark.parametrize("call", [*RANGES, *COUNTS], ids=lambda call: call.name)
@pytest.mark.asyncio(loop_scope="session")
async def test_range(call: Call, season_gate: Gate) -> None:
    await season_gate.check(call)


@pytest.mark.parametrize("call", FEW, ids=lambda call: call.name)
async def test_settings_bound_what_is_read(call: Call, season: Desk) -> None:
    async with gate_to(season, settings=RestSettings(max_rows=2, aggregates=False)) as gate:
        await gate.check(call)


@pytest.mark.asyncio(loop_scope="session")
async def test_equal_shapes_have_one_plan(season_gate: Gate) -> None:
    for number, name in enumerate(["Mia", "Noah", "Olga"], 1):
        answer = await season_gate.ask(f"GET /guests?select=first_name&id=eq.{number}")
        assert answer.json() == [{"first_name": name}]
