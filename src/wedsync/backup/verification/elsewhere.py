"""Copies of WAL segments on this machine: what a repository has lost is perhaps still here."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from wedsync.backup.wal import is_segment_name


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCopy:
    """A file that may hold a segment whole; whoever takes it compares it."""

    name: str
    path: Path
    place: str
    """Where it is, in words."""
    is_finished: bool = True
    """Whether nobody writes to it any more. Another is taken only if its checksum is known and right."""


FindCopies = Callable[[str], Iterable[LocalCopy]]
"""The copies that this machine has of the WAL of a cluster, by its system identifier."""


def finished_in(pgdata: Path) -> list[LocalCopy]:
    """The segments in `pg_wal` that PostgreSQL has finished and archived."""
    wal = pgdata / "pg_wal"
    names = sorted(mark.stem for mark in (wal / "archive_status").glob("*.done"))
    return [
        LocalCopy(name=name, path=wal / name, place="pg_wal")
        for name in names
        if is_segment_name(name) and (wal / name).is_file()
    ]
