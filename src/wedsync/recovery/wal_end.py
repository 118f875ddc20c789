"""Where the WAL ends that a recovery replays to its end: found out before, so that PostgreSQL can be told.

Told to replay all there is, PostgreSQL takes a broken record for the end of the WAL, and takes writes there. Told
where the last record is, it refuses to.
"""

import re
import struct
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from wedsync.backup import number_at, number_of, read_commits, timeline_of
from wedsync.cluster import Engine
from wedsync.database import SEGMENT_BYTES, Lsn
from wedsync.errors import RecoveryFailed
from wedsync.process import run

_DUMP = timedelta(minutes=5)
_RECORD = re.compile(r"len \(rec/tot\):\s*\d+/\s*(?P<size>\d+),.*? lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+), ")
_PAGE_BYTES = 8192
_HEADER_BYTES = 24
_FIRST_PAGE = struct.Struct("<HHIQI")
"""XLogPageHeaderData: magic, flags, timeline, address, how much is left of a record that began before."""
_CONTINUES = 0x0001

Fetch = Callable[[str, Path], Awaitable[None]]
"""Puts a segment into a directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalEnd:
    """The last record of the WAL."""

    lsn: Lsn
    """Where it begins."""
    size_bytes: int
    last_commit_at: datetime | None
    """The newest commit in the last segments, that record included; `None`: they have none."""

    def reaches_into(self, segment: str) -> bool:
        """Whether a part of the record lies in the segment (pages between have headers, too)."""
        boundary = number_of(segment) * SEGMENT_BYTES
        pages = boundary // _PAGE_BYTES - self.lsn.position // _PAGE_BYTES
        return self.lsn.position + self.size_bytes + max(pages - 1, 0) * _HEADER_BYTES > boundary


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was noted of the WAL while it was written: a commit (of the heartbeat), and where the WAL was then."""

    at: datetime
    lsn: Lsn


async def find_wal_end(names: Sequence[str], *, fetch: Fetch, engine: Engine, scratch_below: Path) -> WalEnd:
    """The last record in the segments `names`, which follow one another without a hole.

    Raises `RecoveryFailed` where the records end in one segment though the next one goes on.
    """
    last = names[-1]
    own = [name for name in names if timeline_of(name) == timeline_of(last)]
    with tempfile.TemporaryDirectory(prefix="wal-end-", dir=scratch_below) as place:
        directory = Path(place)
        for index in range(len(own) - 1, -1, -1):
            await fetch(own[index], directory)
            if own[index] == last and len(own) > 1:
                continue  # a record that begins in the segment before may be the last one
            found = await _last_record(engine, directory, own[index], last)
            if found is None:
                continue
            if not found.reaches_into(last) and not _is_torn((directory / last).read_bytes()):
                raise damaged_end(last, f"the records end behind {found.lsn}, and the segment goes on")
            return found
    raise damaged_end(last, "there is no record in it, nor in what was written before it")


def require_known(end: WalEnd, last: str, *, beat: Known | None, behind: Iterable[Lsn]) -> None:
    """Raise `RecoveryFailed` if what is known to have been written is missing though its segment is there.

    `last` is the last segment that there is; `behind` are places at which a record is known to begin.
    """
    if beat is not None and beat.lsn > end.lsn and (end.last_commit_at is None or end.last_commit_at < beat.at):
        raise damaged_end(last, f"a commit of {beat.at.isoformat()} was written before {beat.lsn}")
    for lsn in behind:
        if number_at(lsn) <= number_of(last) and end.lsn < lsn:
            raise damaged_end(last, f"a record was written at {lsn}, the last that can be read is at {end.lsn}")


def damaged_end(segment: str, seen: str) -> RecoveryFailed:
    """The WAL does not go as far as it did."""
    return RecoveryFailed(
        f"WAL segment {segment} is damaged: the newest commits cannot be read",
        detail=seen,
        hint="nothing was replaced. Find a whole copy of it (wedsync backup verify --repair), or give up what is"
        " behind: wedsync recover run --to MOMENT",
    )


async def _last_record(engine: Engine, directory: Path, first: str, last: str) -> WalEnd | None:
    dump = await run(
        [engine.program("pg_waldump"), f"--path={directory}", first, last],
        deadline=_DUMP,
        env=engine.environment | {"TZ": "UTC", "LC_ALL": "C"},
    )
    lines = dump.stdout.splitlines()
    record = next((match for line in reversed(lines) if (match := _RECORD.search(line))), None)
    if record is None:
        return None
    times = [commit.at for commit in read_commits(lines)]
    return WalEnd(
        lsn=Lsn.parse(record["lsn"]), size_bytes=int(record["size"]), last_commit_at=max(times, default=None)
    )


def _is_torn(content: bytes) -> bool:
    """Whether a segment begins with the rest of a record that was never written to its end: the server crashed."""
    magic, flags, _, address, rest = _FIRST_PAGE.unpack_from(content)
    if not flags & _CONTINUES:
        return False
    pages = 0
    for offset in range(0, len(content), _PAGE_BYTES):
        own_magic, _, _, own_address, _ = _FIRST_PAGE.unpack_from(content, offset)
        if (own_magic, own_address) != (magic, address + offset):
            break
        pages += 1
    return rest > (pages - 1) * _PAGE_BYTES
