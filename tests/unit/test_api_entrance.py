"""What every call of the operations API passes: administrators, limits, checked values, idempotency, the trail."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import pytest
from starlette.types import Receive, Scope, Send

from support.events import eventually
from support.operations import FakeClock, administrators, bearer
from wedsync.api.operations import Entrance, openapi, operations_api
from wedsync.api.operations.operation import Answer, AnyOperation, Call, Nowhere, Operation
from wedsync.errors import Busy, CannotConnect, NotThere, WedsyncError
from wedsync.state import StateStore, open_state
from wedsync.words import without_paths


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to make."""

    name: str


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What was made."""

    number: int


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which one."""

    id: Annotated[int, msgspec.Meta(ge=1)]
    deep: bool = False


class Workshop:
    """Stands for the platform: counts what it makes."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.error: Exception | None = None
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def make(self, call: Call[Nowhere, Order]) -> Answer:
        await self.goes_on.wait()
        if self.error is not None:
            raise self.error
        self.made.append(call.body.name)
        return Answer(content=Made(number=len(self.made)), status=201, headers={"Location": "/api/things/1"})

    async def look(self, call: Call[Place, None]) -> Answer:
        if self.error is not None:
            raise self.error
        return Answer(content=Made(number=call.place.id * (100 if call.place.deep else 1)))

    def operations(self) -> list[AnyOperation]:
        return [
            Operation(
                method="POST",
                path="/things",
                name="make",
                action="make",
                summary="Make one.",
                place=Nowhere,
                body=Order,
                answers={201: Made},
                carry_out=self.make,
                sensitive=True,
            ),
            Operation(
                method="GET",
                path="/things/{id}",
                name="look",
                action="look",
                summary="Look at one.",
                place=Place,
                body=type(None),
                answers={200: Made},
                refusals={404: "There is none."},
                carry_out=self.look,
            ),
        ]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateStore]:
    made = open_state(tmp_path / "state.db")
    yield made
    made.close()


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def app_of(
    workshop: Workshop, state: StateStore, clock: FakeClock, *, forwarded_for: bytes | None = None
) -> httpx.AsyncClient:
    def as_problem(_: Exception) -> WedsyncError | None:
        return None

    entrance = Entrance(administrators=administrators(), state=state, clock=clock, as_problem=as_problem)
    made = operations_api(workshop.operations(), entrance=entrance)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await made(scope if forwarded_for is None else {**scope, "forwarded_for": forwarded_for}, receive, send)

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=bearer())


@pytest.fixture
async def client(workshop: Workshop, state: StateStore, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    async with app_of(workshop, state, clock) as made:
        yield made


def trail(state: StateStore) -> list[tuple[str, str, dict[str, object]]]:
    rows = state.rows("select operator, action, detail from operator_actions order by id")
    return [(row["operator"], row["action"], json.loads(row["detail"])) for row in rows]


async def make(client: httpx.AsyncClient, name: str, key: str | None = None) -> httpx.Response:
    return await client.post("/things", json={"name": name}, headers={"Idempotency-Key": key} if key else {})


async def test_the_same_key_gets_the_same_answer_and_is_done_once(
    client: httpx.AsyncClient, workshop: Workshop
) -> None:
    first = await make(client, "a", "k1")
    again = await make(client, "a", "k1")
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again.headers["Location"] == "/api/things/1"
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert workshop.made == ["a"]


async def test_the_same_key_with_another_body_is_refused(client: httpx.AsyncClient, workshop: Workshop) -> None:
    await make(client, "a", "k1")
    other = await make(client, "b", "k1")
    assert other.status_code == 422
    assert other.json()["errors"][0]["code"] == "WS842"
    assert workshop.made == ["a"]


async def test_without_a_key_each_call_counts(client: httpx.AsyncClient, workshop: Workshop) -> None:
    await make(client, "a")
    await make(client, "a")
    assert workshop.made == ["a", "a"]


async def test_a_key_is_its_callers_own(client: httpx.AsyncClient, workshop: Workshop) -> None:
    await make(client, "a", "k1")
    other = await client.post(
        "/things", json={"name": "a"}, headers={"Idempotency-Key": "k1", **bearer(sub="eve")}
    )
    assert other.status_code == 201
    assert workshop.made == ["a", "a"]


async def test_a_key_whose_call_is_under_way_waits_for_it(
    client: httpx.AsyncClient, workshop: Workshop, state: StateStore
) -> None:
    workshop.goes_on.clear()
    first = asyncio.create_task(make(client, "a", "k1"))
    await eventually(lambda: state.row("select 1 from api_requests") is not None, what="the first is under way")
    second = await make(client, "a", "k1")
    assert second.status_code == 409
    assert second.headers["Retry-After"] == "5"
    workshop.goes_on.set()
    assert (await first).status_code == 201
    assert (await make(client, "a", "k1")).status_code == 201
    assert workshop.made.count("a") == 1


async def test_a_call_that_did_nothing_may_be_made_again_with_its_key(
    client: httpx.AsyncClient, workshop: Workshop
) -> None:
    workshop.error = Busy("something else runs")
    assert (await make(client, "a", "k1")).status_code == 409
    workshop.error = CannotConnect("away")
    assert (await make(client, "a", "k1")).status_code == 503
    workshop.error = None
    assert (await make(client, "a", "k1")).status_code == 201


async def test_a_mistake_is_the_answer_to_its_key(client: httpx.AsyncClient, workshop: Workshop) -> None:
    workshop.error = RuntimeError("secret")
    failed = await make(client, "a", "k1")
    assert failed.status_code == 500
    assert "secret" not in failed.text
    workshop.error = None
    again = await make(client, "a", "k1")
    assert again.status_code == 500
    assert workshop.made == []


async def test_a_call_that_a_restart_broke_off_has_no_known_end(
    workshop: Workshop, state: StateStore, clock: FakeClock
) -> None:
    workshop.goes_on.clear()
    async with app_of(workshop, state, clock) as before:
        first = asyncio.create_task(make(before, "a", "k1"))
        await eventually(lambda: state.row("select 1 from api_requests") is not None, what="it is under way")
        first.cancel()
    clock.time += timedelta(seconds=1)
    async with app_of(workshop, state, clock) as after:
        workshop.goes_on.set()
        answer = await make(after, "a", "k1")
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["code"] == "WS843"
    assert workshop.made == []


async def test_keys_are_forgotten_after_a_day(
    client: httpx.AsyncClient, workshop: Workshop, clock: FakeClock
) -> None:
    await make(client, "a", "k1")
    clock.time += timedelta(hours=24, seconds=1)
    assert (await make(client, "b", "k1")).status_code == 201
    assert workshop.made == ["a", "b"]


@pytest.mark.parametrize("key", ["", " " * 3, "x" * 256])
async def test_a_key_that_is_none_is_refused(client: httpx.AsyncClient, workshop: Workshop, key: str) -> None:
    answer = await client.post("/things", json={"name": "a"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert workshop.made == []


async def test_callers_are_limited_one_by_one(client: httpx.AsyncClient, workshop: Workshop) -> None:
    for _ in range(5):
        assert (await make(client, "a")).status_code == 201
    assert (await make(client, "a")).status_code == 429
    other = await client.post("/things", json={"name": "b"}, headers=bearer(sub="another"))
    assert other.status_code == 201
    assert len(workshop.made) == 6


async def test_what_only_reads_is_not_limited_and_written_down_once_an_hour(
    client: httpx.AsyncClient, state: StateStore, clock: FakeClock
) -> None:
    for _ in range(20):
        assert (await client.get("/things/7")).json() == {"number": 7}
    assert [action for _, action, _ in trail(state)] == ["api read"]
    clock.time += timedelta(hours=1)
    await client.get("/things/7")
    assert trail(state)[-1] == (
        "service_role from 127.0.0.1",
        "api read",
        {"what": "look", "calls_unwritten_since_the_last": 19},
    )


async def test_the_trail_has_the_address_of_who_is_behind_a_trusted_proxy(
    workshop: Workshop, state: StateStore, clock: FakeClock
) -> None:
    async with app_of(workshop, state, clock, forwarded_for=b"203.0.113.9") as client:
        await client.get("/things/7")
    assert trail(state)[0][0] == "service_role from 203.0.113.9"


async def test_what_changes_is_written_down_before_it_is_done(
    client: httpx.AsyncClient, workshop: Workshop, state: StateStore
) -> None:
    workshop.error = CannotConnect("away")
    await make(client, "a")
    await client.post("/things", json={"nome": "a"})
    assert trail(state)[0] == ("service_role from 127.0.0.1", "api make", {"name": "a"})
    assert trail(state)[1][1] == "api make refused"


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/things/7?deep=true", 200),
        ("/things/x", 400),
        ("/things/0", 400),
        ("/things/7?deep=maybe", 400),
        ("/things/7?shallow=true", 400),
        ("/things/7?deep=true&deep=false", 400),
        ("/things/7?id=8", 400),
    ],
)
async def test_path_and_query_are_checked(client: httpx.AsyncClient, address: str, status: int) -> None:
    assert (await client.get(address)).status_code == status


@pytest.mark.parametrize("headers", [{"Authorization": ""}, bearer(role="anon"), bearer(role="authenticated")])
async def test_others_are_turned_away_everywhere(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    for method, address in (("GET", "/things/1"), ("POST", "/things")):
        answer = await client.request(method, address, headers=headers)
        assert answer.status_code in {401, 403}
        assert set(answer.json()) == {"success", "errors", "timestamp"}


async def test_the_document_is_for_everybody_and_says_what_the_router_does(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json", headers={"Authorization": ""})
    assert answer.status_code == 200
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {"/things", "/things/{id}"}
    look = document["paths"]["/things/{id}"]["get"]
    assert [(it["name"], it["in"], it["required"]) for it in look["parameters"]] == [
        ("id", "path", True),
        ("deep", "query", False),
    ]
    assert {"200", "400", "401", "403", "404", "500", "503"} == set(look["responses"])
    made = document["paths"]["/things"]["post"]
    assert made["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}
    assert {"409", "422", "429"} <= set(made["responses"])


def test_every_reference_of_the_document_leads_somewhere(workshop: Workshop) -> None:
    document = openapi(workshop.operations(), version="1")
    names = set(document["components"]["schemas"])
    assert {"Order", "Made", "Failure", "Problem"} <= names
    text = json.dumps(document)
    referred = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred <= names


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("cannot write /srv/wedsync/home/run/x.lock: no", "cannot write …/x.lock: no"),
        ("connection to /tmp/a/.s.PGSQL.1 failed", "connection to ….s.PGSQL.1 failed".replace("….", "…/.")),
        ("see /api/backups/runs/1", "see /api/backups/runs/1"),
        ("http://127.0.0.1:8000/admin/x", "http://127.0.0.1:8000/admin/x"),
        ("40 % of 1/2", "40 % of 1/2"),
        ("wedsync_owner@/run/wedsync/sockets:5432/wedsync", "wedsync_owner@…/sockets:5432/wedsync"),
    ],
)
def test_answers_do_not_say_where_things_lie(said: str, shown: str) -> None:
    assert without_paths(said) == shown


async def test_an_error_is_told_without_paths(client: httpx.AsyncClient, workshop: Workshop) -> None:
    workshop.error = NotThere("no /srv/home/secret/file", detail="/a/b/c", hint="look into /x/y")
    problem = (await client.get("/things/1")).json()["errors"][0]
    assert problem == {"code": "WS841", "message": "no …/file", "detail": "…/c", "hint": "look into …/y"}
