"""From a request to the application that answers it, by the first two parts of its path."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeAlias

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wedsync.api.callers import ADMINISTRATOR, Callers, TokenProblem
from wedsync.api.front.compression import LEAST_BYTES, compressed, is_text, takes_gzip, with_length
from wedsync.api.front.cors import CrossOrigin, Header, is_preflight
from wedsync.api.front.forwarded import Forwarded, RequestIds
from wedsync.api.front.meter import Meter
from wedsync.api.limits import ConcurrencyLimit, RateLimit, Refusal, network_of
from wedsync.errors import WedsyncError

_SECURITY: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
PutWhole: TypeAlias = Callable[[int, list[Header], bytes], bool]
"""Writes a whole answer at once, if it can; see `wedsync.web`."""
WHOLE_ANSWER = "wedsync.whole_answer"
Staleness: TypeAlias = Callable[[bool], Sequence[Header]]
"""The headers that say of when answers are while they are not of now.

True: for what is read from now on; False: for what was read in this recovery, whenever."""
_NONE: Mapping[str, Any] = {}
_NOT_KEPT: Header = (b"cache-control", b"no-store")
_LONGEST_QUERY_BYTES = 32 * 1024
_LONGEST_PATH_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """An application below a prefix of two parts, such as `/rest/v1`.

    Its scopes hold besides what ASGI says (`path` is whole, `root_path` the prefix): `headers_by_name`,
    `request_id`, `forwarded_for`, and with `identifies` the `caller`, unless the token does not hold: then
    asking `Callers` again raises what is to be said of it.
    """

    app: ASGIApp
    identifies: bool = False
    body_bytes: int = 10 * 1024 * 1024


class Front:
    """The gateway's application: prefixes of programs without a framework in between, the rest elsewhere."""

    def __init__(
        self,
        mounts: Mapping[str, Mount],
        *,
        elsewhere: ASGIApp,
        callers: Callers,
        meter: Meter,
        cross_origin: CrossOrigin,
        forwarded: Forwarded,
        rates: RateLimit | None = None,
        at_once: ConcurrencyLimit | None = None,
        staleness: Staleness = lambda _: (),
    ) -> None:
        """`elsewhere` answers what is below no prefix, and everything that is not HTTP.

        It, too, finds in `forwarded_for` who calls.
        """
        self._staleness = staleness
        self._mounts = mounts
        self._elsewhere = elsewhere
        self._callers = callers
        self._meter = meter
        self._cross_origin = cross_origin
        self._forwarded = forwarded
        self._rates = rates
        self._at_once = at_once
        self._ids = RequestIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._elsewhere(scope, receive, send)
            return
        path: str = scope["path"]
        end = path.find("/", path.find("/", 1) + 1)
        prefix = path if end == -1 else path[:end]
        mount = self._mounts.get(prefix)
        headers: dict[bytes, bytes] = dict(scope["headers"])
        peer = scope["client"]
        client = self._forwarded.client(peer[0] if peer else "", headers)
        scope["forwarded_for"] = client.encode()
        if mount is None:
            await self._elsewhere(scope, receive, send)
            return
        scope["root_path"] = prefix
        scope["headers_by_name"] = headers
        put = scope.get("extensions", _NONE).get(WHOLE_ANSWER, _NONE).get("put")
        exchange = _Exchange(
            send, headers, self._ids.of(headers), self._cross_origin, put, staleness=self._staleness
        )
        self._meter.under_way += 1
        try:
            await self._answer(mount, scope, receive, exchange, client)
        except Exception:
            # The traceback names no value of the request.
            logging.getLogger("wedsync").exception("request_broke")
            if exchange.status == 0:
                await exchange.refuse(500, "WS830", "this failed; the gateway's log says why")
            else:
                raise
        finally:
            self._meter.under_way -= 1
            self._meter.ended(
                method=scope["method"],
                path=path,
                status=exchange.status,
                took_s=perf_counter() - exchange.began,
                request=exchange.request_id,
            )

    async def _answer(
        self, mount: Mount, scope: Scope, receive: Receive, exchange: "_Exchange", client: str
    ) -> None:
        headers = exchange.given
        if is_preflight(scope["method"], headers):
            await exchange.put(204, self._cross_origin.preflight(headers[b"origin"], headers), b"")
            return
        if len(scope["query_string"]) > _LONGEST_QUERY_BYTES or len(scope["raw_path"]) > _LONGEST_PATH_BYTES:
            self._meter.refused["url"] += 1
            await exchange.refuse(414, "WS831", "the address of the request is too long")
            return
        length = headers.get(b"content-length")
        if length is not None and int(length) > mount.body_bytes:
            self._meter.refused["body"] += 1
            await exchange.refuse(413, "WS804", f"the body is larger than {mount.body_bytes} bytes")
            return
        if length is None and b"transfer-encoding" in headers:
            receive = _bounded(receive, mount.body_bytes)
        scope["request_id"] = exchange.request_id
        try:
            if mount.identifies:
                await self._limited(mount, scope, receive, exchange, client)
            else:
                await mount.app(scope, receive, exchange.send)
        except _BodyTooLarge:
            self._meter.refused["body"] += 1
            if exchange.status == 0:
                await exchange.refuse(413, "WS804", f"the body is larger than {mount.body_bytes} bytes")

    async def _limited(
        self, mount: Mount, scope: Scope, receive: Receive, exchange: "_Exchange", client: str
    ) -> None:
        """Within what this caller may take."""
        headers = exchange.given
        name = tenant = ""
        named = headers.get(b"authorization"), headers.get(b"apikey")
        address = f"address {network_of(client)}"
        if self._rates is not None and self._callers.asks_database(*named):
            refusal = self._rates.take(address)  # keys are not guessed at faster than that
            if refusal is not None:
                await self._too_many(exchange, refusal)
                return
        try:
            caller = await self._callers.identify(*named)
        except (TokenProblem, WedsyncError):
            pass  # the application says what is wrong with it, in its own words
        else:
            scope["caller"] = caller
            if caller.role == ADMINISTRATOR:
                await mount.app(scope, receive, exchange.send)
                return
            name, tenant = caller.counted_as, caller.tenant
        name = name or address
        refusal = self._rates and (self._rates.take(name) or (tenant and self._rates.take(f"tenant {tenant}")))
        if refusal:
            await self._too_many(exchange, refusal)
            return
        if self._at_once is None:
            await mount.app(scope, receive, exchange.send)
            return
        refusal = self._at_once.enter(name)
        if refusal is not None:
            await self._too_many(exchange, refusal)
            return
        try:
            await mount.app(scope, receive, exchange.send)
        finally:
            self._at_once.leave(name)

    async def _too_many(self, exchange: "_Exchange", refusal: Refusal) -> None:
        self._meter.refused["rate"] += 1
        wait = str(refusal.retry_after_s)
        more = [
            (b"retry-after", wait.encode()),
            (b"ratelimit-policy", refusal.policy.encode()),
            (b"ratelimit", f"{refusal.policy.partition(';')[0]};r=0;t={wait}".encode()),
        ]
        await exchange.refuse(
            429, "WS803", "more requests than this caller may make", f"come again in {wait} s", more
        )


