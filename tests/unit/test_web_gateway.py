"""The gateway's answers, without a network: who gets in, what is shown, what never leaves."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from support.status_values import MINUTE, NOW, RUN, SURVEY, WELL, events, kept, with_database, with_records
from wedsync.clock import SystemClock
from wedsync.monitoring import Facts, Part, StatusView, WalGap, judge
from wedsync.state import StateStore, open_state
from wedsync.web import create_sign_in_link, gateway_app
from wedsync.web.guard import is_known_host

BASE = "http://127.0.0.1:8000"


@dataclass
class Home:
    """What the gateway is told of a home."""

    facts: Facts = WELL
    reason: str | None = None
    error: Exception | None = None
    asked_ready: int = 0

    async def view(self) -> StatusView:
        if self.error:
            raise self.error
        return StatusView(facts=self.facts, verdict=judge(self.facts, NOW))

    async def ready(self) -> str | None:
        self.asked_ready += 1
        return self.reason


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateStore]:
    made = open_state(tmp_path / "state.db")
    yield made
    made.close()


@pytest.fixture
def home() -> Home:
    return Home()


@pytest.fixture
async def client(state: StateStore, home: Home) -> AsyncIterator[httpx.AsyncClient]:
    app = gateway_app(view=home.view, ready=home.ready, state=state, clock=SystemClock(), hosts=["db.example"])
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as made:
        yield made


@pytest.fixture
async def signed_in(client: httpx.AsyncClient, state: StateStore) -> httpx.AsyncClient:
    token = create_sign_in_link(state, SystemClock())
    answer = await client.post("/admin/sign-in", data={"token": token})
    assert answer.status_code == 303
    return client


async def test_it_lives_and_is_ready(client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")


async def test_it_is_not_ready_without_the_database_and_keeps_paths_to_itself(
    client: httpx.AsyncClient, home: Home
) -> None:
    home.reason = "cannot connect to wedsync_monitor@/secret/place:54329/wedsync"
    with capture_logs() as logged:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.text == "not ready: the database takes no connection\n"
    assert [line["reason"] for line in logged if line["event"] == "not_ready"] == [home.reason]
    assert (await client.get("/healthz")).status_code == 200


async def test_a_crowd_that_asks_for_readiness_costs_few_connections(
    client: httpx.AsyncClient, home: Home
) -> None:
    for _ in range(20):
        await client.get("/readyz")
    assert home.asked_ready < 10


async def test_without_a_session_the_page_says_how_to_get_a_link(client: httpx.AsyncClient) -> None:
    answer = await client.get("/admin")
    assert answer.status_code == 401
    assert "wedsync keys --sign-in" in answer.text
    assert "All well" not in answer.text


async def test_reading_the_link_does_not_use_it_up_and_its_button_signs_in(
    client: httpx.AsyncClient, state: StateStore
) -> None:
    token = create_sign_in_link(state, SystemClock())
    for _ in range(2):
        offered = await client.get("/admin/sign-in", params={"token": token})
        assert offered.status_code == 200
        assert "set-cookie" not in offered.headers
        assert f'value="{token}"' in offered.text
    answer = await client.post("/admin/sign-in", data={"token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin")
    cookie = answer.headers["set-cookie"].lower()
    for word in ("httponly", "samesite=strict", "path=/admin", "max-age=43200"):
        assert word in cookie
    assert "All well" in (await client.get("/admin")).text
    again = await client.post("/admin/sign-in", data={"token": token})
    assert again.status_code == 401
    assert "set-cookie" not in again.headers


async def test_the_cookie_is_for_https_alone_where_the_gateway_is(state: StateStore, home: Home) -> None:
    app = gateway_app(view=home.view, ready=home.ready, state=state, clock=SystemClock())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://127.0.0.1") as client:
        token = create_sign_in_link(state, SystemClock())
        answer = await client.post("/admin/sign-in", data={"token": token})
    assert "secure" in answer.headers["set-cookie"].lower()


async def test_signing_out_ends_the_session_for_whoever_kept_the_cookie(signed_in: httpx.AsyncClient) -> None:
    kept_cookie = signed_in.cookies["wedsync_console"]
    assert (await signed_in.post("/admin/sign-out")).status_code == 303
    answer = await signed_in.get("/admin", headers={"cookie": f"wedsync_console={kept_cookie}"})
    assert answer.status_code == 401


async def test_a_large_or_odd_form_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/admin/sign-in", content=b"x" * 5000)).status_code == 413
    for body in (b"", b"token=", b"\xff\xfe=&token=%ff", b"a=1&b=2&c=3&d=4&e=5"):
        assert (await client.post("/admin/sign-in", content=body)).status_code in {400, 401}


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/admin", "/admin/sign-in?token=x", "/nowhere", "/static/console.css"]
)
async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"]


async def test_pages_need_no_script_and_have_no_inline_style(signed_in: httpx.AsyncClient) -> None:
    for path in ("/admin", "/admin/sign-in?token=x", "/admin/nowhere"):
        text = (await signed_in.get(path)).text
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", text)


async def test_a_page_that_is_not_there_is_said(client: httpx.AsyncClient) -> None:
    assert (await client.get("/admin/nowhere")).status_code == 404
    assert (await client.get("/nowhere")).text == "Not Found\n"
    assert (await client.delete("/admin/sign-in")).status_code == 405
    assert (await client.get("/static/../gateway.py")).status_code == 404
    assert (await client.get("/static/%2e%2e/gateway.py")).status_code == 404


async def test_a_page_that_fails_says_so_and_nothing_else(signed_in: httpx.AsyncClient, home: Home) -> None:
    home.error = RuntimeError("postgresql://me:hush@db/x")
    answer = await signed_in.get("/admin")
    assert answer.status_code == 500
    assert "log says why" in answer.text
    assert "hush" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_no_token_gets_into_the_log(client: httpx.AsyncClient, state: StateStore) -> None:
    structlog.reset_defaults()
    token = create_sign_in_link(state, SystemClock())
    with capture_logs() as logged:
        await client.get("/admin/sign-in", params={"token": token})
        await client.post("/admin/sign-in", data={"token": token})
        await client.get("/admin")
    assert [line["path"] for line in logged] == ["/admin/sign-in", "/admin/sign-in", "/admin"]
    assert token not in str(logged)
    assert client.cookies["wedsync_console"] not in str(logged)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil", "a b", "[::1"])
async def test_a_host_that_is_not_ours_gets_nothing(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/admin", headers={"host": host})
    assert answer.status_code == 421
    assert host not in answer.text or not host


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "10.1.2.3", "db.example:80"],
)
async def test_addresses_and_known_names_are_ours(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/healthz", headers={"host": host})).status_code == 200


def test_a_number_that_is_no_address_is_a_name() -> None:
    assert not is_known_host("999.1.1.1", frozenset({"localhost"}))
    assert not is_known_host("localhost:99999999", frozenset({"localhost"}))


async def test_the_page_shows_verdict_issues_and_figures_with_age_and_source(
    signed_in: httpx.AsyncClient, home: Home
) -> None:
    text = (await signed_in.get("/admin")).text
    for words in (
        "All well: every second from 2026-11-20 11:30 UTC until 41 s ago can be restored",
        "PostgreSQL 15.18",
        "12 of 120",
        "pg_stat_activity",
        SURVEY.backups[0].label,
        "pgbackrest info, 5.0 s ago",
        "240.0 MB of 4.1 GB",
        "No gaps.",
        "until 2027-09-17",
    ):
        assert words in text, words


async def test_the_page_works_while_the_database_is_down(signed_in: httpx.AsyncClient, home: Home) -> None:
    down = with_database(connects=False, server_state="stopped", archiver=None, error="No such file")
    died = with_records(events=events("postgresql", (18 * MINUTE, "died"))).records
    home.facts = replace(down, records=died)
    answer = await signed_in.get("/admin")
    assert answer.status_code == 200
    assert "PostgreSQL is down since 07:12 UTC: run bin/up." in answer.text
    assert "All well" not in answer.text
    assert SURVEY.backups[0].label in answer.text


async def test_the_page_says_what_is_not_known(signed_in: httpx.AsyncClient, home: Home) -> None:
    home.facts = Facts(collected_at=NOW, unread={Part.REPOSITORIES: "no answer within 1 s"})
    answer = await signed_in.get("/admin")
    assert answer.status_code == 200
    assert "Not known: no answer within 1 s." in answer.text
    assert "No gaps." not in answer.text


async def test_what_comes_from_outside_is_text_not_markup(signed_in: httpx.AsyncClient, home: Home) -> None:
    nasty = "<script>alert(1)</script>"
    home.facts = replace(
        with_database(error=nasty, connects=False),
        survey=replace(
            SURVEY,
            backups=(kept(label=nasty, held=nasty, damaged=True),),
            gaps=(WalGap(repo=1, first=nasty, last="b", segments=2, from_at=None, to_at=None),),
        ),
        records=with_records(runs=(replace(RUN, outcome="failed", error=nasty),)).records,
    )
    text = (await signed_in.get("/admin")).text
    assert "<script" not in text
    assert "&lt;script&gt;" in text
