"""Error answers of the data API over a real database: what PostgreSQL refuses, and what the catalogue has not."""

import asyncio
from collections.abc import Iterator

import pytest

from support.rest_app import Call
from support.rest_hall import Hall, hall_of
from wedsync.cluster import Server


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def hall(cluster: Server, runner: asyncio.Runner) -> Iterator[Hall]:
    made = hall_of(cluster)
    yield runner.run(made.__aenter__())
    runner.run(made.__aexit__(None, None, None))


REFUSED = [
    Call(
        "raised in a function",
        "GET /rpc/raise_plain",
        {"code": "P0001", "message": "no cake", "details": "eaten", "hint": "bake"},
        400,
        headers={"proxy-status": "PostgREST; error=P0001"},
    ),
    Call(
        "a status of one's own", "GET /rpc/raise_state?state=PT402", {"code": "PT402", "message": "so it is"}, 402
    ),
    Call("a status that is none", "GET /rpc/raise_state?state=PT40A", {"code": "PT40A"}, 500),
    Call("a broken foreign key", "POST /orders", {"code": "23503"}, 409, sends={"id": 9, "table_id": 77}),
    Call("a key twice", "POST /tables", {"code": "23505"}, 409, sends={"id": 1, "name": "New"}),
    Call("a broken check", "POST /tables", {"code": "23514"}, 400, sends={"id": 9, "name": "Big", "size": 99}),
    Call("nothing where something must be", "POST /tables", {"code": "23502"}, 400, sends={"id": 9}),
    Call("no number", "GET /tables?id=eq.one", {"code": "22P02", "details": None}, 400),
    Call("a write by GET", "GET /rpc/calls_what_writes", {"code": "25006"}, 405),
    Call("a volatile function by GET", "GET /rpc/write_diary", {"code": "25006"}, 405),
    Call("one row too many", "GET /rpc/two_rows", {"code": "21000"}, 500),
    Call("without end", "GET /rpc/endless?n=1", {"code": "54001"}, 500),
    Call("serialization", "GET /rpc/raise_state?state=40001", {"code": "40001"}, 500),
    Call("no connection", "GET /rpc/raise_state?state=08006", {"code": "08006"}, 503),
    Call("resources", "GET /rpc/raise_state?state=53100", {"code": "53100"}, 503),
    Call("internal", "GET /rpc/raise_state?state=XX000", {"code": "XX000"}, 500),
    Call(
        "who is signed in may not",
        "GET /rpc/raise_state?state=42501",
        {"code": "42501"},
        403,
        headers={"www-authenticate": None},
    ),
    Call(
        "who is not signed in may not",
        "GET /orders",
        {"code": "42501", "message": "permission denied for table orders"},
        401,
        headers={"www-authenticate": "Bearer"},
        role="anon",
    ),
    Call("a column that one may not see", "GET /diary", {"code": "42501"}, 401, role="anon"),
    Call("a column that one may see", "GET /diary?select=id", [], role="anon"),
    Call("a function that one may not call", "GET /rpc/hidden_from_anon", {"code": "42501"}, 401, role="anon"),
    Call(
        "the whole answer by the function",
        "POST /rpc/raise_answer",
        {"code": "H1", "message": "full", "details": "8 of 8", "hint": "come earlier"},
        418,
        sends={
            "message": '{"code": "H1", "message": "full", "details": "8 of 8", "hint": "come earlier"}',
            "detail": '{"status": 418, "headers": {"X-Seats": "8"}}',
        },
        headers={"x-seats": "8", "proxy-status": "PostgREST; error=H1"},
    ),
    Call(
        "an answer that is no JSON",
        "POST /rpc/raise_answer",
        {"code": "PGRST121", "details": "Invalid JSON value for MESSAGE: 'full'"},
        500,
        sends={"message": "full", "detail": "{}"},
    ),
]

