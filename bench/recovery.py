"""Recovery in place beside bare pgBackRest: the same cluster, target and machine, by turns in one run.

    python bench/recovery.py DIRECTORY [--size 6] [--rounds 3] [--segments 8] [--port 26111]

DIRECTORY is new or empty, on a local disk; as any user but root. The peer stops the server, runs
`pgbackrest --delta restore` with the same options (which PostgreSQL's own pg_ctl then starts) and waits until
the server takes writes. Ours is `wedsync recover run` without its plan: from the confirmation on, the present
state is secured, and after the service is back it checks that archiving goes on. So there are two ratios:
until the service is back, and until the command ends. A pool as the gateway has it asks for a row all the time:
when the first one comes again, reads are served. CPU is that of all processes, the server's included.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import time
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wedsync.app import Platform, Preparation
from wedsync.cluster import ServerState
from wedsync.config import Home
from wedsync.database.pipeline import PipelinePool, Statement, Work
from wedsync.demo import load
from wedsync.errors import WedsyncError
from wedsync.process import run
from wedsync.recovery import Phase, RecoveryPlan

LONG = timedelta(minutes=30)
BACK = (Phase.SECURE, Phase.STOP, Phase.RESTORE, Phase.REPLAY, Phase.PROMOTE)


class Quiet:
    def note(self, words: str) -> None:
        del words


def cpu_s() -> float:
    """Seconds of processor time of the whole machine: servers are nobody's children."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return (sum(map(int, words)) - int(words[3]) - int(words[4])) / os.sysconf("SC_CLK_TCK")


async def make(platform: Platform, *, size: float, segments: int, repo: int = 1) -> datetime:
    """A protected cluster with so much data, and WAL behind its backup; gives the moment to go back to."""
    await Preparation(platform, step=lambda _: nullcontext(Quiet()), say=lambda _: None).prepare(demo=False)
    if size:
        await load(platform.owner_target, size=size)
    taken = await asyncio.create_subprocess_exec(
        *(str(word) for word in (platform.engine.pgbackrest, f"--config={platform.home.pgbackrest_config}")),
        "--stanza=wedsync",
        f"--repo={repo}",
        "--type=full",
        "backup",
    )
    await taken.wait()
    await asyncio.sleep(1.1)  # pgBackRest knows a backup's end to the second
    async with await platform.server.target().connect() as connection:
        await connection.execute("create table filling (i int primary key, t text)")
        for number in range(segments):
            await connection.execute(
                "insert into filling select i, repeat(md5(i::text), 12) from generate_series(%s::int, %s::int) i",
                (number * 30_000, number * 30_000 + 29_999),
            )
        row = await (await connection.execute("select clock_timestamp()")).fetchone()
        await connection.execute("insert into filling values (-1)")
        await connection.execute("select pg_switch_wal()")
    await platform.pgbackrest.check()
    assert row is not None
    moment: datetime = row[0]
    return moment.astimezone(UTC)


async def writable(platform: Platform) -> None:
    while True:
        try:
            if platform.server.state() in {ServerState.RUNNING, ServerState.STARTING}:
                async with await platform.server.target().connect() as connection:
                    row = await (await connection.execute("select pg_is_in_recovery()")).fetchone()
                    if row is not None and not row[0]:
                        return
        except Exception as error:  # also of a data directory that is only half there
            del error
        await asyncio.sleep(0.02)


class Reader:
    """Reads through the gateway's pool without a pause; notes when reads were gone, and when they were back."""

    def __init__(self, pool: PipelinePool) -> None:
        self._pool = pool
        self._work = Work(
            role="none",
            settings=(),
            statements=(Statement(b"select 1"),),
            read_only=True,
            statement_timeout_ms=1000,
        )
        self._task: asyncio.Task[None] | None = None
        self.first_s: float | None = None

    def begin(self) -> None:
        """From now on."""
        self.first_s = None
        self._task = asyncio.create_task(self._read(time.perf_counter()))

    async def end(self) -> None:
        """No more."""
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _read(self, began: float) -> None:
        while True:
            with suppress(WedsyncError):
                await self._pool.run(self._work)
                if self._pool.replay is not None and self.first_s is None:
                    self.first_s = time.perf_counter() - began
            await asyncio.sleep(0.01)


