"""Files of a recovery: WAL that is only here, what is kept, what a data directory is good for."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.backup import number_of, segment_name
from wedsync.database import SEGMENT_BYTES
from wedsync.recovery.ground import was_promoted
from wedsync.recovery.kept import Kept, put_back
from wedsync.recovery.local_wal import LocalSegment, held_open, keep, local_segments
from wedsync.recovery.preflight import delta_ground, is_untouched


def write_segment(wal: Path, name: str, *, page_of: str | None = None) -> Path:
    """A segment whose first page says where it belongs."""
    wal.mkdir(parents=True, exist_ok=True)
    address = number_of(page_of or name) * SEGMENT_BYTES
    (wal / name).write_bytes(struct.pack("<HHIQ", 0xD110, 2, int(name[:8], 16), address) + bytes(8192))
    return wal / name


def test_segments_that_are_archived_recycled_or_empty_are_not_only_here(tmp_path: Path) -> None:
    wal = tmp_path / "pg_wal"
    own, archived = segment_name(1, 5), segment_name(1, 4)
    write_segment(wal, own)
    write_segment(wal, archived)
    write_segment(wal, segment_name(1, 6), page_of=segment_name(1, 2))  # renamed for later use
    (wal / segment_name(1, 7)).write_bytes(bytes(8192))
    (wal / segment_name(1, 8)).write_bytes(b"")
    (wal / "00000002.history").write_text("1\t0/5000000\tno recovery target specified\n")
    (wal / f"{segment_name(1, 9)}.partial").write_bytes(b"")
    found = local_segments(tmp_path, sheltered=tmp_path / "sheltered", postmaster=None, archived={archived})
    assert [segment.name for segment in found] == [own]


@given(st.binary(max_size=64), st.integers(1, 1 << 20))
def test_a_segment_is_known_by_its_first_page_alone(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, number: int
) -> None:
    directory = tmp_path_factory.mktemp("wal")
    (directory / "pg_wal").mkdir()
    name = segment_name(1, number)
    (directory / "pg_wal" / name).write_bytes(head)
    own = (
        len(head) >= 16
        and head[8:16] == struct.pack("<Q", number * SEGMENT_BYTES)
        and int.from_bytes(head[4:8], "little") <= 1
    )
    assert [s.name for s in local_segments(directory, sheltered=directory, postmaster=None, archived=())] == (
        [name] if own else []
    )


def test_a_deleted_segment_is_kept_with_all_that_is_written_to_its_end(tmp_path: Path) -> None:
    name = segment_name(1, 5)
    path = write_segment(tmp_path / "pg_wal", name)
    with path.open("r+b") as writer:
        path.unlink()
        segment = LocalSegment(name=name, source=Path(f"/proc/self/fd/{writer.fileno()}"))
        assert segment.is_deleted
        with held_open([segment], tmp_path / "kept"):
            assert (tmp_path / "kept" / name).exists()
            writer.seek(4096)
            writer.write(b"a commit")
            writer.flush()
            writer.close()
    assert b"a commit" in (tmp_path / "kept" / name).read_bytes()


def test_a_deleted_segment_that_went_with_its_server_is_looked_for_elsewhere(tmp_path: Path) -> None:
    gone = LocalSegment(name=segment_name(1, 5), source=Path("/proc/self/fd/1000000"))
    with held_open([gone], tmp_path / "kept") as complete:
        assert not complete


def test_of_two_segments_with_one_name_the_one_kept_last_counts(tmp_path: Path) -> None:
    kept = Kept(root=tmp_path / "kept")
    assert kept.segments() == []
    name = segment_name(1, 5)
    for recovery in ("20260101T000000_000", "20260102T000000_000"):
        segment = LocalSegment(name=name, source=write_segment(tmp_path / recovery, name))
        assert keep([segment], kept.of(recovery)) == [name]
    (found,) = kept.segments()
    assert found.source.parent.name == "20260102T000000_000"
    assert put_back(kept.segments(), tmp_path / "pgdata") if (tmp_path / "pgdata").mkdir() is None else False
    assert (tmp_path / "pgdata/pg_wal" / name).stat().st_mode & 0o777 == 0o600
    assert kept.tidy({"20260102T000000_000"}) == ["20260101T000000_000"]
    assert kept.recoveries() == ["20260102T000000_000"]


def test_forgetting_links_leaves_what_is_nowhere_else(tmp_path: Path) -> None:
    kept = Kept(root=tmp_path / "kept")
    pgdata = tmp_path / "pgdata"
    linked = LocalSegment(name=segment_name(1, 5), source=write_segment(pgdata / "pg_wal", segment_name(1, 5)))
    rescued = LocalSegment(name=segment_name(1, 6), source=write_segment(tmp_path, segment_name(1, 6)))
    keep([linked, rescued], kept.of("one"))
    kept.forget_links("one", pgdata)
    assert kept.segments_of("one") == [rescued.name]
    keep([linked], kept.of("two"))
    kept.forget_links("two", pgdata)
    assert kept.recoveries() == ["one"]


def test_pgbackrest_has_touched_nothing_while_pg_control_is_there(tmp_path: Path) -> None:
    assert not is_untouched(tmp_path)
    (tmp_path / "global").mkdir()
    (tmp_path / "global/pg_control").touch()
    assert is_untouched(tmp_path)
    (tmp_path / "backup.manifest").touch()
    assert not is_untouched(tmp_path)


def test_a_server_that_took_writes_has_removed_its_signal_file(tmp_path: Path) -> None:
    (tmp_path / "global").mkdir()
    assert not was_promoted(tmp_path)
    (tmp_path / "recovery.signal").touch()
    (tmp_path / "global/pg_control").touch()
    assert not was_promoted(tmp_path)
    (tmp_path / "recovery.signal").unlink()
    assert was_promoted(tmp_path)


def test_what_is_left_of_a_cluster_is_ground_for_a_delta_restore(tmp_path: Path) -> None:
    pgdata, aside = tmp_path / "pgdata", tmp_path / "kept/one"
    assert not delta_ground(pgdata, aside, version=15)
    pgdata.mkdir()
    assert not delta_ground(pgdata, aside, version=15)
    for name in ("base", "global"):
        (pgdata / name).mkdir()
    assert delta_ground(pgdata, aside, version=15)
    assert (pgdata / "PG_VERSION").read_text() == "15\n"


def test_what_is_no_cluster_is_moved_aside_and_not_removed(tmp_path: Path) -> None:
    pgdata, aside = tmp_path / "pgdata", tmp_path / "kept/one"
    for _ in range(2):
        pgdata.mkdir()
        (pgdata / "somebody's file").touch()
        assert not delta_ground(pgdata, aside, version=15)
    assert len(list(aside.glob("pgdata.remains.*/somebody's file"))) == 2
