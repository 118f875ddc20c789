"""What PostgreSQL refused, as an answer: its SQLSTATE says the status, as in PostgREST 16."""

import re
from typing import Protocol

import msgspec

from wedsync.api.rest.errors.problem import Problem


class Refusal(Protocol):
    """The fields of an error of PostgreSQL."""

    @property
    def sqlstate(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def detail(self) -> str | None: ...
    @property
    def hint(self) -> str | None: ...


_EXACT = {
    "23503": 409,  # foreign key
    "23505": 409,  # unique key
    "25006": 405,  # a write in a read-only transaction: GET
    "21000": 500,
    "53400": 500,  # a configured limit
    "57P01": 503,  # the server shuts down
    "P0001": 400,  # raise
    "42883": 404,  # no such function
    "42P01": 404,  # no such table
    "42P17": 500,  # infinite recursion of a policy
}
_CLASSES = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57": 500,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "XX": 500,
}
_NO_SUCH_ROLE = re.compile(r"role.*does not exist", re.DOTALL)

MAY_BE_STALE = frozenset({"42703", "42P01", "42883", "42704", "42P10", "3F000", "0A000"})
"""What PostgreSQL says of a statement that was planned from a catalogue that has changed since."""


def refused(error: Refusal, *, is_anonymous: bool) -> Problem:
    """The answer to a statement that PostgreSQL refused; 42501 asks an anonymous caller to sign in."""
    if error.sqlstate == "PGRST":
        return _raised(error)
    status = _status(error, is_anonymous=is_anonymous)
    return Problem(
        status=status,
        code=error.sqlstate,
        message=error.message,
        details=error.detail,
        hint=error.hint,
        headers={"WWW-Authenticate": "Bearer"} if status == 401 else {},
    )


def _status(error: Refusal, *, is_anonymous: bool) -> int:
    state, message = error.sqlstate, error.message
    match state:
        case "42501":
            return 401 if is_anonymous else 403
        case "21000" if message.endswith("requires a WHERE clause"):  # the extension pg-safeupdate
            return 400
        case "22023" if _NO_SUCH_ROLE.fullmatch(message):
            return 401
        case "42883" if message.startswith("function xmlagg("):
            return 406
        case _ if state.startswith("PT"):
            return _http_status(state[2:])
        case _:
            return _EXACT.get(state) or _CLASSES.get(state[:2], 400)


def _http_status(digits: str) -> int:
    status = int(digits) if digits.isascii() and digits.isdigit() else 0
    return status if 200 <= status <= 599 else 500


class _Message(msgspec.Struct):
    """The MESSAGE of `raise sqlstate 'PGRST'`."""

    code: str
    message: str
    details: str | None = None
    hint: str | None = None


class _Detail(msgspec.Struct):
    """Its DETAIL. The reason of HTTP/1 (`status_text`) goes no further: HTTP/2 has none, uvicorn sends none."""

    status: int
    headers: dict[str, str]
    status_text: str | None = None


def _raised(error: Refusal) -> Problem:
    """`raise sqlstate 'PGRST'`: the function writes the whole answer, in JSON."""
    try:
        message = msgspec.json.decode(error.message, type=_Message)
    except msgspec.MsgspecError:
        return _unreadable(
            f"Invalid JSON value for MESSAGE: '{error.message}'",
            "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: "
            "'details', 'hint'.",
        )
    about_detail = (
        "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'."
    )
    if error.detail is None:
        return _unreadable("DETAIL is missing in the RAISE statement", about_detail)
    try:
        detail = msgspec.json.decode(error.detail, type=_Detail)
    except msgspec.MsgspecError:
        return _unreadable(f"Invalid JSON value for DETAIL: '{error.detail}'", about_detail)
    return Problem(
        status=_http_status(str(detail.status)),
        code=message.code,
        message=message.message,
        details=message.details,
        hint=message.hint,
        headers=detail.headers,
    )


def _unreadable(details: str, hint: str) -> Problem:
    message = "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error"
    return Problem(status=500, code="PGRST121", message=message, details=details, hint=hint)
