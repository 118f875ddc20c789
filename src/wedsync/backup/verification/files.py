"""What each file of a repository is, told by its name (pgBackRest User Guide, "Repository")."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

_SEGMENT = re.compile(r"(?P<name>[0-9A-F]{24})-(?P<sha1>[0-9a-f]{40})(?:\.\w+)?")
_MARK = re.compile(r"[0-9A-F]{24}\.[0-9A-F]{8}\.backup")
_HISTORY = re.compile(r"[0-9A-F]{8}\.history")
_PARTIAL = re.compile(r"[0-9A-F]{24}\.partial-[0-9a-f]{40}(?:\.\w+)?")
_LABEL = re.compile(r"\d{8}-\d{6}F(?:_\d{8}-\d{6}[DI])?")
_INFO = re.compile(r"(?:archive|backup)\.info(?:\.copy)?")
_MANIFEST = re.compile(r"backup\.manifest(?:\.copy)?")


class FileKind(StrEnum):
    """What a file is for, and so how it is checked."""

    WAL = "wal"
    """A segment; the SHA-1 of its content is in its name."""
    WAL_NOTE = "wal_note"
    """A timeline's history or a backup's mark: small, told by PostgreSQL itself."""
    INFO = "info"
    """`archive.info` or `backup.info`, or the copy of it: carries a checksum of itself."""
    MANIFEST = "manifest"
    """What is in a backup, or the copy of it: carries a checksum of itself."""
    BACKUP = "backup"
    """Files of the database, one or many; the manifest has their checksums."""
    KEPT_MANIFEST = "kept_manifest"
    """The manifest of a backup, kept beyond the backup itself: no recovery needs it."""
    STRAY = "stray"
    """Nothing that pgBackRest puts into a repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file of a repository."""

    repo: int
    path: str
    """Below the repository's root."""
    kind: FileKind
    size_bytes: int
    modified_at: datetime
    label: str | None = None
    """The backup whose directory it is in."""
    archive_id: str | None = None
    """The cluster whose WAL it is, such as `15-1`."""
    segment: str | None = None
    sha1: str | None = None
    """Of a segment's content, by its name."""

    @property
    def name(self) -> str:
        """Its path within the backup or the archive."""
        if self.label is not None:
            return self.path.partition(f"/{self.label}/")[2]
        return self.path.rpartition("/")[2]

    @property
    def twin(self) -> str | None:
        """Path of the other copy of the same content, for what is written twice."""
        if self.kind not in (FileKind.INFO, FileKind.MANIFEST):
            return None
        return self.path.removesuffix(".copy") if self.path.endswith(".copy") else f"{self.path}.copy"


def read_files(text: str, *, repo: int, stanza: str) -> tuple[StoredFile, ...]:
    """The files in the answer of `repo-ls --recurse --output=json`, sorted by path; of one stanza only."""
    listing: Mapping[str, Mapping[str, Any]] = json.loads(text)
    found = [
        _file(repo, path, stanza, entry)
        for path, entry in listing.items()
        if entry["type"] == "file" and path.startswith((f"archive/{stanza}/", f"backup/{stanza}/"))
    ]
    return tuple(sorted(found, key=lambda file: file.path))


def _file(repo: int, path: str, stanza: str, entry: Mapping[str, Any]) -> StoredFile:
    area, _, rest = path.partition(f"/{stanza}/")
    first, _, below = rest.partition("/")
    name = rest.rpartition("/")[2]
    kind = FileKind.STRAY
    label = archive_id = segment = sha1 = None
    if not below:
        kind = FileKind.INFO if _INFO.fullmatch(first) and first.startswith(area) else FileKind.STRAY
    elif area == "archive":
        archive_id = first
        match = _SEGMENT.fullmatch(name)
        if match:
            kind, segment, sha1 = FileKind.WAL, match["name"], match["sha1"]
        elif _MARK.fullmatch(name) or _HISTORY.fullmatch(name) or _PARTIAL.fullmatch(name):
            kind = FileKind.WAL_NOTE
    elif first == "backup.history":
        kind = FileKind.KEPT_MANIFEST
    elif _LABEL.fullmatch(first):
        label = first
        kind = FileKind.MANIFEST if _MANIFEST.fullmatch(below) else FileKind.BACKUP
    return StoredFile(
        repo=repo,
        path=path,
        kind=kind,
        size_bytes=int(entry["size"]),
        modified_at=datetime.fromtimestamp(entry["time"], UTC),
        label=label,
        archive_id=archive_id,
        segment=segment,
        sha1=sha1,
    )
