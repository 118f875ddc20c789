"""`/api/drills`: restore a backup elsewhere and prove it; what was proven, and the evidence."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol

import msgspec

from wedsync.api.operations.operation import Answer, AnyOperation, Call, Nowhere, Operation
from wedsync.api.operations.runs import Page, RunAnswer, RunPlace, begun, run_answer, run_answers
from wedsync.drills import Drill, Outcome, Reason, drill_json
from wedsync.state import Run

Repo = Annotated[int, msgspec.Meta(ge=1, le=256)]
_BELOW = "drills"


class DrillRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to restore; where nothing is said, the newest backup to a random moment."""

    repo: Repo | None = None
    """One repository only; any of them if left out."""
    backup: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^(newest|random|[0-9A-Z_\-]{1,40}[FDI])$",
            description="A label such as 20260614-010000F, newest, or random.",
        ),
    ] = "newest"
    at: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=64,
            description="A moment with its offset from UTC, such as 2026-06-14T10:05:30Z, latest, or random.",
        ),
    ] = "random"


class DrillPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which drill."""

    id: Annotated[str, msgspec.Meta(pattern="^[0-9_]{1,40}$")]


class CheckAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found."""

    name: str
    ok: bool
    detail: str
    took_s: float


class SkippedCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A check that had nothing to look at."""

    name: str
    reason: str


class DrillAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A drill, as `wedsync drill show --json` tells of it."""

    id: str
    passed: bool
    outcome: Outcome
    reason: Reason
    asked_by: str
    began_at: datetime
    finished_at: datetime | None
    repo: int | None
    label: str | None
    backup: Mapping[str, Any] | None
    """Kind, size, WAL of what was restored."""
    moment: datetime | None
    """The moment asked for; `null`: the end of the backup."""
    restored_to: datetime | None
    last_commit_at: datetime | None
    rto_s: float | None
    rto_target_s: float
    rto_kept: bool | None
    rpo_s: float | None
    rpo_target_s: float
    rpo_kept: bool | None
    phases_s: Mapping[str, float]
    forecast: Mapping[str, Any]
    effort: str
    paused_s: float
    """Seconds that it stood still for a backup; counted nowhere else."""
    pauses: Sequence[Mapping[str, Any]]
    """When, how long, for what."""
    checks: Sequence[CheckAnswer]
    skipped: Sequence[SkippedCheck]
    trouble: Mapping[str, Any] | None
    """Why it says nothing: `code`, `message`, `detail`, `hint`."""


class DrillsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for over HTTP, and every drill of the home, newest first."""

    runs: Sequence[RunAnswer]
    drills: Sequence[DrillAnswer]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence of a drill as it is on the disk."""

    whole: bool
    """Whether it is what was written: both files have the hashes that were noted then."""
    sha256: str | None
    """The hash that the JSON file must have."""
    evidence: str
    """The JSON file, byte for byte."""
    report_html: str
    """The page."""


class DrillDesk(Protocol):
    """What these operations ask of the platform."""

    async def begin(self, request: DrillRequest, *, by: str) -> Run: ...

    def run(self, run: str) -> Run: ...

    def runs(self, limit: int) -> Sequence[Run]: ...

    def drills(self, limit: int) -> Sequence[Drill]: ...

    def drill(self, drill: str) -> Drill: ...

    def evidence(self, drill: str) -> Evidence: ...


def drill_operations(desk: DrillDesk) -> Sequence[AnyOperation]:
    """Everything below `/api/drills`."""

    async def drills(call: Call[Page, None]) -> Answer:
        limit = call.place.limit
        return Answer(
            content=DrillsAnswer(
                runs=run_answers(desk.runs(limit), below=_BELOW),
                drills=[_shown(item) for item in desk.drills(limit)],
            )
        )

    async def begin(call: Call[Nowhere, DrillRequest]) -> Answer:
        return begun(await desk.begin(call.body, by=call.who), below=_BELOW)

    async def run(call: Call[RunPlace, None]) -> Answer:
        return Answer(content=run_answer(desk.run(call.place.id), below=_BELOW))

    async def drill(call: Call[DrillPlace, None]) -> Answer:
        return Answer(content=_shown(desk.drill(call.place.id)))

    async def evidence(call: Call[DrillPlace, None]) -> Answer:
        return Answer(content=desk.evidence(call.place.id))

    return (
        Operation(
            method="GET",
            path="/drills",
            name="list_drills",
            action="drill list",
            summary="What was asked for, and every drill of the home.",
            place=Page,
            body=type(None),
            answers={200: DrillsAnswer},
            carry_out=drills,
        ),
        Operation(
            method="POST",
            path="/drills",
            name="run_drill",
            action="drill run",
            summary="Restore a backup beside the database, check it, time it, remove it.",
            place=Nowhere,
            body=DrillRequest,
            answers={202: RunAnswer},
            refusals={409: "A drill, a backup or a recovery is under way."},
            carry_out=begin,
            sensitive=True,
        ),
        Operation(
            method="GET",
            path="/drills/runs/{id}",
            name="drill_run",
            action="drill run status",
            summary="How a drill that was asked for stands.",
            place=RunPlace,
            body=type(None),
            answers={200: RunAnswer},
            refusals={404: "There is no such run."},
            carry_out=run,
        ),
        Operation(
            method="GET",
            path="/drills/{id}",
            name="drill",
            action="drill show",
            summary="One drill: what was restored, each check, each part's time.",
            place=DrillPlace,
            body=type(None),
            answers={200: DrillAnswer},
            refusals={404: "There is no such drill."},
            carry_out=drill,
        ),
        Operation(
            method="GET",
            path="/drills/{id}/evidence",
            name="drill_evidence",
            action="drill evidence",
            summary="The evidence of a drill, and whether it is what was written.",
            place=DrillPlace,
            body=type(None),
            answers={200: Evidence},
            refusals={404: "There is no such drill, or its evidence is not kept any more."},
            carry_out=evidence,
        ),
    )


def _shown(drill: Drill) -> DrillAnswer:
    return msgspec.convert(msgspec.to_builtins(drill_json(drill)), DrillAnswer)
