"""How much of the machine a copy may take."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from wedsync.database import SEGMENT_BYTES
from wedsync.errors import CopyRefused, DiskFull, RepositoryFull
from wedsync.process import Priority

_MB = 1024 * 1024
_WAL_AT_ONCE_BYTES = 8192 * _MB
"""Replayed WAL goes with the next restartpoint: more than this is never there together."""
_LOOK_S = 0.5
_FULL = (28, 122)  # ENOSPC, EDQUOT
_SPOOL_BYTES = 128 * _MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """The bounds of one copy, for its restore and for its server alike."""

    nice: int = 10
    """0 to 19: the more, the less of the processor it gets beside others."""
    idle_disk: bool = True
    """Whether it waits for the disk whenever somebody else wants it."""
    processes: int = 1
    """Parallel processes of pgBackRest at the most."""
    memory_bytes: int = 64 * _MB
    """Shared buffers of the copy's server."""
    least_free_bytes: int = 512 * _MB
    """What must be left free on the disk when the copy is there."""

    @property
    def pace(self) -> str:
        """What makes it quick or slow, in a word: copies of the same are compared with one another."""
        return f"{self.processes}x nice {self.nice}{' idle disk' if self.idle_disk else ''}"

    @property
    def priority(self) -> Priority:
        """The priority of all the copy's processes."""
        return Priority(nice=self.nice, idle_disk=self.idle_disk)


def bytes_needed(*, database_bytes: int = 0, wal_segments: int) -> int:
    """Disk that a copy takes at the most while it is made and moved: files, WAL, and WAL fetched ahead."""
    wal_bytes = wal_segments * SEGMENT_BYTES
    return database_bytes + min(wal_bytes, _WAL_AT_ONCE_BYTES) + min(wal_bytes, _SPOOL_BYTES)


def require_room(place: Path, *, needed_bytes: int, effort: Effort) -> None:
    """Raise `CopyRefused` if the copy would leave less of the disk free than it must."""
    free_bytes = shutil.disk_usage(place).free
    if free_bytes - needed_bytes >= effort.least_free_bytes:
        return
    raise CopyRefused(
        "there is no room for a copy of the database",
        detail=f"{free_bytes / 1e6:.0f} MB are free in {place}; the copy takes up to {needed_bytes / 1e6:.0f} MB,"
        f" and {effort.least_free_bytes / 1e6:.0f} MB must stay free",
        hint="remove a preview (wedsync recover preview --list), or free space",
    )


@asynccontextmanager
async def guarded(place: Path, effort: Effort) -> AsyncGenerator[None]:
    """Break the work inside off when the disk runs short while it is under way: the cluster comes first.

    Raises `DiskFull` then, long before PostgreSQL itself would meet a full disk.
    """
    short = effort.least_free_bytes // 2
    worker = asyncio.current_task()
    assert worker is not None  # noqa: S101 - a coroutine runs in a task
    ran_short: list[int] = []

    async def watch() -> None:
        while (free := shutil.disk_usage(place).free) >= short:  # noqa: ASYNC110 - nobody tells of a disk
            await asyncio.sleep(_LOOK_S)
        ran_short.append(free)
        worker.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not ran_short or worker.uncancel():
            raise
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _full(place, shutil.disk_usage(place).free) from error
    except RepositoryFull as error:  # pgBackRest's words do not say which disk
        raise _full(place, shutil.disk_usage(place).free) from error
    finally:
        watcher.cancel()
    if ran_short:
        raise _full(place, ran_short[0])


def _full(place: Path, free_bytes: int) -> DiskFull:
    return DiskFull(
        "the disk runs full: the copy was given up",
        detail=f"{free_bytes / 1e6:.0f} MB are free in {place}",
        hint="the cluster itself is untouched; free space, then try again",
    )
