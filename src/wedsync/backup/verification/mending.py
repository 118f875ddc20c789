"""Put back what is missing or damaged. Nothing is removed before a copy of it was put aside."""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.stored import StoredFiles
from wedsync.backup.verification.elsewhere import FindCopies, LocalCopy, finished_in
from wedsync.backup.verification.files import FileKind, StoredFile
from wedsync.backup.verification.inspection import Inspection
from wedsync.backup.verification.ledger import Ended, Finding, Ledger
from wedsync.backup.verification.manifest import is_intact
from wedsync.backup.verification.reading import Reader
from wedsync.backup.verification.repair import Repair, RepairKind, plan_repair
from wedsync.backup.verification.segments import judge_segment
from wedsync.clock import Clock
from wedsync.errors import RepairImpossible, SegmentUnreadable, StoredFileMissing, WedsyncError
from wedsync.events import Event, observe
from wedsync.process import FileLock


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryRepaired(Event):
    """Something was put back into a repository, and read again."""

    level: ClassVar[str] = "warning"

    repo: int
    file: str | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryNotRepaired(Event):
    """Something is wrong in a repository, and could not be put back."""

    level: ClassVar[str] = "error"

    repo: int
    file: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What was done about one finding."""

    repo: int
    label: str | None
    file: str | None
    problem: str
    done: bool
    words: str
    """What was done, will be done, or why nothing could be."""
    quarantine: str | None = None


class Mender:
    """Carries repairs out, one at a time in a home; each is written down, each is proven by reading again."""

    def __init__(
        self,
        *,
        pgbackrest: PgBackRest,
        stored: StoredFiles,
        reader: Reader,
        ledger: Ledger,
        clock: Clock,
        find_copies: FindCopies,
    ) -> None:
        """`find_copies` gives what this machine has of WAL besides `pg_wal`."""
        self._find_copies = find_copies
        self._pgbackrest = pgbackrest
        self._stored = stored
        self._reader = reader
        self._ledger = ledger
        self._clock = clock

    def plan(self, findings: Sequence[Finding], inspection: Inspection) -> tuple[Repair, ...]:
        """What can be done about these findings."""
        files = {repo: item.files for repo, item in inspection.repos.items()}
        local = {
            system_id: frozenset(copy.name for copy in self._here(system_id))
            for system_id in {archive.system_id for archive in inspection.archives}
        }
        return tuple(
            plan_repair(finding, archives=inspection.archives, files=files, local=local) for finding in findings
        )

    async def carry_out(self, repair: Repair, inspection: Inspection) -> Repaired:
        """Do one repair; its failure is an answer, not an error. Raises `Busy` while a backup or another repair
        is at work."""
        finding, problem = repair.finding, repair.finding.problem
        quarantine: Path | None = None
        done, words = False, repair.words
        if repair.kind is not RepairKind.NONE:
            with self._lock(f"repair of {problem.file} in repo{problem.repo}"):
                try:
                    if repair.damaged is not None:
                        quarantine = await self._put_aside(problem.repo, repair.damaged)
                    if repair.kind is RepairKind.WAL:
                        words = await self._wal(repair, inspection, quarantine)
                    else:
                        await self._copy(repair)
                    done = True
                except WedsyncError as error:
                    words = error.in_one_line()
        where = str(quarantine) if quarantine else None
        if done:
            self._ledger.end(finding, Ended.REPAIRED, at=self._clock.now(), repair=words, quarantine=where)
            observe(RepositoryRepaired(repo=problem.repo, file=problem.file, words=words))
        else:
            self._ledger.not_repaired(finding, words, quarantine=where)
            observe(RepositoryNotRepaired(repo=problem.repo, file=problem.file, message=words))
        return shown_repair(repair, done=done, words=words, quarantine=where)

    async def _wal(self, repair: Repair, inspection: Inspection, quarantine: Path | None) -> str:
        repo = repair.finding.problem.repo
        system_id = _system_id(repair, inspection)
        done: list[str] = []
        for name in repair.segments:
            content, source = await self._whole_segment(name, repair, inspection, system_id)
            if repair.damaged is not None and quarantine is not None:
                await self._stored.remove(repo, repair.damaged)
            try:
                await self._push(name, content, repo=repo, system_id=system_id)
            except BaseException:
                if repair.damaged is not None and quarantine is not None:  # as it was: damaged beats missing
                    await self._stored.put(repo, repair.damaged, await asyncio.to_thread(quarantine.read_bytes))
                raise
            sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            await self._reader.segment(repo, name, system_id=system_id, sha1=sha1)
            done.append(f"{name} from {source}")
        left = set(repair.finding.problem.segments) - set(repair.segments)
        if left:
            raise RepairImpossible(
                f"{len(done)} segments were put back, {len(left)} are nowhere", detail=f"such as {min(left)}"
            )
        first = ", ".join(done[:3])
        return f"put back and read again: {first}" + (f" and {len(done) - 3} more" if done[3:] else "")

    async def _whole_segment(
        self, name: str, repair: Repair, inspection: Inspection, system_id: str
    ) -> tuple[bytes, str]:
        """The content of a segment from wherever it is whole, and where that is."""
        own = inspection.repos[repair.finding.problem.repo]
        wanted = own.file(repair.damaged) if repair.damaged is not None else None
        known = {wanted.sha1} if wanted is not None else _checksums(name, inspection) or {None}
        seen: list[str] = []
        for copy in self._here(system_id):
            if copy.name != name:
                continue
            content = await asyncio.to_thread(_read, copy.path)
            for sha1 in known - (set() if copy.is_finished else {None}):
                if content and judge_segment(name, content, system_id=system_id, sha1=sha1) is None:
                    return content, copy.place
            seen.append(f"{copy.place}: not what was archived")
        for repo in repair.sources:
            sha1 = _checksum_in(name, repo, inspection)
            if sha1 is None:
                continue
            if wanted is not None and sha1 != wanted.sha1:
                seen.append(f"repo{repo}: it has other content of the same name")
                continue
            try:
                return await self._reader.segment(repo, name, system_id=system_id, sha1=sha1), f"repo{repo}"
            except SegmentUnreadable as error:
                seen.append(f"repo{repo}: {error.detail or error.message}")
        raise RepairImpossible(
            f"no whole copy of WAL segment {name} was found",
            detail="; ".join(seen) or "it is in no other repository",
            hint="moments behind it need a later backup: wedsync backup run --type full",
        )

    async def _push(self, name: str, content: bytes, *, repo: int, system_id: str) -> None:
        with tempfile.TemporaryDirectory(prefix="repair-", dir=self._pgbackrest.home.run) as scratch:
            segment = Path(scratch) / name
            await asyncio.to_thread(segment.write_bytes, content)
            await self._stored.push(segment, repo=repo, system_id=system_id)

    async def _copy(self, repair: Repair) -> None:
        repo, path = repair.finding.problem.repo, repair.finding.problem.path
        assert path is not None  # noqa: S101 - of a file that is written twice
        assert repair.twin is not None  # noqa: S101 - by its kind
        if not is_intact(await self._stored.text(repo, repair.twin)):
            raise RepairImpossible(
                f"both copies of {path.rpartition('/')[2].removesuffix('.copy')} in repo{repo} are damaged",
                hint="restore the file from the storage's own versions, if it keeps any",
            )
        content = b"".join([piece async for piece in self._stored.raw(repo, repair.twin)])
        await self._stored.put(repo, path, content)
        if not is_intact(await self._stored.text(repo, path)):
            raise RepairImpossible(f"{path} in repo{repo} is damaged again right after it was written")

    async def _put_aside(self, repo: int, path: str) -> Path | None:
        """Copy a damaged file into the home's quarantine; where it is. `None`: it is not there any more."""
        stamp = self._clock.now().strftime("%Y%m%d-%H%M%S")
        target = self._pgbackrest.home.root / "quarantine" / f"repo{repo}" / stamp / path
        try:
            content = b"".join([piece async for piece in self._stored.raw(repo, path)])
        except StoredFileMissing:
            return None
        await asyncio.to_thread(_write_durably, target, content)
        return target

    def _here(self, system_id: str) -> list[LocalCopy]:
        """What this machine has of the WAL of a cluster."""
        return [*finished_in(self._pgbackrest.cluster.pgdata), *self._find_copies(system_id)]

    def _lock(self, purpose: str) -> FileLock:
        return FileLock(self._pgbackrest.home.run / "backup.lock", purpose=purpose)


