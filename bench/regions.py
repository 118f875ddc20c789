"""Archiving and a backup to repo1 with a second region: none, near, slow, and one that never answers.

    PYTHONPATH=src:tests python bench/regions.py DIRECTORY [--seconds 20] [--rounds 2] [--only away] [--port 26141]

DIRECTORY is new or empty, on a local disk; as any user but root. The second region is the tests' S3 behind a road
of ours, which delays and narrows what goes through, or swallows it. By turns, on the same server and repositories:

- ours archives as the platform does, and the keeper's watch over the regions runs beside it (`give_up_after` 10 s)
- bare is pgBackRest as its guide shows it: the same configuration without asynchronous archiving, nobody watches.

Of each: commits a second (`pgbench -N`), segments that wait when it ends, seconds until all of them are archived
(`--cap 180` at the most: then the figure has a `>`), and an incremental backup to repo1.
"""

import argparse
import asyncio
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from support.regions import Region, s3_store
from wedsync.app import Platform, Preparation
from wedsync.config import Home
from wedsync.process import run

LONG = timedelta(minutes=20)
RATE = re.compile(r"tps = ([\d.]+)")
CHUNK = 16_384


@dataclass(frozen=True, kw_only=True)
class Road:
    """How the way to the second region is."""

    delay_s: float = 0.0
    bytes_a_second: float = float("inf")
    swallows: bool = False


ROADS: dict[str, Road | None] = {
    "alone": None,
    "near": Road(),
    "slow": Road(delay_s=0.05, bytes_a_second=4_000_000),
    "away": Road(swallows=True),
}


@dataclass(kw_only=True)
class Way:
    """Passes connections on to the store, as the road is."""

    to: int
    road: Road = field(default_factory=Road)
    free_at: float = 0.0
    """When the road has carried all that was put on it."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind_reader, behind = await asyncio.open_connection("127.0.0.1", self.to)
            await asyncio.gather(self.carry(reader, behind), self.carry(behind_reader, writer))
        except OSError:
            pass
        finally:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def arrive() -> None:
            while True:
                at, chunk = await sent.get()
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                if not chunk:
                    writer.write_eof()
                    return
                writer.write(chunk)
                await writer.drain()

        arriving = asyncio.create_task(arrive())
        try:
            while chunk := await reader.read(CHUNK):
                if not self.road.swallows:
                    self.free_at = max(self.free_at, time.monotonic()) + len(chunk) / self.road.bytes_a_second
                    await sent.put((self.free_at + self.road.delay_s, chunk))
            await sent.put((0.0, b""))
            await arriving
        finally:
            arriving.cancel()


class Quiet:
    def note(self, words: str) -> None:
        del words


async def waiting(platform: Platform) -> int:
    """Finished segments that are not archived."""
    async with await platform.server.target().connect() as connection:
        statement = "select count(*) from pg_ls_archive_statusdir() where name like '%.ready'"
        row = await (await connection.execute(statement)).fetchone()
    assert row is not None
    return row[0]


async def drain(platform: Platform, cap: float) -> None:
    """Return when nothing waits to be archived, or the time is up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(cap):
            while await waiting(platform):  # noqa: ASYNC110 - another process works
                await asyncio.sleep(0.1)


async def pgbench(platform: Platform, *further: str) -> str:
    words = [
        platform.engine.program("pgbench"),
        *("-h", str(platform.home.sockets), "-p", str(platform.config.cluster.port), "-U", "postgres"),
        *(*further, "postgres"),
    ]
    return (await run(words, deadline=LONG, env=platform.engine.environment)).check().stdout


