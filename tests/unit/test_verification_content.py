"""What a file of a repository is, and whether its content is what was written."""

import hashlib
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.backup.verification.files import FileKind, read_files
from wedsync.backup.verification.manifest import Part, is_intact, read_manifest
from wedsync.backup.verification.reading import PartChecker
from wedsync.backup.verification.segments import judge_segment
from wedsync.database import SEGMENT_BYTES

SEGMENT = "000000010000000000000005"
SYSTEM = "7710655425420964992"
SHA1 = "f2c9fdb59ea8f1d9e03a7b86f66927cef2f964c0"
ARCHIVE_INFO = """[backrest]
backrest-format=5
backrest-version="2.45"

[db]
db-id=1
db-system-id=7710655425420964992
db-version="15"

[db:history]
1={"db-id":7710655425420964992,"db-version":"15"}

[backrest]
backrest-checksum="0d3023793ae33018a88000e7a5f1708bb9e0aa5f"
"""
"""As pgBackRest 2.45 wrote it."""
MANIFEST = """[backup]
backup-bundle=true
backup-label="20261121-160121F_20261121-170000I"

[backup:option]
option-compress-type="zst"

[cipher]
cipher-pass="a=b=="

[target:file]
pg_data/PG_VERSION={"bni":1,"bno":160,"checksum":"58","rck":"7a","repo-size":32,"size":3,"timestamp":1}
pg_data/base/1/112={"bni":1,"checksum":"98","rck":"f7","repo-size":80,"size":8192,"timestamp":1}
pg_data/base/1/big={"checksum":"60","rck":"5f","repo-size":208,"size":257,"timestamp":1}
pg_data/base/1/empty={"size":0,"timestamp":1}
pg_data/base/1/old={"bni":4,"checksum":"11","reference":"20261121-160121F","repo-size":9,"size":1,"timestamp":1}
pg_data/odd=name={"checksum":"22","repo-size":5,"size":4,"timestamp":1}
"""


def test_each_file_is_known_by_its_name() -> None:
    wanted = {
        f"archive/wedsync/15-1/0000000100000000/{SEGMENT}-{SHA1}.zst": FileKind.WAL,
        f"archive/wedsync/15-1/0000000100000000/{SEGMENT}.00000028.backup": FileKind.WAL_NOTE,
        "archive/wedsync/15-1/00000002.history": FileKind.WAL_NOTE,
        "archive/wedsync/archive.info": FileKind.INFO,
        "archive/wedsync/archive.info.copy": FileKind.INFO,
        "archive/wedsync/backup.info": FileKind.STRAY,
        "archive/wedsync/15-1/0000000100000000/notes.txt": FileKind.STRAY,
        "backup/wedsync/backup.info": FileKind.INFO,
        "backup/wedsync/20261121-160121F/backup.manifest.copy": FileKind.MANIFEST,
        "backup/wedsync/20261121-160121F/bundle/1": FileKind.BACKUP,
        "backup/wedsync/20261121-160121F_20261121-170000I/pg_data/base/1/2.zst": FileKind.BACKUP,
        "backup/wedsync/backup.history/2026/20261121-160121F.manifest.gz": FileKind.KEPT_MANIFEST,
        "backup/wedsync/something/else": FileKind.STRAY,
    }
    others = ["archive/other/15-1/x", "backup", "top"]
    listing = {path: {"type": "file", "size": 7, "time": 1795276885} for path in (*wanted, *others)}
    listing["backup/wedsync/latest"] = {"type": "link", "destination": "20261121-160121F"}
    found = read_files(json.dumps(listing), repo=2, stanza="wedsync")
    assert {file.path: file.kind for file in found} == wanted
    segment = next(file for file in found if file.kind is FileKind.WAL)
    assert (segment.segment, segment.sha1, segment.archive_id, segment.repo) == (SEGMENT, SHA1, "15-1", 2)
    file = next(file for file in found if file.path.endswith("2.zst"))
    assert (file.label, file.name) == ("20261121-160121F_20261121-170000I", "pg_data/base/1/2.zst")
    twins = {file.path: file.twin for file in found if file.twin}
    assert twins["archive/wedsync/archive.info.copy"] == "archive/wedsync/archive.info"
    assert twins["archive/wedsync/archive.info"] == "archive/wedsync/archive.info.copy"


def test_pgbackrests_own_checksum_is_understood_and_every_changed_letter_shows() -> None:
    assert is_intact(ARCHIVE_INFO)
    for at in (30, 60, ARCHIVE_INFO.index("0d30")):
        letter = "7" if ARCHIVE_INFO[at] != "7" else "8"
        assert not is_intact(ARCHIVE_INFO[:at] + letter + ARCHIVE_INFO[at + 1 :])
    assert not is_intact("")
    assert not is_intact(ARCHIVE_INFO.partition("\n[backrest]\nbackrest-checksum")[0])


