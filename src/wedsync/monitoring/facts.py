"""What is known of a home at one moment. A part that is not known is `None` and never counts as good."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Part(StrEnum):
    """A part of the facts that can be missing without taking the others with it."""

    DATABASE = "database"
    REPOSITORIES = "repositories"
    RECORDS = "records"
    """What the state file says: processes' history, backup runs, recoveries."""
    PROCESSES = "processes"
    DISKS = "disks"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiver:
    """How WAL gets to the archive. Source: `pg_stat_archiver`, settings."""

    enabled: bool
    timeout: timedelta
    """A segment is archived at the latest after this long, if anything was written."""
    last_archived_at: datetime | None = None
    last_archived_segment: str | None = None
    last_failed_at: datetime | None = None
    last_failed_segment: str | None = None
    failures: int = 0
    waiting_segments: int | None = None
    """Finished segments that are not archived yet."""

    @property
    def is_failing(self) -> bool:
        """Whether the newest attempt failed."""
        if self.last_failed_at is None:
            return False
        return self.last_archived_at is None or self.last_failed_at > self.last_archived_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """The queue of maintenance work."""

    waiting: int = 0
    running: int = 0
    due_since: datetime | None = None
    """Since when the oldest waiting job could have been begun."""
    failed: int = 0
    """In the last day."""
    last_failed: int | None = None
    """Id of the newest of those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """What the server answers, or why it does not."""

    server_state: str | None = None
    """A `cluster.ServerState`: what files and processes say; `None` for a server that is not ours."""
    connects: bool | None = None
    error: str | None = None
    """Why no connection came about."""
    latency_s: float | None = None
    """One question and its answer on an open connection."""
    version: str | None = None
    started_at: datetime | None = None
    in_recovery: bool | None = None
    size_bytes: int | None = None
    connections_used: int | None = None
    connections_max: int | None = None
    archiver: Archiver | None = None
    jobs: Jobs | None = None
    """`None` in a database without our schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One backup repository: how it answered, and how often it should get backups."""

    repo: int
    ok: bool | None = None
    message: str = ""
    full_every: timedelta | None = None
    incr_every: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBackup:
    """One backup that a repository holds."""

    repo: int
    label: str
    kind: str
    started_at: datetime
    finished_at: datetime
    database_bytes: int
    repo_bytes: int
    held: str | None = None
    damaged: bool = False
    broken: bool = False
    """Whether verification found its files damaged."""

    @property
    def is_good(self) -> bool:
        """Whether a recovery may begin with it."""
        return not self.damaged and not self.broken


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryWindow:
    """Moments that can be restored, both ends included."""

    from_at: datetime
    to_at: datetime
    repos: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WalGap:
    """WAL segments that one repository misses between others that it has."""

    repo: int
    first: str
    last: str
    segments: int
    from_at: datetime | None
    to_at: datetime | None
    """From here on moments can be restored again; `None`: not before another backup."""
    covered_by: tuple[int, ...] = ()
    """Repositories that have all the missing segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyFacts:
    """What the repositories said when they were last asked."""

    surveyed_at: datetime
    repositories: tuple[Repository, ...] = ()
    backups: tuple[KeptBackup, ...] = ()
    """Oldest first."""
    windows: tuple[RecoveryWindow, ...] = ()
    gaps: tuple[WalGap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRun:
    """One attempt to take a backup. Source: `backup_runs` of the state file."""

    repo: int
    kind: str
    reason: str
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    """`running`, `done` or `failed`."""
    label: str | None = None
    took_s: float | None = None
    repo_bytes: int | None = None
    error: str | None = None
    alive: bool = False
    """Whether the process that takes it still runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """A recovery that was begun and has not ended."""

    id: str
    target: str
    phase: str
    started_at: datetime
    alive: bool
    """Whether its process still works on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEvent:
    """Something that happened to a process. Source: `process_events` of the state file."""

    at: datetime
    process: str
    what: str
    """A `process.ProcessFact`."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """The newest drill that says something about one backup."""

    repo: int
    label: str
    drill: str
    at: datetime
    passed: bool
    failed: str = ""
    """Names of the checks that failed."""
    restored_to: datetime | None = None
    rto_s: float | None = None
    rpo_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofFacts:
    """What drills have shown. Source: `drills` of the state file."""

    expected: bool
    """Whether drills are run by schedule."""
    limit: timedelta
    critical: timedelta
    tried: tuple[Proven, ...] = ()
    """One for each backup that was drilled, the newest first."""
    too_late: tuple[tuple[int, str], ...] = ()
    """Backups (repository, label) that will be gone before their turn."""
    trouble: str = ""
    """Why the last drill, if it was the last, said nothing."""
    compared_at: datetime | None = None
    """When a drill last found every row as it was recorded; `None`: none ever compared them."""

    @property
    def newest(self) -> Proven | None:
        """The newest proof."""
        return next((item for item in self.tried if item.passed), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundDamage:
    """Something that is wrong in a repository, or was. Source: `verification_findings` of the state file."""

    repo: int
    kind: str
    label: str | None
    file: str | None
    problem: str
    critical: bool
    """Whether a moment cannot be restored because of it."""
    found_at: datetime
    repair: str | None = None
    """What was done, or why nothing could be."""
    repaired_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryReading:
    """How reading one repository goes."""

    repo: int
    listed_at: datetime | None = None
    read_at: datetime | None = None
    overdue_since: datetime | None = None
    """Since when a file should have been read again."""
    error: str | None = None
    error_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationFacts:
    """What reading the repositories has shown."""

    within: timedelta
    """Each file is read at least this often."""
    repositories: tuple[RepositoryReading, ...] = ()
    open: tuple[FoundDamage, ...] = ()
    """Oldest first."""
    ended: tuple[FoundDamage, ...] = ()
    """Over since a day at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What would be lost if the machine went, as it was measured."""

    measured_at: datetime
    mode: str
    """What protects commits: a `zero_loss.Protection`."""
    since: datetime
    """Since when it is that."""
    in_force_s: float
    """Age of the oldest acknowledged commit that is on this machine only."""
    at_stake_bytes: int
    worst_24h_s: float
    slot_status: str | None = None
    slot_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """How long a recovery on an empty machine to the newest state would take, forecast."""

    expected_s: float
    low_s: float
    high_s: float
    runs: int
    """How many runs of this machine it is learnt from."""
    repo: int
    label: str
    """Of the backup that it begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Whether what a repository holds can be deleted or overwritten. Source: `region_locks` of the state file."""

    checked_at: datetime
    state: str
    """`on`, `short`, `off`, `none` or `unknown`."""
    words: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A repository as the keeper saw it last. Source: `regions` of the state file."""

    repo: int
    kind: str
    seen_at: datetime
    reachable: bool
    since: datetime
    """Since when it is, or is not."""
    message: str = ""
    newest_segment: str | None = None
    newest_commit_at: datetime | None = None
    behind_segments: int = 0
    """Finished segments that it lacks."""
    behind_bytes: int = 0
    behind_since: datetime | None = None
    """When the oldest of them was finished."""
    given_up_at: datetime | None = None
    """Since when archiving goes on without it."""
    lock: Lock | None = None

    def lag(self, now: datetime) -> timedelta:
        """For how long it has lacked something that the primary had finished."""
        return max(now - self.behind_since, timedelta()) if self.behind_since else timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class WalQueue:
    """WAL that waits to be archived. Source: `wal_queue` of the state file."""

    at: datetime
    waiting_bytes: int
    free_bytes: int
    full_at: datetime | None
    """When its disk is full, if the queue goes on growing as it did; `None`: it does not grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the state file holds that a verdict needs."""

    runs: tuple[BackupRun, ...] = ()
    """The last ones, newest first."""
    recovery: Recovery | None = None
    """The one that has not ended."""
    exposure: Exposure | None = None
    """`None`: it was never measured."""
    outlook: Outlook | None = None
    """`None`: there is no backup, or the cluster is none of ours."""
    events: tuple[ProcessEvent, ...] = ()
    """The last ones, newest first."""
    proof: ProofFacts | None = None
    """`None` where there are no drills: no backups are taken from here."""
    verification: VerificationFacts | None = None
    """`None`: nobody reads the repositories by himself."""
    regions: tuple[Region, ...] = ()
    wal_queue: WalQueue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The file system below one directory."""

    name: str
    """Such as `home` or `repository 1`."""
    free_bytes: int
    total_bytes: int

    @property
    def free_share(self) -> float:
        """Free part of the whole, 0 to 1."""
        return self.free_bytes / self.total_bytes if self.total_bytes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a home. `Facts(collected_at=…)` says that nothing is."""

    collected_at: datetime
    expected: frozenset[Part] = frozenset(Part)
    """Parts that this home has: one that adopts somebody else's server has no certificate of its own."""
    scheduled: bool = True
    """Whether backups are taken by schedule."""
    database: Database | None = None
    survey: SurveyFacts | None = None
    records: Records | None = None
    processes: Mapping[str, bool] | None = None
    """Our processes by name, and whether each runs."""
    disks: tuple[Disk, ...] | None = None
    certificate_expires_at: datetime | None = None
    unread: Mapping[Part, str] = field(default_factory=dict[Part, str])
    """Why a part is missing."""
    configuration_changed_at: datetime | None = None
    """When the configuration was changed, if the processes run with an earlier one."""

    def of(self, part: Part) -> object | None:
        """What is known of one part."""
        match part:
            case Part.DATABASE:
                return self.database
            case Part.REPOSITORIES:
                return self.survey
            case Part.RECORDS:
                return self.records
            case Part.PROCESSES:
                return self.processes
            case Part.DISKS:
                return self.disks
            case Part.CERTIFICATE:
                return self.certificate_expires_at