@asynccontextmanager
async def watched(platform: Platform) -> AsyncIterator[None]:
    """The keeper's look at the regions, beside what goes on."""
    task = asyncio.create_task(platform.region_watch().run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def measure(platform: Platform, conf: Path, options: argparse.Namespace) -> dict[str, float]:
    """One turn: load, drain, backup."""
    found: dict[str, float] = {}
    said = await pgbench(platform, "-n", "-N", "-c", "8", "-j", "1", "-T", str(options.seconds))
    rate = RATE.search(said)
    assert rate is not None
    found["commits/s"] = float(rate[1])
    found["waiting"] = await waiting(platform)
    began = time.monotonic()
    async with await platform.server.target().connect() as connection:
        await connection.execute("select pg_switch_wal()")
    await drain(platform, options.cap)
    found["drained s"] = time.monotonic() - began
    words = [platform.engine.pgbackrest, f"--config={conf}", "--stanza=wedsync", "--repo=1", "--type=incr"]
    began = time.monotonic()
    ended = await run([*words, "backup"], deadline=LONG, env=platform.engine.environment)
    found["backup s"] = time.monotonic() - began if ended.exit_status == 0 else float("nan")
    return found


async def open_home(home: Home, options: argparse.Namespace, region: Region | None, port: int) -> Platform:
    """The home with that second region, its server running; archiving as `wedsync` does it."""
    text = (
        f"[cluster]\nport = {options.port}\n[gateway]\nport = {options.port + 1}\n"
        f'[backup]\nenabled = false\ngive_up_after = "10s"\n'
    )
    home.config_file.write_text(text + (region.toml(home, port=port) if region is not None else "repo2 = false\n"))
    platform = Platform(home, {"HOME": str(home.root)})
    platform.pgbackrest.write_config()
    return platform


async def turn(
    platform: Platform, who: str, way: Way, road: Road | None, options: argparse.Namespace
) -> dict[str, float]:
    """One turn of one of the two; the road is open before it and after it."""
    pgbackrest = platform.pgbackrest
    conf = platform.home.pgbackrest_config
    command = pgbackrest.archive_command()
    if who == "bare":
        conf = platform.home.root / "bare-pgbackrest.conf"
        lines = pgbackrest.config_text().splitlines()
        kept = [line for line in lines if line != "archive-async=y" and not line.startswith("io-timeout=")]
        conf.write_text("\n".join(kept) + "\n")
        conf.chmod(0o600)
        command = command.replace(str(platform.home.archive_config), str(conf))
    await platform.server.start(archive_command=command, deadline=LONG)
    way.road = road or Road()
    try:
        async with watched(platform) if who == "ours" else nullcontext():
            return await measure(platform, conf, options)
    finally:
        way.road = Road()
        await drain(platform, options.cap)  # what is left would burden the next turn
        await platform.server.stop("immediate")


def judged(found: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> str:
    """A line of each figure: ours, bare, ratio."""
    lines = []
    for what in ("commits/s", "waiting", "drained s", "backup s"):
        ours, bare = (statistics.median(turn[what] for turn in found[who]) for who in ("ours", "bare"))
        more = [">" if what == "drained s" and value >= options.cap else " " for value in (ours, bare)]
        ratio = f"{ours / bare:6.2f}" if bare else "     –"
        lines.append(f"  {what:10} ours {more[0]}{ours:9.1f}  bare {more[1]}{bare:9.1f}  ratio {ratio}")
    return "\n".join(lines)


async def main(options: argparse.Namespace) -> None:
    root = options.directory.resolve()
    home = Home(root)
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-regions-")))
        store = stack.enter_context(s3_store(place))
        way = Way(to=store.port)
        server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        platform = await open_home(home, options, None, port)
        await Preparation(platform, step=lambda _: nullcontext(Quiet()), say=lambda _: None).prepare(demo=False)
        await pgbench(platform, "-i", "-q", "-s", "10")
        await platform.server.stop("fast")
        platform.state.close()
        for name, road in ROADS.items():
            if options.only not in (None, name):
                continue
            found: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
            for number in range(options.rounds):
                for who in ("ours", "bare") if number % 2 == 0 else ("bare", "ours"):
                    region = store.bucket() if road is not None else None
                    home.given_up.unlink(missing_ok=True)
                    home.given_up_settings.unlink(missing_ok=True)
                    platform = await open_home(home, options, region, port)
                    await platform.pgbackrest.stanza_create()
                    found[who].append(await turn(platform, who, way, road, options))
                    platform.state.close()
                    print(f"  {name} {who} {found[who][-1]}", file=sys.stderr)
            print(f"{name}: medians of {options.rounds}\n{judged(found, options)}")
        server.close()
    if not options.keep:
        shutil.rmtree(root)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Archiving and backups with a second region.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cap", type=float, default=180.0, help="seconds to wait for the archive at the most")
    parser.add_argument("--only", choices=tuple(ROADS))
    parser.add_argument("--port", type=int, default=26141)
    parser.add_argument("--keep", action="store_true", help="leave the home for a look")
    asyncio.run(main(parser.parse_args()))
