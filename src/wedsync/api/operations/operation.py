"""One operation of the API: its place, what goes in, what comes out, what carries it out.

The router and the OpenAPI document are both made from these, so they cannot disagree.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec

from wedsync.errors import WedsyncError

P = TypeVar("P", bound=msgspec.Struct)
B = TypeVar("B", bound=msgspec.Struct | None)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, what was seen, what to do next."""

    code: str
    message: str
    detail: str | None = None
    hint: str | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a call that failed."""

    success: bool = False
    errors: Sequence[Problem]
    timestamp: datetime


class Nowhere(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Neither the path nor the query says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[P, B]):
    """One call that was let in."""

    who: str
    """Whom the audit trail names."""
    at: datetime
    place: P
    """What path and query say."""
    body: B


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an operation gives."""

    content: msgspec.Struct
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[P, B]):
    """A row of the table of routes."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    """Below `/api`, as `/database/jobs/{id}`."""
    name: str
    """The document's `operationId`: unique."""
    action: str
    """What the audit trail calls it."""
    summary: str
    place: type[P]
    """Names of the path and of the query; those that the path has in braces come from it."""
    body: type[B]
    answers: Mapping[int, type[msgspec.Struct]]
    """What comes out, by status; errors are `Failure` unless they stand here."""
    carry_out: Callable[[Call[P, B]], Awaitable[Answer]]
    refusals: Mapping[int, str] = field(default_factory=dict[int, str])
    """Statuses of errors beyond those that every operation has, and what each means."""
    sensitive: bool = False
    """Whether a caller may do it five times a minute and no more."""
    failed: Callable[[B | None, Sequence[Problem], datetime], msgspec.Struct] | None = None
    """The answer to a call that failed, where it has keys of its own; without a body, none was understood."""

    @property
    def writes(self) -> bool:
        """Whether it may change anything: each call is in the audit trail then."""
        return self.method != "GET"

    @property
    def takes_key(self) -> bool:
        """Whether `Idempotency-Key` counts."""
        return self.method == "POST"


AnyOperation = Operation[Any, Any]
Calls = Callable[[Exception], WedsyncError | None]
"""Puts errors of the outside into our words; `None` for a mistake in the program."""
