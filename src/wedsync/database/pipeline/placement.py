"""Which connection takes a batch, and when the pool needs one more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

PACKED_S = 0.001
"""A connection is given this much expected work before the next one is woken: a backend that goes on to the
next batch without sleeping costs half the processor time of one that is woken for it."""
FULL_S = 0.010
"""More expected work than this is never queued on a connection: it waits for whichever is free first."""
DEEP = 16
"""Nor more batches: they would all be hit by one that turns out slow."""
SLOW_S = 0.1
"""What usually takes this long gets a connection for itself, and never more than three quarters of them."""


class Busyness(Protocol):
    """What is known of a connection."""

    @property
    def takes(self) -> bool: ...
    @property
    def depth(self) -> int: ...
    @property
    def backlog_s(self) -> float: ...


C = TypeVar("C", bound=Busyness)


def place(connections: Iterable[C], cost_s: float, *, deep: int = DEEP) -> C | None:
    """The connection for work that usually takes `cost_s`; none if it had better wait.

    The first that is not packed yet; otherwise the least busy one, as long as it is not full. An idle
    connection takes anything.
    """
    best: C | None = None
    least_s = FULL_S
    for connection in connections:
        if not connection.takes:
            continue
        depth = connection.depth
        if depth == 0:
            return connection
        backlog_s = connection.backlog_s
        if depth < deep and backlog_s + cost_s <= PACKED_S:
            return connection
        if depth < deep and backlog_s < least_s:
            best, least_s = connection, backlog_s
    return best if least_s + cost_s <= FULL_S else None


def idle(connections: Sequence[C]) -> C | None:
    """A connection with nothing on it; the last: the first ones are those that others are packed on."""
    return next((each for each in reversed(connections) if each.takes and each.depth == 0), None)


def slow_places(max_size: int) -> int:
    """How many connections slow work may keep, so that quick work always finds some."""
    return max(1, max_size * 3 // 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """How the pool stands."""

    total: int
    """Connections there are, those that are lent among them."""
    opening: int
    held: int
    """Those that take no batches: slow work is on them, or they are lent."""
    longest_wait_s: float
    """Of the batches that no connection has taken; 0 if there are none."""
    strain: float
    """How much longer statements take than when the server is quiet."""


def wanted(crowd: Crowd, *, min_size: int, max_size: int) -> int:
    """How many more connections to open now.

    What slow work holds is made up for, so that `min_size` are there for quick work. Beyond that the pool grows
    while batches wait and the server is not strained: on one that is out of processors more connections only
    get in each other's way (measured: 64 do a third of what 4 do on two processors).
    """
    there = crowd.total + crowd.opening
    missing = min_size + crowd.held - there
    if crowd.longest_wait_s > 0.010 and crowd.strain < 2.0:
        missing = max(missing, min(4, 1 + there // 4) - crowd.opening)
    return max(0, min(missing, max_size - there))
