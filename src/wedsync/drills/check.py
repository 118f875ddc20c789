"""What a check of a restored copy is given, and what it answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from wedsync.cluster import Engine
from wedsync.database import ConnectionTarget
from wedsync.drills.order import DrillOrder
from wedsync.drills.witness import Witness
from wedsync.state import StateStore

ENGINE = "pgbackrest"
"""What the backup engine has checked itself."""
DIGESTS = "digests"
"""The check that compares rows with what was recorded of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one check found; `detail` says it in a sentence that names no path and no secret."""

    name: str
    ok: bool
    detail: str
    took_s: float
    skipped: bool = False
    """Whether there was nothing to look at, for the reason in `detail`: no proof (not `ok`), and no failure."""

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return not self.ok and not self.skipped


class CheckedCopy(Protocol):
    """What a check asks of the copy: where it is and how to reach it."""

    @property
    def directory(self) -> Path: ...

    def target(self, user: str = "postgres", dbname: str | None = None) -> ConnectionTarget: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillContext:
    """A restored copy and what is known about it."""

    copy: CheckedCopy
    data_directory: Path
    """The copy's data directory, for checks of files."""
    order: DrillOrder
    repo: int
    label: str
    """The backup that was restored."""
    moment: datetime | None
    """The moment asked for; `None`: the backup's own end and no further."""
    state: StateStore
    """What the platform noted about the past: heartbeats, witnesses."""
    engine: Engine
    """PostgreSQL's programs."""
    database: str
    """The database of the platform."""
    heartbeat_every: timedelta
    witness: Witness | None = None
    """What was recorded at the place where the copy stands while `witness_checks` run; `None`: none on its way."""
    migration_key: bytes | None = None
    """The key of the migrations' ledger."""


Check = Callable[[DrillContext], Awaitable[CheckResult]]
"""One check. What it finds wrong is an answer with `ok=False`; an error it raises fails the check as well."""
