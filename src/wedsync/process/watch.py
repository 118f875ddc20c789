"""Watch a process by pid, also one that is not our child."""

import asyncio
import os


def is_alive(pid: int) -> bool:
    """Whether a process with this pid exists and has not ended (a zombie has)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - procfs, read whole
            return stat.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False


async def wait_for_exit(pid: int) -> None:
    """Return when the process has ended; at once if there is none. Costs nothing while it waits (pidfd)."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
