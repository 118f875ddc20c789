"""`state.db`: what must be known while PostgreSQL is down. A SQLite file in the platform's home."""

from wedsync.state.audit import record_action
from wedsync.state.store import SqliteValue, StateStore, as_moment, as_text, open_state

__all__ = ["SqliteValue", "StateStore", "as_moment", "as_text", "open_state", "record_action"]
