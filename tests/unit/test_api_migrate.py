"""The migrate endpoint: who may call it, how often, what it answers, what is written down."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from wedsync.api.callers import Callers, KeySet, TokenRules, Tokens
from wedsync.api.operations import Changed, Entrance, TokenAdministrators, migrate_operations, operations_api
from wedsync.errors import (
    BeyondShadow,
    CannotConnect,
    MigrationBlocked,
    MigrationFailed,
    MigrationsBusy,
    MigrationsFrozen,
    MigrationsRefused,
    WedsyncError,
)
from wedsync.state import StateStore, open_state

KEY = "a signing key of this test, long enough"
FOREVER = datetime(2046, 1, 1, tzinfo=UTC)
URL = "/database/migrate"


class FakeClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 11, 18, 9, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    async def sleep(self, pause: timedelta) -> None:
        self.time += pause


class FakeSchema:
    """Stands for the database: what was asked of it, and what it raises."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.error: Exception | None = None

    async def try_in_shadow(self) -> Changed:
        return self._done("try")

    async def apply(self, *, by: str, override: str | None) -> Changed:
        return self._done("apply", by, override)

    async def accept(self, identity: str, *, by: str, reason: str) -> Changed:
        return self._done("accept", identity, by, reason)

    def _done(self, *what: object) -> Changed:
        self.asked.append(what)
        if self.error is not None:
            raise self.error
        return Changed(migrations=("0007_x",), more={"restore_point": None})


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateStore]:
    made = open_state(tmp_path / "state.db")
    yield made
    made.close()


