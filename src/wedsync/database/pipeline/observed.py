"""Events of the pool."""

from dataclasses import dataclass
from typing import ClassVar

from wedsync.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStatement(Event):
    """A statement took longer than it should; its values are not told."""

    level: ClassVar[str] = "warning"
    took_ms: int
    waited_ms: int
    """Of that, before the server began with it."""
    text: str
    parameters: int
    role: str
    request_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLost(Event):
    """A connection of the pool ended."""

    level: ClassVar[str] = "warning"
    why: str
    under_way: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAway(Event):
    """No connection is left and no new one came about."""

    level: ClassVar[str] = "error"
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseBack(Event):
    """There are connections again."""

    away_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCannotGrow(Event):
    """The server gives no more connections; the pool stays as it is for a while."""

    level: ClassVar[str] = "warning"
    connections: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementMoved(Event):
    """A statement that others waited behind was cancelled, to be run again on a connection of its own."""

    ran_ms: int
    behind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOverdue(Event):
    """A lent connection did not come back in time and was taken back."""

    level: ClassVar[str] = "error"
    purpose: str
    taken_at: str
    """Where in the code."""
    held_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolerFound(Event):
    """Another pooler is between us and the server: statements go without names, one at a time."""

    server: str
