"""What a copy at a moment is made from. Cheap: nothing is counted that only a recovery in place loses."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wedsync.backup import Backup, RestoreTarget
from wedsync.copies.effort import bytes_needed
from wedsync.database import Lsn
from wedsync.recovery import Forecast, LocalSegment, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOrder:
    """Which moment is wanted: a time, or a place in the WAL of the live timeline (or of `timeline`): everything
    before it, and nothing behind it.

    `repo` and `label` choose the repository and the backup; `None`: whichever has the moment.
    """

    target: datetime | Lsn
    repo: int | None = None
    label: str | None = None
    timeline: int | None = None
    pace: str | None = None
    """That of the `Effort` with which it will be made, for the forecast; `None`: not known yet."""
    own_end: bool = False
    """Whether the end of backup `label` in `repo` itself is wanted, where it is consistent and no further;
    `target` only says when that was, to the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the replay of a copy stands."""

    timeline: int
    lsn: Lsn
    at: datetime | None
    """Time of the last transaction replayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """A copy, ready to be made."""

    order: CopyOrder
    repo: int
    base: Backup
    timeline: int
    restore_target: RestoreTarget
    wal_first: str
    wal_last: str
    wal_segments: int
    wal_bytes: int
    """What the segments take in the archive."""
    target_at: datetime | None
    """The moment that will be there; `None` for a place in the WAL."""
    last_commit_at: datetime | None
    """The newest commit that will be there, where it is known before."""
    clamped: bool
    """Whether the moment asked for is after the last commit that still exists."""
    local: tuple[LocalSegment, ...]
    """WAL on the way that is on this machine only; the server is down."""
    forecast: Forecast
    notes: tuple[str, ...] = ()

    @property
    def forecast_s(self) -> float:
        """Seconds that making it will take."""
        return self._forecast.total_s

    @property
    def _forecast(self) -> Forecast:
        return self.forecast.of((Phase.RESTORE, Phase.REPLAY))

    @property
    def needed_bytes(self) -> int:
        """Disk that the copy takes at the most."""
        return bytes_needed(database_bytes=self.base.database_bytes, wal_segments=self.wal_segments)

    def to_json(self) -> dict[str, Any]:
        """The plan for people and scripts."""
        return {
            "target_at": self.target_at,
            "target_lsn": str(self.order.target) if isinstance(self.order.target, Lsn) else None,
            "last_commit_at": self.last_commit_at,
            "clamped": self.clamped,
            "base": {
                "repo": self.repo,
                "label": self.base.label,
                "type": str(self.base.kind),
                "finished_at": self.base.finished_at,
                "database_bytes": self.base.database_bytes,
            },
            "timeline": self.timeline,
            "wal": {
                "first": self.wal_first,
                "last": self.wal_last,
                "segments": self.wal_segments,
                "bytes": self.wal_bytes,
            },
            "needed_bytes": self.needed_bytes,
            "forecast_s": round(self.forecast_s, 1),
            "forecast_range_s": [round(self._forecast.low_s, 1), round(self._forecast.high_s, 1)],
            "forecast_from_runs": self.forecast.runs,
            "notes": list(self.notes),
        }
