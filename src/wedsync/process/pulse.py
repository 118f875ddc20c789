"""Whether a process still works, by something that changes while it does: a stuck one has a pid, too."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from wedsync.clock import Clock
from wedsync.events import Event, observe

LOOK_EVERY = timedelta(seconds=1)
_COUNTS_AT_MOST = 2 * LOOK_EVERY


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What was seen of a process, and for how long nothing else was."""

    seen: int | None = None
    stood: timedelta = timedelta(0)

    def after(self, seen: int | None, elapsed: timedelta) -> "Pulse":
        """The pulse after another look. `None`: there is nothing to see yet, which is no standstill.

        A look counts for two seconds at most: whoever looks was perhaps stopped himself, with the whole machine.
        """
        if seen is None or seen != self.seen:
            return Pulse(seen=seen)
        return replace(self, stood=self.stood + min(elapsed, _COUNTS_AT_MOST))


def beat_of(file: Path) -> Callable[[], int | None]:
    """The pulse of a process that beats into a file."""

    def seen() -> int | None:
        try:
            return file.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    return seen


async def beat(file: Path, clock: Clock) -> None:
    """Show each second that this process works, until cancelled."""
    told = False
    while True:
        try:
            await asyncio.to_thread(file.touch)
            told = False
        except OSError as error:
            if not told:
                observe(PulseNotShown(message=str(error)))
            told = True
        await clock.sleep(LOOK_EVERY)


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseNotShown(Event):
    """A process could not show that it works: it may be taken for stuck, and started again."""

    message: str