async def bare(platform: Platform, plan: RecoveryPlan) -> float:
    """Seconds until the server takes writes: stop, delta restore, start, replay, promote."""
    began = time.perf_counter()
    pg_ctl = platform.engine.program("pg_ctl")
    await run([pg_ctl, "-D", platform.home.pgdata, "-w", "-m", "fast", "stop"], deadline=LONG)
    assert plan.restore_target.at is not None
    words = [
        platform.engine.pgbackrest,
        f"--config={platform.home.pgbackrest_config}",
        "--stanza=wedsync",
        f"--repo={plan.repo}",
        f"--set={plan.base.label}",
        "--delta",
        "--type=time",
        f"--target={plan.restore_target.at:%Y-%m-%d %H:%M:%S.%f}+00",
        "--target-action=promote",
        f"--target-timeline={plan.timeline}",
        "restore",
    ]
    (await run(words, deadline=LONG, env=platform.engine.environment)).check()
    # its output goes to a file: the server would keep our pipe open
    log = platform.home.log / "bare.log"
    await run([pg_ctl, "-D", platform.home.pgdata, "-W", "-l", log, "start"], deadline=LONG)
    await writable(platform)
    return time.perf_counter() - began


async def main(options: argparse.Namespace) -> None:
    home = Home(options.directory.resolve())
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.config_file.write_text(
        f"[cluster]\nport = {options.port}\n[gateway]\nport = {options.port + 1}\n[backup]\nenabled = false\n"
    )
    platform = Platform(home, {"HOME": str(home.root)})
    moment = await make(platform, size=options.size, segments=options.segments)
    plan = await platform.recoverer.plan(moment)
    wal = f"{plan.wal_segments} WAL segments ({plan.wal_bytes / 1e6:.0f} MB)"
    print(f"{plan.base.database_bytes / 1e6:.0f} MB, {wal}")
    reads: list[float] = []
    pool = PipelinePool(platform.gateway_target, min_size=2, max_size=2)
    await pool.open()
    reader = Reader(pool)
    ours_back: list[float] = []
    ours_all: list[float] = []
    peers: list[float] = []
    cpu: dict[str, list[float]] = {"ours": [], "bare": []}
    phases: dict[Phase, list[float]] = {}
    for number in range(options.rounds):
        for who in ("ours", "bare") if number % 2 == 0 else ("bare", "ours"):
            plan = await platform.recoverer.plan(moment)
            before = cpu_s()
            if who == "bare":
                peers.append(await bare(platform, plan))
                cpu[who].append(cpu_s() - before)
                await platform.server.stop("fast")
                await platform.server.start(archive_command=platform.pgbackrest.archive_command(), deadline=LONG)
                await platform.pgbackrest.check()
                continue
            reader.begin()
            done = await platform.recoverer.run(plan, report=lambda _phase, _words: None)
            await reader.end()
            assert reader.first_s is not None, "no read was answered before writes were"
            reads.append(reader.first_s)
            cpu[who].append(cpu_s() - before)
            for phase, seconds in done.phases_s.items():
                phases.setdefault(phase, []).append(seconds)
            ours_back.append(sum(done.phases_s[phase] for phase in BACK))
            ours_all.append(done.took_s)
            learnt = f"from {plan.forecast.runs} runs"
            print(f"  forecast {done.forecast_s:.2f} s ({learnt}), took {done.took_s:.2f} s,", end=" ")
            print(f"factor {done.took_s / done.forecast_s:.2f}")
    peer = statistics.median(peers)
    print(f"medians of {options.rounds}; each phase:")
    for phase, found in phases.items():
        print(f"  {phase:8} {statistics.median(found):6.2f} s")
    for words, found in (
        ("bare pgBackRest", peers),
        ("ours, reads back", reads),
        ("ours, service back", ours_back),
        ("ours, at its end", ours_all),
    ):
        print(f"{words:20} {statistics.median(found):6.2f} s   ratio {statistics.median(found) / peer:5.2f}")
    print(f"CPU ratio {statistics.median(cpu['ours']) / statistics.median(cpu['bare']):.2f} (whole machine)")
    await pool.close()
    await platform.server.stop("fast")
    if not options.keep:
        shutil.rmtree(home.root)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Recovery in place beside bare pgBackRest.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", type=float, default=6.0, help="times 150 weddings of the demo season")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--segments", type=int, default=8, help="WAL behind the backup, about so many segments")
    parser.add_argument("--port", type=int, default=26111)
    parser.add_argument("--keep", action="store_true", help="leave the home for a look")
    asyncio.run(main(parser.parse_args()))
