"""Runners of migrations as processes of their own, which can be killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.commands import SOURCE
from wedsync.database import ConnectionTarget

_RUN = """
import asyncio, sys
from pathlib import Path
from wedsync.database import ConnectionTarget
from wedsync.migrations import Conditions, up

run = asyncio.run(up(
    ConnectionTarget.from_dsn(sys.argv[1]), directory=Path(sys.argv[2]),
    conditions=Conditions(by=sys.argv[3], key=b"k", say=lambda words: print(words, file=sys.stderr)),
))
print(len(run.applied))
"""


@asynccontextmanager
async def runner(
    target: ConnectionTarget, directory: Path, *, by: str = "alice"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that applies what is pending and prints how much that was; killed if it still runs at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", _RUN, target.dsn(with_password=True), str(directory), by),
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def kill(process: asyncio.subprocess.Process) -> None:
    """End it as the kernel would: no handler, no goodbye to the server."""
    process.send_signal(signal.SIGKILL)
