"""What the primary has and what a repository got of it: two cheap questions."""

from datetime import UTC, datetime
from typing import Any

from psycopg.rows import dict_row

from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.regions.lag import PrimaryWal
from wedsync.backup.wal import number_of, segment_name
from wedsync.database import ConnectionTarget, Lsn
from wedsync.sql import statements

_LOG = 16
_SEGMENTS_A_LOG = 256


async def read_primary_wal(target: ConnectionTarget) -> PrimaryWal | None:
    """Where the primary writes; `None` while it is in recovery. Raises `CannotConnect`."""
    async with await target.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statements("backup")["primary_wal"])
        row: dict[str, Any] | None = await cursor.fetchone()
    if row is None:
        return None
    finished: dict[str, float] = row["finished"]
    return PrimaryWal(
        system_id=row["system_id"],
        current_segment=row["current_segment"],
        lsn=Lsn.parse(row["lsn"]),
        finished={name: datetime.fromtimestamp(float(at), UTC) for name, at in finished.items()},
        waiting=row["waiting"],
        unarchived=row["unarchived"],
    )


class NewestSegments:
    """Finds the newest segment of the live timeline in a repository by listing one directory of it."""

    def __init__(self, pgbackrest: PgBackRest) -> None:
        self._pgbackrest = pgbackrest
        self._names: dict[tuple[int, str], str] = {}

    async def newest(self, repo: int, primary: PrimaryWal) -> str | None:
        """`None`: it holds none of the live timeline. Raises what says that the repository cannot be read."""
        archive_id = await self._archive_id(repo, primary.system_id)
        if archive_id is None:
            return None
        timeline, current = primary.current_segment[:8], number_of(primary.current_segment)
        for number in (current, current - _SEGMENTS_A_LOG):
            if number < 0:
                break
            log = segment_name(int(timeline, 16), number)[:_LOG]
            found = await self._pgbackrest.segments_of_log(repo, archive_id=archive_id, log=log)
            if found:
                return found[-1]
        for archive in await self._pgbackrest.archives(repo):  # far behind: the whole listing tells
            own = [name for name in archive.segments if name.startswith(timeline)]
            if archive.archive_id == archive_id and own:
                return own[-1]
        return None

    async def _archive_id(self, repo: int, system_id: str) -> str | None:
        if (repo, system_id) not in self._names:
            found = (await self._pgbackrest.clusters(repo)).get(system_id)
            if found is None:
                await self._pgbackrest.require_readable(repo)
                return None
            self._names[repo, system_id] = found
        return self._names[repo, system_id]
