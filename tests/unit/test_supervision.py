"""Pauses between restarts, and what the supervisor does with processes that die, wait or fail."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.events import eventually
from wedsync.errors import ServerFailed
from wedsync.process import (
    ProcessFact,
    Pulse,
    RestartPolicy,
    Supervised,
    Supervisor,
    beat_of,
    failures_after,
    is_alive,
    restart_delay,
    spawn_detached,
    wait_for_exit,
)

SECOND = timedelta(seconds=1)
Fact = tuple[str, ProcessFact, str]


class CountedClock:
    """A clock whose pauses end at once and are noted."""

    def __init__(self) -> None:
        self.pauses: list[timedelta] = []

    def now(self) -> datetime:
        return datetime(2026, 6, 14, tzinfo=UTC)

    async def sleep(self, pause: timedelta) -> None:
        self.pauses.append(pause)
        await asyncio.sleep(0)


def spawn(*words: str) -> int:
    return spawn_detached([sys.executable, "-c", *words], log=Path(os.devnull))


def sleeper() -> int:
    return spawn("import time; time.sleep(600)")


async def end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    await wait_for_exit(pid)
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - it has ended


def supervised(name: str, make: Callable[[], int], **further: object) -> Supervised:
    async def start() -> int:
        return make()

    return Supervised(name=name, start=start, stop=end, **further)  # type: ignore[arg-type]


async def cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_the_first_restart_is_at_once() -> None:
    assert restart_delay(1) == timedelta(0)


def test_pauses_double_up_to_the_longest() -> None:
    policy = RestartPolicy(base=SECOND, longest=timedelta(seconds=10))
    assert [restart_delay(n, policy) / SECOND for n in range(1, 8)] == [0, 1, 2, 4, 8, 10, 10]


@given(st.integers(min_value=0, max_value=10_000))
def test_a_pause_never_shrinks_with_more_failures(failures: int) -> None:
    assert timedelta(0) <= restart_delay(failures) <= restart_delay(failures + 1) <= timedelta(minutes=1)


def test_a_process_that_stayed_up_starts_counting_again() -> None:
    assert failures_after(7, timedelta(minutes=2)) == 1
    assert failures_after(7, timedelta(seconds=3)) == 8


async def test_a_killed_process_is_restarted_and_both_are_recorded() -> None:
    facts: list[Fact] = []
    pids: list[int] = []

    def start() -> int:
        pids.append(sleeper())
        return pids[-1]

    task = asyncio.create_task(
        Supervisor([supervised("worker", start)], record=lambda *fact: facts.append(fact)).run()
    )
    await eventually(lambda: len(facts) == 1)
    os.kill(pids[0], signal.SIGKILL)
    await eventually(lambda: len(facts) == 3)
    await cancel(task)
    assert [fact[1] for fact in facts] == ["started", "died", "restarted", "stopped"]
    assert "killed by signal 9" in facts[1][2]
    assert not any(is_alive(pid) for pid in pids)


async def test_a_process_that_dies_at_once_is_started_less_and_less_often() -> None:
    clock = CountedClock()
    facts: list[Fact] = []
    task = asyncio.create_task(
        Supervisor(
            [supervised("worker", lambda: spawn("raise SystemExit(3)"))],
            record=lambda *fact: facts.append(fact),
            clock=clock,
        ).run()
    )
    await eventually(lambda: len(clock.pauses) >= 5)
    await cancel(task)
    assert [pause / SECOND for pause in clock.pauses[:5]] == [0, 1, 2, 4, 8]
    assert all("exit status 3" in detail for _, what, detail in facts if what is ProcessFact.DIED)


async def test_a_start_that_fails_is_recorded_and_tried_again() -> None:
    clock = CountedClock()
    facts: list[Fact] = []
    attempts = 0

    def start() -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ServerFailed("it did not start", detail="no space")
        if attempts == 2:
            raise OSError("fork: out of processes")
        return sleeper()

    supervisor = Supervisor([supervised("worker", start)], record=lambda *fact: facts.append(fact), clock=clock)
    task = asyncio.create_task(supervisor.run())
    await eventually(lambda: len(facts) == 3)
    await cancel(task)
    assert [fact[1] for fact in facts[:3]] == ["start_failed", "start_failed", "restarted"]
    assert facts[0][2] == "it did not start [WS206]: no space; again in 1 s"
    assert "out of processes" in facts[1][2]


async def test_what_must_stay_down_is_not_started_until_the_reason_is_gone() -> None:
    clock = CountedClock()
    facts: list[Fact] = []
    reasons: list[str] = ["a recovery runs"]
    task = asyncio.create_task(
        Supervisor(
            [supervised("worker", sleeper, may_start=lambda: reasons[0] if reasons else None)],
            record=lambda *fact: facts.append(fact),
            clock=clock,
        ).run()
    )
    await eventually(lambda: len(clock.pauses) > 10)
    assert facts == [("worker", ProcessFact.WAITING, "a recovery runs")]
    reasons.clear()
    await eventually(lambda: len(facts) == 2)
    await cancel(task)
    assert facts[1][1] is ProcessFact.STARTED


async def test_a_process_stopped_under_a_hold_did_not_die() -> None:
    facts: list[Fact] = []
    reasons: list[str] = []
    pids: list[int] = []

    def start() -> int:
        pids.append(sleeper())
        return pids[-1]

    task = asyncio.create_task(
        Supervisor(
            [supervised("worker", start, may_start=lambda: reasons[0] if reasons else None)],
            record=lambda *fact: facts.append(fact),
        ).run()
    )
    await eventually(lambda: len(facts) == 1)
    reasons.append("a recovery runs")
    os.kill(pids[0], signal.SIGTERM)
    await eventually(lambda: len(facts) == 2)
    await cancel(task)
    assert facts[1][1] is ProcessFact.STOPPED
    assert len(pids) == 1


async def test_a_running_process_is_adopted() -> None:
    facts: list[Fact] = []
    pid = sleeper()
    task = asyncio.create_task(
        Supervisor(
            [supervised("worker", sleeper, find_running=lambda: pid if is_alive(pid) else None)],
            record=lambda *fact: facts.append(fact),
        ).run()
    )
    await eventually(lambda: facts)
    await cancel(task)
    assert facts[0] == ("worker", ProcessFact.ADOPTED, f"process {pid}")
    assert not is_alive(pid)


async def test_processes_are_stopped_last_first_even_if_one_does_not_stop() -> None:
    facts: list[Fact] = []

    async def refuse(pid: int) -> None:
        await end(pid)
        raise ServerFailed("it does not stop")

    async def start() -> int:
        return sleeper()

    processes = [
        supervised("first", sleeper),
        Supervised(name="second", start=start, stop=refuse),
        supervised("third", sleeper),
    ]
    task = asyncio.create_task(Supervisor(processes, record=lambda *fact: facts.append(fact)).run())
    await eventually(lambda: len(facts) == 3)
    await cancel(task)
    assert [(fact[0], fact[1]) for fact in facts[3:]] == [
        ("third", ProcessFact.STOPPED),
        ("second", ProcessFact.STOP_FAILED),
        ("first", ProcessFact.STOPPED),
    ]


async def test_a_fact_that_cannot_be_recorded_leaves_the_process_supervised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pids: list[int] = []

    def start() -> int:
        pids.append(sleeper())
        return pids[-1]

    def record(*_: object) -> None:
        raise OSError("no space left on device")

    task = asyncio.create_task(Supervisor([supervised("worker", start)], record=record).run())
    await eventually(lambda: len(pids) == 1)
    os.kill(pids[0], signal.SIGKILL)
    await eventually(lambda: len(pids) == 2)
    await cancel(task)
    assert "process_not_recorded" in caplog.text


async def test_a_process_that_stands_still_is_killed_and_started_again(tmp_path: Path) -> None:
    """A stopped process has a pid, and takes no signal but the last one."""
    facts: list[Fact] = []
    pids: list[int] = []
    file = tmp_path / "beat"
    words = f"import pathlib, time\nwhile True: pathlib.Path({str(file)!r}).touch(); time.sleep(0.05)"

    def start() -> int:
        pids.append(spawn(words))
        return pids[-1]

    process = supervised("worker", start, pulse=beat_of(file))
    policy = RestartPolicy(hung_after=2 * SECOND)
    task = asyncio.create_task(Supervisor([process], record=lambda *fact: facts.append(fact), policy=policy).run())
    await eventually(file.exists, what="it beats")
    os.kill(pids[0], signal.SIGSTOP)
    await eventually(lambda: len(facts) == 4, what="it is started again")
    await cancel(task)
    assert [fact[1] for fact in facts] == ["started", "hung", "died", "restarted", "stopped"]
    assert not is_alive(pids[0])


def test_only_what_does_not_change_stands_still() -> None:
    pulse = Pulse().after(7, SECOND).after(7, SECOND).after(7, SECOND)
    assert pulse.stood == 2 * SECOND
    assert pulse.after(8, SECOND).stood == timedelta(0)
    assert pulse.after(None, SECOND).stood == timedelta(0)
    assert pulse.after(7, timedelta(hours=1)).stood == 4 * SECOND, "the machine was stopped, and who looks with it"
