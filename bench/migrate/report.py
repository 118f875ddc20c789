"""Medians, ratios to psql in the same round, tables and a file."""

import json
import os
import platform as machine
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from contestants import Cost, Transactions
from stall import Stall

BASELINES = {Transactions.ONE: "psql -1", Transactions.EACH: "psql, BEGIN and COMMIT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one contestant took for everything, and what it made the server do."""

    cost: Cost
    server_cpu_s: float

    @property
    def cpu_s(self) -> float:
        """Of the tool and of the server."""
        return self.cost.cpu_s + self.server_cpu_s


Runs = Mapping[tuple[Transactions, str], Sequence[Run]]


def table_of_runs(runs: Runs) -> str:
    """Seconds, and ratios to psql of the same round: by the clock (median, least, most) and by all processors."""
    lines = [
        "| tool | transactions | wall s | ratio | least | most | cpu s, the tool's | the server's | ratio |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (transactions, name), found in runs.items():
        base = runs[transactions, BASELINES[transactions]]
        pairs = list(zip(found, base, strict=True))
        walls = [run.cost.wall_s / other.cost.wall_s for run, other in pairs]
        figures = [
            statistics.median(run.cost.wall_s for run in found),
            *(statistics.median(walls), min(walls), max(walls)),
            statistics.median(run.cost.cpu_s for run in found),
            statistics.median(run.server_cpu_s for run in found),
            statistics.median(run.cpu_s / other.cpu_s for run, other in pairs),
        ]
        lines.append(f"| {name} | {transactions} | {' | '.join(f'{figure:.2f}' for figure in figures)} |")
    return "\n".join(lines)


def table_of_commands(commands: Mapping[str, Sequence[Cost]]) -> str:
    """Seconds of commands that find nothing to do."""
    lines = ["| command, nothing to do | median s | least | most | cpu s |", "|---|--:|--:|--:|--:|"]
    for name, costs in commands.items():
        walls = [cost.wall_s for cost in costs]
        cpu_s = statistics.median(cost.cpu_s for cost in costs)
        spread = f"{statistics.median(walls):.3f} | {min(walls):.3f} | {max(walls):.3f}"
        lines.append(f"| `{name}` | {spread} | {cpu_s:.3f} |")
    return "\n".join(lines)


def table_of_stalls(stalls: Mapping[str, Sequence[Stall]]) -> str:
    """A reader's worst wait behind a change that has to wait itself: median, least and most of the rounds."""
    lines = [
        "| tool | worst read ms, median | least | most | quiet, worst ms | tool took s |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, found in stalls.items():
        worst = [stall.worst_ms for stall in found]
        spread = f"{statistics.median(worst):.0f} | {min(worst):.0f} | {max(worst):.0f}"
        quiet = statistics.median(stall.quiet_ms for stall in found)
        took = statistics.median(stall.took_s for stall in found)
        lines.append(f"| {name} | {spread} | {quiet:.1f} | {took:.2f} |")
    return "\n".join(lines)


def conditions() -> dict[str, object]:
    """What the machine is, and how busy."""
    return {
        "at": datetime.now(UTC).isoformat(),
        "processors": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg(),
        "kernel": machine.release(),
        "python": machine.python_version(),
    }


def save(
    directory: Path,
    *,
    facts: Mapping[str, object],
    runs: Runs,
    commands: Mapping[str, Sequence[Cost]],
    stalls: Mapping[str, Sequence[Stall]],
) -> Path:
    """Every run as JSON; gives the file."""
    path = directory / f"migrate-{datetime.now(UTC):%Y%m%dT%H%M%S}.json"
    everything = {
        "facts": facts,
        "runs": {
            f"{name} ({transactions})": [asdict(cost) for cost in costs]
            for (transactions, name), costs in runs.items()
        },
        "nothing to do": {name: [asdict(cost) for cost in costs] for name, costs in commands.items()},
        "stalls": {name: [asdict(stall) for stall in found] for name, found in stalls.items()},
    }
    path.write_text(json.dumps(everything, indent=2) + "\n")
    return path
