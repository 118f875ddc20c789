"""What pgBackRest prints, read into our words: `info`, `repo-ls`, `verify` and its errors."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wedsync.backup.model import Archive, Backup, BackupKind, Catalogue, RepositoryStatus
from wedsync.backup.wal import is_segment_name, timeline_of
from wedsync.database import Lsn

_SEGMENT_FILE = re.compile(r"(?P<name>[0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?")
_HISTORY_FILE = re.compile(r"(?P<timeline>[0-9A-F]{8})\.history")
_INFO = re.compile(r"\b(archive|backup)\.info\b")
_PERCENT = re.compile(r"(?P<percent>\d+(?:\.\d+)?)%\)")
_ERROR = re.compile(r"ERROR: \[(?P<code>\d+)\]: (?P<message>.*)")
_BROKEN_FILE = re.compile(
    r"INFO: (?P<what>invalid checksum|invalid size|file missing|invalid result|invalid verify) "
    r"'?(?P<file>[^':\s]+)"
)
_BACKUP_LINE = re.compile(
    r"backup: (?P<label>\S+), status: (?P<status>[^,]+), total files checked: (?P<checked>\d+), "
    r"total valid files: (?P<valid>\d+)"
)
_ARCHIVE_LINE = re.compile(
    r"archiveId: (?P<id>\S+), total WAL checked: (?P<checked>\d+), total valid WAL: (?P<valid>\d+)"
)
_HOLD = "hold"
BROKEN = "broken"
"""Annotation of a backup whose files verification found damaged: it stays with the backup, whoever reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An error of pgBackRest: its code and its words, without what cannot be printed."""

    code: int
    message: str


def read_info(text: str, repos: Iterable[int]) -> Catalogue:
    """The catalogue in the answer of `info --output=json`; a repository it does not mention is not ok."""
    answer = _stanzas(text)
    backups: list[Backup] = []
    statuses: dict[int, RepositoryStatus] = {}
    for stanza in answer:
        clusters = {(row["repo-key"], row["id"]): str(row["system-id"]) for row in stanza.get("db", ())}
        for row in stanza.get("repo", ()):
            statuses[row["key"]] = _status(row["key"], row["status"])
        backups += [_backup(row, clusters) for row in stanza.get("backup", ())]
    for repo in repos:
        statuses.setdefault(
            repo, RepositoryStatus(repo=repo, ok=False, message="it has no stanza yet", empty=True)
        )
    return Catalogue(
        backups=tuple(sorted(backups, key=lambda backup: (backup.label, backup.repo))),
        repositories=tuple(statuses[repo] for repo in sorted(statuses)),
    )


def _stanzas(text: str) -> list[dict[str, Any]]:
    """The answer's JSON. pgBackRest quotes bytes of a file it cannot read as they are, control characters
    and all: hence not strict."""
    return json.loads(text, strict=False)


def _status(repo: int, status: Mapping[str, Any]) -> RepositoryStatus:
    code, message = int(status["code"]), str(status["message"])
    match code:
        case 0 | 2:  # 2: prepared, no backup yet
            return RepositoryStatus(repo=repo, ok=True, message=message)
        case 1 | 3:
            told = "it is empty, gone, or its disk is not mounted: it holds nothing of this stanza"
            return RepositoryStatus(repo=repo, ok=False, message=told, empty=True)
        case _ if "certificate" not in message and ("outside of section" in message or "CryptoError" in message):
            file = found[0] if (found := _INFO.search(message)) else "its info file"
            told = f"it was encrypted with another key than secrets/repo{repo}_key"
            told += f", or {file} and its copy are both damaged"
            return RepositoryStatus(repo=repo, ok=False, message=told, wrong_key=True)
        case _:
            told = printable("\n".join(_without_request(message.splitlines())))
    return RepositoryStatus(repo=repo, ok=False, message=told)


def _backup(row: Mapping[str, Any], clusters: Mapping[tuple[int, int], str]) -> Backup:
    repo = int(row["database"]["repo-key"])
    lsn: Mapping[str, str] = row.get("lsn") or {}
    sizes = row["info"]["repository"]
    annotations: Mapping[str, str] = row.get("annotation") or {}
    return Backup(
        repo=repo,
        label=row["label"],
        kind=BackupKind(row["type"]),
        started_at=datetime.fromtimestamp(row["timestamp"]["start"], UTC),
        finished_at=datetime.fromtimestamp(row["timestamp"]["stop"], UTC),
        wal_start=row["archive"]["start"],
        wal_stop=row["archive"]["stop"],
        lsn_start=Lsn.parse(lsn["start"]) if lsn.get("start") else None,
        lsn_stop=Lsn.parse(lsn["stop"]) if lsn.get("stop") else None,
        timeline=timeline_of(row["archive"]["start"]),
        prior=row["prior"],
        references=tuple(row["reference"] or ()),
        database_bytes=int(row["info"]["size"]),
        repo_bytes=int(sizes.get("delta") or sizes.get("size") or 0),
        held=annotations.get(_HOLD) or None,
        damaged=bool(row.get("error")),
        broken=annotations.get(BROKEN) or None,
        system_id=clusters.get((repo, int(row["database"]["id"])), ""),
    )


def read_clusters(text: str, repo: int) -> dict[str, tuple[str, str]]:
    """For each archive id of a repository (such as `15-1`): system id and PostgreSQL version."""
    return {
        f"{row['version']}-{row['id']}": (str(row["system-id"]), str(row["version"]))
        for stanza in _stanzas(text)
        for row in stanza.get("db", ())
        if row["repo-key"] == repo
    }


def read_listing(
    text: str, *, repo: int, clusters: Mapping[str, tuple[str, str]], below: str = ""
) -> tuple[Archive, ...]:
    """The archives in the answer of `repo-ls --recurse --output=json archive/STANZA`, by archive id.

    `below` is what the paths begin with in an answer about more than that.
    """
    listing: dict[str, dict[str, Any]] = json.loads(text)
    sizes: dict[str, dict[str, int]] = {archive_id: {} for archive_id in clusters}
    stored_s: dict[str, dict[str, int]] = {archive_id: {} for archive_id in clusters}
    histories: dict[str, dict[int, datetime]] = {archive_id: {} for archive_id in clusters}
    for path, entry in listing.items():
        archive_id, _, rest = path.removeprefix(below).partition("/")
        name = rest.rpartition("/")[2]
        if archive_id not in clusters or entry["type"] != "file":
            continue
        if (match := _SEGMENT_FILE.fullmatch(name)) and is_segment_name(match["name"]):
            sizes[archive_id][match["name"]] = int(entry["size"])
            stored_s[archive_id][match["name"]] = int(entry.get("time", 0))
        elif match := _HISTORY_FILE.fullmatch(name):
            histories[archive_id][int(match["timeline"], 16)] = datetime.fromtimestamp(entry["time"], UTC)
    return tuple(
        Archive(
            repo=repo,
            system_id=system_id,
            postgresql_version=version,
            archive_id=archive_id,
            segments=tuple(sorted(sizes[archive_id])),
            sizes=sizes[archive_id],
            stored_s=stored_s[archive_id],
            histories=histories[archive_id],
        )
        for archive_id, (system_id, version) in clusters.items()
    )


def read_names(text: str) -> tuple[str, ...]:
    """The complete segments in the answer of `repo-ls --output=json` about one directory, sorted."""
    listing: dict[str, dict[str, Any]] = json.loads(text)
    found = (_SEGMENT_FILE.fullmatch(name) for name, entry in listing.items() if entry["type"] == "file")
    return tuple(sorted(match["name"] for match in found if match and is_segment_name(match["name"])))


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenFile:
    """A file that pgBackRest found broken: what is wrong with it."""

    what: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBackup:
    """What `verify` says of one backup."""

    label: str
    status: str
    files: int
    valid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What `verify` says of one repository. Its exit status says nothing: it is 0 either way."""

    status: str
    segments: int
    valid_segments: int
    backups: tuple[CheckedBackup, ...]
    broken: tuple[BrokenFile, ...]
    notes: tuple[str, ...]
    """Lines such as `No usable backup.info file`."""


