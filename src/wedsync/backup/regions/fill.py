"""Give the second region the WAL that it lacks from the first one."""

import asyncio
import tempfile
from pathlib import Path

from wedsync.backup.model import Archive
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.stored import StoredFiles
from wedsync.backup.wal import timeline_of


def lacking(first: Archive, second: Archive | None) -> tuple[str, ...]:
    """Segments that the second one should have and lacks, oldest first: all behind the first one that it has.

    What is older than its oldest segment it may have let go of by its own retention.
    """
    have = frozenset(second.segments) if second else frozenset[str]()
    oldest = min(have, key=_place, default=None)
    return tuple(
        sorted(
            (
                name
                for name in first.segments
                if name not in have and (oldest is None or _place(name) > _place(oldest))
            ),
            key=_place,
        )
    )


def _place(segment: str) -> tuple[int, str]:
    return timeline_of(segment), segment


class RegionFiller:
    """Copies WAL from one repository to the other, through pgBackRest: each has a key of its own."""

    def __init__(self, pgbackrest: PgBackRest) -> None:
        self._pgbackrest = pgbackrest
        self._stored = StoredFiles(pgbackrest)

    async def fill(self, *, source: int, repo: int, system_id: str) -> int:
        """Give `repo` what it lacks; gives how many segments those were. Raises what stood in the way."""
        archives = {
            number: next(
                (item for item in await self._pgbackrest.archives(number) if item.system_id == system_id), None
            )
            for number in (source, repo)
        }
        first = archives[source]
        if first is None:
            return 0
        missing = lacking(first, archives[repo])
        with tempfile.TemporaryDirectory(prefix="fill-", dir=self._pgbackrest.home.run) as scratch:
            for name in missing:
                segment = Path(scratch) / name
                if await self._pgbackrest.archive_get(name, segment, repo=source, system_id=system_id):
                    await self._stored.push(segment, repo=repo, system_id=system_id)
                    await asyncio.to_thread(segment.unlink)
        return len(missing)
