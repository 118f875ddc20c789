"""Is every backup whole, and the WAL between them? pgBackRest's own answer is read, not believed.

Its `verify` ends with exit status 0 whatever it finds, says `ok` with a WAL segment missing or a manifest
gone, and leaves out a backup whose directory is gone. So its words are compared with the catalogue, and the
chain of WAL segments is checked here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from time import monotonic

from wedsync.backup.model import (
    Archive,
    Backup,
    Problem,
    RepositoryStatus,
    SegmentCommits,
    Timeline,
    Verification,
)
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.records import BackupRecords
from wedsync.backup.report import VerifyReport
from wedsync.backup.survey import Surveyor
from wedsync.backup.wal import number_of, segment_name
from wedsync.backup.windows import recovery_windows
from wedsync.clock import Clock
from wedsync.errors import WedsyncError

_WORDS = {
    "invalid checksum": "its content is not what was backed up",
    "invalid size": "its size is not what was backed up",
    "file missing": "it is missing",
    "invalid result": "it cannot be read",
    "invalid verify": "it cannot be read",
}


def judge_report(repo: int, report: VerifyReport, backups: Sequence[Backup]) -> list[Problem]:
    """What pgBackRest found, and what it should have looked at and did not."""
    found: list[Problem] = []
    labels = {item.label for item in backups}
    for broken in report.broken:
        first, _, rest = broken.file.partition("/")
        label = first if first in labels else None
        found.append(
            Problem(
                repo=repo,
                label=label,
                file=rest if label else broken.file,
                problem=_WORDS[broken.what],
            )
        )
    seen = {item.label: item for item in report.backups}
    for backup in backups:
        said = seen.get(backup.label)
        if said is None or said.status == "manifest missing":
            found.append(
                Problem(
                    repo=repo,
                    label=backup.label,
                    file="backup.manifest",
                    problem="it is missing: this backup cannot be restored",
                )
            )
        elif said.status != "valid" and not any(_concerns(item, backup) for item in found):
            found.append(
                Problem(
                    repo=repo,
                    label=backup.label,
                    file="backup.manifest" if said.files == 0 else None,
                    problem=f"pgBackRest says: {said.status}, {said.files - said.valid} files wrong",
                )
            )
    if report.status != "ok" and not found:
        notes = "; ".join(report.notes) or f"status {report.status or 'not given'}"
        found.append(Problem(repo=repo, label=None, file=None, problem=f"pgBackRest says: {notes}"))
    return found


def _concerns(problem: Problem, backup: Backup) -> bool:
    return problem.label == backup.label or problem.label in backup.references


def judge_wal(
    archives: Sequence[Archive],
    backups: Sequence[Backup],
    *,
    promised_from: datetime,
    timelines: Mapping[str, Mapping[int, Timeline]],
) -> list[Problem]:
    """WAL segments that a backup needs to be consistent, or the promised window to be without a gap."""
    found: list[Problem] = []
    for archive in archives:
        present = set(archive.segments)
        for backup in backups:
            if backup.repo != archive.repo or backup.system_id != archive.system_id:
                continue
            needed = range(number_of(backup.wal_start), number_of(backup.wal_stop) + 1)
            found += [
                Problem(
                    repo=archive.repo,
                    label=backup.label,
                    file=name,
                    problem="WAL segment is missing: this backup cannot be restored",
                )
                for name in (segment_name(backup.timeline, number) for number in needed)
                if name not in present
            ]
    named = {problem.file for problem in found}
    windows = recovery_windows(backups, archives, timelines, _no_commits, promised_from=promised_from)
    for gap in windows.gaps:
        names = [
            segment_name(gap.timeline, number) for number in range(number_of(gap.first), number_of(gap.last) + 1)
        ]
        if set(names) <= named:
            continue
        elsewhere = f"; repo{gap.covered_by[0]} has it" if gap.covered_by else ""
        found.append(
            Problem(
                repo=gap.repo,
                label=None,
                file=gap.first if gap.segments == 1 else f"{gap.first} to {gap.last}",
                problem=f"{gap.segments} WAL segment(s) missing inside the recovery window{elsewhere}",
            )
        )
    return found


def _no_commits(_system_id: str, segment: str) -> SegmentCommits:
    """Stands for "the times do not matter here": only the gaps are wanted."""
    return SegmentCommits(segment=segment, commits=0, first_at=None, last_at=None, last_lsn=None)


class Verifier:
    """Reads every file of the repositories."""

    def __init__(
        self, *, pgbackrest: PgBackRest, surveyor: Surveyor, records: BackupRecords, clock: Clock
    ) -> None:
        self._pgbackrest = pgbackrest
        self._surveyor = surveyor
        self._records = records
        self._clock = clock

    async def verify(self, repo: int | None = None) -> Verification:
        """Check one repository, or all, and write down what was found; a repository that cannot be read is a
        problem, not an error."""
        began = monotonic()
        catalogue = await self._pgbackrest.catalogue()
        statuses = [item for item in catalogue.repositories if repo is None or item.repo == repo]
        problems: list[Problem] = []
        checked = 0
        archives: list[Archive] = []
        for status in statuses:
            own = catalogue.of_repo(status.repo)
            if not status.ok:
                problems.append(_unreadable(status))
                continue
            if not own:
                problems.append(
                    Problem(repo=status.repo, label=None, file=None, problem="there is no backup in it")
                )
            try:
                report = await self._pgbackrest.verify(status.repo)
                archives += await self._pgbackrest.archives(status.repo)
            except WedsyncError as error:
                problems.append(Problem(repo=status.repo, label=None, file=None, problem=error.in_one_line()))
                continue
            checked += report.segments + sum(item.files for item in report.backups)
            problems += judge_report(status.repo, report, own)
        promised_from = self._clock.now() - self._pgbackrest.config.recovery_window
        timelines = await self._surveyor.timelines.refresh(archives)
        problems += judge_wal(archives, catalogue.backups, promised_from=promised_from, timelines=timelines)
        found = Verification(checked=checked, problems=tuple(problems))
        read = [status.repo for status in statuses]
        self._records.verified(found, repos=read, at=self._clock.now(), took_s=monotonic() - began)
        return found


def _unreadable(status: RepositoryStatus) -> Problem:
    return Problem(
        repo=status.repo, label=None, file=None, problem=f"the repository cannot be read: {status.message}"
    )
