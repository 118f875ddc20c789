"""Commits, as pg_waldump prints them."""

import struct
from datetime import UTC, datetime

import pytest

from support.backup_values import archive, timeline
from wedsync.backup import segment_name
from wedsync.backup.commits import Commit, ends_early, reaches_into, read_commits
from wedsync.backup.identity import crc32c, with_system_id
from wedsync.backup.timelines import goes_on_behind, live_at, read_history
from wedsync.database import SEGMENT_BYTES, Lsn
from wedsync.process import Finished

PRINTED = """first record is after 0/2000000, at 0/2000150, skipping over 336 bytes
rmgr: Transaction len (rec/tot):   1093/  1093, tx:        724, lsn: 0/02950BF0, prev 0/02950B90, desc: \
COMMIT 2026-11-21 06:40:22.018086 UTC; inval msgs: catcache 80 relcache 16384
rmgr: Transaction len (rec/tot):     34/    34, tx:        725, lsn: 0/02951000, prev 0/02950B90, desc: \
ABORT 2026-11-21 06:40:23.018086 UTC
rmgr: Transaction len (rec/tot):     46/    46, tx:          0, lsn: 0/02951040, prev 0/02951000, desc: \
COMMIT_PREPARED 726: 2026-11-21 06:40:24.500000 UTC
"""


def test_commits_are_read_and_aborts_are_not() -> None:
    first, second = read_commits(PRINTED.splitlines())
    assert first == Commit(
        at=datetime(2026, 11, 21, 6, 40, 22, 18086, tzinfo=UTC), lsn=Lsn.parse("0/2950BF0"), size_bytes=1093
    )
    assert second.at == datetime(2026, 11, 21, 6, 40, 24, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before_boundary", "size", "crosses"),
    [(100, 100, False), (100, 101, True), (100, 34, False), (9000, 9000 - 24, False), (9000, 9001, True)],
)
def test_a_record_that_ends_behind_the_boundary_is_found(before_boundary: int, size: int, crosses: bool) -> None:
    boundary = Lsn(3 * SEGMENT_BYTES)
    commit = Commit(
        at=datetime(2026, 1, 1, tzinfo=UTC), lsn=Lsn(boundary.position - before_boundary), size_bytes=size
    )
    assert reaches_into(commit, boundary) is crosses


def test_the_last_line_of_a_history_names_the_parent() -> None:
    text = "1\t0/5000158\tbefore 2026-01-01\n\n2\t0/7000098\tno recovery target specified\n"
    assert read_history(text) == (2, Lsn.parse("0/7000098"))
    assert read_history("") is None


def test_before_any_timeline_none_was_live() -> None:
    assert live_at(datetime(2026, 1, 1, tzinfo=UTC), {}) is None


def test_the_checksum_is_the_one_of_the_rfc() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_another_identity_gets_a_right_checksum() -> None:
    body = struct.pack("<Q", 1) + bytes(range(200)) + bytes(80)
    control = body + struct.pack("<I", crc32c(body)) + bytes(100)
    changed = with_system_id(control, 42)
    assert len(changed) == len(control)
    assert struct.unpack_from("<Q", changed)[0] == 42
    assert struct.unpack_from("<I", changed, len(body))[0] == crc32c(changed[: len(body)])


@pytest.mark.parametrize(
    ("exit_status", "said", "early"),
    [
        (0, "", False),
        (1, "error in WAL record at 0/5000110: invalid record length at 0/5000148: wanted 24, got 0", True),
        (1, "error in WAL record at 0/5000110: unexpected pageaddr 0/2002000 in log segment …", True),
        (1, "could not find a valid record after 0/5000000", False),
        (1, 'could not open file "000000010000000000000005": No such file or directory', False),
    ],
)
def test_wal_that_stops_is_told_from_wal_that_cannot_be_read(exit_status: int, said: str, early: bool) -> None:
    dump = Finished(
        program="pg_waldump", exit_status=exit_status, stdout="", stderr=f"pg_waldump: error: {said}\n", took_s=0.1
    )
    assert ends_early(dump) is early


def test_wal_goes_on_in_the_next_segment_or_on_a_child_timeline() -> None:
    here = archive((1, 1, 5), (2, 7, 9))
    known = {1: timeline(1), 2: timeline(2, parent=1, fork=7)}
    assert goes_on_behind(segment_name(1, 4), here, {})
    assert not goes_on_behind(segment_name(1, 5), here, {})
    assert goes_on_behind(segment_name(1, 5), here, known)
    assert not goes_on_behind(segment_name(1, 7), here, known)
    assert not goes_on_behind(segment_name(2, 9), here, known)
