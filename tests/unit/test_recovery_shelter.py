"""Second names of WAL: for what is not archived, until PostgreSQL is done with it, or for good."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from unit.test_recovery_files import write_segment
from wedsync.backup import segment_name
from wedsync.config import Home
from wedsync.recovery import Shelter
from wedsync.recovery.local_wal import local_segments


class _Place:
    """A data directory, its shelter, and a clock that can be put forward; the server's processes are ours."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.wal = self.home.pgdata / "pg_wal"
        (self.wal / "archive_status").mkdir(parents=True)
        self.later = timedelta()
        self.shelter = Shelter(
            server=cast("Any", SimpleNamespace(home=self.home, postmaster_pid=os.getpid)),
            clock=cast("Any", SimpleNamespace(now=lambda: datetime.now(UTC) + self.later)),
        )

    def write(self, number: int, *, page_of: int | None = None) -> Path:
        """A segment in `pg_wal`."""
        name = segment_name(1, number)
        return write_segment(self.wal, name, page_of=segment_name(1, page_of or number))

    def step(self) -> list[int]:
        """Let the shelter look once; the numbers of the segments in it."""
        self.shelter.step()
        return sorted(int(path.name[8:], 16) for path in self.home.sheltered.iterdir())

    def rescued(self) -> list[str]:
        """Names of the segments that a recovery would find."""
        found = local_segments(self.home.pgdata, sheltered=self.home.sheltered, postmaster=None, archived=())
        return [segment.name for segment in found]


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    return _Place(tmp_path)


def test_what_is_not_archived_is_linked_until_it_is(place: _Place) -> None:
    first = place.write(4)
    place.write(5)
    place.write(6, page_of=2)  # recycled, to be written next
    assert place.step() == [4, 5, 6]
    assert first.samefile(place.home.sheltered / first.name)
    (place.wal / f"archive_status/{first.name}.done").touch()
    assert place.step() == [5, 6]
    assert place.step() == [5, 6]


def test_a_link_to_a_recycled_file_goes(place: _Place) -> None:
    old = place.write(4)
    place.write(5)
    assert place.step() == [4, 5]
    old.rename(place.wal / segment_name(1, 7))  # archived and recycled between two looks,
    place.write(7)  # and written to
    assert place.step() == [5, 7]


def test_a_segment_that_the_server_removed_goes_after_a_minute(place: _Place) -> None:
    place.write(4)
    place.write(5)
    place.step()
    (place.wal / segment_name(1, 4)).unlink()
    assert place.step() == [4, 5]
    place.later = timedelta(minutes=2)
    assert place.step() == [5]


@pytest.mark.parametrize("left", ["nothing", "pg_wal", "a file made anew"])
def test_a_deleted_directory_leaves_the_links_for_good(place: _Place, left: str) -> None:
    place.write(4)
    newest = place.write(5)
    place.step()
    shutil.rmtree(place.home.pgdata)
    if left != "nothing":
        place.wal.mkdir(parents=True)
    if left == "a file made anew":
        newest.write_bytes(bytes(8192))
    place.later = timedelta(days=1)
    assert place.step() == [4, 5]
    assert place.rescued() == [segment_name(1, 4), segment_name(1, 5)]


def test_a_segment_that_had_no_link_yet_is_copied_to_its_last_byte(place: _Place) -> None:
    path = place.write(5)
    with path.open("r+b") as writer:
        shutil.rmtree(place.home.pgdata)
        assert place.step() == [5]
        writer.seek(4096)
        writer.write(b"a commit")
    assert place.step() == [5]
    assert b"a commit" in (place.home.sheltered / path.name).read_bytes()
    assert place.rescued() == [path.name]


def test_a_link_that_holds_another_timelines_wal_counts_for_nothing(place: _Place) -> None:
    path = place.write(5)
    place.step()
    path.rename(place.wal / segment_name(2, 5))
    write_segment(place.wal, segment_name(2, 5))
    shutil.rmtree(place.home.pgdata)
    assert place.rescued() == []
