"""How the client uses a database: sizes and times."""

from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often and how soon a transaction is run again after a failure that passes."""

    tries: int = 5
    first_wait: timedelta = timedelta(milliseconds=20)
    longest_wait: timedelta = timedelta(seconds=1)

    def wait_s(self, failures: int, *, chance: float) -> float:
        """Seconds to wait after so many failures; `chance`, 0 to 1, spreads those who failed together."""
        wait = self.first_wait * 2 ** min(failures - 1, 20)
        return min(wait, self.longest_wait).total_seconds() * (0.5 + chance / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What a service may take of the database, and what it is told."""

    min_connections: int = 10
    max_connections: int = 100
    idle_timeout: timedelta = timedelta(seconds=30)
    """Connections beyond the smallest number are closed when nobody needed them for this long."""
    connect_timeout: timedelta = timedelta(seconds=10)
    acquire_timeout: timedelta = timedelta(seconds=60)
    """How long a caller waits for a connection, also while the database is away."""
    statement_timeout: timedelta = timedelta(seconds=30)
    slow_after: timedelta = timedelta(milliseconds=1000)
    """Statements that take longer are told of."""
    leak_after: timedelta = timedelta(seconds=60)
    """Connections that are held for longer are told of, with the place that took them."""
    application_name: str = "wedsync.client"
    prepare: bool = True
    """Whether statements that come often are prepared; not through a pooler in transaction mode."""
    retries: Retries = field(default_factory=Retries)
