"""Back to any second: plan, forecast, run, undo."""

from wedsync.recovery.answers import future, notes, unreachable
from wedsync.recovery.copies_here import copies_here
from wedsync.recovery.forecast import Forecast, Measurement, Phase, Restoring, forecast
from wedsync.recovery.ground import Ground, Scout
from wedsync.recovery.history import read_history, record_phases
from wedsync.recovery.journal import Journal, JournalEntry, Stage, WayBack
from wedsync.recovery.kept import Kept, put_back, put_back_histories
from wedsync.recovery.leftovers import end_restores
from wedsync.recovery.local_wal import LocalSegment
from wedsync.recovery.moment import parse_moment
from wedsync.recovery.outlook import Outlook, outlook, read_outlook
from wedsync.recovery.plan import Loss, RecoveryPlan
from wedsync.recovery.replay import (
    Reached,
    ReplayPosition,
    promote,
    replay_position,
    replay_words,
    wait_for_target,
)
from wedsync.recovery.result import Recovered
from wedsync.recovery.route import Route, segments_between
from wedsync.recovery.run import Recoverer
from wedsync.recovery.secure import Report, silently, wait_until_archived
from wedsync.recovery.shelter import Shelter
from wedsync.recovery.shown import ShownBase, ShownLoss, ShownPlan, ShownWal, show_plan
from wedsync.recovery.stops import Stop, Way, Wayfinder, single_moment, way_of_single, way_to_end_of
from wedsync.recovery.stopwatch import Stopwatch
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
    "Ground",
    "Happening",
    "HappeningKind",
    "Journal",
    "JournalEntry",
    "Kept",
    "LocalSegment",
    "Loss",
    "Measurement",
    "Outlook",
    "Phase",
    "Reached",
    "Recovered",
    "Recoverer",
    "RecoveryPlan",
    "ReplayPosition",
    "Report",
    "Restoring",
    "Route",
    "Scout",
    "Shelter",
    "ShownBase",
    "ShownLoss",
    "ShownPlan",
    "ShownWal",
    "Stage",
    "Stop",
    "Stopwatch",
    "Timeline",
    "Unknown",
    "Way",
    "WayBack",
    "Wayfinder",
    "can_restore",
    "copies_here",
    "end_restores",
    "forecast",
    "future",
    "judged",
    "notes",
    "outlook",
    "parse_moment",
    "promote",
    "put_back",
    "put_back_histories",
    "read_history",
    "read_outlook",
    "record_phases",
    "replay_position",
    "replay_words",
    "right_before",
    "segments_between",
    "show_plan",
    "silently",
    "single_moment",
    "unreachable",
    "wait_for_target",
    "wait_until_archived",
    "way_of_single",
    "way_to_end_of",
]
