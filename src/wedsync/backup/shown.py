"""Backups, windows and checks as the command line and the operations API show them: one shape for both."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from wedsync.backup.model import Backup, BackupKind, Catalogue, Problem, ProblemKind, RepositoryStatus
from wedsync.backup.retention import Removal
from wedsync.backup.survey import Survey
from wedsync.backup.verification import Coverage, Finding, Repaired


class ShownProof(msgspec.Struct, frozen=True, kw_only=True):
    """The newest drill that says something about a backup."""

    drill: str
    at: datetime
    passed: bool


class ShownBackup(msgspec.Struct, frozen=True, kw_only=True):
    """One backup in one repository."""

    repo: int
    label: str
    type: BackupKind
    started_at: datetime
    finished_at: datetime
    took_s: float
    database_bytes: int
    repo_bytes: int
    held: str | None
    """Why it must not be removed; `null`: it may."""
    damaged: bool
    """Pages with a wrong checksum were copied: the cluster was damaged when it was taken."""
    proof: ShownProof | None = None
    """`null`: it was never restored by a drill; it is unproven."""
    broken: str | None = None
    """What verification found wrong with its files; `null`: nothing."""


class ShownRepository(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a repository can be read, and what it said."""

    repo: int
    ok: bool
    message: str


class BackupList(msgspec.Struct, frozen=True, kw_only=True):
    """All backups, oldest first, and the repositories they are in."""

    backups: Sequence[ShownBackup]
    repositories: Sequence[ShownRepository]


class TakenInRepo(msgspec.Struct, frozen=True, kw_only=True):
    """What one repository got."""

    repo: int
    label: str
    type: BackupKind
    took_s: float
    repo_bytes: int


class BackupTaken(msgspec.Struct, frozen=True, kw_only=True):
    """A backup into each repository that was asked for; the first fields are those of the first one."""

    label: str
    type: BackupKind
    started_at: datetime
    finished_at: datetime
    took_s: float
    database_bytes: int
    repo_bytes: int
    repos: Sequence[TakenInRepo]


class ShownCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a repository was read within the time that is allowed."""

    repo: int
    files: int
    bytes: int
    read_files: int
    read_bytes: int
    share: float
    """Read part of all bytes, 0 to 1."""
    oldest_read_at: datetime | None
    """When the file was read that was not read for longest; `null`: one never was."""
    behind_since: datetime | None
    """Since when a file is overdue; `null`: none is."""
    done_at: datetime | None
    """When everything will have been read; `null`: it is."""
    error: str | None
    """Why it cannot be read now."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a reading of whole repositories found."""

    ok: bool
    checked: int
    """Files and WAL segments that were read."""
    problems: Sequence[Problem]
    """What is wrong, less what was repaired."""
    repaired: Sequence[Repaired] = ()
    """What was done, or would be (`done` says which), about each problem."""
    coverage: Sequence[ShownCoverage] = ()


class ShownFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that verification found, and what became of it."""

    repo: int
    label: str | None
    file: str | None
    problem: str
    kind: ProblemKind
    critical: bool
    """Whether a moment cannot be restored because of it."""
    found_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    repair: str | None
    """What was done about it, or why nothing could be."""
    quarantine: str | None
    """Where the damaged file was put aside."""


class VerificationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far reading the repositories has come, and what is wrong in them."""

    ok: bool
    coverage: Sequence[ShownCoverage]
    problems: Sequence[ShownFinding]
    recent: Sequence[ShownFinding]
    """What was repaired or read whole again in the last week."""


