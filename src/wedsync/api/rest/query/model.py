"""A query in the data API's dialect, as plain values.

Values that a client gives are in here by number (`Given`), wherever the query's shape allows: requests that
differ in values only have the same shape, and with it the same plan and the same prepared statement.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Given:
    """A value of the request: its number among the shape's values."""

    number: int


Value = str | Given
"""A constant of the shape, or a value of the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column, or something inside a JSON column: `data->items->>0`."""

    name: str
    path: tuple[tuple[str, str | int], ...] = ()
    """Arrow (`->` or `->>`) and operand: a key, or the index of an array's element."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectField:
    """`alias:column->path::cast.aggregate()::cast`; `*` is a field of that name."""

    field: Field
    alias: str | None = None
    cast: str | None = None
    aggregate: str | None = None
    """`sum`, `avg`, `count`, `max`, `min`; `count()` alone has the field `*`."""
    aggregate_cast: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectRelation:
    """`alias:target!hint!inner(select)`, or spread: `...target(select)`."""

    target: str
    select: "tuple[SelectField | SelectRelation, ...]"
    alias: str | None = None
    hint: str | None = None
    inner: bool = False
    spread: bool = False

    @property
    def key(self) -> str:
        """The name by which filters, order and limits of the query address it, and of its member in the answer."""
        return self.alias or self.target


class Quantifier(StrEnum):
    """`eq(any)`, `like(all)`."""

    ANY = "any"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """`column=not.operator(quantifier).value`."""

    field: Field
    operator: str
    """As written: `eq`, `in`, `is`, `isdistinct`, `fts`, `cs`, …"""
    value: Value
    negated: bool = False
    quantifier: Quantifier | None = None
    language: str | None = None
    """Configuration of a full-text search: `fts(english)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logic:
    """`and(…)`, `or(…)`, also negated."""

    operator: str
    """`and` or `or`."""
    parts: "tuple[Filter | Logic, ...]"
    negated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`column.desc.nullslast`, or by a column of an embedded to-one relation: `relation(column).desc`."""

    field: Field
    relation: str | None = None
    descending: bool | None = None
    nulls_first: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What concerns one level of the tree: the root (path `()`) or the embedded relation at a path of keys."""

    path: tuple[str, ...] = ()
    where: tuple[Filter | Logic, ...] = ()
    order: tuple[Order, ...] = ()
    limit: Value | None = None
    offset: Value | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The whole query string."""

    select: tuple[SelectField | SelectRelation, ...]
    levels: tuple[Level, ...] = ()
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] = ()
    arguments: tuple[tuple[str, Value], ...] = ()
    """Arguments of a function called by GET, in the order given."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A query string without its values: equal keys have equal plans."""

    key: str
    """The query string, still percent-encoded, with `\\0` in place of each value."""
    values: tuple[str, ...]
    """Decoded, in the order of their places in the key."""
    offset: int = 0
    """First row of the answer that is asked for, of query string and `Range` header together."""
    limit: int | None = None
    """Most rows that are asked for."""
