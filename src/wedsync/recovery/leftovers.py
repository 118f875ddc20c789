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


async def end_restores(home: Home) -> int:
    """End the restores into this home that nobody waits for any more; how many there were.

    They hold pgBackRest's lock and write to the files. Only the holder of the recovery lock may call this.
    """
    found = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _restores(pid, home)]  # noqa: PTH208
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


def _restores(pid: int, home: Home) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        ours = Path(f"/proc/{pid}").stat().st_uid == os.geteuid()
    except OSError:
        return False
    return (
        ours
        and Path(words[0]).name == "pgbackrest"
        and f"--config={home.pgbackrest_config}" in words
        and f"--pg1-path={home.pgdata}" in words
        and any(word in {"restore", "restore:local"} for word in words)
    )
