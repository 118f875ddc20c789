"""Read one file of a repository to its end, and say what is wrong with it.

Backup files are read as they lie in the repository and compared with the SHA-1 that the manifest has of those
bytes: no key, no unpacking. WAL is fetched as a recovery would fetch it and compared with the SHA-1 in its name:
`archive-get` itself hands out a segment with a flipped bit and says nothing.
"""

import asyncio
import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

from wedsync.backup.model import Problem, ProblemKind
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.stored import StoredFiles
from wedsync.backup.verification.files import FileKind, StoredFile
from wedsync.backup.verification.manifest import Manifest, Part, is_intact, read_manifest
from wedsync.backup.verification.pace import Pace
from wedsync.backup.verification.segments import judge_segment
from wedsync.errors import SegmentUnreadable, StoredFileMissing, StoredFileUnreadable

MISSING = "it is missing"
CHANGED = "its content is not what was backed up"
_MANIFESTS_KEPT = 4


class Reader:
    """Reads files of repositories. What cannot be read *now* is an error; what is read and is wrong, a problem.

    All methods raise `RepositoryUnreachable`, `WrongKey` and what else says that a repository cannot be used.
    """

    def __init__(self, *, pgbackrest: PgBackRest, stored: StoredFiles, pace: Pace) -> None:
        self._pgbackrest = pgbackrest
        self._stored = stored
        self._pace = pace
        self._manifests: OrderedDict[tuple[int, str], Manifest] = OrderedDict()

    async def check(self, file: StoredFile, *, system_ids: Mapping[str, str]) -> Problem | None:
        """What is wrong with a file; `None`: nothing. One that went since it was listed is missing.

        `system_ids` by archive id.
        """
        match file.kind:
            case FileKind.WAL:
                return await self._check_segment(file, system_ids.get(file.archive_id or "", ""))
            case FileKind.BACKUP:
                return await self._check_backup_file(file)
            case FileKind.INFO | FileKind.MANIFEST:
                return await self._check_info(file)
            case FileKind.WAL_NOTE | FileKind.KEPT_MANIFEST | FileKind.STRAY:
                return await self._check_readable(file)

    async def manifest(self, repo: int, stanza: str, label: str) -> Manifest | None:
        """A backup's manifest, or its copy; `None` if neither can be read."""
        key = (repo, label)
        if key in self._manifests:
            self._manifests.move_to_end(key)
            return self._manifests[key]
        for name in ("backup.manifest", "backup.manifest.copy"):
            try:
                text = await self._stored.text(repo, f"backup/{stanza}/{label}/{name}")
            except (StoredFileMissing, StoredFileUnreadable):
                continue
            if await asyncio.to_thread(is_intact, text):
                found = self._manifests[key] = await asyncio.to_thread(read_manifest, text)
                while len(self._manifests) > _MANIFESTS_KEPT:
                    self._manifests.popitem(last=False)
                return found
        return None

    async def segment(self, repo: int, name: str, *, system_id: str, sha1: str | None) -> bytes:
        """The content of a WAL segment, checked. Raises `SegmentUnreadable` if it is not there, or not whole."""
        with tempfile.TemporaryDirectory(prefix="verify-", dir=self._pgbackrest.home.run) as scratch:
            fetched = Path(scratch) / name
            if not await self._pgbackrest.archive_get(name, fetched, repo=repo, system_id=system_id):
                raise SegmentUnreadable(f"repo{repo} does not have WAL segment {name}")
            content = await asyncio.to_thread(fetched.read_bytes)
        wrong = await asyncio.to_thread(judge_segment, name, content, system_id=system_id, sha1=sha1)
        if wrong is not None:
            raise SegmentUnreadable(f"WAL segment {name} in repo{repo} is damaged", detail=wrong)
        return content

    async def _check_segment(self, file: StoredFile, system_id: str) -> Problem | None:
        assert file.segment is not None  # noqa: S101 - by its kind
        await self._pace.took(file.size_bytes)
        try:
            await self.segment(file.repo, file.segment, system_id=system_id, sha1=file.sha1)
        except SegmentUnreadable as error:
            return Problem(
                repo=file.repo,
                label=None,
                file=file.name,
                problem=error.detail or error.message,
                kind=ProblemKind.DAMAGED_WAL,
                path=file.path,
                segments=(file.segment,),
            )
        return None

    async def _check_backup_file(self, file: StoredFile) -> Problem | None:
        assert file.label is not None  # noqa: S101 - by its kind
        stanza = self._pgbackrest.config.stanza
        manifest = await self.manifest(file.repo, stanza, file.label)
        if manifest is None:
            return None  # the manifest's own problem says that the whole backup cannot be restored
        parts = manifest.files.get(file.name)
        if parts is None:
            return None  # left over, or of a backup under way: nothing refers to it
        try:
            broken = await self._broken_parts(file, parts)
        except StoredFileMissing:
            return damaged(file, parts, MISSING)
        return damaged(file, broken, CHANGED) if broken else None

    async def _broken_parts(self, file: StoredFile, parts: Sequence[Part]) -> tuple[Part, ...]:
        """Parts whose bytes are not those that were written; all read in one go, in order."""
        checker = PartChecker(parts)
        async for piece in self._stored.raw(file.repo, file.path):
            await asyncio.to_thread(checker.update, piece)
            await self._pace.took(len(piece))
        return checker.broken()

    async def _check_info(self, file: StoredFile) -> Problem | None:
        await self._pace.took(file.size_bytes)
        wrong: str | None = None
        try:
            text = await self._stored.text(file.repo, file.path)
            if not await asyncio.to_thread(is_intact, text):
                wrong = "its content is not what was written: the checksum in it does not match"
        except StoredFileMissing:
            wrong = MISSING
        except StoredFileUnreadable as error:
            wrong = f"it cannot be read ({error.detail})"
        if wrong is None:
            return None
        return Problem(
            repo=file.repo,
            label=file.label,
            file=file.name,
            problem=wrong,
            kind=ProblemKind.DAMAGED_INFO,
            path=file.path,
        )

    async def _check_readable(self, file: StoredFile) -> Problem | None:
        """Nothing says what is in it: it is read to its end, and what its encryption shows is shown."""
        wrong: str | None = None
        try:
            if file.kind is FileKind.WAL_NOTE:
                await self._stored.text(file.repo, file.path)
            else:
                async for piece in self._stored.raw(file.repo, file.path):
                    await self._pace.took(len(piece))
        except StoredFileMissing:
            wrong = MISSING
        except StoredFileUnreadable as error:
            wrong = f"it cannot be read ({error.detail})"
        if wrong is None:
            return None
        return Problem(
            repo=file.repo, label=file.label, file=file.name, problem=wrong, kind=ProblemKind.OTHER, path=file.path
        )