class _BodyTooLarge(Exception):
    """A body of unknown length went past its limit."""


def _bounded(receive: Receive, most: int) -> Receive:
    """A body whose length was not said, counted as it comes."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise _BodyTooLarge
        return message

    return counted


class _Exchange:
    """One request and its answer on the way out: headers that all have, compression."""

    __slots__ = (
        "_cross_origin",
        "_held",
        "_put",
        "_send",
        "_stale",
        "_staleness",
        "began",
        "given",
        "request_id",
        "status",
    )

    def __init__(
        self,
        send: Send,
        given: Mapping[bytes, bytes],
        request_id: bytes,
        cross_origin: CrossOrigin,
        put: PutWhole | None,
        *,
        staleness: Staleness,
    ) -> None:
        self._staleness = staleness
        self._stale = staleness(True)
        self.began = perf_counter()
        self.status = 0
        self.given = given
        self.request_id = request_id
        self._cross_origin = cross_origin
        self._send = send
        self._held: Message | None = None
        self._put = put

    async def send(self, message: Message) -> None:
        """Pass a message of the application on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._held = message
            message["headers"] = self._headers(message.get("headers", ()))
            return
        held, self._held = self._held, None
        if held is None:
            await self._send(message)
            return
        body: bytes = message.get("body", b"")
        whole = not message.get("more_body", False)
        if whole and len(body) >= LEAST_BYTES and is_text(held["headers"]) and takes_gzip(self.accepts):
            body = compressed(body)
            held["headers"] = with_length(held["headers"], len(body))
            message = {"type": "http.response.body", "body": body}
        if whole and self._put is not None and self._put(self.status, held["headers"], body):
            return
        await self._send(held)
        await self._send(message)

    @property
    def accepts(self) -> bytes:
        """The codings that the client reads."""
        return self.given.get(b"accept-encoding", b"")

    async def put(self, status: int, headers: list[Header], body: bytes) -> None:
        """A whole answer of ours."""
        length = [(b"content-length", str(len(body)).encode())] if status != 204 else []
        await self.send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(
        self, status: int, code: str, message: str, hint: str | None = None, more: list[Header] | None = None
    ) -> None:
        """An answer that says why there is none, in the form of the data API."""
        body = msgspec.json.encode({"code": code, "message": message, "details": None, "hint": hint})
        kind = (b"content-type", b"application/json; charset=utf-8")
        await self.put(status, [kind, *(more or [])], body)

    def _headers(self, given: Any) -> list[Header]:
        headers: list[Header] = [*given, *_SECURITY, (b"x-request-id", self.request_id)]
        is_allowed = is_cached = False
        for name, _ in given:
            if name == b"cache-control":
                is_cached = True
            elif name == b"access-control-allow-origin":
                is_allowed = True
        if not is_cached:
            headers.append(_NOT_KEPT)
        headers += self._stale or self._staleness(False)
        origin = self.given.get(b"origin")
        if origin is not None and not is_allowed:
            headers += self._cross_origin.headers(origin)
        return headers
