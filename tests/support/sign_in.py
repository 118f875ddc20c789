"""Sign-in over a database of its own, as a client sees it, and the letters that it sends."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import httpx
import jwt
import msgspec
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.routing import Mount

from wedsync.api.auth import SignIn, auth_app
from wedsync.api.auth.passwords import Passwords
from wedsync.api.callers import SigningKey, SigningKeys
from wedsync.clock import Clock
from wedsync.config import AuthConfig
from wedsync.database import ConnectionTarget
from wedsync.database.pipeline import PipelinePool

API = "http://api.test"
SITE = "http://app.test"
SECRET = "the home's own secret of sign-in, 40 characters"
SIGNING = "a signing key of the home, more than 32 bytes long"
PASSWORD = "a wedding in June"
QUIET = AuthConfig(site_url=SITE, letter_every=timedelta(0), calls_per_minute=10_000)
"""No limits that a test does not ask for."""


@dataclass(frozen=True)
class Place:
    """A database with the schema."""

    owner: ConnectionTarget
    password: str = field(repr=False)
    """Of the role that the gateway connects as."""

    @property
    def gateway(self) -> ConnectionTarget:
        return replace(self.owner, user="wedsync_gateway", password=self.password)


@dataclass
class KeptPost:
    """Keeps letters; fails while `error` is set."""

    letters: list[EmailMessage] = field(default_factory=list)
    error: Exception | None = None

    async def send(self, letter: EmailMessage, *, identity: str) -> None:  # noqa: ARG002
        if self.error is not None:
            raise self.error
        self.letters.append(letter)


@dataclass(frozen=True)
class Letter:
    """A letter as its reader sees it."""

    to: str
    subject: str
    text: str

    @property
    def code(self) -> str:
        found = re.search(r"Code: (\d{6})", self.text)
        assert found, self.text
        return found[1]

    @property
    def link(self) -> str:
        found = re.search(r"http://\S+/verify\?\S+", self.text)
        assert found, self.text
        return found[0]

    @property
    def token(self) -> str:
        return dict(parse_qsl(urlsplit(self.link).query))["token"]


@dataclass
class Desk:
    """Sign-in, its client, and its post."""

    place: Place
    pool: PipelinePool
    http: httpx.AsyncClient
    sign_in: SignIn
    post: KeptPost
    keys: SigningKeys
    config: AuthConfig

    async def call(self, method: str, path: str, bearer: str | None = None, /, **body: Any) -> httpx.Response:
        """A call with a JSON body, as the holder of a token."""
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        content = msgspec.json.encode(body) if body or method in {"POST", "PUT"} else None
        return await self.http.request(method, path, headers=headers, content=content)

    async def letter(self, to: str) -> Letter:
        """The newest letter to an address, after everything due was delivered."""
        while await self.sign_in.delivery.deliver_due():
            pass
        mine = [letter for letter in self.post.letters if letter["To"] == to]
        assert mine, f"no letter to {to}; there are {[letter['To'] for letter in self.post.letters]}"
        plain = mine[-1].get_body(("plain",))
        assert plain is not None
        return Letter(to, mine[-1]["Subject"], plain.get_content())

    async def letters_to(self, to: str) -> int:
        """How many letters an address got."""
        while await self.sign_in.delivery.deliver_due():
            pass
        return sum(letter["To"] == to for letter in self.post.letters)

    async def member(self, email: str | None = None, password: str = PASSWORD) -> dict[str, Any]:
        """A confirmed person's session; its `user` has the address."""
        email = email or new_address()
        answer = await self.call("POST", "/signup", email=email, password=password)
        assert answer.status_code == 200, answer.text
        letter = await self.letter(email)
        session = await self.call("POST", "/verify", type="signup", email=email, token=letter.code)
        assert session.status_code == 200, session.text
        return session.json()

    @property
    def service_key(self) -> str:
        return self.keys.sign({"role": "service_role", "exp": 4_000_000_000})

    def claims(self, session: dict[str, Any]) -> dict[str, Any]:
        return dict(self.keys.verify(session["access_token"], audience="authenticated"))

    async def ask(self, query: str, *values: object) -> Any:
        """The first column of a query's first row, as the owner."""
        async with await self.place.owner.connect() as connection:
            row = await (await connection.execute(query, values)).fetchone()  # type: ignore[arg-type]
        return None if row is None else row[0]

    async def tell(self, statement: str, *values: object) -> None:
        """Change something by hand, as the owner."""
        async with await self.place.owner.connect() as connection:
            await connection.execute(statement, values)  # type: ignore[arg-type]


def new_address() -> str:
    return f"{uuid4().hex[:12]}@example.com"


def code_of(answer: httpx.Response) -> str:
    """The protocol's code of an error answer."""
    body = answer.json()
    assert body["code"] == answer.status_code, body
    assert answer.headers["x-sb-error-code"] == body["error_code"]
    return body["error_code"]


def unchecked(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


@asynccontextmanager
async def desk(
    place: Place,
    *,
    config: AuthConfig = QUIET,
    keys: SigningKeys | None = None,
    clock: Clock | None = None,
    secret: str = SECRET,
    hasher: PasswordHasher | None = None,
) -> AsyncIterator[Desk]:
    """Sign-in over a database that has the schema, connected as the gateway is."""
    keys = keys or SigningKeys(SigningKey.symmetric(SIGNING))
    post = KeptPost()
    with Passwords(hasher or PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)) as passwords:
        async with PipelinePool(place.gateway, min_size=2, max_size=4) as pool:
            made = auth_app(
                pool,
                keys=keys,
                config=config,
                api_url=API,
                secret=secret,
                post=post,
                clock=clock,
                passwords=passwords,
            )
            mounted = Starlette(routes=[Mount("/auth/v1", made.app)])
            transport = httpx.ASGITransport(
                mounted,
                raise_app_exceptions=True,
                client=("192.0.2.1", 40_000),
            )
            async with httpx.AsyncClient(transport=transport, base_url=f"{API}/auth/v1") as http:
                yield Desk(place, pool, http, made, post, keys, config)
