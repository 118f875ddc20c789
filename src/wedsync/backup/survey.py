"""Ask the repositories which moments can be restored now."""

from collections.abc import Sequence
from dataclasses import dataclass

from wedsync.backup.commits import CommitReader
from wedsync.backup.known_damage import with_known_damage, without_damaged
from wedsync.backup.model import Archive, Catalogue, RepositoryStatus, SegmentCommits
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.timelines import TimelineBook, goes_on_behind
from wedsync.backup.windows import Windows, recovery_windows
from wedsync.clock import Clock
from wedsync.errors import SegmentUnreadable
from wedsync.state import StateStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the repositories hold, read in one go, and what can be restored from it."""

    catalogue: Catalogue
    archives: tuple[Archive, ...]
    windows: Windows

    @property
    def problems(self) -> tuple[RepositoryStatus, ...]:
        """Repositories that could not be read."""
        return tuple(status for status in self.catalogue.repositories if not status.ok)


class Surveyor:
    """Reads repositories and says what can be restored. Needs neither PostgreSQL nor its data directory."""

    def __init__(self, *, pgbackrest: PgBackRest, state: StateStore, clock: Clock) -> None:
        self._pgbackrest = pgbackrest
        self._state = state
        self._clock = clock
        self.commits = CommitReader(pgbackrest=pgbackrest, state=state)
        self.timelines = TimelineBook(pgbackrest=pgbackrest, state=state)

    async def survey(self) -> Survey:
        """Read every repository that can be read; the others are in `Survey.problems`."""
        found, stored = await self._pgbackrest.holdings()
        catalogue = with_known_damage(found, self._state)
        archives = without_damaged(stored, self._state)
        return Survey(
            catalogue=catalogue,
            archives=archives,
            windows=await self._windows(catalogue, archives),
        )

    async def _windows(self, catalogue: Catalogue, archives: Sequence[Archive]) -> Windows:
        timelines = await self.timelines.refresh(archives)
        read: dict[tuple[str, str], SegmentCommits] = {}
        unreadable: set[tuple[int, str]] = set()
        while True:
            windows = recovery_windows(
                catalogue.backups,
                archives,
                timelines,
                lambda system_id, segment: read.get((system_id, segment)),
                promised_from=self._clock.now() - self._pgbackrest.config.recovery_window,
                unreadable=unreadable,
            )
            if not windows.unread:
                return windows
            for wanted in windows.unread:
                try:
                    read[wanted.system_id, wanted.segment] = await self.commits.commit_times(
                        wanted.segment,
                        repo=wanted.repo,
                        system_id=wanted.system_id,
                        last=not any(
                            goes_on_behind(wanted.segment, archive, timelines[archive.system_id])
                            for archive in archives
                            if archive.system_id == wanted.system_id
                        ),
                    )
                except SegmentUnreadable:
                    unreadable.add((wanted.repo, wanted.segment))
