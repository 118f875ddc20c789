"""Drills: restore a backup elsewhere, check it, time it, and leave evidence."""

from wedsync.drills.check import Check, CheckedCopy, CheckResult, DrillContext
from wedsync.drills.choose import Chosen, choose
from wedsync.drills.course import CheckList
from wedsync.drills.drill import BACK, FORECAST, Drill, Outcome, Part, Reason, Source, Trouble
from wedsync.drills.evidence import read_evidence
from wedsync.drills.evidence import to_json as drill_json
from wedsync.drills.order import DrillOrder, Pick
from wedsync.drills.records import DrillRecords
from wedsync.drills.rotation import DrillPolicy, NextDrill, Rotation, next_drill
from wedsync.drills.run import Driller, asked_effort, effort_words, scheduled_effort
from wedsync.drills.service import DrillService

__all__ = [
    "BACK",
    "FORECAST",
    "Check",
    "CheckList",
    "CheckResult",
    "CheckedCopy",
    "Chosen",
    "Drill",
    "DrillContext",
    "DrillOrder",
    "DrillPolicy",
    "DrillRecords",
    "DrillService",
    "Driller",
    "NextDrill",
    "Outcome",
    "Part",
    "Pick",
    "Reason",
    "Rotation",
    "Source",
    "Trouble",
    "asked_effort",
    "choose",
    "drill_json",
    "effort_words",
    "next_drill",
    "read_evidence",
    "scheduled_effort",
]
