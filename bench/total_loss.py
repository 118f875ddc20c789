"""The machine is gone: from the kit and the far repository to serving, beside pgBackRest by hand.

    python bench/total_loss.py DIRECTORY [--size 6] [--rounds 3] [--segments 8] [--port 26131]

DIRECTORY is new or empty, on a local disk; as any user but root. A home is made, its kit too, and then the home is
removed: repo2 and the kit are what is left. By turns, on the same repository:

- ours is `wedsync up --rescue KIT --detach`: keys and configuration put in place, the way found, restore, replay,
  roles and passwords, archiving on the new timeline checked, gateway and keeper up. It serves when the server
  takes writes and when `/healthz` answers; both are timed.
- by hand is somebody who has pgBackRest's configuration and key at hand and types no slower than a program:
  `pgbackrest restore`, `pg_ctl start`, until the server takes writes. Nothing is checked.

Installing packages is the same for both and left out.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import time
import urllib.request
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from recovery import make, writable
from wedsync.app import Platform, gather_kit, seal_kit
from wedsync.config import Home
from wedsync.process import run

LONG = timedelta(minutes=30)
PASSPHRASE = "of no worth outside this bench"  # noqa: S105 - as it says


def environment(directory: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(directory), "PYTHONPATH": os.pathsep.join(sys.path)}


async def answers(port: int) -> None:
    """Return when the gateway says that it lives."""

    def asks() -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
            return answer.status == 200
        return False

    while not await asyncio.to_thread(asks):  # noqa: ASYNC110 - another process comes up
        await asyncio.sleep(0.02)


async def ours(directory: Path, home: Home, port: int) -> tuple[float, float, str]:
    """Seconds until writes, until HTTP, and the command's own words."""
    began = time.perf_counter()
    words = ["up", "--home", home.root, "--rescue", directory / "kit.txt", "--detach"]
    command = [sys.executable, "-P", "-m", "wedsync", *words, "--passphrase-file", directory / "passphrase.txt"]
    going = asyncio.create_task(run(command, deadline=LONG, env=environment(directory)))
    while not home.config_file.exists():
        await asyncio.sleep(0.02)
        assert not going.done(), (await going).stderr
    watch = Platform(home, environment(directory))
    await writable(watch)
    writes = time.perf_counter() - began
    await answers(port)
    serves = time.perf_counter() - began
    said = await going
    said.check()
    return writes, serves, said.stderr


async def by_hand(directory: Path, platform: Platform, conf: Path) -> dict[str, float]:
    """Seconds of each step until the server takes writes."""
    home, engine = platform.home, platform.engine
    home.pgdata.mkdir(parents=True, mode=0o700)
    home.run.mkdir(exist_ok=True)
    began = time.perf_counter()
    words = [engine.pgbackrest, f"--config={conf}", "--stanza=wedsync", "--repo=2", f"--pg1-path={home.pgdata}"]
    (await run([*words, "restore"], deadline=LONG, env=engine.environment)).check()
    restored = time.perf_counter()
    log = directory / "by-hand.log"
    settings = f"-c archive_command=/bin/true -c ssl=off -c log_directory={directory}"
    pg_ctl = engine.program("pg_ctl")
    await run([pg_ctl, "-D", home.pgdata, "-W", "-l", log, "-o", settings, "start"], deadline=LONG)
    await writable(platform)
    serves = time.perf_counter()
    await run([pg_ctl, "-D", home.pgdata, "-m", "immediate", "stop"], deadline=LONG)
    return {"restore": restored - began, "start and replay": serves - restored, "all": serves - began}


async def main(options: argparse.Namespace) -> None:
    directory = options.directory.resolve()
    home = Home(directory / "home")
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.config_file.write_text(
        f"[cluster]\nport = {options.port}\n[gateway]\nport = {options.port + 1}\n[backup]\nenabled = false\n"
        f'[backup.repo2]\npath = "{directory}/far"\n'
    )
    platform = Platform(home, environment(directory))
    await make(platform, size=options.size, segments=options.segments, repo=2)
    await platform.pgbackrest.check()
    (directory / "kit.txt").write_text(seal_kit(gather_kit(home, at=platform.clock.now()), PASSPHRASE))
    (directory / "passphrase.txt").write_text(PASSPHRASE + "\n")
    conf = directory / "by-hand.conf"
    lines = home.pgbackrest_config.read_text().replace(str(home.root), str(directory / "own"))
    conf.write_text(lines.replace("archive-async=y\n", ""))
    base = (await platform.pgbackrest.catalogue()).of_repo(2)[-1]
    print(f"{base.database_bytes / 1e6:.0f} MB")
    await platform.server.stop("fast")
    platform.state.close()
    far = directory / "far"
    shutil.copytree(far, directory / "far.before")
    found: dict[str, list[float]] = {}
    for number in range(options.rounds):
        for who in ("ours", "by hand") if number % 2 == 0 else ("by hand", "ours"):
            shutil.rmtree(home.root, ignore_errors=True)
            shutil.rmtree(far)
            shutil.copytree(directory / "far.before", far)  # nobody finds the timeline of the one before
            if who == "ours":
                writes, serves, said = await ours(directory, home, options.port + 1)
                found.setdefault("ours, until writes", []).append(writes)
                found.setdefault("ours, until HTTP", []).append(serves)
                print(
                    "".join(f"    {line}\n" for line in said.splitlines() if " s)" in line or "; secure" in line)
                )
                stop = [sys.executable, "-P", "-m", "wedsync", "down", "--home", home.root]
                (await run(stop, deadline=LONG, env=environment(directory))).check()
                continue
            home.root.mkdir(mode=0o700)
            home.config_file.write_text(f"[cluster]\nport = {options.port}\n")
            for step, seconds in (await by_hand(directory, Platform(home, {}), conf)).items():
                found.setdefault(f"by hand, {step}", []).append(seconds)
    peer = statistics.median(found["by hand, all"])
    print(f"medians of {options.rounds}")
    for words, seconds in found.items():
        print(f"{words:26} {statistics.median(seconds):6.2f} s   ratio {statistics.median(seconds) / peer:5.2f}")
    if not options.keep:
        shutil.rmtree(directory)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Total loss beside pgBackRest by hand.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", type=float, default=6.0, help="times 150 weddings of the demo season")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--segments", type=int, default=8, help="WAL behind the backup, about so many segments")
    parser.add_argument("--port", type=int, default=26131)
    parser.add_argument("--keep", action="store_true", help="leave everything for a look")
    asyncio.run(main(parser.parse_args()))
