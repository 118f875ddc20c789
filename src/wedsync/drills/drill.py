"""One drill: what was restored, what was checked, how long it took."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from wedsync.backup import BackupKind
from wedsync.drills.check import CheckResult
from wedsync.words import duration_words


class Outcome(StrEnum):
    """How a drill ended."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    """The backup could not be restored, or a check found something."""
    REFUSED = "refused"
    """It could not be tried: no room, a repository that does not answer, no such backup."""
    YIELDED = "yielded"
    """It made way for a recovery, or its backup was removed meanwhile."""
    INTERRUPTED = "interrupted"
    """It was stopped, or its process was killed."""

    @property
    def says_something(self) -> bool:
        """Whether it says anything about the backup."""
        return self in {Outcome.PASSED, Outcome.FAILED}


class Reason(StrEnum):
    """Why a drill was run."""

    SCHEDULE = "schedule"
    FIRST = "first"
    OVERDUE = "overdue"
    OPERATOR = "operator"


class Part(StrEnum):
    """What is timed, in its order."""

    FIND = "find"
    RESTORE = "restore"
    REPLAY = "replay"
    """To the place of a witness, where there is one on the way; else to the moment."""
    ONWARD = "onward"
    """From the place of the witness to the moment; it restarts the copy's server."""
    CHECKS = "checks"
    PROMOTE = "promote"


BACK = (Part.FIND, Part.RESTORE, Part.REPLAY, Part.ONWARD, Part.PROMOTE)
"""What somebody who waits for the database waits for."""
FORECAST = (Part.RESTORE, Part.REPLAY, Part.PROMOTE)
"""What is forecast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was restored."""

    repo: int
    label: str
    kind: BackupKind
    finished_at: datetime
    database_bytes: int
    timeline: int
    wal_first: str
    wal_last: str
    wal_segments: int
    wal_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a drill could not be run, or was not run to its end."""

    code: str
    message: str
    detail: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A time in which a drill stood still, because somebody came first."""

    began_at: datetime
    took_s: float
    made_way_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """A drill as it is remembered."""

    id: str
    reason: Reason
    asked_by: str
    began_at: datetime
    finished_at: datetime | None = None
    outcome: Outcome = Outcome.RUNNING
    source: Source | None = None
    """`None`: it ended before a backup was chosen."""
    moment: datetime | None = None
    """The moment asked for; `None`: the end of the backup."""
    restored_to: datetime | None = None
    last_commit_at: datetime | None = None
    """The last commit of the copy."""
    known_commit_at: datetime | None = None
    """The last commit of ours (heartbeat) up to that moment, as the platform noted it then."""
    phases_s: Mapping[Part, float] = field(default_factory=dict[Part, float])
    forecasts_s: Mapping[Part, float] = field(default_factory=dict[Part, float])
    """What `FORECAST` was expected to take."""
    forecast_range_s: tuple[float, float] | None = None
    """Least and most of that, all together."""
    forecast_from_runs: int = 0
    """How many runs it was learnt from."""
    replayed_segments: int = 0
    """In the part `REPLAY`."""
    replayed_bytes: int = 0
    rto_target_s: float
    rpo_target_s: float
    effort: str = ""
    """How much of the machine it might take, in words."""
    pauses: tuple[Pause, ...] = ()
    """In none of its other times."""
    checks: tuple[CheckResult, ...] = ()
    trouble: Trouble | None = None

    @property
    def rto_s(self) -> float | None:
        """Seconds until the copy took writes, without the checks; `None`: it never did."""
        if Part.PROMOTE not in self.phases_s:
            return None
        return sum(self.phases_s.get(part, 0.0) for part in BACK)

    @property
    def rpo_s(self) -> float | None:
        """Seconds between the moment asked for and the last commit that came back."""
        if self.moment is None or self.last_commit_at is None:
            return None
        return max(0.0, (self.moment - self.last_commit_at).total_seconds())

    @property
    def forecast_s(self) -> float | None:
        """Seconds that restore, replay and promotion were expected to take; `None`: nothing was planned."""
        return sum(self.forecasts_s.values()) if self.forecasts_s else None

    @property
    def forecast_took_s(self) -> float | None:
        """Seconds that they took; `None`: they did not come to their end."""
        if Part.PROMOTE not in self.phases_s:
            return None
        return sum(self.phases_s.get(part, 0.0) for part in FORECAST)

    @property
    def paused_s(self) -> float:
        """Seconds that it stood still."""
        return sum((pause.took_s for pause in self.pauses), 0.0)

    @property
    def rto_kept(self) -> bool | None:
        """Whether it was back in time; `None`: not known."""
        return None if self.rto_s is None else self.rto_s <= self.rto_target_s

    @property
    def rpo_kept(self) -> bool | None:
        """Whether as little is missing as promised; `None`: not known.

        Where nobody committed for longer than that, all that was committed must be there.
        """
        if self.rpo_s is None or self.last_commit_at is None:
            return None
        idle = self.known_commit_at is not None and self.known_commit_at <= self.last_commit_at
        return self.rpo_s <= self.rpo_target_s or idle

    @property
    def failed_checks(self) -> tuple[CheckResult, ...]:
        """What was found wrong."""
        return tuple(check for check in self.checks if check.failed)

    @property
    def made_checks(self) -> tuple[CheckResult, ...]:
        """Those that had something to look at."""
        return tuple(check for check in self.checks if not check.skipped)

    @property
    def skipped_checks(self) -> tuple[CheckResult, ...]:
        """Those that had nothing to look at: they prove nothing, and nothing is wrong."""
        return tuple(check for check in self.checks if check.skipped)


def forecast_words(total_s: float, range_s: tuple[float, float] | None, runs: int) -> str:
    """`5.0 s (4.1 s to 6.3 s, from 3 runs)`."""
    if range_s is None:
        return duration_words(total_s)
    learnt = f"from {runs} run{'' if runs == 1 else 's'}" if runs else "from no run yet"
    return f"{duration_words(total_s)} ({duration_words(range_s[0])} to {duration_words(range_s[1])}, {learnt})"
