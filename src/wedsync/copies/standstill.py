"""Let all that works for a copy stand still while somebody comes first, and go on where it was afterwards."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TypeVar

from psycopg import Error as DatabaseError

from wedsync.errors import WedsyncError

T = TypeVar("T")
_WORKING = frozenset({"pgbackrest", "pg_checksums", "pg_amcheck"})


class Standstill:
    """Stops the processes of one copy (SIGSTOP), and keeps a clock that does not count it.

    What is asked of them meanwhile waits. Deadlines and connections to a repository do not: what fails while a
    standstill fell into it says nothing, and `carry` does it again.
    """

    def __init__(self, directory: Path) -> None:
        """`directory` is the copy's, which need not be there yet."""
        self._directory = directory
        self._before_s = 0.0
        self._since: float | None = None
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self.count = 0
        """How many there were; the present one is counted."""

    @property
    def total_s(self) -> float:
        """Seconds that it stood still, until now."""
        return self._before_s + (0.0 if self._since is None else monotonic() - self._since)

    def now(self) -> float:
        """Seconds of a clock that stands still with the copy."""
        return monotonic() - self.total_s

    def halt(self) -> None:
        """Stop all that works for the copy; called again, also what was started since."""
        if self._since is None:
            self._since = monotonic()
            self.count += 1
            self._goes_on.clear()
        signal_workers(self._directory, signal.SIGSTOP)

    def go_on(self) -> float:
        """Let them go on; gives the seconds that they stood still."""
        signal_workers(self._directory, signal.SIGCONT)
        if self._since is None:
            return 0.0
        took_s = monotonic() - self._since
        self._before_s += took_s
        self._since = None
        self._goes_on.set()
        return took_s

    async def over(self) -> None:
        """Return when it does not stand still."""
        await self._goes_on.wait()

    async def carry(self, work: Callable[[bool], Awaitable[T]]) -> T:
        """Do `work(False)`; if it fails and stood still meanwhile, `work(True)` as soon as it may go on."""
        again = False
        while True:
            await self.over()
            count = self.count
            try:
                return await work(again)
            except (WedsyncError, DatabaseError):
                if self.count == count:
                    raise
            again = True


def signal_workers(directory: Path, number: signal.Signals) -> None:
    """Send a signal to each process that works for the copy in `directory`; one that ends meanwhile needs none."""
    for pid in workers_of(directory):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def workers_of(directory: Path) -> list[int]:
    """Pids of what works for the copy in `directory`.

    That is its server with all it started, pgBackRest's restore and fetching of WAL, and programs that check it.
    """
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _works_for(pid, directory)]  # noqa: PTH208


def _works_for(pid: int, directory: Path) -> bool:
    process = Path("/proc", str(pid))
    try:
        if process.stat().st_uid != os.geteuid() or pid == os.getpid():
            return False
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        working = os.readlink(process / "cwd")  # noqa: PTH115 - the text; where it was removed it says so
    except OSError:
        return False
    if working.removesuffix(" (deleted)") == os.path.realpath(directory / "pgdata"):
        return True
    return Path(words[0]).name in _WORKING and _names(words[1:], directory)


def _names(words: Iterable[str], directory: Path) -> bool:
    return any(f"{directory}/" in word for word in words)
