"""The gateway's routes: alive, ready, and the console."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import ClassVar
from urllib.parse import parse_qs

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from wedsync.clock import Clock
from wedsync.monitoring import StatusView
from wedsync.state import StateStore
from wedsync.web.guard import guarded
from wedsync.web.page import status_page
from wedsync.web.sessions import SESSION_LASTS, Sessions

View = Callable[[], Awaitable[StatusView]]
ReadsOnly = Callable[[], str]
"""A second line for who asks whether it serves, while writes have to wait; else empty."""
Ready = Callable[[], Awaitable[str | None]]
"""Why the database cannot be used now; `None` if it can."""

COOKIE = "wedsync_console"
_HERE = Path(__file__).parent
_READY_WITHIN = timedelta(seconds=3)
_READY_FRESH_FOR = timedelta(milliseconds=250)
_LONGEST_FORM_BYTES = 4096


def gateway_app(
    *,
    view: View,
    ready: Ready,
    state: StateStore,
    clock: Clock,
    api: ASGIApp | None = None,
    hosts: Sequence[str] = (),
    reads_only: ReadsOnly = lambda: "",
) -> ASGIApp:
    """The gateway's application: `/healthz`, `/readyz`, `/admin`, and `/api` where there is one.

    `hosts` are further names it is reached by.
    """
    console = Console(view=view, sessions=Sessions(state, clock))
    app = Starlette(
        routes=[
            Route("/healthz", _healthz(reads_only)),
            Route("/readyz", Readiness(ready, reads_only).answer),
            Route("/admin", console.status),
            Route("/admin/", console.home),
            Route("/admin/sign-in", console.offer_sign_in),
            Route("/admin/sign-in", console.sign_in, methods=["POST"]),
            Route("/admin/sign-out", console.sign_out, methods=["POST"]),
            *([Mount("/api", api)] if api is not None else []),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        exception_handlers={HTTPException: console.refuse, Exception: console.fail},
    )
    return guarded(app, hosts=hosts)


def _healthz(reads_only: ReadsOnly) -> Callable[[Request], Awaitable[Response]]:
    """The gateway itself lives."""

    async def answer(_: Request) -> Response:
        return PlainTextResponse("ok\n" + reads_only())

    return answer


class Readiness:
    """Whether the database takes a connection; however many ask, it is tried a few times a second."""

    def __init__(self, ready: Ready, reads_only: ReadsOnly = lambda: "") -> None:
        self._ready = ready
        self._reads_only = reads_only
        self._lock = asyncio.Lock()
        self._asked_at: float | None = None
        self._reason: str | None = None

    async def answer(self, _: Request) -> Response:
        async with self._lock:
            if self._asked_at is None or monotonic() - self._asked_at > _READY_FRESH_FOR.total_seconds():
                self._reason = await self._ask()
                self._asked_at = monotonic()
        if self._reason is None:
            return PlainTextResponse("ready\n" + self._reads_only())
        # The whole reason names users and directories: it is for the log, not for everybody.
        return PlainTextResponse("not ready: the database takes no connection\n", status_code=503)

    async def _ask(self) -> str | None:
        try:
            async with asyncio.timeout(_READY_WITHIN.total_seconds()):
                reason = await self._ready()
        except TimeoutError:
            reason = f"no connection within {_READY_WITHIN.total_seconds():g} s"
        if reason is not None and reason != self._reason:
            structlog.get_logger().warning("not_ready", reason=reason)
        return reason


class Console:
    """The console's pages."""

    _pages: ClassVar[Environment] = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def __init__(self, *, view: View, sessions: Sessions) -> None:
        self._view = view
        self._sessions = sessions

    async def home(self, _: Request) -> Response:
        """`/admin/` is `/admin`."""
        return RedirectResponse("/admin", status_code=308)

    async def status(self, request: Request) -> Response:
        """How the home is; for those who signed in."""
        if not self._sessions.is_open(request.cookies.get(COOKIE)):
            return self._page("sign_in_first.html", 401)
        view = await self._view()
        return self._page("status.html", 200, page=status_page(view), title=f"{view.verdict.state} · WedSync")

    async def offer_sign_in(self, request: Request) -> Response:
        """A page with a button: a preview of the link, which only reads, does not use it up."""
        token = request.query_params.get("token", "")
        return self._page("sign_in.html", 200, token=token) if token else self._page("sign_in_first.html", 401)

    async def sign_in(self, request: Request) -> Response:
        """Use the link up and begin a session."""
        session = self._sessions.redeem((await _form(request)).get("token", ""))
        if session is None:
            return self._page("link_used.html", 401)
        answer = RedirectResponse("/admin", status_code=303)
        answer.set_cookie(
            COOKIE,
            session,
            max_age=round(SESSION_LASTS.total_seconds()),
            path="/admin",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        self._sessions.close(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/admin", status_code=303)
        answer.delete_cookie(COOKIE, path="/admin", httponly=True, samesite="strict")
        return answer

    async def refuse(self, request: Request, error: Exception) -> Response:
        """An error that is the caller's: no such page, a method that does not fit."""
        if not isinstance(error, HTTPException):
            raise error
        if not request.url.path.startswith("/admin"):
            return PlainTextResponse(f"{error.detail}\n", status_code=error.status_code, headers=error.headers)
        return self._page("message.html", error.status_code, words=error.detail)

    async def fail(self, request: Request, _: Exception) -> Response:
        """An error that is ours; it is in the log with all that was seen."""
        if not request.url.path.startswith("/admin"):
            return PlainTextResponse("Internal error\n", status_code=500)
        return self._page("message.html", 500, words="This page failed. The gateway's log says why.")

    def _page(self, template: str, status: int, **values: object) -> Response:
        values = {"title": "WedSync", **values}
        return HTMLResponse(self._pages.get_template(template).render(values), status_code=status)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form; 413 for a larger one, 400 for what is none."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_FORM_BYTES:
            raise HTTPException(413)
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=4)
    except ValueError as error:
        raise HTTPException(400, "This is not a form of the console") from error
    return {name: values[0] for name, values in fields.items()}
