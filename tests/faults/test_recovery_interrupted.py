"""A recovery that is killed at any point is run again: same result, nothing lost, and it can be undone."""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from support.events import eventually
from support.recoveries import Protected
from wedsync.app.services import why_server_must_wait
from wedsync.process import wait_for_exit
from wedsync.recovery import JournalEntry, Stage

_ENVIRONMENT = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
_PROGRAM = """
import asyncio, os, signal, sys
from datetime import datetime
from pathlib import Path
from wedsync.app import Platform
from wedsync.config import Home
from wedsync.recovery import journal

home, to, stage, how = sys.argv[1:]
platform = Platform(Home(Path(home)), {})
reach = journal.Journal.reach

def dying(self, entry, reached):
    if how == "before" and reached == stage:
        os.kill(os.getpid(), signal.SIGKILL)
    done = reach(self, entry, reached)
    if how == "after" and reached == stage:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

def report(phase, words):
    print(phase, words, flush=True)

journal.Journal.reach = dying
recoverer = platform.recoverer
async def main():
    if to == "undo":
        plan = await recoverer.plan_undo()
    else:
        plan = await recoverer.plan(None if to == "latest" else datetime.fromisoformat(to))
    await recoverer.run(plan, report=report)
asyncio.run(main())
"""


async def killed_recovery(own: Protected, to: str, stage: Stage, how: str) -> JournalEntry | None:
    """Recover in a process of its own that gets SIGKILL right before or after it notes a stage."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PROGRAM,
        str(own.home.root),
        to,
        stage,
        how,
        stdout=asyncio.subprocess.DEVNULL,
        env=_ENVIRONMENT,
    )
    assert await process.wait() == -signal.SIGKILL
    return own.platform.recoverer.journal.unfinished()


@pytest.mark.parametrize(
    ("stage", "how"),
    [
        (Stage.STOPPED, "before"),
        (Stage.STOPPED, "after"),
        (Stage.RESTORING, "after"),
        (Stage.REPLAYING, "before"),
        (Stage.REPLAYING, "after"),
        (Stage.PROMOTED, "before"),
        (Stage.PROMOTED, "after"),
    ],
)
async def test_killed_at_any_stage_and_run_again(protected: Protected, stage: Stage, how: str) -> None:
    """Lost: nothing.
    Seen: the same command goes on, and can be undone.
    """
    for _ in range(2):
        await protected.commit()
    moment = await protected.moment()
    await protected.commit()
    entry = await killed_recovery(protected, moment.isoformat(), stage, how)
    assert entry is not None
    waits = why_server_must_wait(protected.platform)
    assert (waits is None) == entry.stage.files_are_whole
    done = await protected.recover(moment)
    assert done.restored_to == moment
    assert await protected.rows() == [1, 2]
    assert protected.platform.recoverer.journal.unfinished() is None
    await protected.undo()
    assert await protected.rows() == [1, 2, 3]


@pytest.mark.parametrize("stage", [Stage.RESTORING, Stage.REPLAYING])
async def test_what_only_the_dead_servers_files_had_survives_a_killed_recovery(
    protected: Protected, stage: Stage
) -> None:
    """Lost: nothing.
    Seen: the same command goes on.
    """
    async with await protected.platform.server.target().connect() as connection:
        for n in range(300):
            await connection.execute("insert into marks values (%s, repeat('x', 100))", (n,))
        shutil.rmtree(protected.home.pgdata, ignore_errors=True)
        # the server lives, with its WAL in files that have no name any more
        await killed_recovery(protected, "latest", stage, "after")
    await protected.recover(None)
    assert await protected.rows() == list(range(300))


async def test_undo_of_a_recovery_that_stopped_half_way_is_the_state_before_it(protected: Protected) -> None:
    """Lost: nothing.
    Seen: the state before it.
    """
    await protected.commit()
    first = await protected.moment()
    await protected.commit()
    await protected.recover(first)
    protected.number = 10
    await protected.commit()
    await protected.commit()
    entry = await killed_recovery(protected, first.isoformat(), Stage.REPLAYING, "before")
    assert entry is not None
    await protected.undo()
    assert await protected.rows() == [1, 11, 12]
    found = protected.platform.recoverer.journal.find(entry.id)
    assert found is not None
    assert found.outcome == "undone"


async def test_undo_passes_over_a_recovery_that_was_killed_before_it_changed_anything(
    protected: Protected,
) -> None:
    """Lost: nothing.
    Seen: the state before the last recovery that did something.
    """
    await protected.commit()
    first = await protected.moment()
    await protected.commit()
    await protected.recover(first)
    await killed_recovery(protected, first.isoformat(), Stage.STOPPED, "after")
    await protected.undo()
    assert await protected.rows() == [1, 2]


async def test_an_undo_that_was_killed_is_gone_on_with(protected: Protected) -> None:
    """Lost: nothing.
    Seen: the same command goes on.
    """
    await protected.commit()
    moment = await protected.moment()
    await protected.commit()
    await protected.recover(moment)
    await killed_recovery(protected, "undo", Stage.RESTORING, "after")
    await protected.undo()
    assert await protected.rows() == [1, 2]
    await protected.undo()
    assert await protected.rows() == [1]


async def test_writes_after_a_recovery_that_was_killed_at_its_end_are_not_lost(
    protected: Protected,
) -> None:
    """Lost: nothing.
    Seen: the next recovery finishes the first and secures by itself.
    """
    await protected.commit()
    moment = await protected.moment()
    await protected.commit()
    await killed_recovery(protected, moment.isoformat(), Stage.PROMOTED, "before")
    protected.number = 10
    await protected.commit()  # the server takes writes, though the journal does not know
    await protected.kill()
    assert why_server_must_wait(protected.platform) is not None
    await protected.recover(None)  # not what was asked before: a recovery of its own, secured by itself
    assert await protected.rows() == [1, 11]


async def test_a_killed_recovery_leaves_no_pgbackrest_that_stands_in_the_way(protected: Protected) -> None:
    """Lost: nothing.
    Seen: the same command goes on.
    """
    await protected.commit()
    for number in range(200):
        await protected.commit(padding=number)
    program = _PROGRAM.replace("dying(self, entry, reached):", "dying(self, entry, reached):\n    stage = None")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        str(protected.home.root),
        "latest",
        "none",
        "none",
        stdout=asyncio.subprocess.PIPE,
        env=_ENVIRONMENT,
    )
    assert process.stdout is not None
    async for line in process.stdout:
        if b"restoring" in line:
            break
    await eventually(lambda: restores_of(protected.home.pgdata), what="pgBackRest restores")
    orphans = restores_of(protected.home.pgdata)
    for pid in orphans:
        os.kill(pid, signal.SIGSTOP)  # it would be done before we have looked
    process.kill()
    await process.wait()
    assert orphans
    for pid in orphans:
        os.kill(pid, signal.SIGCONT)
    await protected.recover(None)
    for pid in orphans:
        await wait_for_exit(pid)
    assert len(await protected.rows()) == 201


async def test_ctrl_c_while_files_are_restored_leaves_it_to_be_run_again(protected: Protected) -> None:
    """Lost: nothing.
    Seen: the stage it stopped at; the same command goes on.
    """
    await protected.commit()
    moment = await protected.moment()
    await protected.commit()
    plan = await protected.plan(moment)
    going = asyncio.create_task(protected.carry_out(plan))
    await eventually(lambda: any(words.startswith("restore: restoring") for words in protected.said))
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    unfinished = protected.platform.recoverer.journal.unfinished()
    assert unfinished is not None
    assert unfinished.stage is Stage.RESTORING
    await protected.recover(moment)
    assert await protected.rows() == [1]
    await protected.undo()
    assert await protected.rows() == [1, 2]


def restores_of(pgdata: Path) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"--pg1-path={pgdata}".encode() in words and b"restore" in words and b"pgbackrest" in words[0]:
                found.append(int(entry.name))
    return found