def damaged(file: StoredFile, parts: Sequence[Part], words: str) -> Problem:
    """The problem of a backup's file, with what of the database is in it."""
    return Problem(
        repo=file.repo,
        label=file.label,
        file=parts[0].name if len(parts) == 1 else file.name,
        problem=words if len(parts) < 2 else f"{words}: {len(parts)} files of the database",
        kind=ProblemKind.DAMAGED_BACKUP,
        path=file.path,
        parts=tuple(part.name for part in parts),
    )


class PartChecker:
    """Takes the bytes of a file as they come, and finds the parts whose checksum differs.

    A part without a checksum must be there in its whole length.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = list(parts)
        self._at = 0
        self._index = 0
        self._hash = hashlib.sha1(usedforsecurity=False)
        self._broken: list[Part] = []

    def update(self, piece: bytes) -> None:
        """Take the next bytes."""
        view = memoryview(piece)
        while self._index < len(self._parts) and view:
            part = self._parts[self._index]
            skip = min(max(part.offset - self._at, 0), len(view))
            self._at += skip
            view = view[skip:]
            taken = min(part.offset + part.length - self._at, len(view))
            self._hash.update(view[:taken])
            self._at += taken
            view = view[taken:]
            if self._at >= part.offset + part.length:
                self._close(part)
        self._at += len(view)

    def broken(self) -> tuple[Part, ...]:
        """Parts that are damaged or cut off, once all bytes were taken."""
        rest = self._parts[self._index :]
        return (*self._broken, *(part for part in rest if part.length or part.sha1 not in (None, _EMPTY)))

    def _close(self, part: Part) -> None:
        if part.sha1 is not None and self._hash.hexdigest() != part.sha1:
            self._broken.append(part)
        self._hash = hashlib.sha1(usedforsecurity=False)
        self._index += 1


_EMPTY = hashlib.sha1(b"", usedforsecurity=False).hexdigest()
