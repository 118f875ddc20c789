"""`POST /webhooks/v1/{provider}`: check, keep, do; all within five seconds."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import ClassVar

import msgspec
from starlette.types import Receive, Scope, Send

from wedsync.api.webhooks.message import MessageUnreadable, ProviderMessage, read_message
from wedsync.api.webhooks.signatures import is_signed
from wedsync.database.pipeline import Result, Statement, StatementFailed, Work
from wedsync.errors import WedsyncError
from wedsync.events import Event, observe

SecretsOf = Callable[[str], Sequence[str]]
"""The secrets of a provider, newest first; none for one that is not known."""
RunWork = Callable[[Work], Awaitable[list[Result]]]

_BUDGET_S = 5.0
_STATEMENT_MS = 4000
_PROVIDER = re.compile(r"[a-z][a-z0-9_]{0,62}")
_RECEIVE = b"select app.receive_webhook($1, $2, $3, $4, $5, clock_timestamp())"
_PROCESS = b"select app.process_webhook($1, $2, $3)"
_CLAIMS = (("request.jwt.claims", b'{"role":"service_role"}'),)
_STATUS_OF = {"PT409": 409, "23503": 422, "23514": 422, "22P02": 422, "22P05": 422, "22021": 422}
"""By SQLSTATE: another content under the same id, an organization that is not there, values out of range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRefused(Event):
    """A message came that was not signed as its provider signs, or is too old."""

    level: ClassVar[str] = "warning"
    provider: str
    forwarded_for: str


class WebhookApp:
    """Takes the messages of payment providers."""

    def __init__(self, run: RunWork, secrets_of: SecretsOf, *, now: Callable[[], float] = time) -> None:
        self._run = run
        self._secrets_of = secrets_of
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        status, answer = await self._answer(scope, receive)
        body = msgspec.json.encode(answer)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 503:
            headers.append((b"retry-after", b"5"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, Mapping[str, object]]:
        if scope["method"] != "POST":
            return 405, _said("send messages by POST")
        try:
            async with asyncio.timeout(_BUDGET_S):
                return await self._take(scope, await _whole(receive))
        except TimeoutError:
            return 503, _said("this took too long: send it again")
        except MessageUnreadable as problem:
            return 422, _said(str(problem))
        except StatementFailed as failure:
            status = _STATUS_OF.get(failure.sqlstate)
            if status is None:
                raise
            return status, _said(failure.said.message)
        except WedsyncError:
            return 503, _said("the database does not answer: send it again")

    async def _take(self, scope: Scope, body: bytes) -> tuple[int, Mapping[str, object]]:
        provider = scope["path"][len(scope["root_path"]) + 1 :]
        headers: Mapping[bytes, bytes] = scope["headers_by_name"]
        secrets = self._secrets_of(provider) if _PROVIDER.fullmatch(provider) else ()
        if not is_signed(headers, body, secrets=secrets, now=self._now()):
            observe(WebhookRefused(provider=provider[:63], forwarded_for=scope["forwarded_for"].decode()))
            return 401, _said("the signature does not hold, or is too old")
        message = read_message(body, headers)
        is_new = await self._receive(provider, message)
        outcome = await self._process(provider, message)
        # What could not be done now is sent again by the provider: perhaps its invoice comes in between.
        status = 409 if outcome == "failed" else 200
        return status, {"received": True, "is_new": is_new, "outcome": outcome}

    async def _receive(self, provider: str, message: ProviderMessage) -> bool:
        return await self._ask(
            _RECEIVE, message.organization_id, provider, message.event_id, message.kind, message.payload.decode()
        ) == (b"t")

    async def _process(self, provider: str, message: ProviderMessage) -> str:
        return (await self._ask(_PROCESS, message.organization_id, provider, message.event_id)).decode()

    async def _ask(self, sql: bytes, *values: str) -> bytes:
        """A transaction of its own: what was received stays, also if it cannot be processed."""
        (found,) = await self._run(
            Work(
                role="service_role",
                settings=_CLAIMS,
                statements=(Statement(sql, [value.encode() for value in values]),),
                read_only=False,
                statement_timeout_ms=_STATEMENT_MS,
            )
        )
        return found.rows[0][0] or b""


async def _whole(receive: Receive) -> bytes:
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise MessageUnreadable("the message ended too early")
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _said(message: str) -> Mapping[str, object]:
    return {"received": False, "message": message}
