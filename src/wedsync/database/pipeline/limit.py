"""How many requests may be under way: more while nobody waits long, fewer as soon as they do.

Additive increase, multiplicative decrease, as TCP does it. What is judged is how long requests wait before
the server begins with them, not how long they run: a report of ten seconds is not overload, a hundred
requests in front of a point lookup are. Nor is a stall, such as a checkpoint or a machine that stood still for
half a second: one late window changes nothing, and after calm ones the limit comes back to where it began,
also after those in which nobody asked.
"""

from dataclasses import dataclass

_LATE_SHARE = 0.1
_DECREASE = 0.8
_USED_SHARE = 0.9
_IDLE_WINDOWS = 10
"""So many windows without a start: nobody asks for anything, and what was seen before says nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What was seen in one short stretch of time."""

    started: int
    """Requests that the server began with."""
    late: int
    """Those of them that had waited longer than they should."""
    peak: int
    """Most requests under way at a time."""

    @property
    def is_late(self) -> bool:
        """Whether too many of them waited too long."""
        return self.late > _LATE_SHARE * self.started


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between what the limit moves."""

    floor: int = 100
    ceiling: int = 10_000
    step: int = 20
    """Added after a good window in which the limit was nearly used, or is below where it began."""
    start: int = 1000


def next_limit(limit: int, seen: Window, bounds: Bounds, *, was_late: bool = False) -> int:
    """The limit after one window; `was_late` says whether the window before it was."""
    if seen.is_late:
        if not was_late:
            return limit
        # From what was under way: a limit far above it would have to fall many times before anyone felt it.
        return max(bounds.floor, int(min(limit, seen.peak) * _DECREASE))
    if seen.peak >= _USED_SHARE * limit or limit < bounds.start:
        return min(bounds.ceiling, limit + bounds.step)
    return limit


def limit_after_pause(limit: int, windows: int, bounds: Bounds) -> int:
    """The limit after so many windows in which nothing was started."""
    return max(limit, min(bounds.start, limit + windows * bounds.step))


class ConcurrencyLimit:
    """The limit as it is now; told of each start, it judges every `window_s`."""

    __slots__ = ("_bounds", "_late", "_peak", "_since", "_started", "_target_s", "_was_late", "_window_s", "value")

    def __init__(self, *, bounds: Bounds | None = None, target_s: float = 0.05, window_s: float = 0.1) -> None:
        self._bounds = bounds or Bounds()
        self.value = self._bounds.start
        self._was_late = False
        self._target_s = target_s
        self._window_s = window_s
        self._since = 0.0
        self._started = self._late = self._peak = 0

    def admits(self, under_way: int) -> bool:
        """Whether one more request may come in beside `under_way` others."""
        if under_way >= self._peak:
            self._peak = under_way + 1
        return under_way < self.value

    def started(self, asked_at: float, now: float) -> None:
        """The server began at `now` with a request of `asked_at`.

        One that was asked for before the last window ended says nothing of the limit that holds since.
        """
        windows = int((now - self._since) / self._window_s)
        if self._since and windows > _IDLE_WINDOWS:
            self.value = limit_after_pause(self.value, windows, self._bounds)
            self._since, self._was_late = now, False
            self._started = self._late = self._peak = 0
        self._started += 1
        if now - asked_at > self._target_s and asked_at >= self._since - self._window_s:
            self._late += 1
        if now - self._since >= self._window_s:
            seen = Window(started=self._started, late=self._late, peak=self._peak)
            self.value = next_limit(self.value, seen, self._bounds, was_late=self._was_late)
            self._was_late = seen.is_late
            self._since = now
            self._started = self._late = self._peak = 0