@pytest.fixture
def schema() -> FakeSchema:
    return FakeSchema()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def client(state: StateStore, schema: FakeSchema, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    def as_problem(error: Exception) -> WedsyncError | None:
        return WedsyncError("in our words") if isinstance(error, KeyError) else None

    callers = Callers(Tokens(KeySet.from_secret(KEY), TokenRules()))
    entrance = Entrance(
        administrators=TokenAdministrators(callers), state=state, clock=clock, as_problem=as_problem
    )
    app = operations_api(migrate_operations(schema, clock=clock), entrance=entrance)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as made:
        yield made


def bearer(**changes: Any) -> dict[str, str]:
    claims = {"iss": "wedsync", "role": "service_role", "exp": FOREVER, **changes}
    return {"Authorization": "Bearer " + jwt.encode(claims, KEY, algorithm="HS256")}


def actions(state: StateStore) -> list[tuple[str, str, Any]]:
    rows = state.rows("select operator, action, detail from operator_actions order by id")
    return [(row["operator"], row["action"], json.loads(row["detail"])) for row in rows]


WRONG = {
    "none": {},
    "basic": {"Authorization": "Basic abc"},
    "empty": {"Authorization": "Bearer "},
    "garbage": {"Authorization": "Bearer abc.def.ghi"},
    "another key": {
        "Authorization": "Bearer "
        + jwt.encode({"role": "service_role", "exp": FOREVER}, "another key, as long as that one is", "HS256")
    },
    "no signature": {
        "Authorization": "Bearer " + jwt.encode({"role": "service_role", "exp": FOREVER}, None, "none")
    },
    "expired": bearer(exp=datetime(2020, 1, 1, tzinfo=UTC)),
    "without an end": {"Authorization": "Bearer " + jwt.encode({"role": "service_role"}, KEY, "HS256")},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=list(WRONG))
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_without_a_token_that_holds_nothing_happens(
    client: httpx.AsyncClient, schema: FakeSchema, state: StateStore, headers: dict[str, str], method: str
) -> None:
    answer = await client.request(method, URL, json={"dry_run": False}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["success"] is False
    assert schema.asked == []
    assert actions(state) == []


@pytest.mark.parametrize("role", ["anon", "authenticated", "postgres", ""])
async def test_a_token_of_another_role_is_not_enough(
    client: httpx.AsyncClient, schema: FakeSchema, role: str
) -> None:
    answer = await client.post(URL, json={"dry_run": False}, headers=bearer(role=role))
    assert answer.status_code == 403
    assert schema.asked == []


async def test_it_applies_and_says_what(client: httpx.AsyncClient, schema: FakeSchema, state: StateStore) -> None:
    answer = await client.post(URL, json={"dry_run": False, "override": "hot fix"}, headers=bearer())
    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "dry_run": False,
        "applied_migrations": ["0007_x"],
        "errors": [],
        "timestamp": "2026-11-18T09:00:00Z",
        "restore_point": None,
    }
    assert schema.asked == [("apply", "service_role from 127.0.0.1", "hot fix")]
    assert actions(state) == [
        ("service_role from 127.0.0.1", "api migrate", {"dry_run": False, "override": "hot fix"})
    ]


async def test_a_dry_run_is_one(client: httpx.AsyncClient, schema: FakeSchema) -> None:
    answer = await client.post(URL, json={"dry_run": True}, headers=bearer())
    assert answer.status_code == 200
    assert answer.json()["dry_run"] is True
    assert schema.asked == [("try",)]


async def test_put_repairs(client: httpx.AsyncClient, schema: FakeSchema, state: StateStore) -> None:
    answer = await client.put(URL, json={"id": "0003_guests", "reason": "a comment"}, headers=bearer())
    assert answer.status_code == 200
    assert schema.asked == [("accept", "0003_guests", "service_role from 127.0.0.1", "a comment")]
    assert actions(state)[0][1:] == ("api migrate repair", {"id": "0003_guests", "reason": "a comment"})


BODIES = [
    b"", b"no json", b"[]", b"{}", b'{"dry_run": "false"}', b'{"dry_run": 0}', b'{"dry_run": null}',
    b'{"dry_run": true, "dry_rum": true}', b'\xff\xfe',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
async def test_a_body_that_says_something_else_runs_nothing(
    client: httpx.AsyncClient, schema: FakeSchema, state: StateStore, body: bytes
) -> None:
    answer = await client.post(URL, content=body, headers=bearer())
    assert answer.status_code == 400
    assert [action for _, action, _ in actions(state)] == ["api migrate refused"]
    assert "dry_run" in answer.json()["errors"][0]["hint"]
    assert schema.asked == []


async def test_a_huge_body_is_not_read_to_its_end(client: httpx.AsyncClient, schema: FakeSchema) -> None:
    assert (await client.post(URL, content=b" " * 100_000, headers=bearer())).status_code == 413
    assert schema.asked == []


@pytest.mark.parametrize(
    ("error", "status", "again"),
    [
        (MigrationsFrozen("a wedding today"), 423, None),
        (MigrationsBusy("another runner"), 409, "5"),
        (MigrationBlocked("a table is held"), 409, "5"),
        (MigrationsRefused("edited"), 400, None),
        (MigrationFailed("0007_x.sql:4: no"), 400, None),
        (BeyondShadow("a role"), 400, None),
        (CannotConnect("down"), 503, "5"),
        (KeyError("known outside"), 400, None),
    ],
)
async def test_an_error_has_its_status_and_its_words(
    client: httpx.AsyncClient, schema: FakeSchema, *, error: Exception, status: int, again: str | None
) -> None:
    schema.error = error
    answer = await client.post(URL, json={"dry_run": True}, headers=bearer())
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == again
    said = answer.json()
    assert (said["success"], said["dry_run"], said["applied_migrations"]) == (False, True, [])
    assert said["errors"][0]["message"] == (error.message if isinstance(error, WedsyncError) else "in our words")


async def test_a_mistake_in_the_program_is_not_told_to_the_caller(
    client: httpx.AsyncClient, schema: FakeSchema
) -> None:
    schema.error = RuntimeError("password=secret")
    answer = await client.post(URL, json={"dry_run": True}, headers=bearer())
    assert answer.status_code == 500
    assert "secret" not in answer.text


async def test_the_sixth_call_within_a_minute_is_refused_and_one_later_is_not(
    client: httpx.AsyncClient, schema: FakeSchema, clock: FakeClock
) -> None:
    for _ in range(3):
        assert (await client.post(URL, json={"dry_run": True}, headers=bearer(role="anon"))).status_code == 403
    for _ in range(5):
        assert (await client.post(URL, json={"dry_run": True}, headers=bearer())).status_code == 200
        clock.time += timedelta(seconds=5)
    refused = await client.put(URL, json={"id": "1", "reason": "x"}, headers=bearer())
    assert refused.status_code == 429
    wait = int(refused.headers["Retry-After"])
    assert 30 < wait <= 36
    assert len(schema.asked) == 5
    clock.time += timedelta(seconds=wait)
    assert (await client.post(URL, json={"dry_run": True}, headers=bearer())).status_code == 200


@pytest.mark.parametrize(("method", "url", "status"), [("GET", URL, 405), ("POST", "/database/nothing", 404)])
async def test_other_paths_and_methods_get_json_too(
    client: httpx.AsyncClient, method: str, url: str, status: int
) -> None:
    answer = await client.request(method, url, headers=bearer())
    assert answer.status_code == status
    assert answer.json()["success"] is False
