"""Outside programs and processes of ours: run with a deadline, lock, watch, restart."""

from wedsync.process.locks import FileLock, LockHolder
from wedsync.process.run import Finished, run, spawn_detached
from wedsync.process.watch import is_alive, wait_for_exit

__all__ = [
    "FileLock",
    "Finished",
    "LockHolder",
    "is_alive",
    "run",
    "spawn_detached",
    "wait_for_exit",
]
