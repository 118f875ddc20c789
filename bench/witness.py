"""A witness beside the bare engine: counting every row, and pg_dump to nowhere, on the same database by turns.

    python bench/witness.py DIRECTORY [--size 6] [--rounds 3] [--port 23111]

DIRECTORY is new or empty; as any user but root. Seconds and ratios; then how much slower clients of pgbench are
while a witness is taken.
"""

import argparse
import asyncio
import re
import shutil
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

from wedsync.app import Platform, Preparation
from wedsync.config import Home
from wedsync.demo import load
from wedsync.process import run

LONG = timedelta(minutes=30)
TPS = re.compile(r"tps = ([\d.]+)")


class Quiet:
    def note(self, words: str) -> None:
        del words


async def seconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def count_all(platform: Platform) -> None:
    """Count the rows of each table, in one session."""
    async with await platform.server.target("postgres", platform.config.database.name).connect() as connection:
        await connection.execute("set max_parallel_workers_per_gather = 0")
        cursor = await connection.execute(
            "select format('select count(*) from only %s', oid::regclass) from pg_class c"
            " where relkind = 'r' and relpersistence = 'p'"
            " and relnamespace::regnamespace::text !~ '^(pg_|information_schema)'"
        )
        for (text,) in await cursor.fetchall():
            await connection.execute(text.encode())


async def dump(platform: Platform) -> None:
    """pg_dump of all rows to nowhere."""
    target = platform.server.target("postgres", platform.config.database.name)
    words = [platform.engine.program("pg_dump"), "-h", target.host, "-p", str(target.port), "-U", "postgres"]
    finished = await run(
        [*words, "--data-only", "-f", "/dev/null", target.dbname],
        deadline=LONG,
        env=platform.engine.environment,
    )
    finished.check()


async def throughput(platform: Platform, for_s: int) -> float:
    """Transactions a second of four clients of pgbench."""
    target = platform.server.target("postgres", "postgres")
    words = [platform.engine.program("pgbench"), "-h", target.host, "-p", str(target.port), "-U", "postgres"]
    finished = await run(
        [*words, "-n", "-c", "4", "-T", str(for_s), "postgres"], deadline=LONG, env=platform.engine.environment
    )
    match = TPS.search(finished.check().stdout)
    assert match is not None
    return float(match[1])


async def main(options: argparse.Namespace) -> None:
    home = Home(options.directory.resolve())
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.config_file.write_text(
        f"[cluster]\nport = {options.port}\n[gateway]\nport = {options.port + 1}\n[backup]\nenabled = false\n"
    )
    platform = Platform(home, {"HOME": str(home.root)})
    await Preparation(platform, step=lambda _: nullcontext(Quiet()), say=lambda _: None).prepare(demo=False)
    await load(platform.owner_target, size=options.size)
    taker = platform.witness_taker()
    took: dict[str, list[float]] = {"witness": [], "count(*)": [], "pg_dump": []}
    for _ in range(options.rounds):
        took["witness"].append(await seconds(lambda: taker.take("operator")))
        took["count(*)"].append(await seconds(lambda: count_all(platform)))
        took["pg_dump"].append(await seconds(lambda: dump(platform)))
    witness = await taker.take("operator")
    parts = sum(table.span is not None for table in witness.tables)
    print(f"{witness.rows} rows in {len(witness.tables)} tables, {parts} in parts; left out {witness.left_out}")
    middle = {name: statistics.median(found) for name, found in took.items()}
    for name, found in middle.items():
        print(f"{name:10} {found:7.2f} s   witness / this {middle['witness'] / found:5.2f}")
    target = platform.server.target("postgres", "postgres")
    words = [platform.engine.program("pgbench"), "-h", target.host, "-p", str(target.port), "-U", "postgres"]
    (
        await run([*words, "-q", "-i", "-s", "20", "postgres"], deadline=LONG, env=platform.engine.environment)
    ).check()
    pairs: list[float] = []
    for _ in range(options.rounds):
        alone = await throughput(platform, 8)
        stop = asyncio.Event()

        async def again(stop: asyncio.Event = stop) -> None:
            while not stop.is_set():
                await taker.take("operator")

        beside = asyncio.create_task(again())
        pairs.append(await throughput(platform, 8) / alone)
        stop.set()
        await beside
    print(f"pgbench while one witness follows the other: {statistics.median(pairs):.2f} of its throughput alone")
    await platform.server.stop("fast")
    if not options.keep:
        shutil.rmtree(home.root)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A witness beside the bare engine.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", type=float, default=6.0, help="times 150 weddings of the demo season")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=23111)
    parser.add_argument("--keep", action="store_true", help="leave the home for a look")
    asyncio.run(main(parser.parse_args()))
