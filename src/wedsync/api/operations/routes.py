"""The routes below `/api`, from the table of operations."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from wedsync import __version__
from wedsync.api.operations.answers import encode, json_answer
from wedsync.api.operations.entrance import Entrance
from wedsync.api.operations.openapi import openapi
from wedsync.api.operations.operation import AnyOperation

Handler = Callable[[Request], Awaitable[Response]]


def operations_api(
    operations: Sequence[AnyOperation], *, entrance: Entrance, below: Mapping[str, ASGIApp] | None = None
) -> ASGIApp:
    """The application to mount at `/api`; all its answers are JSON.

    `below` are applications of their own by path: they let in whom they want, and are in no document of ours.
    """
    document = encode(openapi(operations, version=__version__))

    async def describe(_: Request) -> Response:
        return json_answer(document)

    return Starlette(
        routes=[
            Route("/openapi.json", describe),
            *(_route(operations, path, entrance) for path in _paths(operations)),
            *(Mount(path, app) for path, app in (below or {}).items()),
        ],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
    )


def _paths(operations: Sequence[AnyOperation]) -> Sequence[str]:
    return list(dict.fromkeys(operation.path for operation in operations))


def _route(operations: Sequence[AnyOperation], path: str, entrance: Entrance) -> Route:
    by_method = {operation.method: operation for operation in operations if operation.path == path}

    async def answer(request: Request) -> Response:
        asked = "GET" if request.method == "HEAD" else request.method
        return await entrance.answer(by_method[asked], request)

    return Route(path, answer, methods=[*by_method])


async def _refuse(_: Request, error: Exception) -> Response:
    """An error that is the caller's: no such path, a method that does not fit."""
    if not isinstance(error, HTTPException):
        raise error
    return _said(error.status_code, error.detail, dict(error.headers or {}))


async def _fail(_: Request, __: Exception) -> Response:
    """An error that is ours; it is in the log with all that was seen."""
    return _said(500, "this failed; the gateway's log says why", {})


def _said(status: int, message: str, headers: dict[str, str]) -> Response:
    problem = {"code": "WS000", "message": message, "detail": None, "hint": None}
    return json_answer(encode({"success": False, "errors": [problem]}), status=status, headers=headers)
