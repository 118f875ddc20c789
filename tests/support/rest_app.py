"""The data API as an application, over a desk that is written to: every request is undone."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import msgspec

from support.clusters import role_passwords
from support.databases import fresh_database
from wedsync.api.callers import Caller, Callers, KeySet, TokenRules, Tokens
from wedsync.api.rest import RestApp, RestSettings
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.database.catalogue import Catalogue, load_catalogue
from wedsync.database.pipeline import PipelinePool, Result, Work

_DESK = (Path(__file__).parent.parent / "integration" / "rest" / "desk.sql").read_bytes()
SCHEMAS = ("desk", "archive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A database with the desk."""

    owner: ConnectionTarget
    login: ConnectionTarget
    """As the gateway signs in."""
    catalogue: Catalogue = field(repr=False)


@asynccontextmanager
async def desk_database(
    server: Server,
    schemas: tuple[str, ...] = SCHEMAS,
    *,
    statements: bytes | None = None,
    extra: tuple[str, ...] = ("tools",),
) -> AsyncIterator[Desk]:
    """The database, made anew; also one with another schema, made by `statements`."""
    async with fresh_database(server) as owner:
        async with await owner.connect() as connection:
            await connection.execute(statements or _DESK)
        async with await owner.connect() as connection:
            catalogue = await load_catalogue(connection, schemas, extra_search_path=extra)
        password = role_passwords(server.home)["wedsync_gateway"]
        yield Desk(
            owner=owner,
            login=server.tcp_target("wedsync_gateway", password, owner.dbname),
            catalogue=catalogue,
        )


class Undoing:
    """A pool whose transactions leave nothing behind."""

    def __init__(self, pool: PipelinePool) -> None:
        self._pool = pool

    async def run(self, work: Work) -> list[Result]:
        return await self._pool.run(replace(work, undo=True))


@dataclass(slots=True)
class Fixed:
    """A catalogue that changes when a test says so."""

    current: Catalogue
    newer: Catalogue | None = None

    async def refresh_if_changed(self, seen: Catalogue) -> bool:
        if self.newer is None:
            return False
        self.current, self.newer = self.newer, None
        return self.current is not seen


def caller_as(role: str, **claims: object) -> Caller:
    """A caller whose token was taken."""
    said = {"role": role, **claims}
    return Caller(role=role, claims=said, claims_json=msgspec.json.encode(said), is_anonymous=role == "anon")


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the desk, and its answer."""

    name: str
    request: str
    body: Any = ...
    """Of the answer: JSON; text where it is none; `...` where it does not matter. Of an error: some members."""
    status: int = 200
    headers: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """Of the answer; `None`: it has none of that name."""
    sends: Any = None
    prefer: str = ""
    accept: str = ""
    given: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further headers of the request."""
    role: str = "authenticated"


class Gate:
    """Sends requests to an application."""

    def __init__(self, app: Any, role: str = "authenticated") -> None:
        self._app = app
        self._role = role

    async def ask(
        self, request: str, *, sends: Any = None, headers: Mapping[str, str] | None = None, role: str | None = None
    ) -> httpx.Response:
        """The answer to `METHOD /path?query`."""
        method, _, path = request.partition(" ")

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await self._app(self._scope(scope, role or self._role), receive, send)

        sent = dict(headers or {})
        content = None if sends is None else sends if isinstance(sends, bytes) else json.dumps(sends).encode()
        if content is not None:
            sent.setdefault("content-type", "application/json")
        sent.setdefault("accept", "*/*")
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
            return await client.request(method, path, content=content, headers=sent)

    def _scope(self, scope: Any, role: str) -> Any:
        names = dict(scope["headers"])
        return dict(
            scope,
            root_path="",
            caller=caller_as(role, sub="5b1d5d4b-0000-4000-8000-000000000001"),
            headers_by_name=names,
            request_id=b"r-1",
            forwarded_for=b"192.0.2.7",
        )

    async def check(self, call: Call) -> None:
        """The answer is as the call says."""
        headers = dict(call.given)
        if call.prefer:
            headers["prefer"] = call.prefer
        if call.accept:
            headers["accept"] = call.accept
        answer = await self.ask(call.request, sends=call.sends, headers=headers, role=call.role)
        assert answer.status_code == call.status, answer.text
        for name, value in call.headers.items():
            assert answer.headers.get(name) == value, (name, answer.headers)
        if call.body is ...:
            return
        if answer.status_code >= 300 and isinstance(call.body, dict):
            told = answer.json()
            assert {member: told[member] for member in call.body} == call.body, told
        elif isinstance(call.body, str | bytes) and not answer.headers.get("content-type", "").endswith(
            "json; charset=utf-8"
        ):
            assert (answer.content if isinstance(call.body, bytes) else answer.text) == call.body
        else:
            assert answer.json() == call.body, answer.text


@asynccontextmanager
async def gate_to(
    desk: Desk, *, undo: bool = True, settings: RestSettings | None = None, catalogues: Fixed | None = None
) -> AsyncIterator[Gate]:
    """The application over the desk; what it writes is undone, unless told otherwise."""
    callers = Callers(Tokens(KeySet(()), TokenRules(anonymous_role="anon")))
    async with PipelinePool(desk.login, min_size=2, max_size=2) as pool:
        runner = Undoing(pool) if undo else pool
        yield Gate(RestApp(runner, catalogues or Fixed(desk.catalogue), callers, settings))
