"""Back to any second: plan, forecast, run, undo."""

from wedsync.recovery.forecast import Forecast, Measurement, Phase, forecast
from wedsync.recovery.journal import Journal, JournalEntry, Stage, WayBack
from wedsync.recovery.moment import parse_moment
from wedsync.recovery.plan import Loss, RecoveryPlan
from wedsync.recovery.run import Recovered, Recoverer
from wedsync.recovery.secure import Report

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
    "Stage",
    "WayBack",
    "forecast",
    "parse_moment",
]
