"""What the platform noted while it happened: the heartbeats' commits."""

from datetime import datetime, timedelta

from wedsync.state import StateStore, as_moment, as_text

_SECOND = timedelta(seconds=1)


def known_commit(state: StateStore, timeline: int, moment: datetime) -> datetime | None:
    """The last heartbeat that was committed a second before a moment; `None`: none was noted.

    A beat is noted with the time of its statement, and its commit follows within milliseconds.
    """
    row = state.row(
        "select max(at) as at from heartbeats where at <= ? and timeline = ?",
        (as_text(moment - _SECOND), timeline),
    )
    return as_moment(row["at"]) if row is not None and row["at"] is not None else None
