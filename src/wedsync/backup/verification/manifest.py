"""What pgBackRest's own files say: a backup's manifest, and the checksum that each of them carries."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_JSON_BEGINS = frozenset('"{[-0123456789tfn')
_EXTENSIONS = {"zst": ".zst", "lz4": ".lz4", "gz": ".gz", "bz2": ".bz2", "none": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file of the database, where it lies in a file of the repository."""

    name: str
    offset: int
    length: int
    sha1: str | None
    """Of these very bytes of the repository; `None`: pgBackRest older than 2.45 wrote none down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one backup is made of."""

    files: Mapping[str, tuple[Part, ...]]
    """Its own files in the repository, by path below the backup's directory; parts in order of their offset."""
    borrowed: Mapping[str, frozenset[str]]
    """Files of the database that are in earlier backups, by the label of those."""


def read_manifest(text: str) -> Manifest:
    """The parts in a `backup.manifest`. Raises `ValueError` if it is none."""
    sections = _sections(text)
    if "backup" not in sections or "target:file" not in sections:
        raise ValueError("this is no manifest of a backup")
    options = {key: json.loads(value) for key, value in sections.get("backup:option", ())}
    bundled = any(key == "backup-bundle" and value == "true" for key, value in sections["backup"])
    compression = options.get("option-compress-type") or ("gz" if options.get("option-compress") else "none")
    is_plain = compression == "none" and "cipher" not in sections
    files: dict[str, list[Part]] = defaultdict(list)
    borrowed: dict[str, set[str]] = defaultdict(set)
    for name, value in sections["target:file"]:
        entry: Mapping[str, Any] = json.loads(value)
        if "reference" in entry:
            borrowed[entry["reference"]].add(name)
            continue
        if entry.get("size", 0) == 0 and bundled:
            continue  # an empty file is nowhere but in the manifest
        place = f"bundle/{entry['bni']}" if "bni" in entry else name + _EXTENSIONS.get(compression, "")
        files[place].append(
            Part(
                name=name,
                offset=int(entry.get("bno", 0)),
                length=int(entry.get("repo-size", entry.get("size", 0))),
                sha1=entry.get("rck") or (entry.get("checksum") if is_plain else None),
            )
        )
    return Manifest(
        files={place: tuple(sorted(parts, key=lambda part: part.offset)) for place, parts in files.items()},
        borrowed={label: frozenset(names) for label, names in borrowed.items()},
    )


def is_intact(text: str) -> bool:
    """Whether one of pgBackRest's info files or manifests is as it was written: by the checksum within."""
    claimed: str | None = None
    content: list[str] = []
    for section, entries in _sections(text).items():
        kept: list[str] = []
        for key, value in entries:
            if (section, key) == ("backrest", "backrest-checksum"):
                claimed = value.strip('"')
            else:
                kept.append(f"{json.dumps(key, ensure_ascii=False)}:{value}")
        if kept:
            content.append(f"{json.dumps(section, ensure_ascii=False)}:{{{','.join(kept)}}}")
    found = hashlib.sha1(f"{{{','.join(content)}}}".encode(), usedforsecurity=False).hexdigest()
    return claimed is not None and found == claimed


def _sections(text: str) -> dict[str, Sequence[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for section, key, value in _entries(text):
        found[section].append((key, value))
    return dict(found)


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    section = ""
    for line in text.split("\n"):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif line and section:
            key, equals, value = _split(line)
            if equals:
                yield section, key, value


def _split(line: str) -> tuple[str, str, str]:
    """Key and value of a line: names of files may hold `=`, and every value begins as JSON does."""
    places = [at for at, letter in enumerate(line) if letter == "=" and line[at + 1 : at + 2] in _JSON_BEGINS]
    for at in places:
        if len(places) == 1 or _is_json(line[at + 1 :]):
            return line[:at], "=", line[at + 1 :]
    return line, "", ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
