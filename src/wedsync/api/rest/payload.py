"""The body of a request, as JSON that PostgreSQL reads."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl

import msgspec

from wedsync.api.rest.errors import body_malformed
from wedsync.api.rest.query import Given

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_CSV = "text/csv"
RAW_TYPES = {"text/plain": "text", "text/xml": "xml", "application/octet-stream": "bytea"}
"""What is handed to a function as it came, and the type that its parameter has."""
_DECODE = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Content:
    """A body that was read."""

    text: bytes
    """What PostgreSQL gets."""
    columns: tuple[str, ...]
    """The members of its objects, sorted; all objects have the same."""
    is_object: bool
    """One object, not a list."""
    pairs: tuple[tuple[str, str], ...] | None = None
    """Of a form that calls a function: names and values in their order."""
    raw_type: str | None = None
    """Of what is not read at all: the type it is handed to a function as."""

    @property
    def kind(self) -> object:
        """What a plan depends on."""
        if self.pairs is None and self.raw_type is None:
            return self.columns if self.is_object else (self.columns,)
        return None if self.pairs is None else tuple(name for name, _ in self.pairs), self.raw_type

    def values_after(self, taken: int) -> tuple[tuple[str, Given], ...] | None:
        """Of a form: its names, with values that are numbered after those of the query string."""
        if self.pairs is None:
            return None
        return tuple((name, Given(taken + number)) for number, (name, _) in enumerate(self.pairs))


_EMPTY_LIST = Content(b"[]", (), False)
_EMPTY_OBJECT = Content(b"{}", (), True)


def rows_of(body: bytes, content_type: str, *, columns_named: bool) -> Content:
    """The rows that a body has. Raises PGRST102.

    With `columns_named` (the parameter `columns`) the objects may differ, and PostgreSQL alone reads them.
    """
    if content_type == _JSON:
        if columns_named:
            return Content(body, (), body.lstrip(b" \t\r\n").startswith(b"{"))
        return _json(body)
    if content_type == _CSV:
        return _csv(body)
    if content_type == _FORM:
        pairs = dict(_form(body))
        return Content(msgspec.json.encode(pairs), tuple(sorted(pairs)), True)
    raise body_malformed(f"Content-Type not acceptable: {content_type}")


def arguments_of(body: bytes, content_type: str, *, columns_named: bool) -> Content:
    """The arguments that a body has for a function. Raises PGRST102."""
    if content_type == _FORM:
        pairs = tuple(_form(body))
        return Content(b"", tuple(sorted({name for name, _ in pairs})), True, pairs=pairs)
    if content_type in RAW_TYPES:
        text = b"\\x" + body.hex().encode() if content_type == "application/octet-stream" else body
        return Content(text, (), True, raw_type=RAW_TYPES[content_type])
    if content_type == _JSON and not body and not columns_named:
        return _EMPTY_OBJECT
    return rows_of(body, content_type, columns_named=columns_named)


def _json(body: bytes) -> Content:
    try:
        value: object = _DECODE(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise body_malformed("Empty or invalid json") from None
    if isinstance(value, dict):
        return Content(body, _names(cast("dict[str, object]", value)), True)
    if not isinstance(value, list) or not value:
        return _EMPTY_LIST
    return Content(body, _shared_names(cast("list[object]", value)), False)


def _names(row: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(sorted(row))


def _shared_names(rows: Sequence[object]) -> tuple[str, ...]:
    first = rows[0]
    if isinstance(first, dict):
        row = cast("dict[str, object]", first)
        if all(isinstance(other, dict) and other.keys() == row.keys() for other in rows):
            return _names(row)
    raise body_malformed("All object keys must match")


def _csv(body: bytes) -> Content:
    try:
        lines = list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise body_malformed("Empty or invalid csv") from None
    lines = [line for line in lines if line]
    if not lines:
        raise body_malformed("Empty or invalid csv")
    names, *rows = lines
    if any(len(row) != len(names) for row in rows):
        raise body_malformed("All lines must have same number of fields")
    if not rows:
        return _EMPTY_LIST
    objects = [
        {name: None if value == "NULL" else value for name, value in zip(names, row, strict=True)} for row in rows
    ]
    return Content(msgspec.json.encode(objects), tuple(sorted(set(names))), False)


def _form(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise body_malformed("Empty or invalid form") from None
