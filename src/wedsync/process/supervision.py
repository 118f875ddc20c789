"""Keep processes running: watch by pid, restart what dies with growing pauses, record each fact.

The supervised need not be children of ours: a supervisor that was killed finds its processes running
when it comes back, and takes them over.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from time import monotonic
from typing import ClassVar, Protocol

from wedsync.clock import Clock, SystemClock
from wedsync.errors import WedsyncError
from wedsync.events import Event, observe
from wedsync.process.pulse import LOOK_EVERY, Pulse
from wedsync.process.watch import wait_for_exit


class ProcessFact(StrEnum):
    """What is recorded of a process, in `process_events.what`."""

    STARTED = "started"
    ADOPTED = "adopted"
    """It ran already when the supervisor came."""
    DIED = "died"
    HUNG = "hung"
    """It stood still, and was killed."""
    RESTARTED = "restarted"
    START_FAILED = "start_failed"
    WAITING = "waiting"
    """It is down, and has to stay so for the reason given."""
    STOPPED = "stopped"
    STOP_FAILED = "stop_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessChanged(Event):
    """A supervised process started, died or was restarted."""

    process: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessNotRecorded(Event):
    """A fact about a process could not be written to where it is kept."""

    level: ClassVar[str] = "error"
    process: str
    what: str
    error: str


class Record(Protocol):
    """Where facts about processes are kept: the table `process_events`."""

    def __call__(self, process: str, what: ProcessFact, detail: str) -> None: ...


def nothing_runs() -> int | None:
    """The `find_running` of a process that cannot have outlived an earlier supervisor."""
    return None


def nothing_against_it() -> str | None:
    """The `may_start` of a process that may always be started."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervised:
    """One process to keep running."""

    name: str
    start: Callable[[], Awaitable[int]]
    """Start it and give its pid once it works; raises `WedsyncError` if it does not come up."""
    stop: Callable[[int], Awaitable[object]]
    """End the process; returns when it has ended."""
    find_running: Callable[[], int | None] = nothing_runs
    """Its pid if it runs already."""
    may_start: Callable[[], str | None] = nothing_against_it
    """Why it must not be started now; None if it may. Asked before each start, and again every second."""
    pulse: Callable[[], int | None] | None = None
    """Something that changes while it works; without, it works as long as it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How fast a process that keeps dying is started again, and when one that stands still is killed."""

    base: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(minutes=1)
    settled_after: timedelta = timedelta(minutes=1)
    """A process that was up this long has no failures behind it."""
    hung_after: timedelta = timedelta(seconds=30)
    """A process with a pulse that stood still for this long is killed."""


def restart_delay(failures: int, policy: RestartPolicy | None = None) -> timedelta:
    """The pause before the next start after so many failures in a row: none, base, 2·base, … longest."""
    rule = policy or RestartPolicy()
    if failures <= 1:
        return timedelta(0)
    return min(rule.longest, rule.base * 2 ** min(failures - 2, 30))


def failures_after(failures: int, up_for: timedelta, policy: RestartPolicy | None = None) -> int:
    """Failures in a row once a process died that had been up for so long."""
    rule = policy or RestartPolicy()
    return 1 if up_for >= rule.settled_after else failures + 1


@dataclass(slots=True)
class _Watch:
    """What the supervisor knows of one process."""

    pid: int | None = None
    failures: int = 0
    told_reason: str | None = field(default=None)


