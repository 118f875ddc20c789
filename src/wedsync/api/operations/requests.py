"""What a request says: its path, its query and its body, checked against the operation's structs."""

from typing import TypeVar

import msgspec
from starlette.requests import Request

from wedsync.errors import TooLarge, UsageProblem

T = TypeVar("T")

_LONGEST_BODY_BYTES = 64 * 1024


async def read_body(request: Request) -> bytes:
    """The bytes of the body; raises `TooLarge` without reading a huge one to its end."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_BODY_BYTES:
            raise TooLarge(f"the body is larger than {_LONGEST_BODY_BYTES // 1024} kB")
    return body


def understand_body(body: bytes, kind: type[T]) -> T:
    """The body as its struct; raises `UsageProblem`, which names the fields it may have."""
    try:
        return msgspec.json.decode(body, type=kind, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageProblem(
            "the body is not what this takes",
            detail=str(error),
            hint=f"JSON with: {', '.join(_fields(kind))}" if _fields(kind) else "an empty JSON object: {}",
        ) from error


def understand_place(request: Request, kind: type[T]) -> T:
    """Path and query as their struct; raises `UsageProblem`."""
    query = request.query_params
    twice = [name for name in query if len(query.getlist(name)) > 1 or name in request.path_params]
    if twice:
        raise UsageProblem(f"{twice[0][:40]!r} is given more than once", hint="give it once")
    try:
        return msgspec.convert({**query, **request.path_params}, kind, strict=False)
    except msgspec.ValidationError as error:
        known = _fields(kind)
        raise UsageProblem(
            "the address is not what this takes",
            detail=str(error),
            hint=f"it takes: {', '.join(known)}" if known else "it takes no query",
        ) from error


def _fields(kind: object) -> tuple[str, ...]:
    return kind.__struct_encode_fields__ if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else ()
