"""Drills: restore a backup elsewhere, check it, time it, and leave evidence."""

from wedsync.drills.check import Check, CheckedCopy, CheckResult, DrillContext
from wedsync.drills.order import DrillOrder, Pick

__all__ = ["Check", "CheckResult", "CheckedCopy", "DrillContext", "DrillOrder", "Pick"]
