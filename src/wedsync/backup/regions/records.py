"""What the state file remembers of regions: the keeper writes it, whoever shows the status reads it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from sqlite3 import Row

from wedsync.backup.regions.lag import Behind, QueueSample
from wedsync.state import StateStore, as_moment, as_text

_KEEP_QUEUE = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A repository as it was seen last."""

    repo: int
    kind: str
    seen_at: datetime
    reachable: bool
    since: datetime
    """Since when it is, or is not."""
    message: str = ""
    newest_segment: str | None = None
    """The newest that it is known to hold on the live timeline."""
    newest_commit_at: datetime | None = None
    behind: Behind
    given_up_at: datetime | None = None
    """Since when archiving goes on without it."""


class RegionRecords:
    """The tables `regions` and `wal_queue`."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def sightings(self) -> dict[int, Sighting]:
        """What was seen last, by repository."""
        return {row["repo"]: _sighting(row) for row in self._state.rows("select * from regions order by repo")}

    def save(self, seen: Sighting) -> None:
        """Put down what was seen, in place of what was seen before."""
        self._state.write(
            "insert or replace into regions (repo, kind, seen_at, reachable, since, message, newest_segment,"
            " newest_commit_at, behind_segments, behind_bytes, behind_since, given_up_at)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                seen.repo,
                seen.kind,
                as_text(seen.seen_at),
                int(seen.reachable),
                as_text(seen.since),
                seen.message,
                seen.newest_segment,
                as_text(seen.newest_commit_at) if seen.newest_commit_at else None,
                seen.behind.segments,
                seen.behind.size_bytes,
                as_text(seen.behind.since) if seen.behind.since else None,
                as_text(seen.given_up_at) if seen.given_up_at else None,
            ),
        )

    def forget_others(self, repos: tuple[int, ...]) -> None:
        """Remove what is remembered of repositories that are not configured any more."""
        for repo in self.sightings():
            if repo not in repos:
                self._state.write("delete from regions where repo = ?", (repo,))
                self._state.write("delete from region_locks where repo = ?", (repo,))

    def queue(self) -> tuple[QueueSample, ...]:
        """How the queue was lately, oldest first."""
        return tuple(
            QueueSample(
                at=as_moment(row["at"]),
                waiting_bytes=row["waiting_bytes"],
                free_bytes=row["free_bytes"],
            )
            for row in self._state.rows("select * from wal_queue order by at")
        )

    def add(self, sample: QueueSample, *, full_at: datetime | None) -> None:
        """Remember how the queue is; what is older than six hours goes."""
        self._state.write(
            "insert or replace into wal_queue (at, waiting_bytes, free_bytes, full_at) values (?, ?, ?, ?)",
            (as_text(sample.at), sample.waiting_bytes, sample.free_bytes, as_text(full_at) if full_at else None),
        )
        self._state.write("delete from wal_queue where at < ?", (as_text(sample.at - _KEEP_QUEUE),))


def _sighting(row: Row) -> Sighting:
    def moment(name: str) -> datetime | None:
        return as_moment(row[name]) if row[name] else None

    return Sighting(
        repo=row["repo"],
        kind=row["kind"],
        seen_at=as_moment(row["seen_at"]),
        reachable=bool(row["reachable"]),
        since=as_moment(row["since"]),
        message=row["message"],
        newest_segment=row["newest_segment"],
        newest_commit_at=moment("newest_commit_at"),
        behind=Behind(
            segments=row["behind_segments"], size_bytes=row["behind_bytes"], since=moment("behind_since")
        ),
        given_up_at=moment("given_up_at"),
    )
