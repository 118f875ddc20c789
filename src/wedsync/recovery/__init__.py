"""Back to any second: plan, forecast, run, undo."""

from wedsync.recovery.forecast import Forecast, Measurement, Phase, forecast
from wedsync.recovery.journal import Journal, JournalEntry, Stage, WayBack
from wedsync.recovery.moment import parse_moment
from wedsync.recovery.plan import Loss, RecoveryPlan
from wedsync.recovery.run import Recovered, Recoverer
from wedsync.recovery.secure import Report
from wedsync.recovery.shelter import Shelter
from wedsync.recovery.shown import ShownBase, ShownLoss, ShownPlan, ShownWal, show_plan
from wedsync.recovery.timeline import (
    ChangedTable,
    Happening,
    HappeningKind,
    Timeline,
    Unknown,
    can_restore,
    judged,
    right_before,
)

__all__ = [
    "ChangedTable",
    "Forecast",
    "Happening",
    "HappeningKind",
    "Journal",
    "JournalEntry",
    "Loss",
    "Measurement",
    "Phase",
    "Recovered",
    "Recoverer",
    "RecoveryPlan",
    "Report",
    "Shelter",
    "ShownBase",
    "ShownLoss",
    "ShownPlan",
    "ShownWal",
    "Stage",
    "Timeline",
    "Unknown",
    "WayBack",
    "can_restore",
    "forecast",
    "judged",
    "parse_moment",
    "right_before",
    "show_plan",
]
