"""Back to any second: plan, forecast, run, undo."""

from wedsync.recovery.forecast import Forecast, Measurement, Phase, forecast
from wedsync.recovery.journal import Journal, JournalEntry, Stage, WayBack
from wedsync.recovery.moment import parse_moment
from wedsync.recovery.plan import Loss, RecoveryPlan
from wedsync.recovery.run import Recovered, Recoverer
from wedsync.recovery.secure import Report
from wedsync.recovery.shelter import Shelter
from wedsync.recovery.shown import ShownBase, ShownLoss, ShownPlan, ShownWal, show_plan

__all__ = [
    "Forecast",
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
    "WayBack",
    "forecast",
    "parse_moment",
    "show_plan",
]
