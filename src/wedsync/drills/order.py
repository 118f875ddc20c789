"""What is asked of a drill: which backup, and which moment."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Pick(StrEnum):
    """A choice that the drill makes itself."""

    NEWEST = "newest"
    RANDOM = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOrder:
    """A backup to restore and a moment to restore it to."""

    repo: int | None = None
    """The repository to restore from; `None`: any."""
    backup: str | Pick = Pick.NEWEST
    """The label of a backup, or how to choose one."""
    moment: datetime | Pick = Pick.RANDOM
    """The moment to restore, or how to choose one of those that the backup leads to."""
