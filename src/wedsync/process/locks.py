"""Locks between processes of one home: held by an open file, gone when their holder is gone."""

import fcntl
import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from wedsync.errors import Busy

_ASKED_AGAIN = 5
_ASKED_AGAIN_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """Who wrote its name into a lock file, for what, since when."""

    pid: int
    purpose: str
    since: str


class FileLock:
    """An exclusive lock on a file; a holder that is killed lets go at once (flock(2)).

    Not waiting: `with lock:` raises `Busy` when somebody else holds it, and says who.
    """

    def __init__(self, path: Path, *, purpose: str) -> None:
        self._path = path
        self._purpose = purpose
        self._file: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free; whether it was taken."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        who = {"pid": os.getpid(), "purpose": self._purpose, "since": datetime.now(UTC).isoformat()}
        with suppress(OSError):  # on a full disk the lock holds all the same; only its holder has no name
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(who).encode(), 0)
        self._file = handle
        return True

    @contextmanager
    def shared(self) -> Generator[None]:
        """Keep others from taking it, together with whoever else shares it. Raises `Busy` while it is taken."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise self._busy() from None
        try:
            yield
        finally:
            os.close(handle)

    @property
    def is_held(self) -> bool:
        """Whether it is held by this very object."""
        return self._file is not None

    def release(self) -> None:
        """Let go; harmless when not held."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """Let go for good: the file goes too. Only for a name that nobody takes a second time."""
        self._path.unlink(missing_ok=True)
        self.release()

    def holder(self) -> LockHolder | None:
        """Who holds the lock now; `None` when it is free."""
        if self._file is None and self._is_free():
            return None
        try:
            return LockHolder(**json.loads(self._path.read_text()))
        except (json.JSONDecodeError, TypeError):
            return LockHolder(pid=0, purpose="unknown", since="unknown")

    def _is_free(self) -> bool:
        """Whether nobody holds the lock; asked with a shared lock, which two who ask can have at once."""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        return True

    def __enter__(self) -> Self:
        for _ in range(_ASKED_AGAIN):
            if self.try_acquire():
                return self
            time.sleep(_ASKED_AGAIN_S)  # somebody who only asks who holds it is in the way for microseconds
        if not self.try_acquire():
            raise self._busy()
        return self

    def _busy(self) -> Busy:
        holder = self.holder()
        who = (
            f"process {holder.pid} holds {self._path.name} for: {holder.purpose}, since {holder.since}"
            if holder
            else f"{self._path.name} was held a moment ago, or is shared by some who rely on it"
        )
        return Busy(
            f"cannot start: {self._purpose}",
            detail=who,
            hint="wait for it to end, then run the command again",
        )

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
