"""WAL that is on this machine and in no archive yet: what a recovery must not lose.

It is in `pg_wal` of the data directory; and when that was deleted under a running server, the server still has
its open segments, which Linux shows below `/proc/<pid>/fd` until the process ends.
"""

import os
import re
import shutil
import struct
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from wedsync.backup import Commit, number_of, read_commits, timeline_of
from wedsync.cluster import Engine
from wedsync.database import SEGMENT_BYTES
from wedsync.process import run

_SEGMENT = re.compile(r"[0-9A-F]{24}")
_DUMP = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSegment:
    """A segment and where its bytes are now."""

    name: str
    source: Path


def local_segments(pgdata: Path, *, postmaster: int | None, archived: Collection[str]) -> list[LocalSegment]:
    """The segments with WAL of their own that are not in `archived`, in order.

    `postmaster` is the pid of a server that still runs, if there is one.
    """
    found: dict[str, Path] = {}
    if postmaster is not None:
        found |= dict(_deleted_but_open(pgdata, postmaster))
    directory = pgdata / "pg_wal"
    if directory.is_dir():
        found |= {path.name: path for path in directory.iterdir() if _SEGMENT.fullmatch(path.name)}
    return [
        LocalSegment(name=name, source=source)
        for name, source in sorted(found.items())
        if name not in archived and _holds_own_wal(name, source)
    ]


def keep(segments: Collection[LocalSegment], directory: Path) -> list[str]:
    """Put the segments aside in `directory`; gives their names.

    A file of a stopped server is linked, which costs neither time nor space; nobody writes to it again.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for segment in segments:
        kept = directory / segment.name
        kept.unlink(missing_ok=True)
        if segment.source.is_relative_to("/proc"):
            shutil.copyfile(segment.source, kept)
            continue
        try:
            os.link(segment.source, kept)
        except OSError:  # another file system
            shutil.copyfile(segment.source, kept)
    return [segment.name for segment in segments]


def put_back(directory: Path, pgdata: Path) -> int:
    """Copy kept segments into a restored data directory; how many. Recovery asks the archive first."""
    wal = pgdata / "pg_wal"
    wal.mkdir(exist_ok=True, mode=0o700)
    names = sorted(path.name for path in directory.iterdir() if _SEGMENT.fullmatch(path.name))
    for name in names:
        shutil.copyfile(directory / name, wal / name)
        (wal / name).chmod(0o600)
    return len(names)


async def commits_in(engine: Engine, name: str, source: Path) -> list[Commit]:
    """The commits in one segment file, in WAL order; what follows the end of the WAL in it is left out."""
    with tempfile.TemporaryDirectory(prefix="wedsync-wal-") as scratch:
        (Path(scratch) / name).symlink_to(source)
        finished = await run(
            [engine.program("pg_waldump"), "--rmgr=Transaction", "--path", scratch, name],
            deadline=_DUMP,
            env=engine.environment | {"TZ": "UTC"},
        )
    return read_commits(finished.stdout.splitlines())


def _deleted_but_open(pgdata: Path, postmaster: int) -> Iterator[tuple[str, Path]]:
    """Segments that were deleted while this server or one of its backends had them open."""
    prefix = str(pgdata / "pg_wal") + "/"
    for pid in [postmaster, *_children(postmaster)]:
        try:
            handles = list(Path(f"/proc/{pid}/fd").iterdir())
        except OSError:
            continue
        for handle in handles:
            try:
                path = os.readlink(handle)  # noqa: PTH115 - Path would take the word "(deleted)" for a name
            except OSError:
                continue
            name = path.removeprefix(prefix).removesuffix(" (deleted)")
            if path.startswith(prefix) and path.endswith(" (deleted)") and _SEGMENT.fullmatch(name):
                yield name, handle


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _holds_own_wal(name: str, source: Path) -> bool:
    """Whether the file begins with a page of this very segment (a recycled one still has its old pages)."""
    try:
        with source.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    if len(head) < 16:
        return False
    _, _, _, address = struct.unpack("<HHIQ", head)  # XLogPageHeaderData: magic, info, timeline, address
    return address == number_of(name) * SEGMENT_BYTES and timeline_of(name) > 0
