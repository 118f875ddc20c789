"""The routes below `/api`."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from wedsync.api.operations.answers import json_answer
from wedsync.api.operations.migrate import MigrateEndpoint


def operations_api(*, migrate: MigrateEndpoint) -> ASGIApp:
    """The application to mount at `/api`; all its answers are JSON."""
    return Starlette(
        routes=[Route("/database/migrate", migrate.answer, methods=["POST", "PUT"])],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
    )


async def _refuse(_: Request, error: Exception) -> Response:
    """An error that is the caller's: no such path, a method that does not fit."""
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers) if error.headers else None
    return _said(error.status_code, error.detail, headers)


async def _fail(_: Request, __: Exception) -> Response:
    """An error that is ours; it is in the log with all that was seen."""
    return _said(500, "this failed; the gateway's log says why", None)


def _said(status: int, message: str, headers: dict[str, str] | None) -> Response:
    return json_answer(
        {"success": False, "errors": [{"code": "WS000", "message": message, "detail": None, "hint": None}]},
        status=status,
        headers=headers,
    )
