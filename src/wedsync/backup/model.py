"""The words of this folder: backups, what a repository holds of the WAL, and where a recovery may stop."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from wedsync.database import Lsn


class BackupKind(StrEnum):
    """How much a backup copies: everything, what changed since the last full, what changed since the last."""

    FULL = "full"
    DIFF = "diff"
    INCR = "incr"


class RunReason(StrEnum):
    """Why a backup was taken."""

    SCHEDULE = "schedule"
    OPERATOR = "operator"
    SAFETY = "safety"
    FIRST = "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """One backup in one repository, as pgBackRest's `info` tells of it."""

    repo: int
    label: str
    kind: BackupKind
    started_at: datetime
    finished_at: datetime
    """Cut to whole seconds by pgBackRest: the backup is consistent within the second after it."""
    wal_start: str
    wal_stop: str
    """First and last WAL segment that make it consistent."""
    lsn_start: Lsn | None
    lsn_stop: Lsn | None
    timeline: int
    prior: str | None
    references: tuple[str, ...]
    """Labels of the backups that hold files of this one."""
    database_bytes: int
    repo_bytes: int
    """What this backup alone takes in the repository."""
    held: str | None = None
    """Why it must not be removed; `None`: it may."""
    damaged: bool = False
    """Pages with a wrong checksum were copied: the cluster was damaged when it was taken."""
    broken: str | None = None
    """What verification found wrong with its files: no recovery begins with it while this stands."""
    system_id: str

    @property
    def is_good(self) -> bool:
        """Whether a recovery may begin with it: its files are whole, and so was the cluster."""
        return not self.damaged and self.broken is None

    @property
    def took_s(self) -> float:
        """Seconds from start to end (whole ones: the repository knows no better)."""
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def consistent_from(self) -> datetime:
        """The first moment that a recovery from this backup may stop at."""
        return self.finished_at + timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The WAL that one repository holds of one cluster."""

    repo: int
    system_id: str
    postgresql_version: str
    archive_id: str
    """pgBackRest's name of the cluster in this repository, such as `15-1`."""
    segments: tuple[str, ...]
    """Names of the complete segments, sorted."""
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    """Bytes each segment takes in the repository."""
    stored_s: Mapping[str, int] = field(default_factory=dict[str, int])
    """When each segment was stored, by the clock of the repository: seconds since 1970. A hint, no more."""
    histories: Mapping[int, datetime] = field(default_factory=dict[int, datetime])
    """Timelines whose history file is archived, and when that was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryStatus:
    """Whether a repository can be read, and what it said if not."""

    repo: int
    ok: bool
    message: str = ""
    wrong_key: bool = False
    """It was encrypted with another key than the one in the home."""
    empty: bool = False
    """It answered, and holds nothing of this stanza: it is new, or what was mounted there is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All backups, oldest first, and the state of each repository they are in."""

    backups: tuple[Backup, ...]
    repositories: tuple[RepositoryStatus, ...]

    def of_repo(self, repo: int) -> tuple[Backup, ...]:
        """The backups of one repository, oldest first."""
        return tuple(backup for backup in self.backups if backup.repo == repo)

    def find(self, repo: int, label: str) -> Backup | None:
        """The backup with this label in this repository."""
        return next((item for item in self.of_repo(repo) if item.label == label), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentCommits:
    """The commits whose record ends in one WAL segment."""

    segment: str
    commits: int
    first_at: datetime | None
    last_at: datetime | None
    last_lsn: Lsn | None
    """Start of the last commit's record: `recovery_target_lsn` set to it stops right after that commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One line of a cluster's history: where it left its parent, and since when it was the live one."""

    system_id: str
    timeline: int
    parent: int | None
    forked_at: Lsn | None
    live_from: datetime


class RunOutcome(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRun:
    """One attempt to take a backup, as the state file remembers it."""

    id: int
    repo: int
    kind: BackupKind
    reason: RunReason
    started_at: datetime
    finished_at: datetime | None = None
    outcome: RunOutcome
    label: str | None = None
    took_s: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCluster:
    """Who the running cluster is, and on which timeline it writes."""

    system_id: str
    timeline: int


class ProblemKind(StrEnum):
    """What is wrong, and so what can be done about it."""

    REPOSITORY = "repository"
    """It cannot be read, or holds no backup."""
    MISSING_WAL = "missing_wal"
    DAMAGED_WAL = "damaged_wal"
    OTHER_WAL = "other_wal"
    """One name, two contents: two servers wrote there."""
    DAMAGED_BACKUP = "damaged_backup"
    """Files of a backup are damaged or missing."""
    DAMAGED_INFO = "damaged_info"
    """One of the two copies of pgBackRest's own files."""
    LOST_INFO = "lost_info"
    """Both copies."""
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that a restore would stumble over."""

    repo: int
    label: str | None
    """The backup it is in; `None`: the archive, or the repository as a whole."""
    file: str | None
    problem: str
    kind: ProblemKind = ProblemKind.OTHER
    path: str | None = None
    """The file, below the repository's root."""
    segments: tuple[str, ...] = ()
    """WAL segments that it is about."""
    parts: tuple[str, ...] = ()
    """Files of the database that cannot be restored for it."""
    critical: bool = False
    """Whether a moment of the recovery window cannot be restored because of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The result for all repositories that were asked about."""

    checked: int
    """Files and WAL segments that were read."""
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether something was checked and nothing is wrong."""
        return self.checked > 0 and not self.problems