def read_verify(text: str) -> VerifyReport:
    """The answer of `verify --output=text --verbose --log-level-console=info`."""
    status = ""
    segments = valid_segments = 0
    backups: dict[str, CheckedBackup] = {}
    broken: dict[str, BrokenFile] = {}
    notes: dict[str, None] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if match := _BROKEN_FILE.search(line):
            broken.setdefault(match["file"], BrokenFile(what=match["what"], file=match["file"]))
        elif match := _BACKUP_LINE.search(line):
            backups[match["label"]] = CheckedBackup(
                label=match["label"],
                status=match["status"],
                files=int(match["checked"]),
                valid=int(match["valid"]),
            )
        elif (match := _ARCHIVE_LINE.search(line)) and "INFO" not in line and not line.startswith("     "):
            segments += int(match["checked"])
            valid_segments += int(match["valid"])
        elif stripped.startswith("status:"):
            status = stripped.removeprefix("status:").strip()
        elif stripped.startswith("No usable"):
            notes[stripped] = None
    return VerifyReport(
        status=status,
        segments=segments,
        valid_segments=valid_segments,
        backups=tuple(backups.values()),
        broken=tuple(broken.values()),
        notes=tuple(notes),
    )


def read_percent(line: str) -> float | None:
    """The percentage at the end of a line about one copied file, if the line is one."""
    if " file " not in line:
        return None
    match = _PERCENT.search(line)
    return float(match["percent"]) if match else None


def read_error(text: str) -> Said | None:
    """The last error in what pgBackRest printed, with the lines that belong to it."""
    found: Said | None = None
    lines = text.splitlines()
    for index, line in enumerate(lines):
        match = _ERROR.search(line)
        if match is None:
            continue
        words = [match["message"]]
        for more in lines[index + 1 :]:
            if not more.startswith("      "):
                break
            words.append(more.strip())
        words = _without_request(words)
        said = Said(code=int(match["code"]), message=printable(" / ".join(words)))
        if found is None or said.code != 104:  # 104: "encountered errors", told above it
            found = said
    return found


def _without_request(lines: Sequence[str]) -> list[str]:
    """What pgBackRest tells of an HTTP answer, without the headers that it sent itself."""
    kept: list[str] = []
    sent = False
    for line in lines:
        if line.startswith("*** "):
            sent = line.startswith("*** Request Headers")
        if not sent:
            kept.append(line)
    return kept


def printable(text: str, limit: int = 600) -> str:
    """`text` on one line, cut to `limit`, without the bytes of encrypted files that pgBackRest may quote."""
    kept: list[str] = []
    for line in text.splitlines():
        odd = sum(1 for letter in line if not letter.isprintable() or letter == "�")
        if odd:
            line = line.partition(": ")[0] if ": " in line else ""  # noqa: PLW2901 - the readable beginning
            if any(not letter.isprintable() for letter in line):
                continue
        if line.strip():
            kept.append(line.strip())
    joined = " / ".join(dict.fromkeys(kept))
    return joined if len(joined) <= limit else joined[: limit - 1] + "…"
