"""How a pool is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """The connections of a pool and who waits for them."""

    total_connections: int
    idle_connections: int
    waiting_requests: int
    max_connections: int
    lent_connections: int
    requests_under_way: int
    request_limit: int
    """How many may be under way before further ones are refused."""

    @property
    def utilization_percent(self) -> float:
        """Connections that are at work, of the most there may be."""
        return round(100 * (self.total_connections - self.idle_connections) / self.max_connections, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolHealth:
    """Whether the database answers through the pool."""

    healthy: bool
    latency_ms: float | None
    error: str | None
