"""Medians over the rounds, ratios to fastify and to the floor of the same round, as table and as JSON."""

import os
import platform as machine
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from contestants import BASELINE, FLOOR
from measure import Run

Rounds = Sequence[Mapping[str, Sequence[Run]]]
"""By round, the runs of each contestant."""


def rows(rounds: Rounds) -> list[dict[str, object]]:
    """A row a contestant, job and number of connections."""
    found: list[dict[str, object]] = []
    names = list(dict.fromkeys(name for each in rounds for name in each))
    cases = [(run.job, run.connections) for run in next(iter(rounds[0].values()))]
    for job, connections in cases:
        by_name = {name: _of(rounds, name, job, connections) for name in names}
        for name, runs in by_name.items():
            present = [run for run in runs if run is not None]
            if not present:
                continue
            found.append(
                {
                    "job": str(job),
                    "connections": connections,
                    "name": name,
                    "rate": _median([run.rate for run in present]),
                    "to_fastify": _ratio(runs, by_name.get(BASELINE)),
                    "to_floor": _ratio(runs, by_name.get(FLOOR)),
                    "cpu_saved": _ratio(by_name.get(BASELINE, []), runs, of=_cpu_ms),
                    "p50_ms": _median([run.p50_ms for run in present]),
                    "p95_ms": _median([run.p95_ms for run in present]),
                    "p99_ms": _median([run.p99_ms for run in present]),
                    "server_cpu_ms": _median([run.server_cpu_ms for run in present]),
                    "database_cpu_ms": _median([run.database_cpu_ms for run in present]),
                    "generator_cpu_ms": _median([run.generator_cpu_ms for run in present]),
                    "failed": sum(run.failed for run in present),
                }
            )
    return found


def table(found: Sequence[Mapping[str, object]]) -> str:
    """The same as Markdown."""
    columns = {
        "job": "job",
        "connections": "connections",
        "name": "server",
        "rate": "a second",
        "to_fastify": "to fastify",
        "to_floor": "to floor",
        "cpu_saved": "for fastify's cpu",
        "p50_ms": "p50 ms",
        "p95_ms": "p95 ms",
        "server_cpu_ms": "server cpu ms",
        "database_cpu_ms": "database cpu ms",
        "generator_cpu_ms": "generator cpu ms",
        "failed": "failed",
    }
    digits = {"rate": 0, "p50_ms": 1, "p95_ms": 1, "server_cpu_ms": 3, "database_cpu_ms": 3, "generator_cpu_ms": 3}
    lines = [f"| {' | '.join(columns.values())} |", "|---|--:|---|" + "--:|" * (len(columns) - 3)]
    for row in found:
        cells = [
            f"{row[key]:,.{digits.get(key, 2)}f}" if isinstance(row[key], float) else str(row[key] or "–")
            for key in columns
        ]
        lines.append(f"| {' | '.join(cells)} |")
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


def everything(rounds: Rounds, facts: Mapping[str, object]) -> dict[str, object]:
    """For --json: the rows, and every run."""
    return {
        "facts": dict(facts),
        "rows": rows(rounds),
        "rounds": [{name: [asdict(run) for run in runs] for name, runs in each.items()} for each in rounds],
    }


def _of(rounds: Rounds, name: str, job: object, connections: int) -> list[Run | None]:
    return [
        next((run for run in each.get(name, ()) if (run.job, run.connections) == (job, connections)), None)
        for each in rounds
    ]


def _rate(run: Run) -> float:
    return run.rate


def _cpu_ms(run: Run) -> float:
    return run.cpu_ms


def _ratio(
    runs: Sequence[Run | None], others: Sequence[Run | None] | None, *, of: Callable[[Run], float] = _rate
) -> float | None:
    """The median of the ratios within each round."""
    pairs = zip(runs, others or (), strict=False)
    return _median([of(run) / of(other) for run, other in pairs if run is not None and other is not None])


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
