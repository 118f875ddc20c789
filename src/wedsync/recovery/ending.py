"""Whether a server that replayed to the end of the WAL, and took writes by itself, was given all of it."""

from wedsync.backup import read_timeline_history, timeline_of
from wedsync.cluster import Server
from wedsync.database import Lsn
from wedsync.errors import RecoveryFailed
from wedsync.sql import statements


async def fork_of(server: Server) -> Lsn | None:
    """Where the timeline of a running server left its parent; `None` if it has none."""
    async with await server.target().connect() as connection:
        row = await (await connection.execute(statements("recovery")["present_segment"])).fetchone()
    assert row is not None  # noqa: S101 - a select without from gives one row
    path = server.home.pgdata / "pg_wal" / f"{timeline_of(str(row[0])):08X}.history"
    history = read_timeline_history(path.read_text()) if path.exists() else None
    return history[1] if history else None


def require_end(fork: Lsn | None, ends_behind: Lsn) -> None:
    """Raise `RecoveryFailed` if replay ended before the record at `ends_behind`.

    PostgreSQL takes a repository that fails for one that has no more WAL.
    """
    if fork is not None and fork.position <= ends_behind.position:
        raise RecoveryFailed(
            "PostgreSQL was given less WAL than there is: the repository failed while it replayed",
            detail=f"it ended at {fork}, but the record at {ends_behind} was written, too",
            hint="the server is stopped again and nothing is lost; run the same command again",
        )
