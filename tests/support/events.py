"""Wait for a thing to happen, with an end to the waiting."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(ask: Callable[[], T | Awaitable[T]], *, within_s: float = 60.0, what: str = "") -> T:
    """The first true answer of `ask`; fails with the last answer when there is none in time."""
    last: object = None
    try:
        async with asyncio.timeout(within_s):
            while True:
                answer = ask()
                value = await answer if inspect.isawaitable(answer) else answer
                if value:
                    return value  # type: ignore[return-value]
                last = value
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {what or ask}; last answer {last!r}") from None
