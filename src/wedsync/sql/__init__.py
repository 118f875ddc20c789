"""Every statement, one file per folder that uses it; each starts with `-- name: …`."""

from functools import cache
from importlib.resources import files

_MARK = "-- name: "


@cache
def statements(file: str) -> dict[str, bytes]:
    """The statements of `sql/<file>.sql` by name; bytes, as psycopg takes them from a trusted source."""
    text = (files("wedsync.sql") / f"{file}.sql").read_text(encoding="utf-8")
    found: dict[str, bytes] = {}
    for part in text.split(_MARK)[1:]:
        name, _, body = part.partition("\n")
        found[name.strip()] = body.strip().encode()
    return found
