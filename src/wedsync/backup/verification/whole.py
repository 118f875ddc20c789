"""Is every backup whole, and the WAL between them? pgBackRest's own answer is read, not believed.

Its `verify` ends with exit status 0 whatever it finds, says `ok` with a WAL segment missing or a manifest
gone, and leaves out a backup whose directory is gone. So its words are compared with the catalogue, and the
chain of WAL segments, the copies of its own files and the other regions are looked at here.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath
from time import monotonic

from wedsync.backup.model import Backup, Problem, ProblemKind, Verification
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.records import BackupRecords
from wedsync.backup.report import VerifyReport
from wedsync.backup.verification.contents import is_critical, judge_backup
from wedsync.backup.verification.files import FileKind
from wedsync.backup.verification.inspection import Inspected, Inspection, Inspector
from wedsync.backup.verification.ledger import Ended, Ledger, is_same_problem
from wedsync.backup.verification.marks import Marker
from wedsync.backup.verification.reading import Reader
from wedsync.backup.wal import is_segment_name
from wedsync.clock import Clock
from wedsync.errors import Busy, WedsyncError

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
                kind=_kind(label, broken.file),
                segments=_segments(broken.file) if label is None else (),
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
                    kind=ProblemKind.LOST_INFO,
                )
            )
        elif said.status != "valid" and not any(_concerns(item, backup) for item in found):
            found.append(
                Problem(
                    repo=repo,
                    label=backup.label,
                    file="backup.manifest" if said.files == 0 else None,
                    problem=f"pgBackRest says: {said.status}, {said.files - said.valid} files wrong",
                    kind=ProblemKind.DAMAGED_BACKUP,
                )
            )
    if report.status != "ok" and not found:
        notes = "; ".join(report.notes) or f"status {report.status or 'not given'}"
        found.append(Problem(repo=repo, label=None, file=None, problem=f"pgBackRest says: {notes}"))
    return found


def _concerns(problem: Problem, backup: Backup) -> bool:
    return problem.label == backup.label or problem.label in backup.references


def _kind(label: str | None, file: str) -> ProblemKind:
    if label is not None:
        return ProblemKind.DAMAGED_BACKUP
    return ProblemKind.DAMAGED_WAL if _segments(file) else ProblemKind.OTHER


def _segments(file: str) -> tuple[str, ...]:
    name = file.rpartition("/")[2][:24]
    return (name,) if is_segment_name(name) else ()


def with_path(problem: Problem, paths: Collection[str], *, stanza: str) -> Problem:
    """The problem with the path of its file; a file of the database that lies in a bundle is named behind it."""
    if problem.file is None or problem.path is not None:
        return problem
    area = f"backup/{stanza}/{problem.label}" if problem.label else f"archive/{stanza}"
    at = PurePosixPath(area, problem.file)
    return replace(problem, path=next((str(p) for p in (at, *at.parents) if str(p) in paths), str(at)))


class Verifier:
    """Reads every file of the repositories, now and as fast as it goes."""

    def __init__(
        self,
        *,
        pgbackrest: PgBackRest,
        inspector: Inspector,
        reader: Reader,
        records: BackupRecords,
        ledger: Ledger,
        marker: Marker,
        clock: Clock,
    ) -> None:
        self._pgbackrest = pgbackrest
        self._inspector = inspector
        self._reader = reader
        self._records = records
        self._ledger = ledger
        self._marker = marker
        self._clock = clock

    async def verify(self, repo: int | None = None) -> Verification:
        """Check one repository, or all, and write down what was found; a repository that cannot be read is a
        problem, not an error."""
        began = monotonic()
        inspection = await self._inspector.inspect()
        wanted = [number for number in self._pgbackrest.repos if repo is None or number == repo]
        problems = [inspection.unreadable[number] for number in wanted if number in inspection.unreadable]
        problems += [problem for problem in inspection.problems if problem.repo in wanted]
        checked = 0
        for item in (inspection.repos[number] for number in wanted if number in inspection.repos):
            try:
                files, found = await self._read(item, inspection)
            except WedsyncError as error:
                seen = error.in_one_line()
                self._ledger.failed(item.repo, seen, at=self._clock.now())
                problems.append(
                    Problem(repo=item.repo, label=None, file=None, problem=seen, kind=ProblemKind.REPOSITORY)
                )
                continue
            checked += files
            problems += [problem for problem in found if not _is_told(problem, problems)]
        found = Verification(checked=checked, problems=tuple(problems))
        now = self._clock.now()
        for problem in problems:
            self._ledger.found(problem, at=now)
        for item in (inspection.repos[number] for number in wanted if number in inspection.repos):
            self._end_others(item.repo, problems)
            with suppress(Busy):  # a backup is taken: the keeper marks later
                await self._marker.settle(item, [finding.problem for finding in self._ledger.open(item.repo)])
        self._records.verified(found, repos=wanted, at=now, took_s=monotonic() - began)
        return found

    async def _placed(self, problem: Problem, item: Inspected, paths: Collection[str]) -> Problem:
        """The problem with the file of the repository it is in; pgBackRest names that of the database."""
        stanza = self._pgbackrest.config.stanza
        if problem.kind is ProblemKind.DAMAGED_BACKUP and problem.label and problem.file:
            manifest = await self._reader.manifest(item.repo, stanza, problem.label)
            for place, parts in manifest.files.items() if manifest else ():
                for part in parts:
                    if problem.file in (part.name, place) or problem.file.rpartition(".")[0] == part.name:
                        path = f"backup/{stanza}/{problem.label}/{place}"
                        return replace(problem, file=part.name, path=path, parts=(part.name,))
        return with_path(problem, paths, stanza=stanza)

    def _end_others(self, repo: int, problems: Sequence[Problem]) -> None:
        """What was wrong and is not any more: everything was read."""
        if any(problem.repo == repo and problem.kind is ProblemKind.REPOSITORY for problem in problems):
            return
        for finding in self._ledger.open(repo):
            if not any(is_same_problem(finding.problem, problem) for problem in problems):
                self._ledger.end(finding, Ended.WHOLE, at=self._clock.now())

    async def _read(self, item: Inspected, inspection: Inspection) -> tuple[int, list[Problem]]:
        """How many files were read, and what is wrong with them."""
        self._ledger.listed(item.repo, item.files, at=self._clock.now())
        here = item.repo in self._pgbackrest.repos_here
        checked, found = await (self._let_read(item) if here else self._read_each(item))
        found = [
            replace(problem, critical=is_critical(problem.label, item.repo, inspection.backups))
            if problem.label and problem.kind in (ProblemKind.DAMAGED_BACKUP, ProblemKind.LOST_INFO)
            else problem
            for problem in found
        ]
        damaged = {problem.path for problem in found if problem.path}
        self._ledger.read_all(item.repo, item.files, damaged=damaged, at=self._clock.now())
        return checked, found

    async def _let_read(self, item: Inspected) -> tuple[int, list[Problem]]:
        """Let pgBackRest read what is large, and read its own files."""
        paths = {file.path for file in item.files}
        report = await self._pgbackrest.verify(item.repo)
        found = [
            await self._placed(problem, item, paths) for problem in judge_report(item.repo, report, item.backups)
        ]
        for file in item.files:
            if file.kind is FileKind.INFO or (file.kind is FileKind.MANIFEST and file.label in item.labels):
                problem = await self._reader.check(file, system_ids=item.system_ids)
                found += [problem] if problem is not None else []
        return report.segments + sum(backup.files for backup in report.backups), found

    async def _read_each(self, item: Inspected) -> tuple[int, list[Problem]]:
        """Read every file ourselves: `verify` of 2.45 ends with a TLS error on a backup host (tried)."""
        found: list[Problem] = []
        read = [file for file in item.files if file.label is None or file.label in item.labels]
        for file in read:
            problem = await self._reader.check(file, system_ids=item.system_ids)
            found += [problem] if problem is not None else []
            if file.kind is FileKind.MANIFEST and file.name == "backup.manifest" and file.label is not None:
                manifest = await self._reader.manifest(item.repo, self._pgbackrest.config.stanza, file.label)
                found += judge_backup(manifest, item.files, like=file) if manifest is not None else []
        return len(read), found


def _is_told(problem: Problem, others: Sequence[Problem]) -> bool:
    """Whether the look at the repository has told it already."""
    return any(
        (other.repo, other.label, other.file) == (problem.repo, problem.label, problem.file) for other in others
    )
