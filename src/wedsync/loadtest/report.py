"""What a run gave, as JSON, as words and as a page that needs nothing else."""

from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment

from wedsync.loadtest.figures import Figures, Sample, by_kind, errors, figures, percentile, seconds
from wedsync.loadtest.plots import Line, Plot, draw
from wedsync.loadtest.run import Outcome

_CURVE = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    title: str
    unit: str
    across: str
    lines: tuple[Line, ...]
    limit: float | None
    svg: str
    """Safe in a page: `draw` escapes its words."""


def to_json(outcome: Outcome) -> dict[str, Any]:
    """Everything but the single samples."""
    samples = outcome.samples
    lags = sorted(sample.lag_ms for sample in samples)
    most = max(outcome.pool, key=lambda use: use.share, default=None)
    latency = {"all": figures(samples), **by_kind(samples)}
    return {
        "profile": outcome.profile.name,
        "kept": outcome.kept,
        "interrupted": outcome.interrupted,
        "url": str(outcome.address),
        "allowed_because": outcome.reason,
        "began_at": outcome.began_at.isoformat(sep=" ", timespec="seconds"),
        "took_s": round(outcome.took_s, 3),
        "users": outcome.profile.users,
        "planned": outcome.planned,
        "requests": len(samples),
        "per_s": round(len(samples) / outcome.took_s, 1) if outcome.took_s else 0.0,
        "success": figures(samples).success,
        "checks": [asdict(check) for check in outcome.checks],
        "latency": {name: _rounded(found) for name, found in latency.items()},
        "errors": dict(errors(samples)),
        "pool": None if most is None else asdict(most) | {"share": round(most.share, 3)},
        "generator": {
            "processes": outcome.generators,
            "cpu_s": round(outcome.generator_cpu_s, 3),
            "cpu_share": round(outcome.generator_cpu_s / outcome.took_s, 3) if outcome.took_s else 0.0,
            "lag_p99_ms": _round(percentile(lags, 0.99)),
            "lag_worst_ms": _round(lags[-1]) if lags else None,
        },
    }


def to_page(outcome: Outcome) -> str:
    """A page with tables and plots: one file, without scripts, without anything from elsewhere."""
    template = (files("wedsync.loadtest") / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True)
    return environment.from_string(template).render(
        report=to_json(outcome), says=outcome.profile.says, plots=[_drawn(plot) for plot in _plots(outcome)]
    )


def _drawn(plot: Plot) -> _Drawn:
    return _Drawn(
        title=plot.title,
        unit=plot.unit,
        across=plot.across,
        lines=tuple(plot.lines),
        limit=plot.limit,
        svg=draw(plot),
    )


def _plots(outcome: Outcome) -> list[Plot]:
    over_time = seconds(outcome.samples)
    plots = [
        Plot(
            title="Latency over time",
            unit="ms",
            across="seconds",
            lines=(
                Line(name="p50", points=[(line.at_s, line.p50_ms) for line in over_time]),
                Line(name="p95", points=[(line.at_s, line.p95_ms) for line in over_time]),
                Line(name="worst", points=[(line.at_s, line.worst_ms) for line in over_time]),
            ),
            limit=outcome.profile.promise.p95_ms,
        ),
        Plot(
            title="Requests",
            unit="requests that were due in a second",
            across="seconds",
            lines=(
                Line(name="due", points=[(line.at_s, float(line.started)) for line in over_time]),
                Line(name="failed", points=[(line.at_s, float(line.failed)) for line in over_time]),
            ),
        ),
        Plot(
            title="How many had their answer",
            unit="ms",
            across="percent of the good answers",
            lines=(Line(name="latency", points=_curve(outcome.samples)),),
        ),
        Plot(
            title="How late the generator was",
            unit="ms, the worst of a second",
            across="seconds",
            lines=(Line(name="lag", points=[(line.at_s, line.lag_ms) for line in over_time]),),
        ),
    ]
    if outcome.pool:
        plots.insert(
            2,
            Plot(
                title="Connections of the pool",
                unit="% of the pool in use",
                across="seconds",
                lines=(Line(name="in use", points=[(use.at_s, 100 * use.share) for use in outcome.pool]),),
                limit=None
                if outcome.profile.promise.pool_share is None
                else 100 * outcome.profile.promise.pool_share,
            ),
        )
    return plots


def _curve(samples: list[Sample]) -> list[tuple[float, float | None]]:
    good = sorted(sample.latency_ms for sample in samples if sample.is_ok)
    return [(100 * share, percentile(good, share)) for share in _CURVE]


def _rounded(found: Figures) -> dict[str, float | int | None]:
    return {name: _round(value) if name.endswith("_ms") else value for name, value in asdict(found).items()}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
