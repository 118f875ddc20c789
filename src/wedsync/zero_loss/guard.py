"""Whether commits wait for the receiver, decided from one look after the other."""

from dataclasses import dataclass, replace
from datetime import timedelta

from wedsync.config import WhenDown, ZeroLossConfig, ZeroLossMode
from wedsync.database import SEGMENT_BYTES, Lsn
from wedsync.zero_loss.exposure import Protection

_STEADY = timedelta(seconds=2)
"""A receiver that has come back is waited for after it has kept up for this long."""


_COMES_UP = timedelta(seconds=15)
"""One that was not seen yet may take so long before it counts as away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """The receiver at one moment, as the server sees it; `at_s` is of a monotonic clock."""

    at_s: float
    connected: bool
    flushed: Lsn
    """Where the server's WAL ended."""
    received: Lsn | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What is known of the receiver, and whether commits wait for it."""

    waits: bool
    before: Receiving | None = None
    stands_since_s: float | None = None
    """Since when it is away, or behind and does not move."""
    well_since_s: float | None = None
    began_s: float | None = None
    """When it was looked at first."""
    was_well: bool = False

    @property
    def is_well(self) -> bool:
        """Whether it receives, and moves."""
        return self.stands_since_s is None and self.before is not None

    def protection(self, mode: ZeroLossMode) -> Protection:
        """What protects commits now."""
        if mode is ZeroLossMode.OFF:
            return Protection.ARCHIVE
        if self.waits:
            return Protection.SYNC if self.is_well else Protection.WAITING
        if self.is_well:
            return Protection.ASYNC
        return Protection.ARCHIVE if self._comes_up else Protection.DEGRADED

    @property
    def _comes_up(self) -> bool:
        """Whether it may still be starting, as it does with the keeper."""
        if self.was_well or self.before is None or self.began_s is None:
            return not self.was_well
        return self.before.at_s - self.began_s < _COMES_UP.total_seconds()


def after(guard: Guard, seen: Receiving, config: ZeroLossConfig) -> Guard:
    """The guard after another look."""
    if guard.began_s is None:
        guard = replace(guard, began_s=seen.at_s, was_well=guard.waits)  # it was waited for: it was well
    before = guard.before
    moved = before is None or before.received is None or seen.received != before.received
    behind = seen.received is None or (before is not None and seen.received < before.flushed)
    if seen.connected and (moved or not behind):
        well_since_s = guard.well_since_s if guard.well_since_s is not None else seen.at_s
        guard = replace(guard, before=seen, stands_since_s=None, well_since_s=well_since_s, was_well=True)
    else:
        since_s = guard.stands_since_s if guard.stands_since_s is not None else seen.at_s
        guard = replace(guard, before=seen, stands_since_s=since_s, well_since_s=None)
    return replace(guard, waits=_waits(guard, seen, config))


def _waits(guard: Guard, seen: Receiving, config: ZeroLossConfig) -> bool:
    if config.mode is not ZeroLossMode.SYNC:
        return False
    if guard.well_since_s is not None:
        close = seen.received is not None and seen.flushed - seen.received < SEGMENT_BYTES
        steady = seen.at_s - guard.well_since_s >= _STEADY.total_seconds()
        return guard.waits or (close and steady)
    if not guard.waits or config.when_down is WhenDown.WAIT:
        return guard.waits
    assert guard.stands_since_s is not None  # noqa: S101 - it is well, or stands
    return seen.at_s - guard.stands_since_s < config.degrade_after.total_seconds()
