"""How fast a repository is read, what that costs, and what it takes from the database beside it.

    .venv/bin/python -P bench/verification.py --home DIR [--rounds 3] [--seconds 20]

On a running home, as its user, with `[backup.verification] enabled = false`: each round reads everything with
`pgbackrest verify` and with ours, by turns, and runs pgbench alone and beside a reading at the default rate.
"""

import argparse
import asyncio
import resource
import statistics
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from time import monotonic

from wedsync.app import Platform
from wedsync.backup.stored import StoredFiles
from wedsync.backup.verification.files import FileKind, StoredFile
from wedsync.backup.verification.pace import Pace
from wedsync.backup.verification.reading import Reader
from wedsync.config import Home
from wedsync.process import run
from wedsync.words import size_words


def processor_s() -> float:
    """Processor time of this process and of the programs it ran."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


async def timed(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    began, used = monotonic(), processor_s()
    await work()
    return monotonic() - began, processor_s() - used


class Bench:
    """One home."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.files: list[StoredFile] = []
        self.system_ids: dict[str, str] = {}

    async def look(self) -> None:
        """List the repositories once."""
        inspection = await self.platform.verification.inspector.inspect()
        for item in inspection.repos.values():
            self.system_ids |= item.system_ids
            self.files += [file for file in item.files if file.label is None or file.label in item.labels]
        assert self.files, "the home has no repository that can be read"

    def reader(self, bytes_per_second: int | None) -> Reader:
        nice = self.platform.config.backup.verification.nice
        return Reader(
            pgbackrest=self.platform.pgbackrest,
            stored=StoredFiles(self.platform.pgbackrest, nice=nice),
            pace=Pace(bytes_per_second, sleep=asyncio.sleep),
        )

    async def ours(self) -> None:
        """Read every file, as fast as it goes."""
        reader = self.reader(None)
        for file in self.files:
            problem = await reader.check(file, system_ids=self.system_ids)
            assert problem is None, problem

    async def bare(self) -> None:
        """The same by `pgbackrest verify`."""
        for repo in self.platform.pgbackrest.repos:
            await self.platform.pgbackrest.verify(repo)

    async def at_default_rate(self) -> None:
        """Read for ever, at the rate that the keeper reads with."""
        reader = self.reader(self.platform.config.backup.verification.bytes_per_second)
        while True:
            for file in self.files:
                if file.kind is FileKind.BACKUP:
                    await reader.check(file, system_ids=self.system_ids)

    async def pgbench(self, seconds: int) -> float:
        """Transactions a second."""
        target = self.platform.server.target()
        words = [
            self.platform.engine.program("psql").with_name("pgbench"),
            *("-h", target.host, "-p", str(target.port), "-U", "postgres"),
            *("-n", "-c4", "-T", str(seconds), "postgres"),
        ]
        done = (await run(words, deadline=_DEADLINE, env=self.platform.engine.environment)).check()
        return float(next(line for line in done.stdout.splitlines() if line.startswith("tps")).split()[2])


_DEADLINE = timedelta(minutes=10)


async def main(home: Path, rounds: int, seconds: int) -> None:
    """Print medians and ratios."""
    bench = Bench(Platform(Home(home), {}))
    await bench.look()
    size = sum(file.size_bytes for file in bench.files)
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(rounds):
        ours.append(await timed(bench.ours))
        bare.append(await timed(bench.bare))
        alone.append(await bench.pgbench(seconds))
        reading = asyncio.create_task(bench.at_default_rate())
        beside.append(await bench.pgbench(seconds))
        reading.cancel()
        await asyncio.wait([reading])
    clock, used = (statistics.median(value[i] for value in ours) for i in (0, 1))
    bare_clock, bare_used = (statistics.median(value[i] for value in bare) for i in (0, 1))
    print(f"{len(bench.files)} files, {size_words(size)}, {rounds} rounds")
    print(f"ours              {clock:6.2f} s  {used:6.2f} s processor  {size_words(int(size / clock))}/s")
    speed = size_words(int(size / bare_clock))
    print(f"pgbackrest verify {bare_clock:6.2f} s  {bare_used:6.2f} s processor  {speed}/s")
    print(f"ratio             {clock / bare_clock:6.2f}    {used / bare_used:6.2f}")
    a, b = statistics.median(alone), statistics.median(beside)
    print(f"pgbench           {a:6.0f} tps alone, {b:6.0f} beside a reading at the default rate: {b / a:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20)
    given = parser.parse_args()
    asyncio.run(main(given.home, given.rounds, given.seconds))
