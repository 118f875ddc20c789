"""What the keeper wrote down about regions and the WAL that waits for them."""

import sqlite3
from datetime import datetime

from wedsync.monitoring.facts import Lock, Region, WalQueue
from wedsync.state import StateStore, as_moment


def read_regions(state: StateStore) -> tuple[Region, ...]:
    """Every repository that the keeper has seen."""
    rows = state.rows(
        "select regions.*, lock.checked_at, lock.state, lock.words, lock.next_step"
        " from regions left join region_locks as lock using (repo) order by repo"
    )
    return tuple(_region(row) for row in rows)


def _region(row: sqlite3.Row) -> Region:
    def moment(name: str) -> datetime | None:
        return as_moment(row[name]) if row[name] else None

    lock = None
    if row["checked_at"]:
        lock = Lock(
            checked_at=as_moment(row["checked_at"]),
            state=row["state"],
            words=row["words"],
            next_step=row["next_step"],
        )
    return Region(
        repo=row["repo"],
        kind=row["kind"],
        seen_at=as_moment(row["seen_at"]),
        reachable=bool(row["reachable"]),
        since=as_moment(row["since"]),
        message=row["message"],
        newest_segment=row["newest_segment"],
        newest_commit_at=moment("newest_commit_at"),
        behind_segments=row["behind_segments"],
        behind_bytes=row["behind_bytes"],
        behind_since=moment("behind_since"),
        given_up_at=moment("given_up_at"),
        lock=lock,
    )


def read_queue(state: StateStore) -> WalQueue | None:
    """The newest look at the WAL that waits, and when its disk would be full; `None`: nobody has looked."""
    last = state.row("select * from wal_queue order by at desc limit 1")
    if last is None:
        return None
    return WalQueue(
        at=as_moment(last["at"]),
        waiting_bytes=last["waiting_bytes"],
        free_bytes=last["free_bytes"],
        full_at=as_moment(last["full_at"]) if last["full_at"] else None,
    )
