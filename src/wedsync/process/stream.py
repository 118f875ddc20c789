"""Read what an outside program writes, piece by piece: whoever reads slowly slows it down."""

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import TypeVar

from wedsync.errors import EngineMissing, ProgramTimedOut
from wedsync.process.run import Finished, stop_group

T = TypeVar("T")

_PIECE_BYTES = 1024 * 1024


class Stream:
    """A program that runs, and its standard output."""

    def __init__(self, process: asyncio.subprocess.Process, *, program: str, patience: timedelta) -> None:
        self._process = process
        self._program = program
        self._patience_s = patience.total_seconds()
        self._began = monotonic()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The output, in pieces of up to 1 MB. Raises `ProgramTimedOut` if nothing comes for too long."""
        assert self._process.stdout is not None  # noqa: S101 - asked for below; told to the type checker
        while piece := await self._soon(self._process.stdout.read(_PIECE_BYTES)):
            yield piece

    async def end(self) -> Finished:
        """How the program ended, once its output was read; its standard error is in it."""
        assert self._process.stderr is not None  # noqa: S101
        said = await self._soon(self._process.stderr.read())
        return Finished(
            program=self._program,
            exit_status=await self._soon(self._process.wait()),
            stdout="",
            stderr=said.decode(errors="replace"),
            took_s=monotonic() - self._began,
        )

    async def _soon(self, wanted: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._patience_s):
                return await wanted
        except TimeoutError as error:
            raise ProgramTimedOut(
                f"{self._program} said nothing for {self._patience_s:g} s", detail="it was stopped"
            ) from error


@asynccontextmanager
async def stream(
    command: Sequence[str | Path],
    *,
    patience: timedelta,
    env: Mapping[str, str] | None = None,
    nice: int = 0,
) -> AsyncGenerator[Stream]:
    """Run `command` and read its output while it runs; at the context's end it has ended or is stopped.

    `patience` is for the program, not for the reader: it bounds the wait for each piece. What it prints to
    standard error has to fit into a pipe (64 kB).
    """
    words = [str(word) for word in command]
    program = Path(words[0]).name
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            start_new_session=True,
            preexec_fn=(lambda: os.nice(nice) and None) if nice else None,
            limit=2 * _PIECE_BYTES,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise EngineMissing(f"{program} cannot be run", detail=words[0]) from error
    try:
        yield Stream(process, program=program, patience=patience)
    finally:
        if process.returncode is None:
            await stop_group(process)
