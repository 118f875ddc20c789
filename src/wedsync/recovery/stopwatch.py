"""How long the phases of a recovery take."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import monotonic

from wedsync.recovery.forecast import Phase


class Stopwatch:
    """Seconds by phase."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        """`now` is a clock in seconds."""
        self._now = now
        self._began = now()
        self.phases_s: dict[Phase, float] = {}

    @property
    def total_s(self) -> float:
        """Seconds since it was made."""
        return self._now() - self._began

    @contextmanager
    def time(self, phase: Phase) -> Generator[None]:
        """Add the seconds inside to a phase."""
        began = self._now()
        try:
            yield
        finally:
            self.phases_s[phase] = self.phases_s.get(phase, 0.0) + self._now() - began
