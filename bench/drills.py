"""Random drills over a home under load, beside bare pgBackRest: what passes, how long, how well it was forecast.

    python bench/drills.py DIRECTORY [--count 100] [--size 0.3] [--port 26131] [--seed 1]

DIRECTORY is new, empty, or one of an earlier call (then it goes on where that stopped); on a local disk; as any
user but root. It gets a home with the demo season, backups in both repositories while clients write, and then so
many drills of random backups to random moments, the clients still writing. After each drill bare pgBackRest
restores the same backup to the same moment, with as many processes, and PostgreSQL's own pg_ctl starts it until it
takes writes. The ratio is drill (files, replay, read-write; without the checks) to bare, median of the pairs.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import time
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from wedsync.app import Platform, Preparation
from wedsync.backup import BackupKind, RunReason
from wedsync.config import Home
from wedsync.copies import Effort
from wedsync.demo import load
from wedsync.drills import Drill, DrillOrder, Outcome, Part, Pick, Reason
from wedsync.process import run

LONG = timedelta(minutes=30)
EFFORT = Effort(nice=0, idle_disk=False, processes=2, least_free_bytes=1)
WORK = (Part.RESTORE, Part.REPLAY, Part.PROMOTE)


class Quiet:
    def note(self, words: str) -> None:
        del words


async def make(platform: Platform, size: float) -> None:
    """A home with the season, and backups of both kinds in both repositories while clients write."""
    await Preparation(platform, step=lambda _: nullcontext(Quiet()), say=lambda _: None).prepare(demo=False)
    if size:
        await load(platform.owner_target, size=size)
    async with await platform.server.target().connect() as connection:
        await connection.execute(
            "create table written (n bigint generated always as identity, at timestamptz, t text)"
        )
    clients = asyncio.create_task(write(platform))
    try:
        for kind in (BackupKind.FULL, BackupKind.INCR, BackupKind.INCR, BackupKind.FULL, BackupKind.INCR):
            for repo in platform.pgbackrest.repos:
                await asyncio.sleep(3)
                await platform.backup_runs.take(kind, repo=repo, reason=RunReason.OPERATOR)
                await asyncio.sleep(2)
                await platform.witness_taker().take("schedule")
        await asyncio.sleep(5)
        await platform.pgbackrest.check()
    finally:
        clients.cancel()
        with suppress(asyncio.CancelledError):
            await clients


async def write(platform: Platform) -> None:
    """A client that commits some fifty times a second, the heartbeat included."""
    async with asyncio.TaskGroup() as group:
        group.create_task(platform.heartbeat_service().run())
        async with await platform.server.target().connect() as connection:
            while True:
                await connection.execute(
                    "insert into written (at, t) select clock_timestamp(), repeat(md5(random()::text), 60)"
                    " from generate_series(1, 10)"
                )
                await asyncio.sleep(0.02)


async def bare(platform: Platform, drill: Drill, place: Path) -> float:
    """Seconds of pgBackRest's restore, and of PostgreSQL until it takes writes."""
    assert drill.source is not None
    shutil.rmtree(place, ignore_errors=True)
    await asyncio.to_thread(place.mkdir, mode=0o700)
    pgdata, repo = place / "pgdata", drill.source.repo
    target = (
        ["--type=immediate"]
        if drill.moment is None
        else ["--type=time", f"--target={drill.moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"]
    )
    config = f"--config={platform.home.pgbackrest_config}"
    fetch = (
        f"{platform.engine.pgbackrest} {config} --stanza=wedsync --repo={repo} --pg1-path={pgdata}"
        f" --no-archive-async --lock-path={place} --log-path={place} archive-get %f %p"
    )
    words = [
        *(platform.engine.pgbackrest, config, "--stanza=wedsync", f"--repo={repo}"),
        *(f"--set={drill.source.label}", f"--pg1-path={pgdata}", "--archive-mode=off", "--process-max=2"),
        *(f"--lock-path={place}", f"--log-path={place}", f"--spool-path={place}"),
        *(f"--recovery-option=restore_command={fetch}", *target, "--target-action=promote"),
        *(f"--target-timeline={drill.source.timeline}", "restore"),
    ]
    began = time.perf_counter()
    (await run(words, deadline=LONG, env=platform.engine.environment)).check()
    with (pgdata / "postgresql.conf").open("w") as file:
        file.write(
            f"listen_addresses = ''\nunix_socket_directories = '{place}'\nport = 5432\nshared_buffers = '64MB'\n"
            f"hba_file = '{pgdata}/hba.conf'\nfsync = off\nfull_page_writes = off\nautovacuum = off\n"
            "hot_standby = off\n"
        )
    (pgdata / "hba.conf").write_text("local all all trust\n")
    pg_ctl = platform.engine.program("pg_ctl")
    await run([pg_ctl, "-D", pgdata, "-W", "-l", place / "log", "start"], deadline=LONG)
    try:
        while time.perf_counter() - began < LONG.total_seconds():
            with suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(
                    host=str(place), port=5432, user="postgres", dbname="postgres"
                ) as connection:
                    row = await (await connection.execute("select pg_is_in_recovery()")).fetchone()
                    if row is not None and not row[0]:
                        return time.perf_counter() - began
            await asyncio.sleep(0.02)
        raise TimeoutError(f"bare PostgreSQL takes no writes: {place / 'log'}")
    finally:
        await run([pg_ctl, "-D", pgdata, "-w", "-m", "immediate", "stop"], deadline=LONG)
        shutil.rmtree(place, ignore_errors=True)


