"""One thing that is wrong, how bad it is, since when, and what to do next."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """How a home is, all in all; from good to bad."""

    HEALTHY = "healthy"
    WARNING = "warning"
    """Works and loses nothing; somebody should look at it today."""
    CRITICAL = "critical"
    """Works, but could lose data or stop soon, or nobody knows whether it works."""
    DOWN = "down"
    """The database takes no connections."""

    @property
    def rank(self) -> int:
        """0 for healthy, more for worse."""
        return list(State).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What is wrong, in words that go before `since …` and `: next step`."""

    severity: State
    code: str
    """A fixed snake_case name."""
    words: str
    since: datetime | None = None
    next_step: str
