"""The mixes of the specification, and what each promises."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wedsync.loadtest.arrivals import Stage


class Kind(StrEnum):
    """What a request asks for."""

    DASHBOARD = "dashboard"
    COUPLE_FORMS = "couple_forms"
    CORE_FIELD = "core_field"
    GUESTS = "guests"
    TIMELINE = "timeline"
    INSERT = "insert"
    CONFLICTS = "conflicts"


DAY: Mapping[Kind, float] = {
    Kind.DASHBOARD: 0.30,
    Kind.COUPLE_FORMS: 0.25,
    Kind.CORE_FIELD: 0.20,
    Kind.GUESTS: 0.15,
    Kind.TIMELINE: 0.10,
}
"""What people do on a working day."""
PACE_S = 5.0
"""How often a user of the larger profiles asks for something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What has to hold; `None` is not asked for."""

    success: float
    """Share of good answers that has to be exceeded; 1 allows no failure."""
    within_s: float = 10.0
    """A later answer is none."""
    mean_ms: float | None = None
    p95_ms: float | None = None
    p95_ms_of: Mapping[Kind, float] = field(default_factory=dict[Kind, float])
    pool_share: float | None = None
    """Of the pool's connections at the most, at any moment."""
    worst_to_baseline: float | None = None
    """The worst answer, as a multiple of the first stage's average, which counts as 20 ms where it was quicker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One kind of run. Either all its requests are due at once, or they come at the rates of its stages."""

    name: str
    says: str
    mix: Mapping[Kind, float]
    users: int
    """Connections, each with its own person as far as there are enough."""
    promise: Promise
    at_once: int = 0
    """Requests of each user, all due at the begin."""
    stages: tuple[Stage, ...] = ()

    @property
    def seconds(self) -> float:
        """How long requests arrive."""
        return sum(stage.seconds for stage in self.stages)


def _steady(seconds: float, rate: float) -> tuple[Stage, ...]:
    return (Stage(name="steady", seconds=seconds, rate=rate, end_rate=rate),)


def _spike(rate: float, *, times: float, hold_s: float = 30.0) -> tuple[Stage, ...]:
    peak = times * rate
    return (
        Stage(name="baseline", seconds=30, rate=rate, end_rate=rate),
        Stage(name="ramp", seconds=30, rate=rate, end_rate=peak),
        Stage(name="peak", seconds=hold_s, rate=peak, end_rate=peak),
        Stage(name="after", seconds=15, rate=rate, end_rate=rate),
    )


_SPEC_P95 = {Kind.DASHBOARD: 200.0, Kind.COUPLE_FORMS: 150.0, Kind.CORE_FIELD: 100.0, Kind.GUESTS: 300.0}

PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="burst",
            says="100 users with five queries each, all at once: more than 95 % within 10 s",
            mix=DAY,
            users=100,
            at_once=5,
            promise=Promise(success=0.95),
        ),
        Profile(
            name="thousand",
            says="1,000 users for five minutes, each asking every 5 s: more than 99.9 %, p95 below 200 ms",
            mix=DAY,
            users=1000,
            stages=_steady(300, 1000 / PACE_S),
            promise=Promise(success=0.999, mean_ms=500, p95_ms=200, p95_ms_of=_SPEC_P95, pool_share=0.8),
        ),
        Profile(
            name="spike",
            says="from 100 users to ten times as many within 30 s: no error, worst below 3 × the average before",
            mix=DAY,
            users=1000,
            stages=_spike(100 / PACE_S, times=10),
            promise=Promise(success=1.0, worst_to_baseline=3.0),
        ),
        Profile(
            name="inserts",
            says="100 new photo groups at once: at least 95 % within 5 s",
            mix={Kind.INSERT: 1.0},
            users=100,
            at_once=1,
            promise=Promise(success=0.95, within_s=5.0),
        ),
        Profile(
            name="conflicts",
            says="20 conflict queries at once over 50 groups and 200 guests: below 500 ms on average",
            mix={Kind.CONFLICTS: 1.0},
            users=20,
            at_once=1,
            promise=Promise(success=1.0, mean_ms=500),
        ),
    )
}
