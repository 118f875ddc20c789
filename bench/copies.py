"""A preview beside bare pgBackRest: the first moment, and a later one, by turns in one run.

    python bench/copies.py DIRECTORY [--size 6] [--rounds 3] [--segments 33] [--port 26121]

DIRECTORY is new or empty, on a local disk; as any user but root. The first moment is a restore into an empty
directory and replay until the server is paused. The peer is `pgbackrest restore` with its WAL fetched one segment
after the other, and PostgreSQL with the settings of the cluster, started by hand. The later moment lies about
`--segments` of WAL behind the first; the peer restarts with another target. Ours includes the plan each time:
looking which backup and which WAL lead there.
"""

import argparse
import asyncio
import shutil
import statistics
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wedsync.app import Platform, Preparation
from wedsync.backup import BackupKind, RunReason
from wedsync.config import Home
from wedsync.copies import CopyOrder, CopyPlan, Effort, Purpose
from wedsync.database import ConnectionTarget
from wedsync.demo import load
from wedsync.process import run

LONG = timedelta(minutes=30)
EFFORT = Effort(nice=0, idle_disk=False, processes=2, memory_bytes=64 * 1024 * 1024)


class Quiet:
    def note(self, words: str) -> None:
        del words


async def fill(platform: Platform, first: int, segments: int) -> datetime:
    """Write about so many segments of WAL; gives the moment after them, which is archived."""
    async with await platform.server.target().connect() as connection:
        for number in range(first, first + segments):
            await connection.execute(
                "insert into filling select i, repeat(md5(i::text), 12) from generate_series(%s::int, %s::int) i",
                (number * 30_000, number * 30_000 + 29_999),
            )
        row = await (await connection.execute("select clock_timestamp()")).fetchone()
        await connection.execute("insert into filling values (%s)", (-1 - first,))
        await connection.execute("select pg_switch_wal()")
    await platform.pgbackrest.check()
    assert row is not None
    moment: datetime = row[0]
    return moment.astimezone(UTC)


async def make(platform: Platform, *, size: float, segments: int) -> tuple[datetime, datetime]:
    """A protected cluster; gives a moment right after its backup, and one so many segments later."""
    await Preparation(platform, step=lambda _: nullcontext(Quiet()), say=lambda _: None).prepare(demo=False)
    if size:
        await load(platform.owner_target, size=size)
    await platform.backup_runs.take(BackupKind.FULL, repo=1, reason=RunReason.OPERATOR)
    async with await platform.server.target().connect() as connection:
        await connection.execute("create table filling (i int primary key, t text)")
    await asyncio.sleep(1.1)  # pgBackRest knows a backup's end to the second
    return await fill(platform, 0, 1), await fill(platform, 1, segments)


async def paused(target: ConnectionTarget) -> None:
    while True:
        try:
            async with await target.connect() as connection:
                row = await (await connection.execute("select pg_get_wal_replay_pause_state()")).fetchone()
                if row == ("paused",):
                    return
        except Exception as error:
            del error
        await asyncio.sleep(0.02)


