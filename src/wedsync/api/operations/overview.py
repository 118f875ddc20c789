"""`/api/status` and `/api/audit`: how the home is, and who did what."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol, cast
from urllib.parse import urlencode

import msgspec

from wedsync.api.operations.operation import Answer, AnyOperation, Call, Nowhere, Operation
from wedsync.state import Action
from wedsync.words import without_paths


class StatusAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What `wedsync status --json` says."""

    state: str
    """`healthy`, `warning`, `critical` or `down`."""
    sentence: str
    judged_at: datetime
    collected_at: datetime
    database: Mapping[str, Any]
    last_backup_at: datetime | None
    recovery_window: Mapping[str, datetime | None]
    open_alerts: int
    issues: Sequence[Mapping[str, Any]]
    surveyed_at: datetime | None
    repositories: Sequence[Mapping[str, Any]] | None
    windows: Sequence[Mapping[str, Any]]
    gaps: Sequence[Mapping[str, Any]]
    recovery: Mapping[str, Any] | None
    processes: Mapping[str, bool] | None
    disks: Sequence[Mapping[str, Any]] | None
    certificate_expires_at: datetime | None
    proof: Any = None
    """What drills proved, and when."""
    rpo: Any = None
    """What would be lost if the machine went now, measured."""
    rto_forecast_s: float | None = None
    """How long it would take until the database serves again."""
    rto_forecast_range_s: Sequence[float] | None = None
    rto_forecast_from_runs: int | None = None
    rto_last_drill: Any = None
    regions: Any = None
    """How far each repository is behind."""
    wal_queue: Any = None
    """WAL that waits to be archived, and when it fills the disk."""


class TrailPage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the trail: the newest, or those before an id."""

    before: Annotated[int, msgspec.Meta(ge=1, le=2**62)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    containing: Annotated[str, msgspec.Meta(max_length=100)] = ""
    """A part of what was done or of who did it, such as `recover`."""


class TrailLine(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what, when."""

    id: int
    at: datetime
    operator: str
    action: str
    detail: Mapping[str, Any]


class TrailAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `next` is the address of what comes before, `null` at the end."""

    actions: Sequence[TrailLine]
    next: str | None


class Overview(Protocol):
    """What these operations ask of the platform."""

    async def status(self) -> Mapping[str, Any]: ...

    def actions(self, *, before: int | None, limit: int, containing: str) -> Sequence[Action]: ...


def overview_operations(overview: Overview) -> Sequence[AnyOperation]:
    """Status and trail."""

    async def status(_: Call[Nowhere, None]) -> Answer:
        told = _without_paths(await overview.status())
        return Answer(content=msgspec.convert(told, StatusAnswer, strict=False))

    async def trail(call: Call[TrailPage, None]) -> Answer:
        page = call.place
        found = overview.actions(before=page.before, limit=page.limit + 1, containing=page.containing)
        shown, more = found[: page.limit], len(found) > page.limit
        following = f"/api/audit?before={shown[-1].id}&limit={page.limit}" if more else None
        if following is not None and page.containing:
            following += f"&{urlencode({'containing': page.containing})}"
        return Answer(
            content=TrailAnswer(
                actions=[
                    TrailLine(
                        id=line.id,
                        at=line.at,
                        operator=line.operator,
                        action=line.action,
                        detail=_without_paths(line.detail),
                    )
                    for line in shown
                ],
                next=following,
            )
        )

    return (
        Operation(
            method="GET",
            path="/status",
            name="status",
            action="status",
            summary="How the home is: what `wedsync status --json` says.",
            place=Nowhere,
            body=type(None),
            answers={200: StatusAnswer},
            carry_out=status,
        ),
        Operation(
            method="GET",
            path="/audit",
            name="audit_trail",
            action="audit",
            summary="The operators' audit trail, newest first.",
            place=TrailPage,
            body=type(None),
            answers={200: TrailAnswer},
            carry_out=trail,
        ),
    )


def _without_paths(value: object) -> Any:
    match value:
        case str():
            return without_paths(value)
        case Mapping():
            pairs = cast("Mapping[object, object]", value)
            return {key: _without_paths(inner) for key, inner in pairs.items()}
        case list() | tuple():
            return [_without_paths(inner) for inner in cast("Sequence[object]", value)]
        case _:
            return value
