"""What samples say: exact percentiles, kinds of errors, a line a second."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

OK = "ok"


@dataclass(frozen=True, slots=True)
class Sample:
    """One request that ended, well or not."""

    kind: str
    at_s: float
    """When it was to start, in seconds from the begin of the run."""
    latency_ms: float
    """From that moment to the end of the answer."""
    lag_ms: float
    """How late the generator itself was, before it had even looked for a connection."""
    outcome: str
    """`ok`, `status 503`, `timeout`, `refused`, …"""

    @property
    def is_ok(self) -> bool:
        return self.outcome == OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of a number of requests; latencies are those of the good answers."""

    count: int
    failed: int
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    worst_ms: float | None

    @property
    def success(self) -> float:
        """Share of good answers; nothing asked is no success."""
        return (self.count - self.failed) / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What was to start in one second of the run."""

    at_s: int
    started: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    worst_ms: float | None
    lag_ms: float
    """The generator's worst."""


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest of the values that this share of them does not exceed (nearest rank); None of nothing.

    All samples are kept (a few hundred thousand at most), so nothing is estimated.
    """
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def figures(samples: Iterable[Sample]) -> Figures:
    """Count, failures and latencies."""
    everything = list(samples)
    good = sorted(sample.latency_ms for sample in everything if sample.is_ok)
    return Figures(
        count=len(everything),
        failed=len(everything) - len(good),
        mean_ms=sum(good) / len(good) if good else None,
        p50_ms=percentile(good, 0.50),
        p95_ms=percentile(good, 0.95),
        p99_ms=percentile(good, 0.99),
        p999_ms=percentile(good, 0.999),
        worst_ms=good[-1] if good else None,
    )


def by_kind(samples: Sequence[Sample]) -> Mapping[str, Figures]:
    """Figures of each kind of request, in the order of their first sample's name."""
    kinds = sorted({sample.kind for sample in samples})
    return {kind: figures(sample for sample in samples if sample.kind == kind) for kind in kinds}


def errors(samples: Iterable[Sample]) -> Mapping[str, int]:
    """How often each failure was seen, most frequent first."""
    return dict(Counter(sample.outcome for sample in samples if not sample.is_ok).most_common())


def seconds(samples: Iterable[Sample]) -> list[Second]:
    """A line for each second in which something was to start."""
    grouped: dict[int, list[Sample]] = {}
    for sample in samples:
        grouped.setdefault(int(sample.at_s), []).append(sample)
    lines: list[Second] = []
    for at_s, group in sorted(grouped.items()):
        good = sorted(sample.latency_ms for sample in group if sample.is_ok)
        lines.append(
            Second(
                at_s=at_s,
                started=len(group),
                failed=len(group) - len(good),
                p50_ms=percentile(good, 0.50),
                p95_ms=percentile(good, 0.95),
                worst_ms=good[-1] if good else None,
                lag_ms=max(sample.lag_ms for sample in group),
            )
        )
    return lines
