"""A generator process: reads its job, says that it is ready, waits for the word, sends, and tells how it goes.

Started as `python -m wedsync.loadtest.worker`. Over standard input come a frame with the job and, to begin, one
byte; its end stops the run. Over standard output go frames of `Report`; each frame is four bytes of length, and
MessagePack.
"""

import asyncio
import os
import sys
from dataclasses import astuple
from typing import BinaryIO

import msgspec
import uvloop

from wedsync.loadtest.figures import Sample
from wedsync.loadtest.flight import Generator, Job

_TELLS_EVERY_S = 0.5
_LENGTH = 4


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What ended since the last one."""

    connections: int = 0
    """In the first frame: how many connections are open."""
    done: bool = False
    """The last frame."""
    cpu_s: float = 0.0
    """Processor seconds of the process so far."""
    samples: list[tuple[str, float, float, float, str]] = []
    """Fields of `Sample`."""

    def to_samples(self) -> list[Sample]:
        return [Sample(*fields) for fields in self.samples]


def frame(value: msgspec.Struct) -> bytes:
    """A value as it goes through a pipe."""
    packed = msgspec.msgpack.encode(value)
    return len(packed).to_bytes(_LENGTH, "big") + packed


async def read_report(stream: asyncio.StreamReader) -> Report | None:
    """The next report of a worker; None where its output ended."""
    try:
        size = int.from_bytes(await stream.readexactly(_LENGTH), "big")
        return msgspec.msgpack.decode(await stream.readexactly(size), type=Report)
    except asyncio.IncompleteReadError:
        return None


def _read_job(stream: BinaryIO) -> Job:
    size = int.from_bytes(stream.read(_LENGTH), "big")
    return msgspec.msgpack.decode(stream.read(size), type=Job)


async def _work(job: Job) -> None:
    ended: list[Sample] = []
    generator = Generator(job, told=ended.append)

    def tell(*, connections: int = 0, done: bool = False) -> None:
        used = os.times()
        samples = [astuple(sample) for sample in ended]
        ended.clear()
        report = Report(connections=connections, done=done, cpu_s=used.user + used.system, samples=samples)
        sys.stdout.buffer.write(frame(report))
        sys.stdout.buffer.flush()

    async def keep_telling() -> None:
        while True:
            await asyncio.sleep(_TELLS_EVERY_S)
            tell()

    tell(connections=await generator.open())
    if not await asyncio.to_thread(sys.stdin.buffer.read, 1):
        return  # nobody wants it any more
    running = asyncio.ensure_future(generator.run())
    telling = asyncio.ensure_future(keep_telling())
    stopped = asyncio.ensure_future(asyncio.to_thread(sys.stdin.buffer.read, 1))
    await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    if not running.cancelled():
        running.result()
    tell(done=True)
    sys.stdout.buffer.flush()
    os._exit(0)  # the thread that reads standard input cannot be called back


if __name__ == "__main__":
    uvloop.run(_work(_read_job(sys.stdin.buffer)))