def shown_repair(
    repair: Repair, *, done: bool, words: str | None = None, quarantine: str | None = None
) -> Repaired:
    """A repair as it is told."""
    problem = repair.finding.problem
    return Repaired(
        repo=problem.repo,
        label=problem.label,
        file=problem.file,
        problem=problem.problem,
        done=done,
        words=words or repair.words,
        quarantine=quarantine,
    )


def _system_id(repair: Repair, inspection: Inspection) -> str:
    """The cluster whose WAL is repaired: of the damaged file's archive, or of the newest backups."""
    problem = repair.finding.problem
    own = inspection.repos[problem.repo]
    if repair.damaged is not None:
        file = own.file(repair.damaged)
        if file is not None and file.archive_id is not None and file.archive_id in own.system_ids:
            return own.system_ids[file.archive_id]
    base = inspection.bases.get(problem.repo)
    newest = max(own.backups, key=lambda backup: backup.finished_at, default=None)
    for backup in (base, newest):
        if backup is not None:
            return backup.system_id
    raise RepairImpossible(f"repo{problem.repo} does not say which cluster its WAL is of")


def _checksums(name: str, inspection: Inspection) -> set[str | None]:
    """The checksums that any repository has of this segment, in the names of its files."""
    return {
        file.sha1
        for item in inspection.repos.values()
        for file in item.files
        if file.kind is FileKind.WAL and file.segment == name
    }


def _checksum_in(name: str, repo: int, inspection: Inspection) -> str | None:
    files: Sequence[StoredFile] = inspection.repos[repo].files if repo in inspection.repos else ()
    return next((file.sha1 for file in files if file.segment == name), None)


def _read(path: Path) -> bytes:
    """The content; empty: it went, as a link in `sheltered/` does when its segment is archived."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _write_durably(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with target.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    target.chmod(0o600)
