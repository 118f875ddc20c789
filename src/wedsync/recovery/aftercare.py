"""When the server takes writes again: write the new timeline down, forget the target, archive a first segment."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from wedsync.backup import Timeline, TimelineBook, read_timeline_history, timeline_of
from wedsync.cluster import Server
from wedsync.errors import RecoveryFailed
from wedsync.sql import statements

_LEFT_BY_PGBACKREST = (
    "restore_command",
    "recovery_target",
    "recovery_target_time",
    "recovery_target_name",
    "recovery_target_lsn",
    "recovery_target_action",
    "recovery_target_timeline",
    "recovery_target_inclusive",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A new timeline, and its first segment, which is on its way to the archive."""

    timeline: int
    segment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    system_id: str
    segment: str


async def begin_timeline(server: Server, timelines: TimelineBook, *, live_from: datetime) -> Begun:
    """Settle a server that has just ended its recovery; harmless to do again."""
    sql = statements("recovery")
    async with (
        await server.target().connect() as connection,
        connection.cursor(row_factory=class_row(_Place)) as cursor,
    ):
        for name in _LEFT_BY_PGBACKREST:
            await connection.execute(SQL("alter system reset {}").format(Identifier(name)))
        await connection.execute(sql["commit_now"])  # switching does nothing in a segment without a record
        place = await (await cursor.execute(sql["switch_wal"])).fetchone()
    if place is None:
        raise RecoveryFailed("the server does not say on which timeline it is", hint="run the command again")
    timeline = timeline_of(place.segment)
    # A clock that was ahead and was put right must not make an older timeline the newer one.
    known = timelines.of_system(place.system_id).values()
    live_from = max([live_from, *(item.live_from for item in known if item.timeline < timeline)])
    with suppress(FileNotFoundError):  # archived and gone: the book learns it from the archive
        text = (server.home.pgdata / "pg_wal" / f"{timeline:08X}.history").read_text()
        history = read_timeline_history(text)
        timelines.record(
            Timeline(
                system_id=place.system_id,
                timeline=timeline,
                parent=history[0] if history else None,
                forked_at=history[1] if history else None,
                live_from=live_from,
            )
        )
    return Begun(timeline=timeline, segment=place.segment)


async def write_checkpoint(server: Server) -> None:
    """Have the end of recovery written down: a backup is refused while pg_control names the old timeline.

    A promotion by function leaves that to a checkpoint that is spread over minutes.
    """
    async with await server.target().connect() as connection:
        await connection.execute("checkpoint")
