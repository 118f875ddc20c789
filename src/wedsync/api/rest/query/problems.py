"""What is wrong with a query string, in PostgREST's words."""

from typing import NoReturn

from wedsync.api.rest.errors import Problem, RestError


def unparsable(what: str, text: str, at: int, expecting: str, *, shown: str | None = None) -> RestError:
    """PGRST100: `text`, which is `what`, cannot be read from its character `at` on."""
    shown = (text if shown is None else shown).replace("\0", "…")  # a value that was taken out
    seen = f"unexpected {_quoted(text[at])}" if at < len(text) else "unexpected end of input"
    return RestError(
        Problem(
            status=400,
            code="PGRST100",
            message=f'"failed to parse {what} ({shown})" (line 1, column {at + 1})',
            details=f"{seen} expecting {expecting}",
        )
    )


def too_large(message: str, details: str) -> RestError:
    """PGRST100 for a query that is well formed, and more than we carry out."""
    return RestError(Problem(status=400, code="PGRST100", message=message, details=details))


def no_text() -> NoReturn:
    """Raise what PostgreSQL would say of a zero byte, which never gets there."""
    raise RestError(Problem(status=400, code="22021", message='invalid byte sequence for encoding "UTF8": 0x00'))


def not_utf8() -> RestError:
    """A query string that is not UTF-8."""
    return RestError(
        Problem(
            status=400,
            code="PGRST100",
            message="The query string is not valid UTF-8",
            hint="Percent-encode its values as UTF-8",
        )
    )


def _quoted(character: str) -> str:
    escaped = character.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
