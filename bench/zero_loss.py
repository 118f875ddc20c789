"""What commits cost with a receiver of WAL: pgbench without one, with one that follows, with one waited for.

    python bench/zero_loss.py DIRECTORY [--seconds 10] [--rounds 3] [--clients 8] [--port 26121]

DIRECTORY is new or empty, on a local disk; as any user but root. The three take turns on one cluster; the receiver
writes to the same disk, so what is measured is the waiting, not a network. Add its round trip to each commit.
"""

import argparse
import asyncio
import re
import shutil
import statistics
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path

from wedsync.app import Platform, Preparation
from wedsync.config import Home
from wedsync.process import run
from wedsync.zero_loss import RECEIVER

MODES = ("off", "async", "sync")
LATENCY = re.compile(r"latency average = ([\d.]+) ms")
RATE = re.compile(r"tps = ([\d.]+)")


class Quiet:
    def note(self, words: str) -> None:
        del words


async def streams(platform: Platform) -> None:
    """Return when the receiver streams."""
    async with await platform.server.target().connect() as connection:
        for _ in range(600):
            cursor = await connection.execute(
                "select 1 from pg_stat_replication where application_name = %s and state = 'streaming'",
                (RECEIVER,),
            )
            if await cursor.fetchone() is not None:
                return
            await asyncio.sleep(0.1)
    raise SystemExit("the receiver did not come")


async def pgbench(platform: Platform, *, clients: int, seconds: int) -> tuple[float, float]:
    """Milliseconds of a transaction, and transactions a second."""
    words = [
        platform.engine.program("pgbench"),
        *("-h", str(platform.home.sockets), "-p", str(platform.config.cluster.port), "-U", "postgres"),
        *("-n", "-N", "-c", str(clients), "-j", "1", "-T", str(seconds), "postgres"),
    ]
    finished = (await run(words, deadline=timedelta(minutes=10), env=platform.engine.environment)).check()
    latency, rate = LATENCY.search(finished.stdout), RATE.search(finished.stdout)
    assert latency is not None
    assert rate is not None
    return float(latency[1]), float(rate[1])


async def measure(platform: Platform, mode: str, options: argparse.Namespace) -> tuple[float, float]:
    """One turn of one mode."""
    receiver = None
    if mode != "off":
        receiver = asyncio.create_task(platform.receiver(may_run=lambda: None).run())
        await streams(platform)
    try:
        if mode == "sync":
            await platform.server.wait_for(RECEIVER)
            await asyncio.sleep(0.5)
        return await pgbench(platform, clients=options.clients, seconds=options.seconds)
    finally:
        await platform.server.wait_for("")
        if receiver is not None:
            receiver.cancel()
            with suppress(asyncio.CancelledError):
                await receiver


async def main(options: argparse.Namespace) -> None:
    home = Home(options.directory.resolve())
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.config_file.write_text(
        f"[cluster]\nport = {options.port}\n[gateway]\nport = {options.port + 1}\n[backup]\nenabled = false\n"
        '[backup.zero_loss]\nmode = "async"\n'
    )
    platform = Platform(home, {"HOME": str(home.root)})
    await Preparation(platform, step=lambda _: nullcontext(Quiet()), say=lambda _: None).prepare(demo=False)
    words = [
        platform.engine.program("pgbench"),
        *("-h", str(home.sockets), "-p", str(options.port), "-U", "postgres", "-i", "-q", "-s", "10", "postgres"),
    ]
    (await run(words, deadline=timedelta(minutes=10), env=platform.engine.environment)).check()
    found: dict[str, list[tuple[float, float]]] = {mode: [] for mode in MODES}
    for number in range(options.rounds):
        for mode in MODES if number % 2 == 0 else tuple(reversed(MODES)):
            found[mode].append(await measure(platform, mode, options))
            print(f"  {mode:6} {found[mode][-1][0]:7.2f} ms {found[mode][-1][1]:8.0f}/s")
    latency_ms, rate = (statistics.median(item[place] for item in found["off"]) for place in (0, 1))
    print(f"medians of {options.rounds}, {options.clients} clients, pgbench -N:")
    for mode in MODES:
        own_ms, own_rate = (statistics.median(item[place] for item in found[mode]) for place in (0, 1))
        print(
            f"{mode:6} {own_ms:7.2f} ms a transaction (ratio {own_ms / latency_ms:.2f}),"
            f" {own_rate:8.0f}/s (ratio {own_rate / rate:.2f})"
        )
    await platform.server.stop("fast")
    if not options.keep:
        shutil.rmtree(home.root)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What commits cost with a receiver of WAL.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--port", type=int, default=26121)
    parser.add_argument("--keep", action="store_true", help="leave the home for a look")
    asyncio.run(main(parser.parse_args()))
