"""Which preview serves a wish: one that is there, one that moves on, or a new one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from wedsync.backup import number_at, number_of
from wedsync.copies.plan import CopyPlan
from wedsync.database import SEGMENT_BYTES, Lsn


class Answer(StrEnum):
    """What becomes of a wish for a preview."""

    SAME = "same"
    """One shows this very moment already."""
    MOVED = "moved"
    """One at an earlier moment moves on."""
    MADE = "made"
    """A new one is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A preview that could serve: where it stands and whether somebody looks at it."""

    id: str
    made_by: str
    target_at: datetime | None
    timeline: int
    lsn: Lsn
    clients: int
    last_used_at: datetime
    is_fixed: bool = False
    """Whether it serves this moment and no later one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The answer, and which preview it is about; `makes_room` is one that has to go before a new one comes."""

    answer: Answer
    preview: str | None = None
    makes_room: str | None = None


def choose_preview(standing: Sequence[Standing], plan: CopyPlan, *, by: str, most: int, new: bool) -> Choice:
    """Choose for the wish that `plan` answers.

    Nobody's preview moves under them: only one's own, with nobody connected, and only forward on its timeline; and
    only where that reads less than copying again would. One at the very moment serves everybody. Where there
    are `most` already, one's own that was not used for the longest gives way, if nobody is connected to it.
    """
    if not new:
        same = [item for item in standing if item.target_at is not None and item.target_at == plan.target_at]
        same = [item for item in same if item.timeline == plan.timeline]
        if same:
            return Choice(answer=Answer.SAME, preview=same[0].id)
        moves = [item for item in standing if item.made_by == by and not item.clients and moves_to(item, plan)]
        if moves:
            return Choice(answer=Answer.MOVED, preview=max(moves, key=lambda item: item.lsn).id)
    if len(standing) < most:
        return Choice(answer=Answer.MADE)
    idle = [item for item in standing if item.made_by == by and not item.clients]
    oldest = min(idle, key=lambda item: item.last_used_at, default=None)
    return Choice(answer=Answer.MADE, makes_room=oldest.id if oldest is not None else None)


def moves_to(item: Standing, plan: CopyPlan) -> bool:
    """Whether moving on to the plan's moment is possible, and cheaper than a new copy."""
    if item.is_fixed or item.timeline != plan.timeline or item.target_at is None or plan.target_at is None:
        return False
    ahead = number_of(plan.wal_last) - number_at(item.lsn)
    copied_bytes = plan.base.database_bytes + plan.wal_segments * SEGMENT_BYTES
    return item.target_at <= plan.target_at and ahead * SEGMENT_BYTES <= copied_bytes
