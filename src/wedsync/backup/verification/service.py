"""The keeper's verification: looks at the repositories every few minutes and reads a slice of them, for ever."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import ClassVar

from psycopg import Error as DatabaseError

from wedsync.backup.model import Problem, ProblemKind, Verification
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.records import BackupRecords
from wedsync.backup.verification.chain import LiveTail, vanished, without_repetition
from wedsync.backup.verification.contents import is_critical, judge_backup
from wedsync.backup.verification.files import FileKind, StoredFile
from wedsync.backup.verification.inspection import Inspected, Inspection, Inspector
from wedsync.backup.verification.ledger import Ended, KnownFile, Ledger
from wedsync.backup.verification.marks import Marker
from wedsync.backup.verification.mending import Mender, Repaired
from wedsync.backup.verification.reading import Reader
from wedsync.backup.verification.repair import is_repaired_here
from wedsync.backup.verification.turns import next_files
from wedsync.backup.wal import is_segment_name
from wedsync.clock import Clock
from wedsync.config import VerificationConfig
from wedsync.database import ConnectionTarget
from wedsync.errors import Busy, WedsyncError
from wedsync.events import Event, observe
from wedsync.process import FileLock
from wedsync.sql import statements

ROUND_EVERY = timedelta(minutes=10)
_TRY_AGAIN = timedelta(hours=1)
_BY_LISTING = frozenset({ProblemKind.MISSING_WAL, ProblemKind.OTHER_WAL, ProblemKind.REPOSITORY})


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationFound(Event):
    """Something in a repository is damaged, missing, or not what it should be."""

    level: ClassVar[str] = "error"

    repo: int
    label: str | None
    file: str | None
    problem: str
    critical: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationFailed(Event):
    """A repository could not be read: nothing of it counts as verified."""

    level: ClassVar[str] = "warning"

    repo: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationServiceFailed(Event):
    """The service met an error of its own; it goes on with the next round."""

    level: ClassVar[str] = "error"

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundDone:
    """What one round did."""

    read: int = 0
    read_bytes: int = 0
    found: tuple[Problem, ...] = ()
    """New problems."""
    repaired: tuple[Repaired, ...] = ()
    failed: Mapping[int, str] | None = None
    """Repositories that could not be read, and why."""


class VerificationService:
    """Reads every file of every repository again and again. What it knows is in the state file: it may die at any
    time, and a file counts as read only once it was read to its end."""

    def __init__(
        self,
        *,
        pgbackrest: PgBackRest,
        inspector: Inspector,
        reader: Reader,
        ledger: Ledger,
        marker: Marker,
        mender: Mender,
        records: BackupRecords,
        monitor: ConnectionTarget,
        clock: Clock,
    ) -> None:
        """`monitor` is any role that may read `pg_stat_archiver`."""
        self._pgbackrest = pgbackrest
        self._inspector = inspector
        self._reader = reader
        self._ledger = ledger
        self._marker = marker
        self._mender = mender
        self._records = records
        self._monitor = monitor
        self._clock = clock
        self._tried: dict[int, datetime] = {}

    @property
    def _config(self) -> VerificationConfig:
        return self._pgbackrest.config.verification

    async def run(self) -> None:
        """A round every ten minutes, until cancelled."""
        while True:
            try:
                await self.step()
            except (WedsyncError, DatabaseError, OSError, ValueError) as error:
                observe(VerificationServiceFailed(message=str(error)))
            await self._clock.sleep(ROUND_EVERY)

    async def step(self) -> RoundDone | None:
        """Look at all repositories, read a slice of each, repair what can be. `None`: a recovery is at work."""
        if (
            FileLock(self._pgbackrest.home.run / "recovery.lock", purpose="look for a recovery").holder()
            is not None
        ):
            return None
        began = monotonic()
        tail = await self._tail()
        inspection = await self._inspector.inspect(tail=tail)
        now = self._clock.now()
        failed = {repo: problem.problem for repo, problem in inspection.unreadable.items()}
        new: list[Problem] = []
        listed: list[Problem] = list(inspection.problems)
        bereft: dict[int, set[str]] = {}
        for repo, item in inspection.repos.items():
            gone = self._ledger.listed(repo, item.files, at=now)
            listed += self._vanished(gone, item, inspection)
            bereft[repo] = {file.path.split("/")[2] for file in gone if file.kind is FileKind.BACKUP}
        new += self._settle_listed(without_repetition(listed), inspection)
        read = read_bytes = 0
        for repo, item in inspection.repos.items():
            try:
                files = self._turn(item, bereft[repo])
                new += await self._read(files, item, inspection)
                read += len(files)
                read_bytes += sum(file.size_bytes for file in files)
            except WedsyncError as error:
                failed[repo] = error.in_one_line()
        for repo, message in failed.items():
            self._ledger.failed(repo, message, at=self._clock.now())
            observe(VerificationFailed(repo=repo, message=message))
        for item in inspection.repos.values():
            with suppress(Busy):  # a backup is taken: the next round marks
                await self._marker.settle(item, [finding.problem for finding in self._ledger.open(item.repo)])
        repaired = await self._repair(inspection) if self._config.repair else ()
        if new:
            found = Verification(checked=read, problems=tuple(new))
            self._records.verified(
                found, repos=tuple(inspection.repos), at=self._clock.now(), took_s=monotonic() - began
            )
        return RoundDone(
            read=read, read_bytes=read_bytes, found=tuple(new), repaired=tuple(repaired), failed=failed or None
        )

    def _turn(self, item: Inspected, bereft: Collection[str]) -> list[StoredFile]:
        """The files of a repository that are read in this round, and the manifests of `bereft` backups: files went
        from their directories."""
        by_path = {file.path: file for file in item.files}
        chosen = next_files(
            self._ledger.files(item.repo).values(),
            now=self._clock.now(),
            within=self._config.within,
            slice_every=ROUND_EVERY,
            bytes_per_second=self._config.bytes_per_second,
        )
        paths = [known.path for known in chosen if known.path in by_path]
        paths += [file.path for file in item.files if file.kind is FileKind.MANIFEST and file.label in bereft]
        return [by_path[path] for path in dict.fromkeys(paths)]

    async def _read(self, files: Iterable[StoredFile], item: Inspected, inspection: Inspection) -> list[Problem]:
        """Read files, note each as soon as it was read; the new problems. What is wrong is read twice."""
        suspects: list[StoredFile] = []
        for file in files:
            problems = await self._check(file, item)
            if problems:
                suspects.append(file)
                continue
            self._ledger.read(file, whole=True, at=self._clock.now())
            self._end(file, Ended.WHOLE)
        return await self._confirm(suspects, item, inspection) if suspects else []

    async def _check(self, file: StoredFile, item: Inspected) -> list[Problem]:
        """What is wrong with a file, and with the backup whose manifest it is."""
        if file.label is not None and file.label not in item.labels:
            return []  # of a backup under way, or one that was broken off: it belongs to none
        problem = await self._reader.check(file, system_ids=item.system_ids)
        if problem is not None:
            return [problem]
        if file.kind is not FileKind.MANIFEST or file.label is None:
            return []
        manifest = await self._reader.manifest(item.repo, self._pgbackrest.config.stanza, file.label)
        return judge_backup(manifest, item.files, like=file) if manifest is not None else []

    async def _confirm(
        self, suspects: Sequence[StoredFile], item: Inspected, inspection: Inspection
    ) -> list[Problem]:
        """Look again: retention may have removed what was to be read, or a backup replaced it meanwhile."""
        catalogue = await self._pgbackrest.catalogue((item.repo,))
        again = await self._inspector.look(item.repo, catalogue.of_repo(item.repo))
        here = {file.path: file for file in again.files}
        new: list[Problem] = []
        for file in suspects:
            present = here.get(file.path)
            if present is not None and present != file:
                continue  # another file by now: its turn comes
            if present is None and file.label is not None and file.label not in again.labels:
                continue
            if present is None and file.kind in (FileKind.WAL, FileKind.WAL_NOTE, FileKind.STRAY):
                continue  # what is missing in the chain is found by listing it
            problems = await self._check(file, again)
            self._ledger.read(file, whole=not problems, at=self._clock.now())
            for problem in problems:
                new += self._note(self._weighed(problem, inspection))
        return new

    def _weighed(self, problem: Problem, inspection: Inspection) -> Problem:
        """With what it means: whether a moment is lost, whether the other copy is gone as well."""
        twin = _twin(problem)
        if problem.kind is ProblemKind.DAMAGED_INFO and any(
            finding.problem.path == twin for finding in self._ledger.open(problem.repo)
        ):
            problem = replace(problem, kind=ProblemKind.LOST_INFO, problem=f"{problem.problem}; so is its copy")
        if problem.label and problem.kind in (ProblemKind.DAMAGED_BACKUP, ProblemKind.LOST_INFO):
            return replace(problem, critical=is_critical(problem.label, problem.repo, inspection.backups))
        if problem.kind is ProblemKind.DAMAGED_WAL:
            elsewhere = any(
                archive.repo != problem.repo and set(problem.segments).issubset(archive.segments)
                for archive in inspection.archives
            )
            return replace(problem, critical=not elsewhere)
        return problem if problem.kind is not ProblemKind.LOST_INFO else replace(problem, critical=True)

    def _settle_listed(self, problems: Sequence[Problem], inspection: Inspection) -> list[Problem]:
        """Note what listing shows; end what it does not show any more."""
        new = [found for problem in problems for found in self._note(self._weighed(problem, inspection))]
        now = self._clock.now()
        for finding in self._ledger.open():
            item = inspection.repos.get(finding.problem.repo)
            if item is None or finding.seen_at >= now:
                continue
            if self._is_over(finding.problem, problems, item):
                self._ledger.end(finding, Ended.GONE, at=now)
        return new

    def _is_over(self, problem: Problem, problems: Sequence[Problem], item: Inspected) -> bool:
        if any((problem.kind, problem.file, problem.path) == (p.kind, p.file, p.path) for p in problems):
            return False
        if problem.kind is ProblemKind.MISSING_WAL:
            there = {name for archive in item.archives for name in archive.segments}
            base = min((backup.wal_start[8:] for backup in item.backups), default="")
            return all(name in there or name[8:] < base for name in problem.segments)
        if problem.kind in _BY_LISTING:
            return True
        if problem.label is not None and problem.label not in item.labels:
            return True
        return problem.path is not None and problem.label is None and item.file(problem.path) is None

    def _vanished(self, gone: Iterable[KnownFile], item: Inspected, inspection: Inspection) -> list[Problem]:
        """What was in the repository in the last round, and is missing now."""
        base = inspection.bases.get(item.repo)
        names = [name for file in gone if is_segment_name(name := file.path.rpartition("/")[2][:24])]
        return [
            problem for archive in item.archives for problem in vanished(names, archive, inspection.archives, base)
        ]

    def _note(self, problem: Problem) -> list[Problem]:
        finding, is_new = self._ledger.found(problem, at=self._clock.now())
        if not is_new:
            return []
        observe(
            VerificationFound(
                repo=problem.repo,
                label=problem.label,
                file=problem.file,
                problem=problem.problem,
                critical=problem.critical,
            )
        )
        return [finding.problem]

    def _end(self, file: StoredFile, by: Ended) -> None:
        for finding in self._ledger.open(file.repo):
            if finding.problem.path == file.path:
                self._ledger.end(finding, by, at=self._clock.now())

    async def _repair(self, inspection: Inspection) -> list[Repaired]:
        """Put back what can be; what failed is tried again an hour later."""
        now = self._clock.now()
        findings = [
            finding
            for finding in self._ledger.open()
            if finding.problem.repo in inspection.repos
            and is_repaired_here(finding.problem)
            and (finding.id not in self._tried or now - self._tried[finding.id] >= _TRY_AGAIN)
        ]
        done: list[Repaired] = []
        for repair in self._mender.plan(findings, inspection):
            with suppress(Busy):  # a backup is taken: the next round repairs
                done.append(await self._mender.carry_out(repair, inspection))
                self._tried[repair.finding.id] = now
        return done

    async def _tail(self) -> LiveTail | None:
        """What PostgreSQL was told to be archived; `None` while it does not answer, or archives nothing."""
        try:
            async with await self._monitor.connect() as connection:
                row = await (await connection.execute(statements("backup")["archived_tail"])).fetchone()
        except (WedsyncError, DatabaseError):
            return None  # the server's absence is somebody else's alarm
        if row is None or row[0] is None or not is_segment_name(row[0][:24]):
            return None
        return LiveTail(segment=row[0][:24], at=row[1])


def _twin(problem: Problem) -> str | None:
    if problem.path is None:
        return None
    return problem.path.removesuffix(".copy") if problem.path.endswith(".copy") else f"{problem.path}.copy"
