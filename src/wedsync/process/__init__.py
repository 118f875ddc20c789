"""Outside programs and processes of ours: run with a deadline, lock, watch, restart."""

from wedsync.process.locks import FileLock, LockHolder
from wedsync.process.priority import Priority
from wedsync.process.pulse import Pulse, beat, beat_of
from wedsync.process.run import Finished, run, spawn_detached
from wedsync.process.stream import Stream, stream
from wedsync.process.supervision import (
    ProcessFact,
    RestartPolicy,
    Supervised,
    Supervisor,
    failures_after,
    restart_delay,
)
from wedsync.process.watch import is_alive, wait_for_exit

__all__ = [
    "FileLock",
    "Finished",
    "LockHolder",
    "Priority",
    "ProcessFact",
    "Pulse",
    "RestartPolicy",
    "Stream",
    "Supervised",
    "Supervisor",
    "beat",
    "beat_of",
    "failures_after",
    "is_alive",
    "restart_delay",
    "run",
    "spawn_detached",
    "stream",
    "wait_for_exit",
]
