"""How often a sensitive call may be made."""

from collections import deque
from datetime import datetime, timedelta

from wedsync.clock import Clock
from wedsync.errors import TooManyCalls


class CallLimit:
    """At most so many calls within a time, whoever makes them: counted in this process."""

    def __init__(self, clock: Clock, *, calls: int = 5, within: timedelta = timedelta(minutes=1)) -> None:
        self._clock = clock
        self._calls = calls
        self._within = within
        self._taken: deque[datetime] = deque()

    def take(self) -> None:
        """Count a call; raises `TooManyCalls`, which says when to come again."""
        now = self._clock.now()
        while self._taken and now - self._taken[0] >= self._within:
            self._taken.popleft()
        if len(self._taken) >= self._calls:
            wait = self._taken[0] + self._within - now
            raise TooManyCalls(
                f"more than {self._calls} calls within {self._within.total_seconds():g} s",
                retry_after_s=max(1, round(wait.total_seconds() + 0.5)),
            )
        self._taken.append(now)

    def is_idle(self) -> bool:
        """Whether no call counts any more."""
        return not self._taken or self._clock.now() - self._taken[-1] >= self._within


class CallLimits:
    """The same for each caller by itself; callers are told apart by any text."""

    def __init__(self, clock: Clock, *, calls: int = 5, within: timedelta = timedelta(minutes=1)) -> None:
        self._clock = clock
        self._calls = calls
        self._within = within
        self._limits: dict[str, CallLimit] = {}

    def take(self, caller: str) -> None:
        """Count a call of `caller`; raises `TooManyCalls`."""
        if caller not in self._limits:
            self._limits = {name: limit for name, limit in self._limits.items() if not limit.is_idle()}
            self._limits[caller] = CallLimit(self._clock, calls=self._calls, within=self._within)
        self._limits[caller].take()
