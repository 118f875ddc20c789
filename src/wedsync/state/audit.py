"""The operators' audit trail: who did what, when. It outlives the database it is about."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wedsync.state.store import StateStore, as_moment, as_text


def record_action(
    state: StateStore, *, at: datetime, operator: str, action: str, detail: Mapping[str, object]
) -> None:
    """Write down an action before it is carried out; `detail` holds no secrets."""
    state.write(
        "insert into operator_actions (at, operator, action, detail) values (?, ?, ?, ?)",
        (as_text(at), operator, action, json.dumps(dict(detail), default=str)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One line of the trail."""

    id: int
    at: datetime
    operator: str
    action: str
    detail: Mapping[str, Any]


def actions(state: StateStore, *, before: int | None, limit: int, containing: str = "") -> tuple[Action, ...]:
    """A page of the trail, newest first: ids below `before`, `containing` in what was done or by whom."""
    rows = state.rows(
        "select * from operator_actions where id < ? and (instr(action, ?) or instr(operator, ?))"
        " order by id desc limit ?",
        (before if before is not None else 2**62, containing, containing, limit),
    )
    return tuple(
        Action(
            id=row["id"],
            at=as_moment(row["at"]),
            operator=row["operator"],
            action=row["action"],
            detail=json.loads(row["detail"]),
        )
        for row in rows
    )
