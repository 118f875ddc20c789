"""Generators in processes of their own: they neither slow the asking process down nor are slowed down by it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from wedsync.errors import LoadTestFailed
from wedsync.loadtest.flight import Job
from wedsync.loadtest.worker import Report, frame, read_report

_OPENS_WITHIN_S = 60.0
_LONGEST_REPORT = 1 << 26


class GeneratorProcess:
    """One process that runs `wedsync.loadtest.worker`."""

    def __init__(self, process: Process, job: Job) -> None:
        if process.stdin is None or process.stdout is None:
            raise LoadTestFailed("a generator has no pipes")
        self._process = process
        self._to, self._from = process.stdin, process.stdout
        self._job = job

    async def opened(self) -> None:
        """Hand the job over; returns when the connections are open. Raises `LoadTestFailed`."""
        report = None
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_OPENS_WITHIN_S):
                self._to.write(frame(self._job))
                await self._to.drain()
                report = await read_report(self._from)
        if report is None:
            raise LoadTestFailed("a generator did not come up", detail="its last words are above")
        if not report.connections:
            raise LoadTestFailed(
                f"nothing answers at {self._job.host}:{self._job.port}",
                detail=f"none of {self._job.connections:,} connections could be opened",
                hint="is the gateway up? wedsync status",
            )

    def begin(self) -> None:
        """The word to send."""
        self._to.write(b"!")

    def hang_up(self) -> None:
        """Ask it to end with what it has."""
        self._to.close()

    async def reports(self) -> AsyncIterator[Report]:
        """What it tells, the last report included. Raises `LoadTestFailed` where it ends without one."""
        while (report := await read_report(self._from)) is not None:
            yield report
            if report.done:
                return
        raise LoadTestFailed("a generator ended by itself", detail=f"exit status {await self._process.wait()}")

    async def end(self) -> None:
        """End it, if it has not ended."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def generator_processes(jobs: Sequence[Job]) -> AsyncGenerator[list[GeneratorProcess]]:
    """A process for each job; all are ended at the end."""
    started: list[GeneratorProcess] = []
    try:
        for job in jobs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "wedsync.loadtest.worker"),
                stdin=PIPE,
                stdout=PIPE,
                limit=_LONGEST_REPORT,
                # a session of its own: Ctrl-C is for us to hear, who then ask for what was seen
                start_new_session=True,
                env=dict(os.environ),
            )
            started.append(GeneratorProcess(process, job))
        yield started
    finally:
        for generator in started:
            await generator.end()
