"""Whether a run kept its profile's promise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wedsync.loadtest.arrivals import stage_at
from wedsync.loadtest.figures import Figures, Sample, by_kind, figures
from wedsync.loadtest.profiles import Profile

QUICKEST_BASELINE_MS = 20.0
"""Three times 5 ms is noise on any machine: the promise of the spike is for requests of 20 ms and more."""
LAG_MS = 20.0
"""A generator that is later than this in one of a hundred requests measures itself, or a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was promised."""

    name: str
    ok: bool
    seen: str
    wanted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUse:
    """The gateway's connections to the database, at one moment."""

    at_s: float
    used: int
    most: int
    """How many there may be."""
    waiting: int

    @property
    def share(self) -> float:
        return self.used / self.most if self.most else 0.0


def judge(profile: Profile, samples: Sequence[Sample], pool: Sequence[PoolUse]) -> list[Check]:
    """Each part of the promise, held or not. Without a single sample nothing holds."""
    found = figures(samples)
    return [
        *_of_all(profile, found),
        *_of_kinds(profile, samples),
        *_of_pool(profile, pool),
        *_of_spike(profile, samples, found),
        _of_generator(samples),
    ]


def _of_all(profile: Profile, found: Figures) -> Iterator[Check]:
    promise = profile.promise
    all_of_them = promise.success >= 1
    yield Check(
        name=f"good answers within {promise.within_s:g} s",
        ok=found.count > 0 and (found.failed == 0 if all_of_them else found.success >= promise.success),
        seen=f"{found.success:.2%} of {found.count:,}",
        wanted="all" if all_of_them else f"{promise.success:.1%}",
    )
    if promise.mean_ms is not None:
        yield _below("average", found.mean_ms, promise.mean_ms)
    if promise.p95_ms is not None:
        yield _below("p95", found.p95_ms, promise.p95_ms)


def _of_kinds(profile: Profile, samples: Sequence[Sample]) -> Iterator[Check]:
    kinds = by_kind(samples)
    for kind, limit_ms in profile.promise.p95_ms_of.items():
        yield _below(f"p95 of {kind}", kinds[kind].p95_ms if kind in kinds else None, limit_ms)


def _of_pool(profile: Profile, pool: Sequence[PoolUse]) -> Iterator[Check]:
    limit = profile.promise.pool_share
    if limit is None:
        return
    most = max((use.share for use in pool), default=None)
    yield Check(
        name="connections of the pool in use",
        ok=most is not None and most < limit,
        seen="not known: /api/database/health does not tell" if most is None else f"{most:.0%}",
        wanted=f"below {limit:.0%}",
    )


def _of_spike(profile: Profile, samples: Sequence[Sample], found: Figures) -> Iterator[Check]:
    times = profile.promise.worst_to_baseline
    if times is None:
        return
    first = profile.stages[0].name
    before = figures(sample for sample in samples if stage_at(profile.stages, sample.at_s) == first)
    limit_ms = times * max(QUICKEST_BASELINE_MS, before.mean_ms or 0.0)
    average = "no answer" if before.mean_ms is None else f"{before.mean_ms:.1f} ms"
    yield _below(f"worst answer ({times:g} × the average before, {average})", found.worst_ms, limit_ms)


def _of_generator(samples: Sequence[Sample]) -> Check:
    late = sum(sample.lag_ms > LAG_MS for sample in samples)
    share = late / len(samples) if samples else 1.0
    return Check(
        name="the generator kept its own time",
        ok=share <= 0.01,
        seen=f"{share:.1%} sent more than {LAG_MS:g} ms late",
        wanted="1.0% at the most",
    )


def _below(name: str, seen_ms: float | None, limit_ms: float) -> Check:
    return Check(
        name=name,
        ok=seen_ms is not None and seen_ms < limit_ms,
        seen="no answer" if seen_ms is None else f"{seen_ms:.1f} ms",
        wanted=f"below {limit_ms:g} ms",
    )
