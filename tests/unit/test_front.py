"""The way in: who answers, what is refused first, what every answer carries."""

import asyncio
import gzip
import json
from typing import Any

import httpx
import jwt
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from wedsync.api.callers import ApiKeys, Callers, KeySet, TokenRules, Tokens
from wedsync.api.front import CrossOrigin, Forwarded, Front, Meter, Mount
from wedsync.api.front.compression import LEAST_BYTES, takes_gzip
from wedsync.api.limits import ConcurrencyLimit, RateLimit, network_of, rates
from wedsync.database.pipeline import Result, Work
from wedsync.errors import ConfigProblem, ServerNotReady

SECRET = "a secret of this test that is long enough"


class App:
    """Answers with what it saw of the request."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.body = b"{}"
        self.headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json; charset=utf-8")]
        self.error: Exception | None = None
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        self.arrived.set()
        while (await receive()).get("more_body"):
            pass
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


@pytest.fixture
def app() -> App:
    return App()


def front(app: ASGIApp, **options: Any) -> Front:
    callers = options.pop("callers", None) or Callers(Tokens(KeySet.from_secret(SECRET), TokenRules()))
    return Front(
        {
            "/rest/v1": Mount(app=app, identifies=True, body_bytes=1000),
            "/auth/v1": Mount(app=app, body_bytes=1000),
        },
        callers=callers,
        **{
            "elsewhere": PlainTextResponse("elsewhere"),
            "meter": Meter(),
            "cross_origin": CrossOrigin(),
            "forwarded": Forwarded(),
            **options,
        },
    )


def client(made: ASGIApp) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(made, raise_app_exceptions=False, client=("192.0.2.7", 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


def bearer(**claims: object) -> dict[str, str]:
    return {"Authorization": "Bearer " + jwt.encode(claims, SECRET, algorithm="HS256")}


# -- who answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/rest/v1", "/rest/v1/", "/rest/v1/items", "/rest/v1/rpc/f", "/auth/v1/token"])
async def test_what_is_below_a_prefix_goes_to_its_application(app: App, path: str) -> None:
    async with client(front(app)) as http:
        assert (await http.get(path)).status_code == 200
    (scope,) = app.scopes
    assert (scope["path"], scope["root_path"]) == (path, path[:8])


@pytest.mark.parametrize(
    "path", ["/", "/rest", "/rest/", "/rest/v2/items", "/rest/v1x", "/api/database", "//rest/v1"]
)
async def test_what_is_below_none_goes_elsewhere(app: App, path: str) -> None:
    async with client(front(app)) as http:
        assert (await http.get("http://gateway" + path)).text == "elsewhere"
    assert not app.scopes


async def test_what_is_elsewhere_is_told_who_calls_too(app: App) -> None:
    made = front(App(), elsewhere=app, forwarded=Forwarded(["192.0.2.0/24"]))
    async with client(made) as http:
        await http.get("/api/status", headers={"X-Forwarded-For": "203.0.113.9"})
    (scope,) = app.scopes
    assert scope["forwarded_for"] == b"203.0.113.9"


async def test_the_application_is_told_who_calls_from_where_and_how_the_request_is_called(app: App) -> None:
    async with client(front(app)) as http:
        answer = await http.get("/rest/v1/x", headers=bearer(role="authenticated") | {"X-Request-Id": "mine-1"})
    (scope,) = app.scopes
    assert scope["caller"].role == "authenticated"
    assert (scope["request_id"], scope["forwarded_for"]) == (b"mine-1", b"192.0.2.7")
    assert answer.headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 65, "drop'--", "é"])
async def test_a_request_without_a_name_gets_one_of_its_own(app: App, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-Id": given.encode()}
    async with client(front(app)) as http:
        made = [(await http.get("/rest/v1/x", headers=headers)).headers["x-request-id"] for _ in range(2)]
    assert len({*made, given}) == 3
    assert all(name.replace("-", "").isalnum() for name in made)


async def test_a_token_that_does_not_hold_is_the_applications_to_refuse(app: App) -> None:
    async with client(front(app)) as http:
        await http.get("/rest/v1/x", headers={"Authorization": "Bearer nonsense"})
    assert "caller" not in app.scopes[0]


# -- what is refused ----------------------------------------------------------------------------------


async def test_a_body_that_is_too_large_is_not_read(app: App) -> None:
    async def endless() -> Any:
        for _ in range(1000):
            yield b"x" * 100

    async with client(front(app)) as http:
        for content in (b"x" * 1001, endless()):
            answer = await http.post("/rest/v1/x", content=content)
            assert (answer.status_code, answer.json()["code"]) == (413, "WS804")
        assert (await http.post("/rest/v1/x", content=b"x" * 1000)).status_code == 200


async def test_an_address_that_is_too_long(app: App) -> None:
    async with client(front(app)) as http:
        assert (await http.get("/rest/v1/x?" + "q" * 32_769)).status_code == 414
        assert (await http.get("/rest/v1/" + "p" * 5000)).status_code == 414
    assert not app.scopes


async def test_each_caller_has_a_rate_of_its_own_and_the_service_key_none(app: App) -> None:
    made = front(app, rates=RateLimit(per_second=0.1, burst=2))
    async with client(made) as http:
        for headers in (bearer(role="authenticated", sub="a"), bearer(role="authenticated", sub="b"), {}):
            answers = [await http.get("/rest/v1/x", headers=headers) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 429]
            assert answers[2].headers["retry-after"] == "10"
            assert answers[2].headers["ratelimit-policy"] == '"caller";q=2;w=20'
            assert answers[2].headers["ratelimit"] == '"caller";r=0;t=10'
        service = [await http.get("/rest/v1/x", headers=bearer(role="service_role")) for _ in range(5)]
        assert {answer.status_code for answer in service} == {200}
        assert (await http.get("/auth/v1/x")).status_code == 200


async def test_no_more_than_so_many_at_once(app: App) -> None:
    made = front(app, at_once=ConcurrencyLimit(1))
    app.go_on.clear()
    async with client(made) as http, asyncio.TaskGroup() as group:
        first = group.create_task(http.get("/rest/v1/x"))
        await app.arrived.wait()
        assert (await http.get("/rest/v1/x")).status_code == 429
        app.arrived.clear()
        other = group.create_task(http.get("/rest/v1/x", headers=bearer(role="authenticated", sub="b")))
        await app.arrived.wait()
        app.go_on.set()
        assert [(await first).status_code, (await other).status_code] == [200, 200]
        assert (await http.get("/rest/v1/x")).status_code == 200


async def test_an_application_that_breaks_says_nothing_of_why(app: App) -> None:
    app.error = RuntimeError("secret inside")
    meter = Meter()
    async with client(front(app, meter=meter)) as http:
        answer = await http.get("/rest/v1/x")
    assert (answer.status_code, answer.json()["code"]) == (500, "WS830")
    assert "secret" not in answer.text
    assert (meter.by_status[500], meter.under_way) == (1, 0)


async def test_whoever_has_a_network_has_one_rate_for_all_its_addresses(app: App) -> None:
    made = front(app, rates=RateLimit(per_second=0.1, burst=2), forwarded=Forwarded(["192.0.2.0/24"]))
    async with client(made) as http:
        answers = [
            (await http.get("/rest/v1/x", headers={"X-Forwarded-For": f"2001:db8::{each}"})).status_code
            for each in range(3)
        ]
        assert answers == [200, 200, 429]
        assert (await http.get("/rest/v1/x", headers={"X-Forwarded-For": "2001:db8:0:1::1"})).status_code == 200


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a:b", "a:b"),
    ],
)
def test_addresses_are_counted_by_who_has_them(address: str, counted: str) -> None:
    assert network_of(address) == counted


async def test_api_keys_are_asked_about_within_the_rate_of_their_address(app: App) -> None:
    asked = 0

    async def none_found(work: Work) -> list[Result]:
        nonlocal asked
        asked += 1
        return [Result(("organization_id", "key_id", "scopes"), [], 0)]

    callers = Callers(Tokens(KeySet.from_secret(SECRET), TokenRules()), ApiKeys(none_found))
    made = front(app, rates=RateLimit(per_second=0.1, burst=3), callers=callers)
    async with client(made) as http:
        for each in range(20):
            await http.get("/rest/v1/x", headers={"Authorization": f"Bearer wsk_guess_{each}"})
    assert asked <= 3


async def test_a_key_that_cannot_be_looked_up_is_the_applications_to_explain(app: App) -> None:
    async def away(work: Work) -> list[Result]:
        raise ServerNotReady("the database is away")

    callers = Callers(Tokens(KeySet.from_secret(SECRET), TokenRules()), ApiKeys(away))
    async with client(front(app, callers=callers)) as http:
        await http.get("/rest/v1/x", headers={"Authorization": "Bearer wsk_key"})
    assert "caller" not in app.scopes[0]


def test_however_many_names_there_are_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_MOST_NAMES", 100)
    limit = RateLimit(per_second=0.001, burst=1, now=lambda: 7.0)
    assert all(limit.take(f"name {each}") is None for each in range(1000))
    assert limit.take("name 999") is not None
    assert limit.take("name 0") is None


def test_a_bucket_fills_evenly() -> None:
    time = 100.0
    limit = RateLimit(per_second=2, burst=3, now=lambda: time)
    assert [limit.take("a") is None for _ in range(4)] == [True, True, True, False]
    time += 0.5
    assert [limit.take("a") is None for _ in range(2)] == [True, False]
    time += 100
    assert [limit.take("a") is None for _ in range(4)] == [True, True, True, False]


# -- what every answer carries -----------------------------------------------------------------------


async def test_headers_of_every_answer(app: App) -> None:
    async with client(front(app)) as http:
        answer = await http.get("/rest/v1/x")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
        app.headers.append((b"cache-control", b"max-age=60"))
        assert (await http.get("/rest/v1/x")).headers["cache-control"] == "max-age=60"


async def test_a_browser_is_answered_without_asking_anybody(app: App) -> None:
    asks = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "apikey,x-own",
    }
    async with client(front(app)) as http:
        answer = await http.options("/rest/v1/x", headers=asks)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
        assert "PATCH" in answer.headers["access-control-allow-methods"]
        assert "x-own" in answer.headers["access-control-allow-headers"]
        assert not app.scopes
        answer = await http.get("/rest/v1/x", headers={"Origin": "https://app.example"})
        assert "Content-Range" in answer.headers["access-control-expose-headers"]
        assert (await http.options("/rest/v1/x")).status_code == 200
    assert len(app.scopes) == 2


async def test_only_listed_origins_may_call(app: App) -> None:
    made = front(app, cross_origin=CrossOrigin(["https://app.example/"]))
    async with client(made) as http:
        ours = await http.get("/rest/v1/x", headers={"Origin": "https://app.example"})
        others = await http.get("/rest/v1/x", headers={"Origin": "https://evil.example"})
    assert ours.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in others.headers
    assert ours.headers["vary"] == others.headers["vary"] == "Origin"


async def test_long_text_is_compressed_for_those_who_read_it(app: App) -> None:
    app.body = json.dumps(["row"] * LEAST_BYTES).encode()
    async with client(front(app)) as http:
        packed = await http.get("/rest/v1/x", headers={"Accept-Encoding": "gzip"})
        plain = await http.get("/rest/v1/x", headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < len(app.body) / 10
        assert packed.content == plain.content == app.body
        assert "Accept-Encoding" in packed.headers["vary"]
        assert "content-encoding" not in plain.headers
        app.body = b"[]"
        small = await http.get("/rest/v1/x", headers={"Accept-Encoding": "gzip"})
        assert "content-encoding" not in small.headers
        app.body, app.headers = (
            gzip.compress(bytes(100_000)) * 200,
            [(b"content-type", b"application/octet-stream")],
        )
        assert "content-encoding" not in (await http.get("/rest/v1/x")).headers


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        (b"gzip, br", True),
        (b"br;q=1.0, GZIP;q=0.5", True),
        (b"*", True),
        (b"gzip;q=0", False),
        (b"", False),
        (b"br", False),
    ],
)
def test_who_reads_gzip(header: bytes, takes: bool) -> None:
    assert takes_gzip(header) is takes


# -- where a request comes from -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "named", "client"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense', 10.0.0.3", "10.0.0.3"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("203.0.113.50", "1.1.1.1", "203.0.113.50"),
        ("", "1.1.1.1", ""),
    ],
)
def test_only_proxies_of_ours_are_believed(peer: str, named: str, client: str) -> None:
    headers = {b"x-forwarded-for": named.encode()} if named else {}
    assert Forwarded(["10.0.0.0/8"]).client(peer, headers) == client


def test_a_trusted_proxy_has_an_address() -> None:
    with pytest.raises(ConfigProblem, match="trusted_proxies"):
        Forwarded(["proxy.example"])
