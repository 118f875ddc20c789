"""How many requests a caller may make in a second, and at once."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic

_MOST_NAMES = 100_000
"""Of more, those that came first are forgotten: they begin with a full bucket, and nobody fills our memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A request that is too many."""

    retry_after_s: int
    policy: str
    """What is allowed, as the header RateLimit-Policy says it."""


class RateLimit:
    """A bucket for each name that is emptied by requests and filled again evenly; counted in this process.

    Kept as one number a name: the moment at which the bucket is full again (the generic cell rate algorithm).
    """

    def __init__(self, *, per_second: float, burst: int, now: Callable[[], float] = monotonic) -> None:
        self._interval_s = 1 / per_second
        self._tolerance_s = self._interval_s * burst
        self._now = now
        self._full_at: dict[str, float] = {}
        self._policy = f'"caller";q={burst};w={max(1, ceil(burst / per_second))}'

    def take(self, name: str) -> Refusal | None:
        """Count a request of this name; says when to come again if it is one too many."""
        now = self._now()
        full_at = self._full_at.get(name, now)
        after = (full_at if full_at > now else now) + self._interval_s
        if after - now > self._tolerance_s:
            wait_s = after - now - self._tolerance_s
            return Refusal(retry_after_s=max(1, ceil(wait_s)), policy=self._policy)
        if len(self._full_at) >= _MOST_NAMES:
            self._forget(now)
        self._full_at[name] = after
        return None

    def _forget(self, now: float) -> None:
        """Make room for a quarter, so that this is not done for each new name."""
        kept = [(name, at) for name, at in self._full_at.items() if at > now]
        self._full_at = dict(kept[-_MOST_NAMES * 3 // 4 :])


class ConcurrencyLimit:
    """At most so many requests of one name at the same time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: dict[str, int] = {}

    def enter(self, name: str) -> Refusal | None:
        """Begin a request, which `leave` ends; or say that it is one too many."""
        running = self._running.get(name, 0)
        if running >= self._most:
            return Refusal(retry_after_s=1, policy=f'"at once";q={self._most};w=1')
        self._running[name] = running + 1
        return None

    def leave(self, name: str) -> None:
        """A request that began has ended."""
        running = self._running.pop(name) - 1
        if running:
            self._running[name] = running