UNKNOWN = [
    Call(
        "a table that comes near",
        "GET /table",
        {
            "code": "PGRST205",
            "message": "Could not find the table 'hall.table' in the schema cache",
            "details": None,
            "hint": "Perhaps you meant the table 'hall.tables'",
        },
        404,
    ),
    Call("a table that nobody sees", "GET /secrets", {"code": "PGRST205", "hint": None}, 404),
    Call("a table of another schema", "GET /boxes", {"code": "PGRST205", "hint": None}, 404),
    Call(
        "the same there",
        "GET /box",
        {"code": "PGRST205", "hint": None},
        404,
        given={"accept-profile": "attic"},
    ),
    Call(
        "a near name there",
        "GET /boxs",
        {"code": "PGRST205", "hint": "Perhaps you meant the table 'attic.boxes'"},
        404,
        given={"accept-profile": "attic"},
    ),
    Call(
        "a relation that comes near",
        "GET /tables?select=id,order(id)",
        {
            "code": "PGRST200",
            "message": "Could not find a relationship between 'tables' and 'order' in the schema cache",
            "hint": "Perhaps you meant 'orders' instead of 'order'.",
        },
        400,
    ),
    Call("no relation", "GET /bills?select=seats(*)", {"code": "PGRST200"}, 400),
    Call(
        "a hint that leads nowhere",
        "GET /orders?select=people!nobody(name)",
        {
            "code": "PGRST200",
            "details": "Searched for a foreign key relationship between 'orders' and 'people' using the hint "
            "'nobody' in the schema 'hall', but no matches were found.",
        },
        400,
    ),
    Call(
        "two ways",
        "GET /orders?select=people(name)",
        {
            "code": "PGRST201",
            "message": "Could not embed because more than one relationship was found for 'orders' and 'people'",
            "details": [
                {
                    "cardinality": "many-to-one",
                    "embedding": "orders with people",
                    "relationship": "orders_placed_by using orders(placed_by) and people(id)",
                },
                {
                    "cardinality": "many-to-one",
                    "embedding": "orders with people",
                    "relationship": "orders_served_by using orders(served_by) and people(id)",
                },
            ],
            "hint": "Try changing 'people' to one of the following: 'people!orders_placed_by', "
            "'people!orders_served_by'. Find the desired relationship in the 'details' key.",
        },
        300,
    ),
    Call(
        "a function that comes near",
        "GET /rpc/pik?a=1",
        {
            "code": "PGRST202",
            "message": "Could not find the function hall.pik(a) in the schema cache",
            "hint": "Perhaps you meant to call the function hall.pick",
        },
        404,
    ),
    Call(
        "a longer one",
        "POST /rpc/seat_peopl",
        {
            "code": "PGRST202",
            "message": "Could not find the function hall.seat_peopl(names) in the schema cache",
            "details": "Searched for the function hall.seat_peopl with parameter names or with a single unnamed "
            "json/jsonb parameter, but no matches were found in the schema cache.",
            "hint": "Perhaps you meant to call the function hall.seat_people",
        },
        404,
        sends={"names": ["Ann"]},
    ),
    Call(
        "other arguments",
        "POST /rpc/seat_people",
        {"code": "PGRST202", "hint": "Perhaps you meant to call the function hall.seat_people(names, table_id)"},
        404,
        sends={"name": "Ann", "table_id": 1},
    ),
    Call(
        "two functions",
        "GET /rpc/pick?a=1",
        {
            "code": "PGRST203",
            "message": "Could not choose the best candidate function between: hall.pick(a => integer), "
            "hall.pick(a => text)",
        },
        300,
    ),
    Call(
        "a column that is not there",
        "POST /tables?columns=id,colour",
        {
            "code": "PGRST204",
            "message": "Could not find the 'colour' column of 'tables' in the schema cache",
            "hint": None,
        },
        400,
        sends={"id": 9, "colour": "red"},
    ),
    Call("a column to read that is not there", "GET /tables?select=colour", {"code": "42703"}, 400),
    Call(
        "a schema that is not shown",
        "GET /people",
        {
            "code": "PGRST106",
            "message": "Invalid schema: cellar",
            "details": None,
            "hint": "Only the following schemas are exposed: hall, attic",
        },
        406,
        given={"accept-profile": "cellar"},
    ),
    Call(
        "a write to a schema that is not shown",
        "POST /people",
        {"code": "PGRST106"},
        406,
        sends={},
        given={"content-profile": "cellar"},
    ),
    Call(
        "a profile for reading does not concern a write",
        "DELETE /diary",
        status=204,
        given={"accept-profile": "x"},
    ),
    Call("another schema", "GET /boxes?select=label", [{"label": "dresses"}], given={"accept-profile": "attic"}),
]

RELATIONS = [
    Call(
        "to one, through a view",
        "GET /orders?select=id,placer:people!orders_placed_by(name)&id=eq.1",
        [{"id": 1, "placer": {"name": "Ann"}}],
    ),
    Call(
        "to many, from a view",
        "GET /people?select=name,orders!orders_served_by(id)&id=eq.3",
        [{"name": "Cleo", "orders": [{"id": 1}, {"id": 2}]}],
    ),
    Call(
        "one to one",
        "GET /orders?select=id,bills(amount)&order=id",
        [{"id": 1, "bills": {"amount": 250.00}}, {"id": 2, "bills": {"amount": 30.00}}],
    ),
    Call("one to one, backwards", "GET /bills?select=orders(id)&order_id=eq.1", [{"orders": {"id": 1}}]),
    Call(
        "one to one, to a view of some",
        "GET /orders?select=id,big_bills(amount)&order=id",
        [{"id": 1, "big_bills": {"amount": 250.00}}, {"id": 2, "big_bills": None}],
    ),
    Call(
        "through a junction",
        "GET /tables?select=name,people!seats(name)&people.order=name&id=eq.1",
        [{"name": "Rose", "people": [{"name": "Ann"}, {"name": "Bob"}]}],
    ),
    Call(
        "to a view of a junction",
        "GET /tables?select=name,named_seats(name,place)&named_seats.order=place&id=eq.2",
        [{"name": "Lily", "named_seats": [{"name": "Cleo", "place": 1}]}],
    ),
    Call(
        "to itself, up",
        "GET /people?select=name,boss:boss_id(name)&id=eq.3",
        [{"name": "Cleo", "boss": {"name": "Ann"}}],
    ),
    Call(
        "by a function, many",
        "GET /tables?select=name,neighbours(name)&neighbours.order=id&id=eq.2",
        [{"name": "Lily", "neighbours": [{"name": "Rose"}, {"name": "Iris"}]}],
    ),
    Call(
        "by a function, one",
        "GET /tables?select=id,first_order(id)&order=id",
        [{"id": 1, "first_order": {"id": 1}}, {"id": 2, "first_order": {"id": 2}}, {"id": 3, "first_order": None}],
    ),
    Call("a field that is computed", "GET /tables?select=label&id=eq.1", [{"label": "Rose #1"}]),
]


def test_there_are_enough_cases() -> None:
    assert len(REFUSED) + len(UNKNOWN) + len(RELATIONS) >= 45


@pytest.mark.parametrize("call", [*REFUSED, *UNKNOWN, *RELATIONS], ids=lambda call: call.name)
def test_answers(hall: Hall, runner: asyncio.Runner, call: Call) -> None:
    runner.run(hall.gate.check(call))
