"""One run, several workers (pytest-xdist): what is a worker's own, and what they share."""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Which worker this process is, from 0, of how many; the only one of 1 without pytest-xdist."""

    index: int = 0
    count: int = 1

    @property
    def alone(self) -> bool:
        return self.count == 1


def this_worker(environment: Mapping[str, str] = os.environ) -> Worker:
    """This process's place among the workers."""
    name = environment.get("PYTEST_XDIST_WORKER")
    if name is None:
        return Worker()
    return Worker(index=int(name.removeprefix("gw")), count=int(environment["PYTEST_XDIST_WORKER_COUNT"]))


@contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Wait until no other process of this run is inside; the lock is gone with its holder."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def made_once(place: Path, make: Callable[[Path], Awaitable[object]]) -> Path:
    """`place`, filled by `make` in the first worker that asks; the others wait for it. Only to be read."""
    ready = place.with_name(f"{place.name}.ready")
    with one_at_a_time(place.with_name(f"{place.name}.lock")):
        if not ready.exists():
            shutil.rmtree(place, ignore_errors=True)  # of a worker that failed at it

            async def fill() -> None:
                await make(place)

            asyncio.run(fill())
            ready.touch()
    return place


@contextmanager
def held(context: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """What an asynchronous context gives, for several tests, each of which has an event loop of its own."""
    with asyncio.Runner() as runner:
        value = runner.run(context.__aenter__())  # type: ignore[arg-type]
        try:
            yield value
        finally:
            runner.run(context.__aexit__(None, None, None))  # type: ignore[arg-type]
