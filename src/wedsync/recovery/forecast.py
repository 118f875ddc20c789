"""How long a recovery will take: a model of the job's shape, fitted to what past runs really took.

The shape (a fixed part, a part per byte, a part per WAL segment) was measured with PostgreSQL 15 and pgBackRest
2.45 (docs/explanation/recovery.md). A machine's own speed enters by least squares over its last runs, with the
shape as what is assumed while they do not say otherwise (fit.py). Runs of the same way (in place, over surviving
files, as a copy), the same repository and the same pace count; where there are none, the nearest ones, with a
wider range; before there are any, the speed of the backups that the machine has taken.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import median

from wedsync.recovery.fit import fit

_LAST_RUNS = 12
_LAST_BACKUPS = 5
_WIDER = {1: 1.5, 2: 1.25}
"""One or two runs say little of how far runs differ."""
_MB = 1_000_000


class Phase(StrEnum):
    """The parts of a recovery that are timed and forecast, in their order; `backup` calibrates the machine."""

    SECURE = "secure"
    STOP = "stop"
    RESTORE = "restore"
    REPLAY = "replay"
    PROMOTE = "promote"
    CONFIRM = "confirm"
    BACKUP = "backup"


class Restoring(StrEnum):
    """How files are restored: they differ in what is copied, and in how much of the machine they may take."""

    WHOLE = "whole"
    """In place, all of them."""
    DELTA = "delta"
    """In place, what differs from the backup."""
    COPY = "copy"
    """Beside the cluster, at low priority: drills and previews."""


RECOVERY_PHASES = (Phase.SECURE, Phase.STOP, Phase.RESTORE, Phase.REPLAY, Phase.PROMOTE, Phase.CONFIRM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One phase that ran: `size_bytes` and `units` (WAL segments) are what the model of the phase takes."""

    phase: Phase
    size_bytes: int
    units: int
    took_s: float
    way: Restoring | None = None
    """`None`: not noted."""
    repo: int | None = None
    pace: str | None = None
    """How much of the machine it might take, as one word for all that may take the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Seconds a recovery will take, the range seen in past runs, and how many runs it is learnt from."""

    total_s: float
    low_s: float
    high_s: float
    phases_s: Mapping[Phase, float]
    ranges_s: Mapping[Phase, tuple[float, float]]
    """Least and most of each phase."""
    runs: int
    alike: bool = True
    """Whether those were of the same way, repository and pace."""

    def of(self, phases: Collection[Phase]) -> "Forecast":
        """The forecast of some of the phases."""
        ranges_s = {phase: range_s for phase, range_s in self.ranges_s.items() if phase in phases}
        phases_s = {phase: seconds for phase, seconds in self.phases_s.items() if phase in phases}
        return replace(
            self,
            total_s=sum(phases_s.values()),
            low_s=sum(low_s for low_s, _ in ranges_s.values()),
            high_s=sum(high_s for _, high_s in ranges_s.values()),
            phases_s=phases_s,
            ranges_s=ranges_s,
        )

    @property
    def dominant(self) -> Phase:
        """The phase that takes longest."""
        return max(self.phases_s, key=lambda phase: self.phases_s[phase])


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseModel:
    """Seconds of a phase: a fixed part, a part per unit, a part per byte."""

    fixed_s: float
    unit_s: float = 0.0
    bytes_per_s: float = float("inf")

    def parts(self, *, size_bytes: int, units: int) -> tuple[float, ...]:
        """Seconds of the fixed part, of the units and of the bytes, on the machine where it was measured."""
        return self.fixed_s, self.unit_s * units, size_bytes / self.bytes_per_s

    def seconds(self, *, size_bytes: int, units: int) -> float:
        """Seconds for a job of this size there."""
        return sum(self.parts(size_bytes=size_bytes, units=units))


MODELS: Mapping[Phase, PhaseModel] = {
    Phase.SECURE: PhaseModel(fixed_s=0.5),
    Phase.STOP: PhaseModel(fixed_s=0.2),
    Phase.RESTORE: PhaseModel(fixed_s=0.6, bytes_per_s=650 * _MB),
    Phase.REPLAY: PhaseModel(fixed_s=0.8, unit_s=0.09, bytes_per_s=60 * _MB),
    Phase.PROMOTE: PhaseModel(fixed_s=1.2),
    Phase.CONFIRM: PhaseModel(fixed_s=0.9),
    Phase.BACKUP: PhaseModel(fixed_s=2.6, bytes_per_s=480 * _MB),
}
"""Measured on two cores and a local disk: docs/explanation/recovery.md."""