async def one(platform: Platform, ledger: Path, rng: Random) -> None:
    """One drill and its peer, written down."""
    repo = rng.choice(platform.pgbackrest.repos)
    order = DrillOrder(repo=repo, backup=Pick.RANDOM, moment=Pick.RANDOM)
    done = await platform.driller.run(order, reason=Reason.OPERATOR, by="bench", effort=EFFORT)
    assert done.source is not None
    peer = await bare(platform, done, platform.home.root / "bare") if done.outcome is Outcome.PASSED else None
    line = {
        "id": done.id,
        "passed": done.outcome is Outcome.PASSED,
        "failed": [f"{check.name}: {check.detail}" for check in done.failed_checks],
        "checks": len(done.checks),
        "repo": done.source.repo,
        "label": done.source.label,
        "segments": done.source.wal_segments,
        "rto_s": done.rto_s,
        "rpo_s": done.rpo_s,
        "work_s": sum(done.phases_s.get(part, 0.0) for part in (*WORK, Part.ONWARD)),
        "forecast_s": done.forecast_s,
        "from_runs": done.forecast_from_runs,
        "range_s": done.forecast_range_s,
        "forecast_took_s": done.forecast_took_s,
        "checks_s": done.phases_s.get(Part.CHECKS),
        "bare_s": peer,
    }
    with ledger.open("a") as file:
        file.write(json.dumps(line) + "\n")
    said = "passed" if line["passed"] else f"FAILED {line['failed']}"
    shown = f"{done.source.label} in repo{done.source.repo}, {done.source.wal_segments} segments"
    print(f"{said}: {shown}, RTO {done.rto_s or 0:.1f} s, bare {peer or 0:.1f} s", flush=True)


async def main(options: argparse.Namespace) -> None:
    home = Home(options.directory.resolve())
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.config_file.write_text(
        f"[cluster]\nport = {options.port}\n[gateway]\nport = {options.port + 1}\n[backup]\nenabled = false\n"
    )
    platform = Platform(home, {"HOME": str(home.root)})
    ledger, made = home.root / "bench.jsonl", home.root / "bench-is-made"
    if not made.exists():
        await make(platform, options.size)
        made.touch()
    else:
        await platform.server.start(archive_command=platform.pgbackrest.archive_command(), deadline=LONG)
    platform.pgbackrest.write_config()
    done = len(ledger.read_text().splitlines()) if ledger.exists() else 0
    clients = asyncio.create_task(write(platform))
    try:
        for number in range(done, options.count):
            print(f"{number + 1}/{options.count}", end=" ", flush=True)
            await one(platform, ledger, Random(f"{options.seed}-{number}"))
    finally:
        clients.cancel()
        with suppress(asyncio.CancelledError):
            await clients
        await platform.server.stop("fast")
    report([json.loads(line) for line in ledger.read_text().splitlines()])


def report(lines: list[dict[str, Any]]) -> None:
    """What it came to."""

    def numbers(name: str) -> list[float]:
        return sorted(float(line[name]) for line in lines if line[name] is not None)

    passed = sum(1 for line in lines if line["passed"])
    rto, rpo = numbers("rto_s"), numbers("rpo_s")
    print(f"\n{passed} of {len(lines)} drills passed, {datetime.now(UTC):%Y-%m-%d}")
    for name, found in (("RTO", rto), ("RPO", rpo), ("checks", numbers("checks_s"))):
        if found:
            p95 = found[min(len(found) - 1, round(0.95 * len(found)))]
            middle = statistics.median(found)
            print(f"{name:7} min {found[0]:.2f}  median {middle:.2f}  p95 {p95:.2f}  max {found[-1]:.2f} s")
    learnt = [
        line
        for line in lines
        if line["forecast_s"] and line["forecast_took_s"] and int(line.get("from_runs") or 0) >= 3
    ]
    errors = [abs(float(line["forecast_took_s"]) / float(line["forecast_s"]) - 1) for line in learnt]
    if errors:
        inside = sum(1 for line in learnt if line["range_s"][0] <= line["forecast_took_s"] <= line["range_s"][1])
        within = sum(1 for error in errors if error <= 0.2)
        off = statistics.median(errors)
        print(
            f"forecast off by {off:.0%} (median, from 3 runs or more), within 20 %: {within} of {len(errors)},"
            f" within the range that was said: {inside}"
        )
    ratios = [float(line["work_s"]) / float(line["bare_s"]) for line in lines if line["bare_s"]]
    if ratios:
        print(f"restore, replay, read-write to bare pgBackRest: {statistics.median(ratios):.2f} (median of pairs)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--size", type=float, default=0.3)
    parser.add_argument("--port", type=int, default=26131)
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(main(parser.parse_args()))
