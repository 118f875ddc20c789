"""Which files are read next, and how far reading has come: plain decisions over what is known of files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wedsync.backup.verification.files import FileKind
from wedsync.backup.verification.ledger import KnownFile, Round

_SHARE = 0.75
"""Reading aims at this part of the time that is allowed: a day's outage must not make it late."""
_LEAST_BYTES = 64 * 1024 * 1024
_AGAIN = timedelta(hours=6)
"""What was found damaged is read again this often: it may have been a fault on the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of a repository was read within the time that is allowed."""

    repo: int
    files: int
    bytes: int
    read_files: int
    """Files that were read within that time."""
    read_bytes: int
    never_read: int
    oldest_read_at: datetime | None
    """When the file was read whose turn is longest ago; `None`: one never was."""
    behind_since: datetime | None
    """Since when a file is overdue; `None`: none is."""
    done_at: datetime | None
    """When the last file that is due will have been read, at the present rate; `None`: nothing is due."""
    read_at: datetime | None
    error: str | None
    error_since: datetime | None

    @property
    def is_well(self) -> bool:
        """Whether it can be read, and nothing of it is overdue."""
        return self.files > 0 and self.error is None and self.behind_since is None

    @property
    def share(self) -> float:
        """Read part of all bytes, 0 to 1; of nothing, nothing."""
        return self.read_bytes / self.bytes if self.bytes else 0.0


def next_files(
    files: Iterable[KnownFile],
    *,
    now: datetime,
    within: timedelta,
    slice_every: timedelta,
    bytes_per_second: int,
) -> tuple[KnownFile, ...]:
    """The files to read in this slice: all new WAL and notes, then oldest first as far as the slice reaches.

    A slice is the part of all bytes that must be read each `slice_every` to have read all in three quarters of
    `within`, and no more than can be read until the next one; a small repository is read as quickly as is cheap.
    """
    everything = tuple(files)
    total = sum(file.size_bytes for file in everything)
    left = max(total * (slice_every / (within * _SHARE)), _LEAST_BYTES)
    left = min(left, bytes_per_second * slice_every.total_seconds())
    due = sorted((file for file in everything if _is_due(file, now, within)), key=_turn)
    chosen: list[KnownFile] = []
    for file in due:
        if _is_new_small(file):
            chosen.append(file)
        elif left > 0:
            chosen.append(file)
            left -= file.size_bytes
    return tuple(chosen)


def coverage(
    repo: int,
    files: Sequence[KnownFile],
    state: Round | None,
    *,
    now: datetime,
    within: timedelta,
    bytes_per_second: float,
) -> Coverage:
    """How far reading a repository has come."""
    fresh = [file for file in files if file.read_at is not None and now - file.read_at <= within]
    due_bytes = sum(file.size_bytes for file in files) - sum(file.size_bytes for file in fresh)
    overdue = [_due_at(file, within) for file in files if _due_at(file, within) < now]
    read = [file.read_at for file in files if file.read_at is not None]
    never = sum(1 for file in files if file.read_at is None)
    return Coverage(
        repo=repo,
        files=len(files),
        bytes=sum(file.size_bytes for file in files),
        read_files=len(fresh),
        read_bytes=sum(file.size_bytes for file in fresh),
        never_read=never,
        oldest_read_at=min(read, default=None) if not never else None,
        behind_since=min(overdue, default=None),
        done_at=now + timedelta(seconds=due_bytes / bytes_per_second) if due_bytes else None,
        read_at=state.read_at if state else None,
        error=state.error if state else None,
        error_since=state.error_since if state else None,
    )


def rate(total_bytes: int, *, within: timedelta, bytes_per_second: int) -> float:
    """Bytes that are read in a second, all in all, when all goes as planned."""
    needed = total_bytes / (within.total_seconds() * _SHARE)
    return min(max(needed, _LEAST_BYTES / within.total_seconds()), float(bytes_per_second)) or 1.0


def _is_due(file: KnownFile, now: datetime, within: timedelta) -> bool:
    if file.read_at is None or file.read_at > now:  # the clock was wrong then
        return True
    if file.whole is False:
        return now - file.read_at >= _AGAIN
    return now - file.read_at >= within * _SHARE * 0.5


def _due_at(file: KnownFile, within: timedelta) -> datetime:
    return (file.read_at or file.listed_at) + within


def _is_new_small(file: KnownFile) -> bool:
    return file.read_at is None and file.kind in (
        FileKind.WAL,
        FileKind.WAL_NOTE,
        FileKind.INFO,
        FileKind.MANIFEST,
    )


def _turn(file: KnownFile) -> tuple[bool, datetime, str]:
    """New ones first, what protects most of all: manifests and WAL before the rest, by name."""
    return file.read_at is not None, file.read_at or file.listed_at, file.path
