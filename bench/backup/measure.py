"""What a job costs: seconds, processor seconds of all processes below this one, the largest one's memory."""

import ctypes
import os
import resource
import select
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psycopg

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LOOK_EVERY_MS = 100
_ASK_EVERY_S = 0.025
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run of a job took."""

    wall_s: float
    cpu_s: float
    """Of every process below the benchmark, PostgreSQL's own included."""
    peak_mb: float
    """Of the job's largest process, PostgreSQL's own left out (they count the shared buffers)."""
    read_write_s: float | None = None
    """When the server took writes again, for a recovery."""


class JobFailed(Exception):
    """A job ended badly; the words are its last ones."""


def keep_orphans() -> None:
    """Become the parent of what detaches below us, so that its processor time is counted too."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def run(command: Sequence[str | Path], *, writable: str | None = None) -> tuple[Cost, str]:
    """Run a program; gives its cost and what it wrote to stdout.

    With `writable`, a conninfo, the job is over when that server takes writes, too.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as words:
        started: list[subprocess.Popen[bytes]] = []

        def start() -> int:
            started.append(
                subprocess.Popen(
                    [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out, stderr=words
                )
            )
            return started[0].pid

        cost = _measure(
            start,
            lambda: started[0].wait(),  # noqa: PLW0108 - there is none yet
            writable=writable,
        )
        out.seek(0)
        words.seek(0)
        answer = out.read().decode(errors="replace")
        if isinstance(cost, int):
            said = words.read().decode(errors="replace") + answer
            raise JobFailed(f"{' '.join(map(str, command))}: exit status {cost}\n{said[-2000:]}")
    return cost, answer


def call(function: Callable[[], object], *, writable: str | None = None) -> Cost:
    """Run a function in a process of its own: everything is imported, no interpreter starts."""
    forked: list[int] = []

    def start() -> int:
        pid = os.fork()
        if pid == 0:
            _end_with(function)
        forked.append(pid)
        return pid

    def reap() -> int:
        return os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1])

    cost = _measure(start, reap, writable=writable)
    if isinstance(cost, int):
        raise JobFailed(f"{function!r} ended with status {cost}: its traceback stands above")
    return cost


def _end_with(function: Callable[[], object]) -> NoReturn:
    """Run it, and end the process: nothing of the parent's is cleaned up here."""
    status = 1
    try:
        function()
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _measure(start: Callable[[], int], reap: Callable[[], int], *, writable: str | None) -> Cost | int:
    """The cost, or the exit status of a job that failed."""
    cpu_before = tree_cpu_s()
    began = time.perf_counter()
    taking_writes: list[float] = []
    given_up = threading.Event()
    asking = threading.Thread(target=_ask_until_writable, args=(writable, began, taking_writes, given_up))
    pid = start()
    if writable is not None:
        asking.start()
    peak_kb = 0
    handle = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        while not poller.poll(_LOOK_EVERY_MS):
            peak_kb = max(peak_kb, _largest_kb(pid))
    finally:
        os.close(handle)
    ended = time.perf_counter()
    status = reap()
    if status != 0:
        given_up.set()
        return status
    if writable is not None:
        asking.join(timeout=600)
        given_up.set()
        if not taking_writes:
            raise JobFailed("the server took no writes within ten minutes")
    return Cost(
        wall_s=ended - began,
        cpu_s=tree_cpu_s() - cpu_before,
        peak_mb=peak_kb / 1024,
        read_write_s=taking_writes[0] if taking_writes else None,
    )


def _ask_until_writable(conninfo: str | None, began: float, found: list[float], given_up: threading.Event) -> None:
    while not given_up.wait(_ASK_EVERY_S):
        try:
            with psycopg.connect(conninfo or "", autocommit=True, connect_timeout=2) as connection:
                while not given_up.is_set():
                    row = connection.execute("select pg_is_in_recovery()").fetchone()
                    if row is not None and not row[0]:
                        found.append(time.perf_counter() - began)
                        return
                    time.sleep(_ASK_EVERY_S)
        except psycopg.Error:
            continue  # not there yet, or restarted under our eyes


def tree_cpu_s() -> float:
    """Processor seconds of everything that ran or runs below this process, itself left out."""
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = sum(sum(int(word) for word in _stat(pid)[11:15]) for pid in _descendants(os.getpid()))
    return reaped.ru_utime + reaped.ru_stime + ticks / _TICKS_PER_S


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name (proc(5): from the third on); zeros if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["0"] * 50


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found: list[int] = []
    pending = [root]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def _largest_kb(root: int) -> int:
    return max((_peak_kb(pid) for pid in (root, *_descendants(root))), default=0)


def _peak_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    values = dict(line.split(":", 1) for line in lines)
    if values["Name"].strip() == "postgres" or "VmHWM" not in values:
        return 0
    return int(values["VmHWM"].split()[0])
