"""What the data API may do: said once, by who starts it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wedsync.api.rest.query import QueryLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class RestSettings:
    """Settings of the data API; the defaults are those of a home."""

    max_rows: int | None = None
    """No list is longer, at any level."""
    aggregates: bool = True
    """Whether `select=amount.sum()` and the like are allowed."""
    allow_rollback: bool = True
    """Whether `Prefer: tx=rollback` is taken: the request is tried, and undone."""
    plans_for: str | None = "service_role"
    """The role that may see how PostgreSQL carries a statement out."""
    statement_timeout_ms: int = 30_000
    role_timeouts_ms: Mapping[str, int] = field(default_factory=dict[str, int])
    """By role, where it is another."""
    limits: QueryLimits = field(default_factory=QueryLimits)
    most_plans: int = 2_000
    """Plans that are kept; of more, those that were not asked for longest go."""

    def timeout_ms(self, role: str) -> int:
        """How long a statement of the role may take."""
        return self.role_timeouts_ms.get(role, self.statement_timeout_ms)