class Expired(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Backups that retention lets go of: `removed`, or what would be."""

    removed: Sequence[Removal] | None = None
    would_remove: Sequence[Removal] | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was held (`held` says why) or released (`null`)."""

    repo: int
    label: str
    held: str | None


class ShownWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Every second between two moments can be restored."""

    from_at: datetime = msgspec.field(name="from")
    to_at: datetime = msgspec.field(name="to")
    timeline: int
    repos: Sequence[int]


class BackupInWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that recoveries can begin with."""

    repo: int
    label: str
    type: BackupKind
    finished_at: datetime
    damaged: bool


class ShownGap(msgspec.Struct, frozen=True, kw_only=True):
    """WAL that a repository misses."""

    repo: int
    first: str
    last: str
    from_at: datetime | None = msgspec.field(name="from")
    to_at: datetime | None = msgspec.field(name="to")
    covered_by: Sequence[int]
    """Repositories that have it."""


class ShownMoment(msgspec.Struct, frozen=True, kw_only=True):
    """A single moment that can be restored: the end of a backup without WAL behind it."""

    repo: int
    label: str
    at: datetime


class ShownProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A repository that cannot be read."""

    repo: int
    message: str


class RecoveryWindows(msgspec.Struct, frozen=True, kw_only=True):
    """Which moments can be restored, and which cannot."""

    windows: Sequence[ShownWindow]
    backups: Sequence[BackupInWindow]
    gaps: Sequence[ShownGap]
    moments: Sequence[ShownMoment]
    problems: Sequence[ShownProblem]


def show_backup(backup: Backup, proof: ShownProof | None = None) -> ShownBackup:
    """One backup, as it is listed."""
    return ShownBackup(
        repo=backup.repo,
        label=backup.label,
        type=backup.kind,
        started_at=backup.started_at,
        finished_at=backup.finished_at,
        took_s=backup.took_s,
        database_bytes=backup.database_bytes,
        repo_bytes=backup.repo_bytes,
        held=backup.held,
        damaged=backup.damaged,
        proof=proof,
        broken=backup.broken,
    )


def show_catalogue(catalogue: Catalogue, proofs: Mapping[tuple[int, str], ShownProof] | None = None) -> BackupList:
    """All backups and repositories, as they are listed; `proofs` by repository and label."""
    known = proofs or {}
    return BackupList(
        backups=[show_backup(item, known.get((item.repo, item.label))) for item in catalogue.backups],
        repositories=[_repository(item) for item in catalogue.repositories],
    )


def show_windows(survey: Survey) -> RecoveryWindows:
    """What can be restored, as it is listed."""
    found = survey.windows
    return RecoveryWindows(
        windows=[
            ShownWindow(from_at=item.from_at, to_at=item.to_at, timeline=item.timeline, repos=item.repos)
            for item in found.windows
        ],
        backups=[
            BackupInWindow(
                repo=item.repo,
                label=item.label,
                type=item.kind,
                finished_at=item.finished_at,
                damaged=item.damaged,
            )
            for item in survey.catalogue.backups
        ],
        gaps=[
            ShownGap(
                repo=gap.repo,
                first=gap.first,
                last=gap.last,
                from_at=gap.from_at,
                to_at=gap.to_at,
                covered_by=gap.covered_by,
            )
            for gap in found.gaps
        ],
        moments=[ShownMoment(repo=item.repo, label=item.label, at=item.at) for item in found.moments],
        problems=[ShownProblem(repo=item.repo, message=item.message) for item in survey.problems],
    )


def show_taken(taken: Sequence[tuple[Backup, float]]) -> BackupTaken:
    """Backups that were just taken, each with the seconds it took; at least one."""
    first, took_s = taken[0]
    return BackupTaken(
        label=first.label,
        type=first.kind,
        started_at=first.started_at,
        finished_at=first.finished_at,
        took_s=round(took_s, 2),
        database_bytes=first.database_bytes,
        repo_bytes=first.repo_bytes,
        repos=[
            TakenInRepo(
                repo=item.repo,
                label=item.label,
                type=item.kind,
                took_s=round(seconds, 2),
                repo_bytes=item.repo_bytes,
            )
            for item, seconds in taken
        ],
    )


def show_coverage(item: Coverage) -> ShownCoverage:
    """How far reading one repository has come, as it is listed."""
    return ShownCoverage(
        repo=item.repo,
        files=item.files,
        bytes=item.bytes,
        read_files=item.read_files,
        read_bytes=item.read_bytes,
        share=round(item.share, 4),
        oldest_read_at=item.oldest_read_at,
        behind_since=item.behind_since,
        done_at=item.done_at,
        error=item.error,
    )


def show_finding(item: Finding) -> ShownFinding:
    """What was found, as it is listed."""
    return ShownFinding(
        repo=item.problem.repo,
        label=item.problem.label,
        file=item.problem.file,
        problem=item.problem.problem,
        kind=item.problem.kind,
        critical=item.problem.critical,
        found_at=item.found_at,
        ended_at=item.ended_at,
        ended_by=item.ended_by,
        repair=item.repair,
        quarantine=item.quarantine,
    )


def _repository(status: RepositoryStatus) -> ShownRepository:
    return ShownRepository(repo=status.repo, ok=status.ok, message=status.message)
