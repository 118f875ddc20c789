"""From a shape's key to a query: PostgREST's grammar, parameter by parameter."""

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from wedsync.api.rest.query.fields import json_path
from wedsync.api.rest.query.filters import logic, operation, value_in_tree
from wedsync.api.rest.query.limits import QueryLimits
from wedsync.api.rest.query.model import Field, Filter, Given, Level, Logic, Order, Query, Value
from wedsync.api.rest.query.order import order_terms
from wedsync.api.rest.query.problems import no_text, not_utf8, too_large
from wedsync.api.rest.query.scanner import Scanner
from wedsync.api.rest.query.select import Selected, select_list
from wedsync.api.rest.query.shape import TAKEN

_ALL: tuple[Selected, ...] = select_list(Scanner("select parameter", "*"), QueryLimits())
_NO_LIMITS = QueryLimits()


@dataclass(slots=True)
class _Level:
    """A level while its parameters are collected."""

    where: list[Filter | Logic] = field(default_factory=list[Filter | Logic])
    order: tuple[Order, ...] = ()
    limit: Value | None = None
    offset: Value | None = None


@dataclass(slots=True)
class _Reading:
    """What is known after some of the parameters."""

    limits: QueryLimits
    select: tuple[Selected, ...] | None = None
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    levels: dict[tuple[str, ...], _Level] = field(default_factory=dict[tuple[str, ...], _Level])
    arguments: list[tuple[str, Value]] = field(default_factory=list[tuple[str, Value]])
    given: int = 0
    conditions: int = 0

    def level(self, path: tuple[str, ...]) -> _Level:
        return self.levels.setdefault(path, _Level())

    def next_given(self) -> Given:
        self.given += 1
        return Given(self.given - 1)

    def value_of(self, scanner: Scanner, operator: str) -> Given:
        """The value of a filter, which was taken out."""
        del scanner, operator
        return self.next_given()

    def value_in_tree(self, scanner: Scanner, operator: str) -> Value:
        """The value of a filter inside a tree, which was taken out or not."""
        value = value_in_tree(scanner, operator)
        return self.next_given() if value == TAKEN else value

    def count(self, condition: Filter | Logic) -> None:
        self.conditions += _filters_in(condition)
        if self.conditions > self.limits.conditions:
            raise too_large(
                "The query has too many filters", f"Up to {self.limits.conditions} are accepted altogether."
            )


def parse(key: str, limits: QueryLimits = _NO_LIMITS) -> Query:
    """The query with that shape; values are in it by their number. Raises `RestError` (PGRST100)."""
    reading = _Reading(limits)
    for part in key.split("&") if key else ():
        name, _, value = part.partition("=")
        _read(reading, _plain(name), _plain(value))
    return Query(
        select=_ALL if reading.select is None else reading.select,
        levels=tuple(
            Level(path=path, where=tuple(level.where), order=level.order, limit=level.limit, offset=level.offset)
            for path, level in reading.levels.items()
        ),
        columns=reading.columns,
        on_conflict=reading.on_conflict or (),
        arguments=tuple(reading.arguments),
    )


def _read(reading: _Reading, name: str, value: str) -> None:
    if name == "select":
        if reading.select is None:
            reading.select = select_list(Scanner("select parameter", value), reading.limits)
    elif name == "columns":
        reading.columns = reading.columns or _names("columns parameter", value)
    elif name == "on_conflict":
        reading.on_conflict = reading.on_conflict or _names("on_conflict parameter", value)
    else:
        word = name.rpartition(".")[2]
        _PARAMETERS.get(word, _filter)(reading, name, value)


def _order(reading: _Reading, name: str, value: str) -> None:
    level = reading.level(_path(name)[:-1])
    terms = order_terms(Scanner("order", value))
    level.order = level.order or terms


def _logic(reading: _Reading, name: str, value: str) -> None:
    names = _path(name)
    negation = "not." if "not" in names else ""
    scanner = Scanner("logic tree", f"{negation}{names[-1]}{value}", shown=value)
    if not value.lstrip(" \t").startswith("("):
        scanner.at = len(scanner.text) - len(value)
        raise scanner.failed('"("')
    tree = logic(scanner, reading.limits, reading.value_in_tree)
    if not scanner.done:
        raise scanner.failed("end of input")
    reading.count(tree)
    reading.level(tuple(name for name in names[:-1] if name != "not")).where.append(tree)


def _limit(reading: _Reading, name: str, value: str) -> None:
    reading.level(_path(name)[:-1]).limit = reading.next_given() if value == TAKEN else value


def _offset(reading: _Reading, name: str, value: str) -> None:
    reading.level(_path(name)[:-1]).offset = reading.next_given() if value == TAKEN else value


def _filter(reading: _Reading, name: str, value: str) -> None:
    if value == TAKEN:
        reading.arguments.append((name, reading.next_given()))
        return
    scanner = Scanner("tree path", name)
    path = [scanner.need_name()]
    while scanner.take("."):
        path.append(scanner.need_name())
    column = Field(name=path[-1], path=json_path(scanner))
    if not scanner.done:
        raise scanner.failed('delimiter (.), "->>", "->" or end of input')
    found = operation(Scanner("filter", value), column, reading.value_of)
    reading.count(found)
    reading.level(tuple(path[:-1])).where.append(found)


_PARAMETERS: dict[str, Callable[[_Reading, str, str], None]] = {
    "order": _order,
    "and": _logic,
    "or": _logic,
    "limit": _limit,
    "offset": _offset,
}


def _path(name: str) -> tuple[str, ...]:
    scanner = Scanner("tree path", name)
    path = [scanner.need_name()]
    while scanner.take("."):
        path.append(scanner.need_name())
    if not scanner.done:
        raise scanner.failed("delimiter (.) or end of input")
    return tuple(path)


def _names(what: str, value: str) -> tuple[str, ...]:
    scanner = Scanner(what, value)
    names = [scanner.need_name()]
    while scanner.take(","):
        scanner.skip_blanks()
        names.append(scanner.need_name())
    if not scanner.done:
        raise scanner.failed('"," or end of input')
    return tuple(names)


def _plain(text: str) -> str:
    """Percent-decoded; the marks of values stay as they are."""
    if "%" not in text and "+" not in text:
        return text
    try:
        decoded = unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise not_utf8() from None
    if decoded.count(TAKEN) != text.count(TAKEN):
        no_text()
    return decoded


def _filters_in(condition: Filter | Logic) -> int:
    return sum(map(_filters_in, condition.parts)) if isinstance(condition, Logic) else 1
