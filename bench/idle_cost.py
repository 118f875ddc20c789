"""What the platform costs while nothing happens, and how fast its commands answer.

    python bench/idle_cost.py HOME [SECONDS]

HOME is a running home (`bin/up --detach`) that nobody uses; SECONDS (default 150) is how long it is watched.
As the home's own user. The commands run with the python that runs this.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from wedsync.app import Platform
from wedsync.app.running import running_pid
from wedsync.config import Home

SERVICES = ("keeper", "gateway", "supervisor")
COMMANDS = (("--help",), ("status",), ("recover", "window"), ("backup", "list"))
ROUNDS = 7
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and of the children it waited for (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(word) for word in fields[11:15]) / _TICKS_PER_S


def memory_mb(pid: int, *, row: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)[row].split()[0]) / 1024


def watch(home: Home, seconds: float) -> None:
    """Print the share of one core and the memory of each process."""
    platform = Platform(home, os.environ)
    pids = {name: running_pid(platform, name) for name in SERVICES} | {
        "postgresql": platform.server.postmaster_pid()
    }
    found = {name: pid for name, pid in pids.items() if pid is not None}
    before = {name: cpu_s(pid) for name, pid in found.items()}
    began = time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - began
    print(f"idle for {took_s:.0f} s\n\n| process | % of one core | memory MB | at its most |\n|---|--:|--:|--:|")
    for name, pid in found.items():
        share = 100 * (cpu_s(pid) - before[name]) / took_s
        now, most = memory_mb(pid, row="VmRSS"), memory_mb(pid, row="VmHWM")
        print(f"| {name} | {share:.2f} | {now:.0f} | {most:.0f} |")


def answer(home: Home) -> None:
    """Print how long each command takes, interpreter start included."""
    print(f"\nmedian of {ROUNDS}\n\n| command | s | cpu s |\n|---|--:|--:|")
    for words in COMMANDS:
        command = [sys.executable, "-P", "-m", "wedsync", *words]
        command += [] if words == ("--help",) else ["--home", str(home.root)]
        wall: list[float] = []
        cpu: list[float] = []
        for _ in range(ROUNDS):
            before, began = os.times(), time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            after = os.times()
            wall.append(time.perf_counter() - began)
            cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
        print(f"| wedsync {' '.join(words)} | {statistics.median(wall):.2f} | {statistics.median(cpu):.2f} |")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    chosen = Home(Path(sys.argv[1]).absolute())
    watch(chosen, float(sys.argv[2]) if len(sys.argv) > 2 else 150.0)
    answer(chosen)
