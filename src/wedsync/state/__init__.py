"""`state.db`: what must be known while PostgreSQL is down. A SQLite file in the platform's home."""

from wedsync.state.audit import Action, actions, record_action
from wedsync.state.runs import OperationRuns, Run, RunKind, RunState
from wedsync.state.store import SqliteValue, StateStore, as_moment, as_text, open_state

__all__ = [
    "Action",
    "OperationRuns",
    "Run",
    "RunKind",
    "RunState",
    "SqliteValue",
    "StateStore",
    "actions",
    "as_moment",
    "as_text",
    "open_state",
    "record_action",
]
