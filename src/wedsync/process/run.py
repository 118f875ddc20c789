"""Run an outside program with a deadline and its output kept."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic

from wedsync.errors import EngineMissing, ProgramFailed, ProgramTimedOut
from wedsync.process.priority import Priority

_CHUNK_BYTES = 256 * 1024
_GRACE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a program ended: its exit status, its output and the seconds it took."""

    program: str
    exit_status: int
    stdout: str
    stderr: str
    took_s: float

    def check(self, *, hint: str | None = None) -> "Finished":
        """Itself if the exit status is 0; otherwise `ProgramFailed` with the last lines it printed."""
        if self.exit_status == 0:
            return self
        said = (self.stderr.strip() or self.stdout.strip()).splitlines()[-6:]
        raise ProgramFailed(
            f"{self.program} ended with exit status {self.exit_status}",
            detail=" / ".join(line.strip() for line in said) or "it printed nothing",
            hint=hint,
        )


async def run(
    command: Sequence[str | Path],
    *,
    deadline: timedelta,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    on_line: Callable[[str], None] | None = None,
    nice: int = 0,
    priority: Priority | None = None,
) -> Finished:
    """Run `command` (an argument list, never a shell line) and give how it ended.

    The output is kept whole. `on_line` sees each line of standard output as it comes. Past `deadline` the
    program's whole process group gets SIGTERM, five seconds later SIGKILL, and `ProgramTimedOut` is raised;
    the same happens, without the error, when the caller is cancelled. A program that is not there is
    `EngineMissing`. The environment is exactly `env` when one is given.
    """
    program = Path(command[0]).name
    words = [*(priority.words() if priority else []), *map(str, command)]
    started = monotonic()
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=(lambda: os.nice(nice) and None) if nice else None,
            limit=_CHUNK_BYTES,
        )
    except FileNotFoundError as error:
        raise EngineMissing(
            f"{program} is not there", detail=words[0], hint="run bin/up again: it installs what is missing"
        ) from error
    except PermissionError as error:
        raise EngineMissing(f"{program} cannot be run by this user", detail=words[0]) from error

    async def feed() -> None:
        if stdin is not None and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                process.stdin.write(stdin)
                await process.stdin.drain()
            process.stdin.close()

    assert process.stdout is not None  # noqa: S101 - asked for above; told to the type checker
    assert process.stderr is not None  # noqa: S101
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            stdout, stderr, _ = await asyncio.gather(
                _read(process.stdout, on_line), _read(process.stderr, None), feed()
            )
            exit_status = await process.wait()
    except TimeoutError as error:
        await stop_group(process)
        raise ProgramTimedOut(
            f"{program} did not end within {deadline.total_seconds():g} s", detail="it was stopped"
        ) from error
    except BaseException:
        await stop_group(process)
        raise
    return Finished(
        program=program, exit_status=exit_status, stdout=stdout, stderr=stderr, took_s=monotonic() - started
    )


async def _read(stream: asyncio.StreamReader, report: Callable[[str], None] | None) -> str:
    """All that a stream says, however long it or one of its lines is; `report` sees each line as it ends."""
    kept: list[bytes] = []
    line: list[bytes] = []
    while chunk := await stream.read(_CHUNK_BYTES):
        kept.append(chunk)
        if report is None:
            continue
        *ended, rest = chunk.split(b"\n")
        for end in ended:
            report(b"".join([*line, end]).decode(errors="replace"))
            line.clear()
        line.append(rest)
    if report is not None and any(line):
        report(b"".join(line).decode(errors="replace"))
    return b"".join(kept).decode(errors="replace")


async def stop_group(process: asyncio.subprocess.Process) -> None:
    """End a program and what it started; the program is our own child, so its group id is its pid."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
            os.killpg(process.pid, signal.SIGCONT)  # one that stands still would not hear of it
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await asyncio.shield(process.wait())
                return


def spawn_detached(
    command: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> int:
    """Start a program in a session of its own, its output appended to `log`; gives its pid.

    The program outlives us: nobody waits for it here. Its parent is expected to watch it by pid.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    process.returncode = 0  # or `subprocess` would reap it one day, and its parent never learn how it ended
    return process.pid
