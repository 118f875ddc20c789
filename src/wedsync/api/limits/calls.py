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
