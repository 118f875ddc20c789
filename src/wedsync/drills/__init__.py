"""Drills: restore a backup elsewhere, check it, time it, and leave evidence."""

from typing import TYPE_CHECKING

from wedsync.on_demand import names_on_demand

if TYPE_CHECKING:
    from wedsync.drills.check import DIGESTS, Check, CheckedCopy, CheckResult, DrillContext
    from wedsync.drills.choice import Chosen, choose
    from wedsync.drills.course import CheckList
    from wedsync.drills.drill import BACK, FORECAST, Drill, Outcome, Part, Reason, Source, Trouble, forecast_words
    from wedsync.drills.evidence import read_evidence
    from wedsync.drills.order import DrillOrder, Pick
    from wedsync.drills.records import DrillRecords
    from wedsync.drills.rotation import DrillPolicy, NextDrill, Rotation, next_drill
    from wedsync.drills.run import Driller, asked_effort, effort_words, scheduled_effort
    from wedsync.drills.service import DrillService
    from wedsync.drills.shown import drill_json
else:
    __getattr__ = names_on_demand(
        __name__,
        {
            "check": (
                "DIGESTS",
                "Check",
                "CheckedCopy",
                "CheckResult",
                "DrillContext",
            ),
            "choice": (
                "Chosen",
                "choose",
            ),
            "course": ("CheckList",),
            "drill": (
                "BACK",
                "FORECAST",
                "Drill",
                "Outcome",
                "Part",
                "Reason",
                "Source",
                "Trouble",
                "forecast_words",
            ),
            "evidence": ("read_evidence",),
            "order": (
                "DrillOrder",
                "Pick",
            ),
            "records": ("DrillRecords",),
            "rotation": (
                "DrillPolicy",
                "NextDrill",
                "Rotation",
                "next_drill",
            ),
            "run": (
                "Driller",
                "asked_effort",
                "effort_words",
                "scheduled_effort",
            ),
            "service": ("DrillService",),
            "shown": ("drill_json",),
        },
    )

__all__ = [
    "BACK",
    "DIGESTS",
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
    "forecast_words",
    "next_drill",
    "read_evidence",
    "scheduled_effort",
]