class Supervisor:
    """Keeps processes running until it is cancelled, then stops them, last first."""

    def __init__(
        self,
        processes: Sequence[Supervised],
        *,
        record: Record,
        policy: RestartPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._processes = processes
        self._record = record
        self._policy = policy or RestartPolicy()
        self._clock = clock or SystemClock()
        self._watches = {process.name: _Watch() for process in processes}

    async def run(self) -> None:
        """Start or adopt every process and keep it running; when cancelled, stop all in reverse order."""
        try:
            async with asyncio.TaskGroup() as group:
                for process in self._processes:
                    group.create_task(self._keep_running(process), name=f"supervise {process.name}")
        finally:
            await self._stop_all()

    async def _keep_running(self, process: Supervised) -> None:
        watch = self._watches[process.name]
        while True:
            try:
                pid = process.find_running()
                if pid is not None:
                    self._tell(process, ProcessFact.ADOPTED, f"process {pid}")
                else:
                    pid = await self._start(process, watch)
                pause = timedelta(0) if pid is None else await self._watch(process, watch, pid)
            except Exception as error:
                pause = self._start_failed(process, watch, error)
            await self._clock.sleep(pause)

    async def _watch(self, process: Supervised, watch: _Watch, pid: int) -> timedelta:
        """Wait until the process has ended; gives the pause before its next start."""
        watch.pid, watch.told_reason = pid, None
        since = monotonic()
        await self._until_ended(process, pid)
        status = _exit_status(pid)
        watch.pid = None
        up_for = timedelta(seconds=monotonic() - since)
        reason = process.may_start()
        if reason is not None:
            self._tell(process, ProcessFact.STOPPED, f"process {pid}: {reason}")
            watch.failures, watch.told_reason = 0, reason
            return timedelta(0)
        watch.failures = failures_after(watch.failures, up_for, self._policy)
        pause = restart_delay(watch.failures, self._policy)
        self._tell(
            process,
            ProcessFact.DIED,
            f"process {pid}{status} after {up_for.total_seconds():.1f} s; restart in {pause.total_seconds():g} s",
        )
        return pause

    async def _until_ended(self, process: Supervised, pid: int) -> None:
        """Return when it has ended; kill it if it stands still."""
        ended = asyncio.create_task(wait_for_exit(pid))
        try:
            pulse, looked = Pulse(), monotonic()
            while process.pulse is not None and not ended.done():
                await asyncio.wait([ended], timeout=LOOK_EVERY.total_seconds())
                before, looked = looked, monotonic()
                pulse = pulse.after(process.pulse(), timedelta(seconds=looked - before))
                if pulse.stood >= self._policy.hung_after and not ended.done():
                    stood = f"process {pid} stood still for {pulse.stood.total_seconds():.0f} s and was killed"
                    self._tell(process, ProcessFact.HUNG, stood)
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    break
            await ended
        finally:
            ended.cancel()

    async def _start(self, process: Supervised, watch: _Watch) -> int | None:
        """The pid of the process just started; None, a second later, if it may not start now."""
        reason = process.may_start()
        if reason is not None:
            if reason != watch.told_reason:
                self._tell(process, ProcessFact.WAITING, reason)
                watch.told_reason = reason
            await self._clock.sleep(timedelta(seconds=1))
            return None
        pid = await process.start()
        what = ProcessFact.RESTARTED if watch.failures else ProcessFact.STARTED
        self._tell(process, what, f"process {pid}")
        return pid

    def _start_failed(self, process: Supervised, watch: _Watch, error: Exception) -> timedelta:
        """Record that it did not come up; gives the pause before the next attempt."""
        watch.failures += 1
        pause = max(self._policy.base, restart_delay(watch.failures, self._policy))
        said = _in_one_line(error)
        self._tell(process, ProcessFact.START_FAILED, f"{said}; again in {pause.total_seconds():g} s")
        return pause

    async def _stop_all(self) -> None:
        for process in reversed(self._processes):
            try:
                pid = self._watches[process.name].pid or process.find_running()
                if pid is not None:
                    await process.stop(pid)
                    self._tell(process, ProcessFact.STOPPED, f"process {pid}")
            except Exception as error:
                self._tell(process, ProcessFact.STOP_FAILED, _in_one_line(error))

    def _tell(self, process: Supervised, what: ProcessFact, detail: str) -> None:
        observe(ProcessChanged(process=process.name, what=what, detail=detail))
        try:
            self._record(process.name, what, detail)
        except Exception as error:
            observe(ProcessNotRecorded(process=process.name, what=what, error=repr(error)))


def _in_one_line(error: Exception) -> str:
    if isinstance(error, WedsyncError):
        return f"{error.message} [{error.code}]" + (f": {error.detail}" if error.detail else "")
    return repr(error)


def _exit_status(pid: int) -> str:
    """How a child of ours ended, in words; takes note of it, so that no zombie holds the pid."""
    with suppress(ChildProcessError):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return f" was killed by signal {-code}" if code < 0 else f" ended with exit status {code}"
    return ""
