"""What happened at the door, counted; lines are written only for what is slow or failed."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from wedsync.events import Event, observe


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFailed(Event):
    """A request was answered with a status of 500 or more."""

    level: ClassVar[str] = "warning"
    method: str
    path: str
    status: int
    took_ms: float
    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSlow(Event):
    """A request took longer than it should."""

    level: ClassVar[str] = "warning"
    method: str
    path: str
    status: int
    took_ms: float
    request: str


class Meter:
    """Counters of one process: requests by status, requests under way, time spent."""

    def __init__(self, *, slow_ms: float = 1000) -> None:
        self._slow_ms = slow_ms
        self.by_status: Counter[int] = Counter()
        self.under_way = 0
        self.seconds = 0.0
        self.refused: Counter[str] = Counter()
        """By reason: what was turned away before it cost anything."""

    def ended(self, *, method: str, path: str, status: int, took_s: float, request: bytes) -> None:
        """Count a request; the path only is written down: its query may hold anything."""
        self.by_status[status] += 1
        self.seconds += took_s
        took_ms = took_s * 1000
        if status < 500 and took_ms < self._slow_ms:
            return
        kind = RequestFailed if status >= 500 else RequestSlow
        observe(
            kind(
                method=method,
                path=path[:200],
                status=status,
                took_ms=round(took_ms, 1),
                request=request.decode("ascii"),
            )
        )
