"""The operators' audit trail: who did what, when. It outlives the database it is about."""

import json
from collections.abc import Mapping
from datetime import datetime

from wedsync.state.store import StateStore, as_text


def record_action(
    state: StateStore, *, at: datetime, operator: str, action: str, detail: Mapping[str, object]
) -> None:
    """Write down an action before it is carried out; `detail` holds no secrets."""
    state.write(
        "insert into operator_actions (at, operator, action, detail) values (?, ?, ?, ?)",
        (as_text(at), operator, action, json.dumps(dict(detail), default=str)),
    )
