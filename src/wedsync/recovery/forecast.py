"""How long a recovery will take: a model of the job's shape, corrected by what past runs really took.

The shape (a fixed part, a part per byte, a part per WAL segment) was measured with PostgreSQL 15 and pgBackRest
2.45 (docs/explanation/recovery.md). A machine's own speed enters as a ratio, actual by model: for each phase the
median of its last runs, and before there are any, the ratio of the backups that the machine has taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

_LAST_RUNS = 5
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


RECOVERY_PHASES = (Phase.SECURE, Phase.STOP, Phase.RESTORE, Phase.REPLAY, Phase.PROMOTE, Phase.CONFIRM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One phase that ran: `size_bytes` and `units` (WAL segments) are what the model of the phase takes."""

    phase: Phase
    size_bytes: int
    units: int
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Seconds a recovery will take, the range seen in past runs, and how many runs it is learnt from."""

    total_s: float
    low_s: float
    high_s: float
    phases_s: Mapping[Phase, float]
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseModel:
    """Seconds of a phase: a fixed part, a part per unit, a part per byte."""

    fixed_s: float
    unit_s: float = 0.0
    bytes_per_s: float = float("inf")

    def seconds(self, *, size_bytes: int, units: int) -> float:
        """Seconds for a job of this size on the machine where the model was measured."""
        return self.fixed_s + self.unit_s * units + size_bytes / self.bytes_per_s


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
    *, database_bytes: int, wal_segments: int, wal_bytes: int, history: Sequence[Measurement]
) -> Forecast:
    """Forecast a recovery from `history`, newest last; an empty history gives the model alone with a wide range.

    `wal_bytes` is what the segments take in the archive.
    """
    sizes = {Phase.RESTORE: (database_bytes, 0), Phase.REPLAY: (wal_bytes, wal_segments)}
    machine = _ratios(history, Phase.BACKUP)
    phases_s: dict[Phase, float] = {}
    low_s = high_s = 0.0
    runs = 0
    for phase in RECOVERY_PHASES:
        size_bytes, units = sizes.get(phase, (0, 0))
        expected_s = MODELS[phase].seconds(size_bytes=size_bytes, units=units)
        own = _ratios(history, phase)
        if own:
            ratio, low, high = median(own), min(own), max(own)
        else:
            ratio = min(max(median(machine), 0.5), 3.0) if machine else 1.0
            low, high = ratio / 2, ratio * 2
        phases_s[phase] = expected_s * ratio
        low_s += expected_s * low
        high_s += expected_s * high
        if phase is Phase.RESTORE:
            runs = len(own)
    return Forecast(total_s=sum(phases_s.values()), low_s=low_s, high_s=high_s, phases_s=phases_s, runs=runs)


def _ratios(history: Sequence[Measurement], phase: Phase) -> list[float]:
    """Actual by modelled seconds of the phase's last runs."""
    return [
        run.took_s / MODELS[phase].seconds(size_bytes=run.size_bytes, units=run.units)
        for run in [run for run in history if run.phase is phase][-_LAST_RUNS:]
    ]
