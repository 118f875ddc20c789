"""What the machine has to give: memory, processors and what PostgreSQL was built with."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from wedsync.cluster.engine import Engine

_UNLIMITED = 1 << 60  # version 1 of control groups writes "no limit" as a number near 2^63


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What settings are sized by."""

    memory_bytes: int
    """Memory of the machine, or the limit of the control group if that is less."""
    processors: int
    lz4: bool = False
    """Whether PostgreSQL was built with LZ4."""
    zstd: bool = False
    llvm: bool = False
    """Whether PostgreSQL's just-in-time compiler is installed."""


def measure_machine(engine: Engine, *, root: Path = Path("/")) -> Machine:
    """Look at this machine; `root` is where `proc` and `sys` are."""
    program = engine.program("postgres").resolve()
    linked = program.read_bytes()
    return Machine(
        memory_bytes=min(_machine_memory(root), _group_memory(root)),
        processors=max(1, min(len(os.sched_getaffinity(0)), _group_processors(root))),
        lz4=b"liblz4.so" in linked,
        zstd=b"libzstd.so" in linked,
        llvm=(program.parent.parent / "lib/llvmjit.so").exists(),
    )


def _machine_memory(root: Path) -> int:
    for line in (root / "proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 1 << 30


def _group_memory(root: Path) -> int:
    """The smallest limit of the control groups we are in; a very large number if there is none."""
    limits = [_UNLIMITED]
    for directory in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(directory / name)
            if text.isdigit():
                limits.append(int(text))
    return min(limits)


def _group_processors(root: Path) -> int:
    """Processors that the control groups' quota amounts to, rounded up."""
    counts = [1 << 16]
    for directory in _groups(root, "cpu"):
        quota, _, period = _read(directory / "cpu.max").partition(" ")
        if not quota:
            quota = _read(directory / "cpu.cfs_quota_us")
            period = _read(directory / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            counts.append(math.ceil(int(quota) / int(period)))
    return min(counts)


def _groups(root: Path, controller: str) -> list[Path]:
    """Our control group for `controller` and all above it (cgroups(7): `proc/self/cgroup`)."""
    found: list[Path] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            top = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / controller
        else:
            continue
        group = top / path.lstrip("/")
        found += [group, *(parent for parent in group.parents if parent.is_relative_to(top))]
    return found


def _read(path: Path) -> str:
    """A file of the kernel's; empty if this kernel has none such."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
