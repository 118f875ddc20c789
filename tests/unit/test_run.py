"""What a program that was run leaves: its output whole, its lines as they come, and how it ended."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from wedsync.errors import EngineMissing, ProgramFailed, ProgramTimedOut
from wedsync.process import Finished, run, spawn_detached, wait_for_exit

MINUTE = timedelta(minutes=1)


async def python(script: str, **further: object) -> Finished:
    return await run([sys.executable, "-c", script], deadline=MINUTE, **further)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_line_of_twenty_megabytes_is_kept_whole(stream: str) -> None:
    done = await python(f"import sys; sys.{stream}.write('x' * 20_000_000 + 'end')")
    said = getattr(done, stream)
    assert (len(said), said[-3:]) == (20_000_003, "end")


async def test_the_last_of_many_lines_is_kept_and_told() -> None:
    told: list[str] = []
    done = await python("for n in range(300_000): print(f'{n:070d}')", on_line=told.append)
    assert len(done.stdout) == 300_000 * 71
    assert (len(told), int(told[0]), int(told[-1])) == (300_000, 0, 299_999)


async def test_lines_are_told_without_their_end_also_the_last_that_has_none() -> None:
    told: list[str] = []
    done = await python(r"print('a\n\nb', end='\nc\u00e9')", on_line=told.append, env={"PYTHONUTF8": "1"})
    assert told == ["a", "", "b", "c\u00e9"]
    assert done.stdout == "a\n\nb\nc\u00e9"


async def test_a_failure_says_the_last_lines() -> None:
    done = await python("import sys; print('no space left', file=sys.stderr); sys.exit(3)")
    with pytest.raises(ProgramFailed, match="no space left"):
        done.check()


async def test_a_program_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(ProgramTimedOut):
        await run([sys.executable, "-c", "input() or exit()"], deadline=timedelta(0), stdin=None)


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(EngineMissing, match="no-such-program"):
        await run(["no-such-program"], deadline=MINUTE)


async def test_how_a_detached_program_ended_is_left_for_its_parent_to_read() -> None:
    pid = spawn_detached([sys.executable, "-c", "raise SystemExit(3)"], log=Path(os.devnull))
    await wait_for_exit(pid)
    subprocess.run([sys.executable, "-c", ""], check=True)  # noqa: ASYNC221 - the next Popen reaps what earlier ones left behind
    ended, status = os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - it has ended
    assert (ended, os.waitstatus_to_exitcode(status)) == (pid, 3)
