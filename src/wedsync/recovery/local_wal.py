"""WAL that is on this machine and in no archive yet: what a recovery must not lose.

It is in `pg_wal` of the data directory, and the keeper gives each segment a second name in `sheltered/`. When the
directory was deleted under a running server, the server still has its open segments, which Linux shows below
`/proc/<pid>/fd` until the process ends.
"""

import os
import shutil
import struct
import tempfile
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wedsync.backup import (
    Commit,
    contiguous_spans,
    dump_commits,
    is_segment_name,
    number_of,
    read_commits,
    timeline_of,
)
from wedsync.cluster import Engine
from wedsync.database import SEGMENT_BYTES
from wedsync.zero_loss import received_segments


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSegment:
    """A segment and where its bytes are now."""

    name: str
    source: Path
    is_received: bool = False
    """Whether it is what a receiver wrote down (`wedsync.zero_loss`), and may go on writing to."""

    @property
    def is_deleted(self) -> bool:
        """Whether only a process that has it open still keeps it from vanishing."""
        return self.source.is_relative_to("/proc")


def local_segments(
    pgdata: Path, *, sheltered: Path, postmaster: int | None, archived: Collection[str]
) -> list[LocalSegment]:
    """The segments with WAL of their own that are not in `archived`, in order.

    `postmaster` is the pid of a server that still runs, if there is one.
    """
    candidates = _named(sheltered)  # first: the others are at least as new
    if postmaster is not None:
        candidates += deleted_but_open(pgdata, postmaster)
    candidates += _named(pgdata / "pg_wal")
    # A file made anew where one was deleted under the server has none of the WAL that the deleted one has.
    found = {name: source for name, source in candidates if holds_own_wal(name, source)}
    return [
        LocalSegment(name=name, source=source) for name, source in sorted(found.items()) if name not in archived
    ]


def keep(segments: Collection[LocalSegment], directory: Path) -> list[str]:
    """Put the segments aside in `directory`; gives their names.

    A file of a stopped server is linked, which costs neither time nor space; nobody writes to it again.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for segment in segments:
        kept = directory / segment.name
        if segment.is_deleted or segment.is_received:
            shutil.copyfile(segment.source, kept)
            continue
        kept.unlink(missing_ok=True)
        try:
            os.link(segment.source, kept)
        except OSError:  # another file system
            shutil.copyfile(segment.source, kept)
    return [segment.name for segment in segments]


def received(directory: Path, *, system_id: str, archived: Collection[str]) -> list[LocalSegment]:
    """The segments of this cluster that a receiver has and no repository, in order."""
    return [
        LocalSegment(name=segment.name, source=segment.source, is_received=True)
        for segment in received_segments(directory, system_id=system_id)
        if segment.name not in archived
    ]


@contextmanager
def held_open(segments: Collection[LocalSegment], directory: Path) -> Generator[Collection[str]]:
    """Keep deleted segments for as long as the context lasts; at its end they are in `directory`, complete.

    Gives the names of those that are still to be had.

    The server that has them open is ended inside: what it commits until its very end is in them. They are
    copied before as well, so that a full disk is met while nothing has been stopped.
    """
    deleted = [segment for segment in segments if segment.is_deleted]
    with ExitStack() as stack:
        handles: dict[str, BinaryIO] = {}
        for segment in deleted:
            with suppress(FileNotFoundError):  # the server ended just now
                handles[segment.name] = stack.enter_context(segment.source.open("rb"))
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, handle in handles.items():
            with (directory / name).open("wb") as copy:
                shutil.copyfileobj(handle, copy)
            handle.seek(0)
        try:
            yield frozenset(handles)
        finally:  # also when the wait for the server's end was interrupted: it was told to end already
            for name, handle in handles.items():
                with (directory / name).open("r+b") as copy:  # over the first copy: needs no new space
                    shutil.copyfileobj(handle, copy)
                    os.fsync(copy.fileno())


async def commits_in(engine: Engine, segments: Sequence[LocalSegment]) -> list[Commit]:
    """The commits in segment files, in WAL order; what follows the end of the WAL in them is left out."""
    places = {segment.name: segment.source for segment in segments}
    commits: list[Commit] = []
    for span in contiguous_spans(places):
        with tempfile.TemporaryDirectory(prefix="wedsync-wal-") as scratch:
            for name in span.names():
                (Path(scratch) / name).symlink_to(places[name])
            dump = await dump_commits(engine, ["--path", scratch, span.first, span.last])
        commits += read_commits(dump.stdout.splitlines())
    return commits


def deleted_but_open(pgdata: Path, postmaster: int) -> Iterator[tuple[str, Path]]:
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
            if path.startswith(prefix) and path.endswith(" (deleted)") and is_segment_name(name):
                yield name, handle


def _named(directory: Path) -> list[tuple[str, Path]]:
    try:
        return [(path.name, path) for path in directory.iterdir() if is_segment_name(path.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def holds_own_wal(name: str, source: Path) -> bool:
    """Whether the file begins with a page of this very segment (a recycled one still has its old pages)."""
    try:
        with source.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    if len(head) < 16:
        return False
    _, _, timeline, address = struct.unpack("<HHIQ", head)  # XLogPageHeaderData: magic, info, timeline, address
    # A segment in which a timeline begins starts with pages of its parent.
    return address == number_of(name) * SEGMENT_BYTES and timeline <= timeline_of(name)
