"""A query string's shape: what its plan depends on, apart from its values.

This runs for every request, in a few microseconds; the key is only parsed when no plan is known for it yet.
"""

import re
from functools import lru_cache
from urllib.parse import unquote_plus

from wedsync.api.rest.errors import limit_negative, range_reversed
from wedsync.api.rest.query.limits import QueryLimits
from wedsync.api.rest.query.model import Shape
from wedsync.api.rest.query.operators import WITH_VALUE, takes_value
from wedsync.api.rest.query.problems import no_text, not_utf8, too_large

TAKEN = "\0"
"""Stands in the key where a value was; a query string cannot contain it."""
_KEPT_LIMIT = 1_000
"""Limits up to here stay in the key: with a constant PostgreSQL keeps a plan, with a parameter it plans anew."""
_NO_LIMITS = QueryLimits()
_SHORT = 1_024
_EMPTY = Shape("", ())
_STRUCTURE = frozenset({"select", "columns", "on_conflict"})
_TREES = frozenset({"and", "or"})
_SIMPLE_TREE = re.compile(r'[^"{}\\]*')
_CONDITION = re.compile(
    r"(?<=[(,])([^(),.]+\.(?:not\.)?(?:eq|neq|gte?|lte?|i?like|i?match|isdistinct)\.)([^(),]*)(?=[,)])"
)
"""`column.eq.` and the value, in a tree without quotes, arrays and lists."""
_RANGES = frozenset({"limit", "offset"})


def shape_of(
    query: bytes, *, header_range: str | None = None, arguments: bool = False, limits: QueryLimits = _NO_LIMITS
) -> Shape:
    """The shape of a raw query string, with the `Range` header of a GET.

    `arguments` says that what has no operator is an argument of a function. Raises `RestError`.
    """
    if not query and header_range is None:
        return _EMPTY
    read = _known_shape if len(query) <= _SHORT else _shape_of
    return read(query, header_range, arguments, limits)


def _shape_of(query: bytes, header_range: str | None, arguments: bool, limits: QueryLimits) -> Shape:
    found = _Found([], [])
    for part in _text(query, limits).split("&"):
        name, equals, value = part.partition("=")
        if not equals:
            continue
        plain = unquote_plus(name) if "%" in name or "+" in name else name
        word = plain.rpartition(".")[2]
        if plain in _STRUCTURE or word == "order":
            found.kept.append(part)
        elif word in _TREES:
            found.tree(name, value)
        elif word in _RANGES:
            found.range(name, plain, _whole_number(value))
        elif not found.filter(name, value, arguments):
            found.kept.append(part)
    first, most = _range(found.limit, found.offset, header_range)
    if most is not None:
        found.number("limit", most)
    if first:
        found.number("offset", first)
    return Shape("&".join(found.kept), tuple(found.values), first, most)


_known_shape = lru_cache(maxsize=4096)(_shape_of)
"""Pages ask for the same again and again: those queries are read once."""


class _Found:
    """What was found so far."""

    __slots__ = ("kept", "limit", "offset", "values")

    def __init__(self, kept: list[str], values: list[str]) -> None:
        self.kept = kept
        self.values = values
        self.limit: int | None = None
        self.offset: int | None = None

    def filter(self, name: str, value: str, arguments: bool) -> bool:
        """Take the value out of a filter or argument; whether it is one."""
        before, operand = _split(value)
        if before is not None:
            self.values.append(_decoded(operand))
            self.kept.append(f"{name}={before}.{TAKEN}")
            return True
        if arguments and not value.startswith("is."):
            self.values.append(_decoded(value))
            self.kept.append(f"{name}={TAKEN}")
            return True
        return False

    def tree(self, name: str, value: str) -> None:
        """Take the values out of a tree, where they are easily told from the rest."""
        text = _decoded(value)
        if _SIMPLE_TREE.fullmatch(text) and ".in." not in text:
            self.values += [condition[2] for condition in _CONDITION.finditer(text)]
            text = _CONDITION.sub(rf"\1{TAKEN}", text)
        self.kept.append(f"{name}={_encoded(text)}")

    def range(self, name: str, plain: str, number: int | None) -> None:
        """`limit`, `offset`, or one of them of a relation; what is no number is ignored."""
        if plain == "limit":
            self.limit = number
        elif plain == "offset":
            self.offset = number
        elif number is not None:
            self.number(name, number)

    def number(self, name: str, number: int) -> None:
        """Keep a small limit, take everything else out."""
        if 0 <= number <= _KEPT_LIMIT and not name.endswith("offset"):
            self.kept.append(f"{name}={number}")
        else:
            self.values.append(str(number))
            self.kept.append(f"{name}={TAKEN}")


def _text(query: bytes, limits: QueryLimits) -> str:
    if len(query) > limits.length:
        raise too_large(
            "The query string is too long", f"It has {len(query)} bytes; up to {limits.length} are accepted."
        )
    try:
        text = query.decode()
    except UnicodeDecodeError:
        raise not_utf8() from None
    if TAKEN in text:
        no_text()
    return text


def _decoded(value: str) -> str:
    if "%" not in value and "+" not in value:
        return value
    try:
        text = unquote_plus(value, errors="strict")
    except UnicodeDecodeError:
        raise not_utf8() from None
    if TAKEN in text:
        no_text()
    return text


def _encoded(text: str) -> str:
    """So that it is decoded to the same, and not split."""
    return text.replace("%", "%25").replace("&", "%26").replace("+", "%2B")


def _split(value: str) -> tuple[str | None, str]:
    """`not.eq.5` into `not.eq` and `5`; nothing where there is no operator that takes a value."""
    before, dot, operand = value.partition(".")
    negated = before == "not" and dot
    if negated:
        before, dot, operand = operand.partition(".")
    if not dot:
        return None, ""
    if before not in WITH_VALUE:
        if "%" in before:  # like%28any%29
            before = unquote_plus(before)
        if not takes_value(before):
            return None, ""
    return (f"not.{before}" if negated else before), operand


def _whole_number(value: str) -> int | None:
    """The number; `None` of anything else, which PostgREST ignores."""
    digits = value[1:] if value.startswith("-") else value
    return int(value) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None


def _range(limit: int | None, offset: int | None, header: str | None) -> tuple[int, int | None]:
    """First row and most rows, of `limit`, `offset` and header together: what is in all of them."""
    if limit == 0:
        return 0, 0
    if limit is not None and limit < 0:
        raise limit_negative()
    first = offset or 0
    last = None if limit is None else first + limit - 1
    first = max(first, 0)
    if header is not None:
        from_header, to_header = _header_range(header)
        first = max(first, from_header)
        if to_header is not None:
            last = to_header if last is None else min(last, to_header)
    if last is None:
        return first, None
    if last < first:
        raise limit_negative()
    return first, last - first + 1


def _header_range(header: str) -> tuple[int, int | None]:
    """`0-9` or `10-`; what is none is ignored, as RFC 9110 says."""
    lower, dash, upper = header.partition("-")
    if not dash or not _digits(lower) or (upper and not _digits(upper)):
        return 0, None
    first, last = int(lower), int(upper) if upper else None
    if last is not None and last < first:
        raise range_reversed()
    return first, last


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
