"""Plans and results of recoveries as the command line and the operations API show them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from wedsync.recovery.plan import RecoveryPlan


class ShownBase(msgspec.Struct, frozen=True, kw_only=True):
    """The backup that a recovery begins with."""

    repo: int
    label: str
    type: str
    finished_at: datetime
    database_bytes: int


class ShownWal(msgspec.Struct, frozen=True, kw_only=True):
    """The WAL that is replayed on it."""

    first: str
    last: str
    segments: int
    bytes: int


class ShownLoss(msgspec.Struct, frozen=True, kw_only=True):
    """The commits after the moment; at least so many where the number is not `exact`."""

    commits: int
    exact: bool
    from_at: datetime | None = msgspec.field(name="from")
    to_at: datetime | None = msgspec.field(name="to")


class ShownPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery would do, lose and take."""

    asked: str
    target_at: datetime
    last_commit_at: datetime | None
    clamped: bool
    undoes: str | None
    base: ShownBase
    timeline: int
    wal: ShownWal
    lost: ShownLoss
    present: str
    """What becomes of the state that is replaced: `undo`, `backup`, `aside` or `lost`."""
    forecast_s: float
    forecast_range_s: Sequence[float]
    forecast_from_runs: int
    forecast_phases_s: Mapping[str, float]
    forecast_dominant: str
    """The phase that takes longest."""
    notes: Sequence[str]


def show_plan(plan: RecoveryPlan) -> ShownPlan:
    """A plan as `recover plan --json` has it."""
    return msgspec.convert(plan.to_json(), ShownPlan)
