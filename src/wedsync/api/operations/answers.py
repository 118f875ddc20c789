"""Answers in JSON, and which status an error of ours has over HTTP."""

from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wedsync.errors import (
    Busy,
    CannotConnect,
    DataLossRefused,
    MigrationBlocked,
    MigrationsFrozen,
    NotAdministrator,
    NotSignedIn,
    TooLarge,
    TooManyCalls,
    WedsyncError,
)

T = TypeVar("T")

_LONGEST_BODY_BYTES = 64 * 1024
_STATUS: tuple[tuple[type[WedsyncError], int], ...] = (
    (NotSignedIn, 401),
    (NotAdministrator, 403),
    (TooLarge, 413),
    (TooManyCalls, 429),
    (MigrationsFrozen, 423),
    (DataLossRefused, 409),
    (MigrationBlocked, 409),
    (Busy, 409),
    (CannotConnect, 503),
)
"""The first that fits; 400 for the rest: something about the request, the files or the database is wrong."""
_RETRY_AFTER_S = 5


def status_of(error: WedsyncError) -> int:
    """The HTTP status of an error of ours."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400)


def error_to_json(error: WedsyncError) -> dict[str, object]:
    """An error as every answer shows it."""
    return {"code": error.code, "message": error.message, "detail": error.detail, "hint": error.hint}


def headers_of(error: WedsyncError) -> dict[str, str]:
    """What a client needs besides: how to sign in, when to come again."""
    status = status_of(error)
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="wedsync"'}
    if isinstance(error, TooManyCalls):
        return {"Retry-After": str(error.retry_after_s)}
    return {"Retry-After": str(_RETRY_AFTER_S)} if status in {409, 503} else {}


def json_answer(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(
        msgspec.json.encode(value, enc_hook=str),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


async def body_of(request: Request, kind: type[T]) -> T:
    """The body of a request, checked against a msgspec type; raises `TooLarge` and `msgspec.DecodeError`."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_BODY_BYTES:
            raise TooLarge(f"the body is larger than {_LONGEST_BODY_BYTES // 1024} kB")
    return msgspec.json.decode(body, type=kind, strict=True)
