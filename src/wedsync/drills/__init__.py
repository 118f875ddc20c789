"""Drills: restore a backup elsewhere, check it, time it, and leave evidence."""

from wedsync.drills.check import Check, CheckedCopy, CheckResult, DrillContext
from wedsync.drills.choose import Chosen, choose
from wedsync.drills.drill import Drill, Outcome, Part, Reason, Source, Trouble
from wedsync.drills.order import DrillOrder, Pick
from wedsync.drills.records import DrillRecords
from wedsync.drills.rotation import DrillPolicy, NextDrill, Rotation, next_drill

__all__ = [
    "Check",
    "CheckResult",
    "CheckedCopy",
    "Chosen",
    "Drill",
    "DrillContext",
    "DrillOrder",
    "DrillPolicy",
    "DrillRecords",
    "NextDrill",
    "Outcome",
    "Part",
    "Pick",
    "Reason",
    "Rotation",
    "Source",
    "Trouble",
    "choose",
    "next_drill",
]
