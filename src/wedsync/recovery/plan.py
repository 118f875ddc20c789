"""What a recovery to a moment will do, before it does anything."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from wedsync.backup import Backup, RestoreTarget
from wedsync.database import Lsn
from wedsync.recovery.forecast import Forecast


class Present(StrEnum):
    """What becomes of the state that a recovery replaces."""

    UNDO = "undo"
    """A backup and all WAL behind it lead to it: undo brings it back."""
    BACKUP = "backup"
    """The same, as soon as a backup was taken, with which the recovery begins."""
    ASIDE = "aside"
    """Nothing leads to it, and the server is down: the data directory is put aside whole."""
    LOST = "lost"
    """Nothing leads to it, and the data directory is missing or cannot be started."""

    @property
    def can_be_undone(self) -> bool:
        """Whether `recover run --undo` brings it back."""
        return self in {Present.UNDO, Present.BACKUP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The commits after the target that a recovery takes away; not `exact` where they were too many to count."""

    commits: int
    exact: bool
    from_at: datetime | None
    to_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPlan:
    """A recovery, ready to run."""

    asked: str
    """What was asked for: a moment in ISO 8601, `latest`, or `undo`."""
    target_at: datetime
    """The moment that will be restored: the one asked for, or the last commit where nothing came after it."""
    last_commit_at: datetime | None
    """The newest commit that will be there, where it is known before."""
    clamped: bool
    """Whether the moment asked for is after the last commit that still exists."""
    undoes: str | None
    """The recovery that this one takes back."""
    repo: int
    base: Backup
    timeline: int
    restore_target: RestoreTarget
    wal_first: str
    wal_last: str
    wal_segments: int
    wal_bytes: int
    """What the segments take in the archive."""
    needs_local_wal: bool
    """Whether WAL may be needed that is on this machine only."""
    loss: Loss
    present: Present
    forecast: Forecast
    ends_behind: Lsn | None = None
    """A record that replay to the end of a timeline must have read; `None` where that is not known before."""
    notes: tuple[str, ...] = ()
    made_after: str = ""
    """The recovery before it and how that ended: when another one came between, the plan holds no more."""

    def to_json(self) -> dict[str, Any]:
        """The answer of `recover plan --json`."""
        return {
            "asked": self.asked,
            "target_at": self.target_at,
            "last_commit_at": self.last_commit_at,
            "clamped": self.clamped,
            "undoes": self.undoes,
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
            "lost": {
                "commits": self.loss.commits,
                "exact": self.loss.exact,
                "from": self.loss.from_at,
                "to": self.loss.to_at,
            },
            "present": str(self.present),
            "forecast_s": round(self.forecast.total_s, 1),
            "forecast_range_s": [round(self.forecast.low_s, 1), round(self.forecast.high_s, 1)],
            "forecast_from_runs": self.forecast.runs,
            "forecast_phases_s": {
                str(phase): round(took_s, 1) for phase, took_s in self.forecast.phases_s.items()
            },
            "forecast_dominant": str(self.forecast.dominant),
            "notes": list(self.notes),
        }
