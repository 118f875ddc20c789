"""`/api/recovery/timeline`: what can be restored, and what happened, to pick the moment before a mistake."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Protocol

import msgspec

from wedsync.api.operations.operation import Answer, AnyOperation, Call, Operation
from wedsync.recovery import Timeline
from wedsync.words import without_paths

Zoned = Annotated[datetime, msgspec.Meta(tz=True)]


class TimelinePlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Between which moments; the last day where nothing is said."""

    from_at: Zoned | None = msgspec.field(name="from", default=None)
    """With its offset from UTC."""
    to_at: Zoned | None = msgspec.field(name="to", default=None)
    rows: Annotated[int, msgspec.Meta(ge=1, le=2**31)] = 10
    """Transactions that deleted or changed fewer rows are left out."""


class TimelineDesk(Protocol):
    """What this operation asks of the platform."""

    async def timeline(self, *, since: datetime | None, until: datetime | None, least: int) -> Timeline: ...


def timeline_operations(desk: TimelineDesk) -> Sequence[AnyOperation]:
    """The timeline."""

    async def timeline(call: Call[TimelinePlace, None]) -> Answer:
        asked = call.place
        found = await desk.timeline(since=asked.from_at, until=asked.to_at, least=asked.rows)
        unknown = [msgspec.structs.replace(each, why=without_paths(each.why)) for each in found.unknown]
        return Answer(content=msgspec.structs.replace(found, unknown=unknown))

    return (
        Operation(
            method="GET",
            path="/recovery/timeline",
            name="recovery_timeline",
            action="recover moments",
            summary="Windows, backups, and what happened when: to pick the moment right before a mistake.",
            place=TimelinePlace,
            body=type(None),
            answers={200: Timeline},
            carry_out=timeline,
        ),
    )
