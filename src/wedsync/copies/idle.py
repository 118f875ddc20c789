"""Remove previews that nobody looks at any more, and what killed makers left."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from wedsync.clock import Clock
from wedsync.copies.copies import Copies
from wedsync.copies.note import Purpose, Stage
from wedsync.copies.registry import Listed
from wedsync.errors import Busy, CannotConnect, CopyUnknown, WedsyncError
from wedsync.events import Event, observe

_EVERY = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewRemoved(Event):
    """A preview that nobody used was removed."""

    preview: str
    idle_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyLeftoverRemoved(Event):
    """A copy was removed whose maker was killed."""

    level: ClassVar[str] = "warning"
    copy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiesNotTidied(Event):
    """Previews could not be looked after; it is tried again soon."""

    level: ClassVar[str] = "error"
    message: str


def is_idle(listed: Listed, *, now: datetime, keep_for: timedelta) -> bool:
    """Whether a preview that nobody is connected to has to go."""
    return listed.stage is not Stage.MAKING and now - listed.last_used_at >= keep_for


class PreviewService:
    """Looks after the previews of a home; one in each keeper."""

    def __init__(self, *, copies: Copies, clock: Clock, keep_for: timedelta) -> None:
        self._copies = copies
        self._clock = clock
        self._keep_for = keep_for

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            try:
                await self.look()
            except (WedsyncError, OSError) as error:
                observe(CopiesNotTidied(message=str(error)))
            await self._clock.sleep(_EVERY)

    async def look(self) -> list[str]:
        """Remove what has to go; the ids. A connected client counts as use."""
        gone = await self._copies.tidy()
        for copy in gone:
            observe(CopyLeftoverRemoved(copy=copy))
        for listed in self._copies.registry.all(Purpose.PREVIEW):
            now = self._clock.now()
            if listed.stage is not Stage.MAKING and await self._has_clients(listed):
                self._copies.registry.used(listed.id, at=now)
            elif is_idle(listed, now=now, keep_for=self._keep_for):
                try:
                    await self._copies.open(listed.directory).remove()
                except (Busy, CopyUnknown):
                    continue  # it moves on just now, or was removed under us
                gone.append(listed.id)
                observe(PreviewRemoved(preview=listed.id, idle_s=(now - listed.last_used_at).total_seconds()))
        return gone

    async def _has_clients(self, listed: Listed) -> bool:
        try:
            return await self._copies.open(listed.directory).clients() > 0
        except (CannotConnect, CopyUnknown):
            return False
