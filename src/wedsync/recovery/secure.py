"""Secure the state that a recovery is about to replace, so that it can be taken back; then stop the server."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg.rows import TupleRow, class_row

from wedsync.backup import PgBackRest, number_at, number_of, timeline_of
from wedsync.clock import Clock
from wedsync.cluster import Server, ServerState, read_control
from wedsync.database import Lsn
from wedsync.errors import CannotConnect, DataDirectoryProblem, DiskFull
from wedsync.recovery.forecast import Phase
from wedsync.recovery.ground import server_state
from wedsync.recovery.journal import point_name
from wedsync.recovery.kept import Kept
from wedsync.recovery.local_wal import LocalSegment, commits_in, held_open, keep, local_segments, received
from wedsync.recovery.stopwatch import Stopwatch
from wedsync.sql import statements

_POLL_S = 0.02
_LISTING_EVERY_S = 2.0
_ARCHIVED = timedelta(seconds=15)
_FULL = (28, 122)  # ENOSPC, EDQUOT

Report = Callable[[Phase, str], None]
"""Called with the phase that is running and words about how far it is."""


def silently(phase: Phase, words: str) -> None:
    """Report to nobody."""
    del phase, words


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """A named place in the WAL."""

    lsn: str
    segment: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """The state before: up to the restore point `name` in the archive, the rest put aside."""

    at: datetime
    name: str | None
    timeline: int | None
    """`None`: no server said so, and no WAL of it is left here."""
    kept_segments: tuple[str, ...]
    end: Lsn | None
    """Where the last record begins that is known to have been written, and is archived or kept."""


async def secure_and_stop(
    server: Server,
    pgbackrest: PgBackRest,
    kept: Kept,
    *,
    recovery: str,
    repo: int,
    system_id: str,
    list_archived: Callable[[], Awaitable[Collection[str]]],
    clock: Clock,
    stopwatch: Stopwatch,
    report: Report,
) -> Secured:
    """Mark and archive the present state, stop the server, put the WAL aside that is only here.

    `list_archived` gives what the repositories really hold: what PostgreSQL notes as archived may have
    been lost there since. A server that has lost its data directory is asked nothing: the next new file would
    end it, and its open segments would be gone. A full disk is `DiskFull`: nothing was replaced yet.
    """
    directory, at, point = kept.of(recovery), clock.now(), None
    archived = await list_archived()
    with stopwatch.time(Phase.SECURE):
        deleted = [segment for segment in _local(server, archived) if segment.is_deleted]
        if not deleted and server_state(server) is ServerState.RUNNING:
            report(Phase.SECURE, "marking the present state, so that it can be taken back")
            point = await _mark_and_archive(server, pgbackrest, point_name(recovery), repo=repo, report=report)
            archived = await list_archived()  # with what was archived just now
    try:
        with stopwatch.time(Phase.SECURE):
            _copy_lost(server, archived, directory)
        with held_open(deleted, directory) as complete:
            await stop(server, stopwatch, report)
        with stopwatch.time(Phase.SECURE):
            kept.keep_histories(recovery, server.home.pgdata)
            others = [segment for segment in _local(server, archived) if segment.name not in complete]
            here = {segment.name for segment in others} | {*kept.segments_of(recovery)}
            from_receiver = [
                segment
                for segment in received(server.received, system_id=system_id, archived=archived)
                if segment.name not in here
            ]
            keep(from_receiver, directory)
            names = {*keep(others, directory), *kept.segments_of(recovery)}
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFull(
            "there is no space to put WAL aside that is in no archive",
            detail=str(error),
            hint="free space on the file system of the home, then run the command again",
        ) from error
    timelines = [timeline_of(name) for name in names]
    timeline = timeline_of(point.segment) if point is not None else max(timelines, default=None)
    tail = [segment for segment in kept.segments() if segment.name in names]
    return Secured(
        at=point.at if point is not None else at,
        name=point_name(recovery) if point is not None else None,
        timeline=timeline,
        kept_segments=tuple(sorted(name for name in names if timeline_of(name) == timeline)),
        end=await _end(server, [segment for segment in tail if timeline_of(segment.name) == timeline]),
    )


async def _end(server: Server, tail: Sequence[LocalSegment]) -> Lsn | None:
    """The last record of the WAL in `tail` that is worth missing: the end of a clean stop, or the last commit."""
    if (server.home.pgdata / "global/pg_control").exists():
        with suppress(DataDirectoryProblem):
            control = await read_control(server.engine, server.home.pgdata)
            stopped = Lsn.parse(control["Latest checkpoint location"])
            held = {number_of(segment.name) for segment in tail}
            if control["Database cluster state"] == "shut down" and number_at(stopped) in held:
                return stopped
    commits = await commits_in(server.engine, tail)
    return commits[-1].lsn if commits else None


async def stop(server: Server, stopwatch: Stopwatch, report: Report) -> None:
    """Stop the server, also one that is being launched right now."""
    with stopwatch.time(Phase.STOP):
        if server.postmaster_pid() is not None:
            report(Phase.STOP, "stopping PostgreSQL")
        await server.stop("fast")


def _copy_lost(server: Server, archived: Collection[str], directory: Path) -> None:
    """Copy the segments that the server takes for archived and no repository holds: its last act recycles them."""
    notes = server.home.pgdata / "pg_wal/archive_status"
    for segment in _local(server, archived):
        if not segment.is_deleted and (notes / f"{segment.name}.done").exists():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(segment.source, directory / segment.name)


def _local(server: Server, archived: Collection[str]) -> list[LocalSegment]:
    return local_segments(
        server.home.pgdata,
        sheltered=server.home.sheltered,
        postmaster=server.postmaster_pid(),
        archived=archived,
    )


async def _mark_and_archive(
    server: Server, pgbackrest: PgBackRest, name: str, *, repo: int, report: Report
) -> RestorePoint | None:
    """The restore point, archived if the archive is in order; `None` if the server is not up to it."""
    try:
        point = await mark_present(server, name)
        if not await wait_until_archived(server, pgbackrest, point.segment, repo=repo, deadline=_ARCHIVED):
            report(Phase.SECURE, "WAL does not reach the archive: what is missing there is kept in the home")
    except (CannotConnect, DatabaseError) as error:
        report(Phase.SECURE, f"the server does not answer ({' '.join(str(error).split())[:120]})")
        return None
    return point


async def mark_present(server: Server, name: str) -> RestorePoint:
    """Commit, set the restore point `name`, and let the segment that holds it be archived."""
    sql = statements("recovery")
    async with await server.target().connect() as connection:
        await connection.execute(sql["commit_here"])  # the receiver may be what is broken
        await connection.execute(sql["commit_now"])
        async with connection.cursor(row_factory=class_row(RestorePoint)) as cursor:
            await cursor.execute(sql["mark_present"], {"name": name})
            point = await cursor.fetchone()
        await connection.execute(sql["switch_wal"])
    assert point is not None  # noqa: S101 - a select without from gives one row
    return point


async def wait_until_archived(
    server: Server, pgbackrest: PgBackRest, segment: str, *, repo: int, deadline: timedelta
) -> bool:
    """Whether `segment` came into the archive before `deadline`.

    The server's own word is asked often; the repository's listing sometimes: where another repository is out
    of reach, the server still waits for that one while this one has the segment long since.
    """
    started = listed = monotonic()
    async with await server.target().connect() as connection:
        while monotonic() - started < deadline.total_seconds():
            if await _archived_by_server(connection, segment):
                return True
            if monotonic() - listed >= _LISTING_EVERY_S:
                for archive in await pgbackrest.archives(repo):
                    if segment in archive.segments:
                        return True
                listed = monotonic()
            await asyncio.sleep(_POLL_S)
    return False


async def _archived_by_server(connection: AsyncConnection[TupleRow], segment: str) -> bool:
    row = await (await connection.execute(statements("recovery")["archiver"])).fetchone()
    last = str(row[0]) if row is not None and row[0] else ""
    return last[:8] == segment[:8] and last[:24] >= segment
