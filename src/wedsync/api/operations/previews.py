"""`/api/recovery/previews`: the database at a moment of the past, beside the real one, to look at."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol
from urllib.parse import urlencode

import msgspec

from wedsync.api.operations.answers import without_paths
from wedsync.api.operations.operation import Answer, AnyOperation, Call, Nowhere, Operation
from wedsync.api.operations.recovery import Moment
from wedsync.api.operations.runs import RunAnswer, begun
from wedsync.recovery import ShownBase, ShownWal
from wedsync.state import Run
from wedsync.tenants import Difference

_BELOW = "recovery"
PreviewId = Annotated[
    str, msgspec.Meta(pattern="^[a-z0-9-]{1,60}$", description="As GET /api/recovery/previews has it.")
]
TableName = Annotated[str, msgspec.Meta(max_length=140, description="With its schema: public.guests.")]
CoupleId = Annotated[str, msgspec.Meta(max_length=36, description="The couple's id.")]


class PreviewPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which preview."""

    id: PreviewId


class PreviewOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which moment to show."""

    at: Moment
    new: bool = False
    """Make a new one, also where one of the caller's own could move on to the moment."""


class MoveOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which later moment to go on to."""

    at: Moment


class DifferencePlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which preview, and of what: everything, one table with its rows, one couple, or both."""

    id: PreviewId
    table: TableName | None = None
    couple: CoupleId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    values: bool = False
    """Whether rows come with their values then and now: these are personal."""


class PreviewAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A preview and where it stands."""

    id: str
    state: str
    """`making`, `ready`, `moving` (to another moment: it is not read meanwhile), `promoted` (ready, but it cannot
    move on: a transaction of that moment had a table for itself) or `stopped` (its server is started again when it
    is asked)."""
    at: datetime | None
    """The moment it shows."""
    last_commit_at: datetime | None
    """The newest commit in it."""
    made_at: datetime
    made_by: str
    last_used_at: datetime
    removed_at: datetime
    """When it is removed unless somebody uses it before."""
    clients: int
    """Who is connected to it now."""
    address: str
    rest: str
    """Where its rows are read, in PostgREST's dialect."""


class PreviewsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Every preview, oldest first."""

    previews: Sequence[PreviewAnswer]


class ShownPreviewPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a preview is made from."""

    target_at: datetime | None
    target_lsn: str | None
    last_commit_at: datetime | None
    clamped: bool
    """Whether the moment is after the last commit that exists."""
    base: ShownBase
    timeline: int
    wal: ShownWal
    needed_bytes: int
    """Disk that it takes at the most."""
    forecast_s: float
    notes: Sequence[str]


class PreviewBegun(msgspec.Struct, frozen=True, kw_only=True):
    """It is being made: `run.result` has its `id` when it is done."""

    run: RunAnswer
    plan: ShownPreviewPlan


class PreviewRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """A preview that is gone, with its files."""

    id: str
    removed: bool = True


class PreviewDesk(Protocol):
    """What these operations ask of the platform."""

    async def plan(self, at: str) -> Mapping[str, Any]: ...

    async def begin(self, at: str, *, new: bool, by: str) -> Run: ...

    async def all(self) -> Sequence[PreviewAnswer]: ...

    async def one(self, preview: str) -> PreviewAnswer: ...

    async def move(self, preview: str, at: str, *, by: str) -> PreviewAnswer: ...

    async def remove(self, preview: str, *, by: str) -> None: ...

    async def difference(self, place: DifferencePlace) -> tuple[Difference, bool]: ...


def preview_operations(desk: PreviewDesk) -> Sequence[AnyOperation]:
    """Everything below `/api/recovery/previews`, but for the data API of each."""

    async def previews(_: Call[Nowhere, None]) -> Answer:
        return Answer(content=PreviewsAnswer(previews=await desk.all()))

    async def preview(call: Call[PreviewPlace, None]) -> Answer:
        return Answer(content=await desk.one(call.place.id))

    async def make(call: Call[Nowhere, PreviewOrder]) -> Answer:
        order = call.body
        plan = msgspec.convert(await desk.plan(order.at), ShownPreviewPlan)
        plan = msgspec.structs.replace(plan, notes=[without_paths(note) for note in plan.notes])
        first = begun(await desk.begin(order.at, new=order.new, by=call.who), below=_BELOW)
        run: Any = first.content
        return Answer(content=PreviewBegun(run=run, plan=plan), status=202, headers=first.headers)

    async def move(call: Call[PreviewPlace, MoveOrder]) -> Answer:
        return Answer(content=await desk.move(call.place.id, call.body.at, by=call.who))

    async def remove(call: Call[PreviewPlace, None]) -> Answer:
        await desk.remove(call.place.id, by=call.who)
        return Answer(content=PreviewRemoved(id=call.place.id))

    async def difference(call: Call[DifferencePlace, None]) -> Answer:
        found, more = await desk.difference(call.place)
        return Answer(content=msgspec.structs.replace(found, next=_next(call.place) if more else None))

    not_there = {404: "There is no such preview."}
    return (
        Operation(
            method="GET",
            path="/recovery/previews",
            name="list_previews",
            action="recover preview list",
            summary="Every preview, and where it stands.",
            place=Nowhere,
            body=type(None),
            answers={200: PreviewsAnswer},
            carry_out=previews,
        ),
        Operation(
            method="POST",
            path="/recovery/previews",
            name="make_preview",
            action="recover preview",
            summary="Begin to make the database of a moment, to look at; it goes on after the answer.",
            place=Nowhere,
            body=PreviewOrder,
            answers={202: PreviewBegun},
            refusals={409: "The moment cannot be restored, there is no room, or something else is under way."},
            carry_out=make,
            sensitive=True,
        ),
        Operation(
            method="GET",
            path="/recovery/previews/{id}",
            name="preview",
            action="recover preview status",
            summary="One preview, and where it stands.",
            place=PreviewPlace,
            body=type(None),
            answers={200: PreviewAnswer},
            refusals=not_there,
            carry_out=preview,
        ),
        Operation(
            method="DELETE",
            path="/recovery/previews/{id}",
            name="remove_preview",
            action="recover preview remove",
            summary="End a preview and remove its files.",
            place=PreviewPlace,
            body=type(None),
            answers={200: PreviewRemoved},
            refusals={**not_there, 409: "It is being made, or moves."},
            carry_out=remove,
        ),
        Operation(
            method="POST",
            path="/recovery/previews/{id}/move",
            name="move_preview",
            action="recover preview move",
            summary="Go on to a later moment, without another restore.",
            place=PreviewPlace,
            body=MoveOrder,
            answers={200: PreviewAnswer},
            refusals={**not_there, 409: "It is past that moment, or the archive does not lead there."},
            carry_out=move,
        ),
        Operation(
            method="GET",
            path="/recovery/previews/{id}/difference",
            name="preview_difference",
            action="recover diff",
            summary="What would return, change and vanish: by table, by couple; rows where one table is named.",
            place=DifferencePlace,
            body=type(None),
            answers={200: Difference},
            refusals={404: "There is no such preview, or no such table.", 409: "The table cannot be compared."},
            carry_out=difference,
        ),
    )


def _next(place: DifferencePlace) -> str:
    asked = {"table": place.table, "couple": place.couple, "limit": place.limit, "values": place.values or None}
    said = {name: str(value).lower() for name, value in asked.items() if value is not None}
    query = urlencode({**said, "offset": place.offset + place.limit})
    return f"/api/recovery/previews/{place.id}/difference?{query}"
