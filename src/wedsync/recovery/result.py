"""How a recovery ended."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from wedsync.events import Event
from wedsync.recovery.forecast import Phase
from wedsync.recovery.journal import point_name


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryDone(Event):
    """A recovery ended well."""

    recovery: str
    restored_to: str
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNotArchived(Event):
    """WAL of the timeline that was left did not get into the archive; it stays in the home."""

    level: ClassVar[str] = "warning"
    recovery: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """How a recovery ended."""

    id: str
    restored_to: datetime
    last_commit_at: datetime | None
    took_s: float
    forecast_s: float
    phases_s: dict[Phase, float]
    timeline: int
    archiving: bool
    """Whether the first segment of the new timeline was seen in the archive."""
    can_be_undone: bool

    def to_json(self) -> dict[str, Any]:
        """The answer of `recover run --json`."""
        return {
            "restored_to": self.restored_to,
            "last_commit_at": self.last_commit_at,
            "took_s": round(self.took_s, 2),
            "forecast_s": round(self.forecast_s, 2),
            "undo_label": point_name(self.id) if self.can_be_undone else None,
            "timeline": self.timeline,
            "archiving": self.archiving,
            "phases_s": {str(phase): round(seconds, 2) for phase, seconds in self.phases_s.items()},
        }
