"""The root of the data API: what there is, as the caller may use it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from support.migrations import tell
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


def _document(hall: Hall, runner: asyncio.Runner, role: str, **headers: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = runner.run(hall.gate.ask("GET /", headers=given, role=role))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/openapi+json; charset=utf-8"
    return answer.json()


@pytest.mark.parametrize("accept", ["application/openapi+json", "application/json", "*/*", "text/html, */*;q=0.8"])
def test_any_json_is_openapi(hall: Hall, runner: asyncio.Runner, accept: str) -> None:
    document = _document(hall, runner, "authenticated", accept=accept)
    assert document["swagger"] == "2.0"
    assert document["info"]["title"] == "The hall"
    assert document["host"] == "desk"


def test_other_media_types_are_refused(hall: Hall, runner: asyncio.Runner) -> None:
    answer = runner.run(hall.gate.ask("GET /", headers={"accept": "text/csv"}))
    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST107")


def test_head_has_no_body(hall: Hall, runner: asyncio.Runner) -> None:
    answer = runner.run(hall.gate.ask("HEAD /"))
    assert (answer.status_code, answer.content) == (200, b"")


def test_each_role_sees_what_it_may_use(hall: Hall, runner: asyncio.Runner) -> None:
    anonymous = _document(hall, runner, "anon")
    known = _document(hall, runner, "authenticated")
    assert set(anonymous["definitions"]) == {"tables", "seats", "named_seats", "people", "diary"}
    assert set(known["definitions"]) > set(anonymous["definitions"])
    assert "/rpc/hidden_from_anon" in known["paths"]
    assert "/rpc/hidden_from_anon" not in anonymous["paths"]
    assert set(known["paths"]).isdisjoint({"/secrets", "/boxes"})


def test_comments_keys_and_types_are_there(hall: Hall, runner: asyncio.Runner) -> None:
    document = _document(hall, runner, "authenticated")
    tables = document["paths"]["/tables"]["get"]
    assert (tables["summary"], tables["description"]) == ("Where people sit", "Round ones first")
    size = document["definitions"]["tables"]["properties"]["size"]
    assert size == {"type": "integer", "format": "int32", "description": "Seats"}
    order = document["definitions"]["bills"]["properties"]["order_id"]["description"]
    assert order == (
        "Note:\nThis is a Primary Key.<pk/>\nThis is a Foreign Key to `orders.id`.<fk table='orders' column='id'/>"
    )
    placed = document["definitions"]["orders"]["properties"]["placed_by"]["description"]
    assert placed == "Note:\nThis is a Foreign Key to `people.id`.<fk table='people' column='id'/>"
    assert set(document["paths"]["/rpc/seat_people"]) == {"post"}
    assert document["paths"]["/rpc/seat_people"]["post"]["summary"] == "Seats several"


def test_another_schema_has_its_own(hall: Hall, runner: asyncio.Runner) -> None:
    document = _document(hall, runner, "authenticated", accept_profile="attic")
    assert set(document["definitions"]) == {"boxes"}
    assert document["info"]["title"] == "WedSync data API"


def test_a_schema_that_is_not_shown_has_none(hall: Hall, runner: asyncio.Runner) -> None:
    answer = runner.run(hall.gate.ask("GET /", headers={"accept-profile": "cellar"}))
    assert (answer.status_code, answer.json()["code"]) == (406, "PGRST106")


def test_a_right_that_is_given_shows_at_once(hall: Hall, runner: asyncio.Runner) -> None:
    assert "/bills" not in _document(hall, runner, "anon")["paths"]
    runner.run(tell(hall.owner, "grant select on hall.bills to anon"))
    try:
        assert "/bills" in _document(hall, runner, "anon")["paths"]
    finally:
        runner.run(tell(hall.owner, "revoke select on hall.bills from anon"))
