"""Texts of a request as PostgreSQL reads them: patterns and arrays."""

import re
from collections.abc import Callable

from wedsync.api.rest.plan.model import Slot
from wedsync.api.rest.plan.sql import Sql, parameter
from wedsync.api.rest.query import Value
from wedsync.api.rest.query.problems import unparsable

_ELEMENT = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[,)])|([^,)]*)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def value_parameter(value: Value, convert: Callable[[str], str] | None = None) -> Sql:
    """The parameter for a value: of the request, or the same for the whole shape."""
    if isinstance(value, str):
        return parameter(Slot((convert(value) if convert else value).encode()))
    return parameter(Slot(value, convert))


def pattern(text: str) -> str:
    """`*` is easier to write in an address than `%`."""
    return text.replace("*", "%")


def array_of_list(text: str) -> str:
    """`(1,"a,b",c)` as an array; `()` is empty. Raises `RestError` PGRST100 if it is no list."""
    start = len(text) - len(text.lstrip(" \t"))
    if not text.startswith("(", start):
        raise unparsable("filter", f"in.{text}", 3 + start, '"("')
    at = len(text) - len(text[start + 1 :].lstrip(" \t"))
    if text.startswith(")", at):
        return "{}"
    elements: list[str] = []
    while True:
        found = _ELEMENT.match(text, at)
        if found is None:  # the second alternative matches nothing, too
            raise unparsable("filter", f"in.{text}", 3 + at, '"," or ")"')
        elements.append(found[2] if found[1] is None else _ESCAPED.sub(r"\1", found[1]))
        at = found.end()
        if text.startswith(",", at):
            at += 1
        elif text.startswith(")", at):
            break
        else:
            raise unparsable("filter", f"in.{text}", 3 + at, '"," or ")"')
    return "{" + ",".join(map(_quoted, elements)) + "}"


def _quoted(element: str) -> str:
    escaped = element.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
