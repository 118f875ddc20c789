"""What every request passes on its way in and out: the host it names, security headers, one log line."""

import ipaddress
import re
import socket
from collections.abc import Sequence
from time import monotonic

import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_QUIET = ("/healthz", "/readyz", "/static/")
_HOST = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^:\[\]/@\s]+)(?::\d{1,5})?")


def guarded(app: ASGIApp, *, hosts: Sequence[str] = ()) -> ASGIApp:
    """The application behind the host check, with security headers on every answer and a log without secrets.

    A request has to name an address (not a name), this machine's name, localhost, or one of `hosts`. So a
    page of somebody else whose name was made to lead here (DNS rebinding) gets nothing.
    """
    known = frozenset({"localhost", socket.gethostname().lower(), *(host.lower() for host in hosts)})

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began = monotonic()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            answer = app if is_known_host(_host(scope), known) else _unknown_host
            await answer(scope, receive, send_with_headers)
        finally:
            _log(scope, status=status, took_s=monotonic() - began)

    return handle


def is_known_host(header: str, known: frozenset[str]) -> bool:
    """Whether a Host header names this gateway."""
    found = _HOST.fullmatch(header)
    if found is None:
        return False
    host = found[1].strip("[]").lower().removesuffix(".")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host in known
    return True


def _host(scope: Scope) -> str:
    values = [value for name, value in scope["headers"] if name == b"host"]
    return values[0].decode("latin-1") if len(values) == 1 else ""


_unknown_host = PlainTextResponse("This gateway does not serve that host name.\n", status_code=421)


def _log(scope: Scope, *, status: int, took_s: float) -> None:
    """The path only: the query may hold a secret."""
    path = str(scope["path"])
    quiet = path.startswith(_QUIET) and status < 400
    structlog.get_logger().log(
        10 if quiet else 20,
        "request_answered",
        method=scope["method"],
        path=path[:200],
        status=status,
        took_ms=round(took_s * 1000, 1),
    )
