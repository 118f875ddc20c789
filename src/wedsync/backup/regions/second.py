"""Archiving goes on without the second region, and to it again: each step is noted before it is taken."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from wedsync.backup.configuration import repositories
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.regions.fill import RegionFiller
from wedsync.backup.regions.given_up import GivenUp, lacks_from, note_given_up, read_given_up
from wedsync.backup.regions.lag import PrimaryWal
from wedsync.backup.regions.pushes import end_pushes
from wedsync.clock import Clock
from wedsync.config import RepositoryKind
from wedsync.events import Event, observe


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionGivenUp(Event):
    """Archiving goes on without the second region, which gets its WAL from the first later; nothing is lost."""

    level: ClassVar[str] = "error"
    repo: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTakenBack(Event):
    """Archiving goes to the second region again, which got what it lacked from the first."""

    repo: int
    filled_segments: int


class SecondRegion:
    """The second region of a home: given up, returning, or archived to as ever."""

    def __init__(self, *, pgbackrest: PgBackRest, clock: Clock, reload: Callable[[], Awaitable[None]]) -> None:
        """`reload` lets the server read its settings again, if it is ours."""
        self._pgbackrest = pgbackrest
        self._clock = clock
        self._reload = reload
        self._filler = RegionFiller(pgbackrest)

    async def tell(self) -> None:
        """Let the server say what is noted: who was killed after the note may not have told."""
        await self._reload()

    async def given_up(self, primary: PrimaryWal) -> GivenUp | None:
        """The note, if it is given up; after a recovery it is about the new timeline."""
        noted = read_given_up(self._pgbackrest.home)
        if noted is None:
            return None
        first = self._lacks_from(primary, noted.lacks_from)
        if first != noted.lacks_from:
            noted = replace(noted, lacks_from=first)
            await self._note(noted)
        return noted

    async def give_up(self, reason: str, primary: PrimaryWal, *, before: GivenUp | None) -> None:
        """Let archiving go on without it. `before`: it was about to return, and lacks what it lacked then."""
        first = before.lacks_from if before is not None else self._lacks_from(primary)
        await self._note(GivenUp(since=self._clock.now(), why=reason, lacks_from=first))
        self._pgbackrest.write_config()
        await asyncio.to_thread(end_pushes, self._pgbackrest.home.archive_config)
        observe(RegionGivenUp(repo=2, message=reason))

    async def take_back(self, given_up: GivenUp, system_id: str) -> int:
        """Fill it up, archive to it again, and fill what was archived meanwhile.

        Gives the number of segments that it got. What fails leaves it given up, or returning: it goes on later.
        """
        filled = await self._filler.fill(source=1, repo=2, system_id=system_id)
        await self._note(replace(given_up, returning=True))
        self._pgbackrest.write_config()
        filled += await self._filler.fill(source=1, repo=2, system_id=system_id)
        await self._note(None)
        observe(RegionTakenBack(repo=2, filled_segments=filled))
        return filled

    def _lacks_from(self, primary: PrimaryWal, before: str | None = None) -> str | None:
        """The first segment that only this machine may have; none where the first repository is elsewhere."""
        is_here = repositories(self._pgbackrest.config)[1].kind is RepositoryKind.PATH
        return lacks_from(primary, before) if is_here else None

    async def _note(self, given_up: GivenUp | None) -> None:
        note_given_up(self._pgbackrest.home, given_up)
        await self._reload()
