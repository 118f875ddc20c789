"""What a recovery that was killed leaves behind: a pgBackRest that still restores, and answers of yesterday."""

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from wedsync.config import Home
from wedsync.process import is_alive, wait_for_exit

_ENDS = timedelta(seconds=10)
_RESTORING = frozenset({"restore", "restore:local"})
_FETCHING = frozenset({"archive-get", "archive-get:async", "archive-get:local"})


async def end_restores(config: Path, pgdata: Path, *, fetches: bool = False) -> int:
    """End the restores into a data directory that nobody waits for any more; how many there were.

    They hold pgBackRest's lock and write to the files. Only the holder of the lock of whoever
    restores there may call this. `fetches`: also what still fetches WAL for a server there.
    """
    found = [
        pid
        for pid in map(int, filter(str.isdigit, os.listdir("/proc")))  # noqa: PTH208
        if _restores(pid, config, pgdata, fetches=fetches)
    ]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in filter(is_alive, found):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(_ENDS.total_seconds()):
                for pid in found:
                    await wait_for_exit(pid)
                break
    return len(found)


def forget_fetched(home: Home, stanza: str) -> None:
    """Empty the spool of asynchronous archive-get.

    It may say that a segment is missing which has been archived since; pgBackRest believes that without
    looking again, and PostgreSQL would take it for the end of the WAL.
    """
    shutil.rmtree(home.spool / "archive" / stanza / "in", ignore_errors=True)


def _restores(pid: int, config: Path, pgdata: Path, *, fetches: bool) -> bool:
    wanted = _RESTORING | (_FETCHING if fetches else frozenset[str]())
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        ours = Path(f"/proc/{pid}").stat().st_uid == os.geteuid()
    except OSError:
        return False
    return (
        ours
        and Path(words[0]).name == "pgbackrest"
        and f"--config={config}" in words
        and f"--pg1-path={pgdata}" in words
        and any(word in wanted for word in words)
    )
