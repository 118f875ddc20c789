"""What would be lost if the machine went now, and how long it would take to be back: measured, and forecast."""

from datetime import datetime

import msgspec

from wedsync.monitoring.facts import Exposure, Outlook, ProofFacts, Records
from wedsync.words import duration_words


class Rpo(msgspec.Struct, frozen=True, kw_only=True):
    """What would be lost, as it was measured."""

    in_force_s: float
    """Age of the oldest acknowledged commit that is on this machine only."""
    mode: str
    """What protects commits: `archive`, `async`, `sync`, `waiting` or `degraded`."""
    measured_at: datetime
    worst_24h_s: float
    at_stake_bytes: int
    since: datetime
    """Since when the mode is that."""


class MeasuredRto(msgspec.Struct, frozen=True, kw_only=True):
    """The newest drill that passed: how long it took until its copy took writes."""

    drill: str
    at: datetime
    rto_s: float


class Rto(msgspec.Struct, frozen=True, kw_only=True):
    """How long it would take to be back on an empty machine; `null` what is not known."""

    forecast_s: float | None
    range_s: tuple[float, float] | None
    runs: int
    """How many runs of this machine the forecast is learnt from; none: from what such a job takes elsewhere."""
    last_drill: MeasuredRto | None


def rpo_of(exposure: Exposure | None) -> Rpo | None:
    """What would be lost; `None`: it was never measured."""
    if exposure is None:
        return None
    return Rpo(
        in_force_s=exposure.in_force_s,
        mode=exposure.mode,
        measured_at=exposure.measured_at,
        worst_24h_s=exposure.worst_24h_s,
        at_stake_bytes=exposure.at_stake_bytes,
        since=exposure.since,
    )


def rto_of(outlook: Outlook | None, proof: ProofFacts | None) -> Rto | None:
    """How long it would take; `None`: nothing is known of that."""
    tried = proof.tried if proof is not None else ()
    newest = next((item for item in tried if item.passed and item.rto_s is not None), None)
    if outlook is None and newest is None:
        return None
    return Rto(
        forecast_s=round(outlook.expected_s, 1) if outlook else None,
        range_s=(round(outlook.low_s, 1), round(outlook.high_s, 1)) if outlook else None,
        runs=outlook.runs if outlook else 0,
        last_drill=MeasuredRto(drill=newest.drill, at=newest.at, rto_s=round(newest.rto_s, 3))
        if newest is not None and newest.rto_s is not None
        else None,
    )


def if_it_broke_words(records: Records | None) -> str:
    """Both, in a line."""
    rpo = rpo_of(records.exposure) if records else None
    rto = rto_of(records.outlook, records.proof) if records else None
    lost = "what is lost is not measured yet" if rpo is None else f"lose ≤ {_short(rpo.in_force_s)} (measured)"
    drill = rto.last_drill if rto is not None else None
    proven = f"last drill {duration_words(drill.rto_s)}" if drill is not None else "no drill yet"
    if rto is None or rto.forecast_s is None or rto.range_s is None:
        return f"If it broke now: {lost}, back in a time that nobody knows ({proven})"
    low, high = rto.range_s
    return (
        f"If it broke now: {lost}, back in ≈ {duration_words(rto.forecast_s)}"
        f" (forecast, {duration_words(low)} – {duration_words(high)}; {proven})"
    )


def _short(seconds: float) -> str:
    return "0 s" if seconds == 0 else duration_words(seconds)
