"""WAL that outlives its data directory: a second name, beside it, for each segment that is in no archive.

A server whose data directory was deleted does not live long: the first of its processes that has to open the
current segment anew panics (often the WAL writer, within 15 s), and once a minute it looks for its pid file. With
the last process that has a segment open the segment is gone as well, unless it has another name. A link costs
neither time nor space; PostgreSQL knows nothing of it.
"""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, ClassVar

from wedsync.backup import is_segment_name
from wedsync.clock import Clock
from wedsync.cluster import Server
from wedsync.events import Event, observe
from wedsync.recovery.local_wal import deleted_but_open, holds_own_wal

_EVERY = timedelta(milliseconds=500)
_SETTLED_S = 1.0
"""A copy begun so long after the last write has it, however coarse the file system's clock."""
_REMOVED_BY_SERVER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WalNotSheltered(Event):
    """New WAL got no second name: a data directory that is deleted now takes it along."""

    level: ClassVar[str] = "warning"
    message: str


class Shelter:
    """Keeps `sheltered/` of a home like `pg_wal`, less what is archived."""

    def __init__(self, *, server: Server, clock: Clock) -> None:
        self._server = server
        self._wal = server.home.pgdata / "pg_wal"
        self._directory = server.home.sheltered
        self._clock = clock
        self._open: dict[str, BinaryIO] = {}
        self._copied_at: dict[str, float] = {}

    async def run(self) -> None:
        """Look twice a second, until cancelled."""
        told = False
        while True:
            try:
                self.step()
                told = False
            except OSError as error:
                if not told:
                    observe(WalNotSheltered(message=str(error)))
                told = True
            await self._clock.sleep(_EVERY)

    def step(self) -> None:
        """Link what is new, drop what is archived or recycled; rescue what had no link when its name went.

        A name that is missing in `pg_wal` proves nothing: somebody may be deleting the directory right now. Its
        link stays for a minute, and then until there is later WAL.
        """
        present = {path.name: path for path in self._segments(self._wal)}
        if not present:
            self._rescue()
            return
        self._forget_open()
        self._directory.mkdir(exist_ok=True, mode=0o700)
        latest = max((name for name, path in present.items() if holds_own_wal(name, path)), default="")
        archived = {name for name in present if (self._wal / f"archive_status/{name}.done").exists()}
        for link in self._segments(self._directory):
            if link.name in archived or not (
                _are_one(link, present.get(link.name)) or self._is_needed(link, latest)
            ):
                link.unlink(missing_ok=True)
        for (
            name,
            path,
        ) in present.items():  # also those that are to be written next: their turn may come in no time
            if name not in archived:
                with suppress(FileExistsError, FileNotFoundError):
                    (self._directory / name).hardlink_to(path)

    def _is_needed(self, link: Path, latest: str) -> bool:
        """Whether a segment that `pg_wal` does not have still may be wanted; recycled ones hold other WAL."""
        try:
            age_s = (
                self._clock.now().timestamp() - link.stat().st_ctime
            )  # its last name went then, at the earliest
        except FileNotFoundError:
            return False
        return holds_own_wal(link.name, link) and (
            link.name >= latest or age_s < _REMOVED_BY_SERVER.total_seconds()
        )

    def _rescue(self) -> None:
        """Copy segments without a name as long as the server writes to them, through handles of our own."""
        postmaster = self._server.postmaster_pid()
        if postmaster is not None:
            for name, source in deleted_but_open(self._server.home.pgdata, postmaster):
                if name not in self._open and not _are_one(source, self._directory / name):
                    with suppress(FileNotFoundError):
                        self._open[name] = source.open("rb")
        for name, handle in self._open.items():
            if self._copied_at.get(name, 0.0) > os.fstat(handle.fileno()).st_mtime + _SETTLED_S:
                continue
            begun_at = self._clock.now().timestamp()
            self._directory.mkdir(exist_ok=True, mode=0o700)
            unfinished = self._directory / f"{name}.part"
            with unfinished.open("wb") as file:
                handle.seek(0)
                shutil.copyfileobj(handle, file)
                os.fsync(file.fileno())
            unfinished.replace(self._directory / name)
            self._copied_at[name] = begun_at

    def _forget_open(self) -> None:
        for handle in self._open.values():
            handle.close()
        self._open.clear()
        self._copied_at.clear()

    @staticmethod
    def _segments(directory: Path) -> list[Path]:
        try:
            return [path for path in directory.iterdir() if is_segment_name(path.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []


def _are_one(one: Path, other: Path | None) -> bool:
    try:
        return other is not None and one.samefile(other)
    except FileNotFoundError:
        return False