class Bare:
    """The same by hand."""

    def __init__(self, platform: Platform, place: Path) -> None:
        self.platform = platform
        self.place = place
        self.pgdata = place / "data"
        self.target = ConnectionTarget(host=str(place), port=5432, dbname="postgres", user="postgres")

    async def first(self, plan: CopyPlan) -> float:
        began = time.perf_counter()
        self.place.mkdir(mode=0o700)
        at = plan.restore_target.at
        assert at is not None
        words = [
            self.platform.engine.pgbackrest,
            f"--config={self.platform.home.pgbackrest_config}",
            f"--lock-path={self.place}",
            "--stanza=wedsync",
            f"--repo={plan.repo}",
            f"--set={plan.base.label}",
            f"--pg1-path={self.pgdata}",
            "--process-max=2",
            "--archive-mode=off",
            "--type=time",
            f"--target={at:%Y-%m-%d %H:%M:%S.%f}+00",
            "--target-action=pause",
            f"--target-timeline={plan.timeline}",
            "restore",
        ]
        (await run(words, deadline=LONG, env=self.platform.engine.environment)).check()
        await self._start()
        return time.perf_counter() - began

    async def later(self, moment: datetime) -> float:
        began = time.perf_counter()
        await self._stop("fast")
        with (self.pgdata / "postgresql.auto.conf").open("a") as file:
            file.write(f"recovery_target_time = '{moment:%Y-%m-%d %H:%M:%S.%f}+00'\n")
        await self._start()
        return time.perf_counter() - began

    async def remove(self) -> None:
        await self._stop("immediate")
        shutil.rmtree(self.place)

    async def _start(self) -> None:
        settings = f"-c listen_addresses= -c unix_socket_directories={self.place} -c port=5432 -c ssl=off"
        pg_ctl = self.platform.engine.program("pg_ctl")
        words = [pg_ctl, "-D", self.pgdata, "-W", "-l", self.place / "log", "-o", settings, "start"]
        await run(words, deadline=LONG)
        await paused(self.target)

    async def _stop(self, mode: str) -> None:
        pg_ctl = self.platform.engine.program("pg_ctl")
        await run([pg_ctl, "-D", self.pgdata, "-w", "-m", mode, "stop"], deadline=LONG)


async def ours(platform: Platform, first: datetime, later: datetime) -> tuple[float, float]:
    began = time.perf_counter()
    plan = await platform.copies.plan(CopyOrder(target=first))
    directory = platform.copies.new_directory(Purpose.DRILL)
    copy = await platform.copies.make(plan, directory=directory, effort=EFFORT)
    made_s = time.perf_counter() - began
    began = time.perf_counter()
    await copy.forward(later)
    moved_s = time.perf_counter() - began
    await copy.remove()
    return made_s, moved_s


async def main(options: argparse.Namespace) -> None:
    home = Home(options.directory.resolve())
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.config_file.write_text(
        f"[cluster]\nport = {options.port}\n[gateway]\nport = {options.port + 1}\n[backup]\nenabled = false\n"
    )
    platform = Platform(home, {"HOME": str(home.root)})
    first, later = await make(platform, size=options.size, segments=options.segments)
    plan = await platform.copies.plan(CopyOrder(target=first))
    onward = await platform.copies.plan(CopyOrder(target=later))
    print(f"{plan.base.database_bytes / 1e6:.0f} MB; first moment {plan.wal_segments} segments of WAL,", end=" ")
    print(f"the later one {onward.wal_segments - plan.wal_segments} more")
    found: dict[str, list[float]] = {"first ours": [], "first bare": [], "later ours": [], "later bare": []}
    for number in range(options.rounds):
        for who in ("ours", "bare") if number % 2 == 0 else ("bare", "ours"):
            if who == "ours":
                made_s, moved_s = await ours(platform, first, later)
            else:
                bare = Bare(platform, home.root / "bare")
                made_s, moved_s = await bare.first(plan), await bare.later(later)
                await bare.remove()
            found[f"first {who}"].append(made_s)
            found[f"later {who}"].append(moved_s)
    print(f"medians of {options.rounds}")
    for which in ("first", "later"):
        mine, peer = (statistics.median(found[f"{which} {who}"]) for who in ("ours", "bare"))
        print(f"{which} moment: ours {mine:6.2f} s, bare {peer:6.2f} s, ratio {mine / peer:5.2f}")
    print("  each: " + "; ".join(f"{name} {[round(s, 2) for s in all_s]}" for name, all_s in found.items()))
    await platform.server.stop("fast")
    if not options.keep:
        shutil.rmtree(home.root)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A preview beside bare pgBackRest.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", type=float, default=6.0, help="times 150 weddings of the demo season")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--segments", type=int, default=33, help="WAL between the moments, about so many segments")
    parser.add_argument("--port", type=int, default=26121)
    parser.add_argument("--keep", action="store_true", help="leave the home for a look")
    asyncio.run(main(parser.parse_args()))
