"""Work on the database that goes on beside its use: queued jobs, and what is called again and again."""

from wedsync.maintenance.jobs import Job, JobKind, JobState, Outcome, after_failure
from wedsync.maintenance.routines import Routine, RoutineService, due_routines
from wedsync.maintenance.worker import JobService, RunMigration

__all__ = [
    "Job",
    "JobKind",
    "JobService",
    "JobState",
    "Outcome",
    "Routine",
    "RoutineService",
    "RunMigration",
    "after_failure",
    "due_routines",
]
