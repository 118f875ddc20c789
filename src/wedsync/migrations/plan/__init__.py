"""Say what a run would do before it does it."""

from wedsync.migrations.plan.locks import Lock, LockMode
from wedsync.migrations.plan.plan import Plan, PlannedFile, PlannedStatement, make_plan

__all__ = ["Lock", "LockMode", "Plan", "PlannedFile", "PlannedStatement", "make_plan"]
