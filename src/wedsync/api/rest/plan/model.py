"""A planned request: SQL whose parameters are filled from each request of the same shape."""

from collections.abc import Callable
from dataclasses import dataclass

from wedsync.api.rest.query.model import Given


@dataclass(frozen=True, slots=True)
class Body:
    """The parameter that is the request's body."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One parameter of the statement: a constant, a value of the request, or its body."""

    source: bytes | Given | Body
    convert: Callable[[str], str] | None = None
    """Makes PostgreSQL's text of a given value (`in` lists become array literals); raises `RestError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the planner expects: `explain (format json)`, whose `[0].Plan."Plan Rows"` is the total.

    It runs as a second statement of the same transaction.
    """

    sql: bytes
    slots: tuple[Slot, ...]
    above: int | None
    """A `total` of the plan up to this number is exact and holds; `None`: the estimate holds in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One statement. Its single row has the columns `body`, `page_total`, `total`, `response_headers`,
    `response_status`, in this order; `body` is the answer as text, made in PostgreSQL.
    """

    sql: bytes
    slots: tuple[Slot, ...]
    read_only: bool
    media_type: str
    """Of the body."""
    estimate: Estimate | None = None
    """For `count=planned` and `count=estimated`; the greater of it and `total` is said."""
    writes: bool = False
    """Two more columns follow: `location` (the key of the one row that was written, as a JSON list of pairs) and
    `inserted` (how many rows of an upsert were new).
    """
    is_explained: bool = False
    """The rows are PostgreSQL's plan instead, a line each."""
    is_marked: bool = False
    """The body was made by a function of the database's: a `t` and the text, or a `b` and bytes in hexadecimal."""
    warning: str | None = None
    """For the header `Warning`: what the client should write differently."""
