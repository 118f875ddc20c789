"""Signals to a service: the first one asks for its end, later ones do not break the stopping off."""

import asyncio
import os
import signal

from support.events import eventually
from wedsync.app import until_signalled


async def test_a_second_signal_does_not_break_off_the_stopping() -> None:
    told: list[int] = []
    stopped: list[str] = []

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            await eventually(lambda: len(told) == 3)
            stopped.append("orderly")

    assert await until_signalled(work, on_signal=told.append) is signal.SIGINT
    assert stopped == ["orderly"]
    assert told == [1, 2, 3]


async def test_work_that_ends_by_itself_was_not_signalled() -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    assert await until_signalled(work) is None
