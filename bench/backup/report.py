"""Medians, ratios to the bare engine, a table and a file."""

import json
import os
import platform as machine
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import Cost

BASELINE = "pgBackRest"


class Report:
    """Collects the runs of each job and contestant, in the order they came."""

    def __init__(self, *, facts: dict[str, Any]) -> None:
        self._facts = facts
        self._runs: dict[str, dict[str, list[tuple[Cost, int | None]]]] = {}

    def add(self, job: str, contestant: str, cost: Cost, *, stored_bytes: int | None = None) -> None:
        """Note one run, and say it."""
        self._runs.setdefault(job, {}).setdefault(contestant, []).append((cost, stored_bytes))
        figures = f"{cost.wall_s:7.2f} s {cost.cpu_s:7.2f} s cpu {cost.peak_mb:6.0f} MB"
        figures = f"{cost.wall_s:7.2f} s {cost.cpu_s:7.2f} s cpu {cost.peak_mb:6.0f} MB"
        ready = f", writes after {cost.read_write_s:.2f} s" if cost.read_write_s is not None else ""
        print(f"  {job:12} {contestant:24} {figures}{ready}", flush=True)

    def tables(self) -> str:
        """One table a job: medians, and in brackets the ratio to the bare engine."""
        return "\n\n".join(self._table(job, runs) for job, runs in self._runs.items())

    def _table(self, job: str, runs: dict[str, list[tuple[Cost, int | None]]]) -> str:
        medians = {name: _medians(costs) for name, costs in runs.items()}
        base = medians.get(BASELINE, {})
        columns = list(dict.fromkeys(column for row in medians.values() for column in row))
        lines = [
            f"| {job} | " + " | ".join(columns) + " | runs |",
            "|---|" + "--:|" * (len(columns) + 1),
        ]
        for name, row in medians.items():
            cells = [_cell(row.get(column), base.get(column)) for column in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + f" | {len(runs[name])} |")
        return "\n".join(lines)

    def save(self, directory: Path) -> Path:
        """Write every run as JSON; gives the file."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"backup-{datetime.now(UTC):%Y%m%dT%H%M%S}.json"
        runs = {
            job: {
                name: [asdict(cost) | {"stored_bytes": stored} for cost, stored in costs]
                for name, costs in by_name.items()
            }
            for job, by_name in self._runs.items()
        }
        path.write_text(json.dumps({"facts": self._facts, "runs": runs}, indent=2, default=str) + "\n")
        return path


def _medians(costs: Sequence[tuple[Cost, int | None]]) -> dict[str, float]:
    row = {"wall s": statistics.median(cost.wall_s for cost, _ in costs)}
    ready = [cost.read_write_s for cost, _ in costs if cost.read_write_s is not None]
    if ready:
        row["writes after s"] = statistics.median(ready)
    row["cpu s"] = statistics.median(cost.cpu_s for cost, _ in costs)
    row["peak MB"] = statistics.median(cost.peak_mb for cost, _ in costs)
    stored = [size / 1e6 for _, size in costs if size is not None]
    if stored:
        row["stored MB"] = statistics.median(stored)
    return row


def _cell(value: float | None, base: float | None) -> str:
    if value is None:
        return "–"
    digits = 2 if value < 100 else 0
    return f"{value:.{digits}f} ({value / base:.2f})" if base else f"{value:.{digits}f}"


def conditions() -> dict[str, Any]:
    """What the machine is, and how busy."""
    memory = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return {
        "at": datetime.now(UTC),
        "processors": len(os.sched_getaffinity(0)),
        "memory_mb": int(memory["MemTotal"].split()[0]) // 1024,
        "load_average": os.getloadavg(),
        "kernel": machine.release(),
        "python": machine.python_version(),
    }