def test_a_manifest_says_where_each_file_lies() -> None:
    manifest = read_manifest(MANIFEST)
    assert set(manifest.files) == {"bundle/1", "pg_data/base/1/big.zst", "pg_data/odd=name.zst"}
    assert [(part.name, part.offset, part.length, part.sha1) for part in manifest.files["bundle/1"]] == [
        ("pg_data/base/1/112", 0, 80, "f7"),
        ("pg_data/PG_VERSION", 160, 32, "7a"),
    ]
    assert manifest.files["pg_data/odd=name.zst"][0].sha1 is None, "encrypted, and no checksum of the stored bytes"
    assert manifest.borrowed == {"20261121-160121F": frozenset({"pg_data/base/1/old"})}
    with pytest.raises(ValueError, match="no manifest"):
        read_manifest(ARCHIVE_INFO)


def parts_of(*contents: bytes, gap: int = 0) -> tuple[bytes, list[Part]]:
    stored, parts = b"", []
    for number, content in enumerate(contents):
        sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        parts.append(Part(name=f"f{number}", offset=len(stored), length=len(content), sha1=sha1))
        stored += content + b"?" * gap
    return stored, parts


def broken(stored: bytes, parts: list[Part], step: int) -> list[str]:
    checker = PartChecker(parts)
    for at in range(0, len(stored), step):
        checker.update(stored[at : at + step])
    return [part.name for part in checker.broken()]


@given(
    st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8),
    st.integers(1, 50),
    st.integers(0, 3),
    st.data(),
)
def test_exactly_the_part_with_the_changed_byte_is_broken(
    contents: list[bytes], step: int, gap: int, data: st.DataObject
) -> None:
    stored, parts = parts_of(*contents, gap=gap)
    assert broken(stored, parts, step) == []
    victim = data.draw(st.sampled_from(parts))
    at = victim.offset + data.draw(st.integers(0, victim.length - 1))
    changed = stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
    assert broken(changed, parts, step) == [victim.name]
    assert broken(stored[:at], parts, step) == [part.name for part in parts if part.offset >= victim.offset]


def test_a_part_without_a_checksum_must_be_there_in_its_whole_length() -> None:
    part = Part(name="f", offset=2, length=4, sha1=None)
    assert broken(b"012345", [part], 3) == []
    assert broken(b"01234", [part], 3) == ["f"]


def segment(
    number: int = 5, *, timeline: int = 1, pages: int = SEGMENT_BYTES // 8192, system: str = SYSTEM
) -> bytearray:
    content = bytearray(SEGMENT_BYTES)
    for page in range(pages):
        struct.pack_into("<HHIQ", content, page * 8192, 0xD110, 0, timeline, number * SEGMENT_BYTES + page * 8192)
    struct.pack_into("<HHIQ", content, 0, 0xD110, 2, timeline, number * SEGMENT_BYTES)
    struct.pack_into("<QII", content, 24, int(system), SEGMENT_BYTES, 8192)
    return content


def judged(content: bytes, name: str = SEGMENT) -> str:
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return judge_segment(name, bytes(content), system_id=SYSTEM, sha1=sha1) or "whole"


def test_a_segment_is_what_its_name_says() -> None:
    stale = segment(pages=40)
    struct.pack_into("<HHIQ", stale, 40 * 8192, 0xD110, 0, 1, 2 * SEGMENT_BYTES + 40 * 8192)  # recycled
    hole = segment()
    hole[8192 * 9 : 8192 * 10] = bytes(8192)
    cases = {
        "whole": segment(),
        "it holds the WAL of another place (0/6000000)": segment(6),
        "it is of another cluster (system identifier 42)": segment(system="42"),
        "it holds WAL of timeline 2": segment(timeline=2),
        "it does not begin as a WAL segment does": bytes(SEGMENT_BYTES),
        "it has 8192 bytes, a segment has 16777216": segment()[:8192],
        "its pages are not in order: one is missing at byte 73728": hole,
    }
    for words, content in cases.items():
        assert judged(content) == words
    assert judged(stale) == "whole", "behind the end of the WAL is what the recycled file held"
    assert judged(segment(), "000000030000000000000005") == "whole", (
        "it begins with pages of the parent's timeline"
    )
    wrong = judge_segment(SEGMENT, bytes(segment()), system_id=SYSTEM, sha1="0" * 40)
    assert wrong == "its content is not what was archived"