def forecast(
    *,
    database_bytes: int,
    wal_segments: int,
    wal_bytes: int,
    history: Sequence[Measurement],
    way: Restoring = Restoring.WHOLE,
    repo: int | None = None,
    pace: str | None = None,
) -> Forecast:
    """Forecast a recovery from `history`, newest last; an empty history gives the model alone with a wide range.

    `wal_bytes` is what the segments take in the archive.
    """
    sizes = {Phase.RESTORE: (database_bytes, 0), Phase.REPLAY: (wal_bytes, wal_segments)}
    machine = _ratios([run for run in history if run.phase is Phase.BACKUP][-_LAST_BACKUPS:])
    phases_s: dict[Phase, float] = {}
    ranges_s: dict[Phase, tuple[float, float]] = {}
    runs, alike = 0, True
    for phase in RECOVERY_PHASES:
        size_bytes, units = sizes.get(phase, (0, 0))
        parts = MODELS[phase].parts(size_bytes=size_bytes, units=units)
        near = nearest_runs([run for run in history if run.phase is phase], way=way, repo=repo, pace=pace)
        if near.runs:
            fitted = fit([(_parts(run), run.took_s) for run in near.runs])
            expected_s = fitted.seconds(parts)
            slack = near.slack * _WIDER.get(len(near.runs), 1.0)
            low, high = min(0.9, fitted.low) / slack, max(1.1, fitted.high) * slack
        else:
            ratio = min(max(median(machine), 0.5), 3.0) if machine else 1.0
            expected_s, low, high = sum(parts) * ratio, 0.5, 2.0
        phases_s[phase] = expected_s
        ranges_s[phase] = expected_s * low, expected_s * high
        if phase is Phase.RESTORE:
            runs, alike = len(near.runs), near.slack == 1.0
    return Forecast(
        total_s=sum(phases_s.values()),
        low_s=sum(low_s for low_s, _ in ranges_s.values()),
        high_s=sum(high_s for _, high_s in ranges_s.values()),
        phases_s=phases_s,
        ranges_s=ranges_s,
        runs=runs,
        alike=alike,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """The runs that a phase is forecast from, and by how much wider its range is if they were of another kind."""

    runs: Sequence[Measurement]
    slack: float


def nearest_runs(
    history: Sequence[Measurement], *, way: Restoring, repo: int | None, pace: str | None = None
) -> Near:
    """The last runs of the same way, repository and pace; else at any pace; else of the same repository; else of
    the same way; else any.

    What does not read a repository (`STOP`, `PROMOTE`) is the same from each.
    """
    reads = bool(history) and history[0].phase in {Phase.RESTORE, Phase.REPLAY}
    ways = {way, None} if history and history[0].phase is Phase.RESTORE else _like(way)
    repos = {repo, None} if reads and repo is not None else None
    of_way = [run for run in history if run.way in ways]
    of_repo = [run for run in history if repos is None or run.repo in repos]
    both = [run for run in of_way if repos is None or run.repo in repos]
    all_three = [run for run in both if pace is None or run.pace in {pace, None}]
    for runs, slack in ((all_three, 1.0), (both, 1.5), (of_repo, 1.5), (of_way, 2.0), (history, 2.0)):
        if runs:
            return Near(runs=runs[-_LAST_RUNS:], slack=slack)
    return Near(runs=(), slack=1.0)


def _like(way: Restoring) -> set[Restoring | None]:
    """Ways that are the same but for the restore of files."""
    return {Restoring.COPY, None} if way is Restoring.COPY else {Restoring.WHOLE, Restoring.DELTA, None}


def _parts(run: Measurement) -> tuple[float, ...]:
    return MODELS[run.phase].parts(size_bytes=run.size_bytes, units=run.units)


def _ratios(runs: Sequence[Measurement]) -> list[float]:
    """Actual by modelled seconds."""
    return [run.took_s / sum(_parts(run)) for run in runs]
