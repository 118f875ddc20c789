"""`/api/backups`: what there is, take, verify, hold, release, expire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Protocol

import msgspec

from wedsync.api.operations.operation import Answer, AnyOperation, Call, Nowhere, Operation
from wedsync.api.operations.runs import Page, RunAnswer, RunPlace, begun, run_answer, run_answers
from wedsync.backup import BackupKind, BackupRun, Expired, Held, ShownBackup, ShownRepository, ShownWindow
from wedsync.state import Run

Repo = Annotated[int, msgspec.Meta(ge=1, le=256)]
Label = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Z_\-]{1,40}[FDI]$", description="Such as 20260614-010000F.")]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_BELOW = "backups"


class BackupFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which backups; all of them where nothing is said."""

    repo: Repo | None = None
    type: BackupKind | None = None
    since: datetime | None = None
    """Finished at this moment or later; with its offset from UTC."""
    until: datetime | None = None
    held: bool | None = None
    damaged: bool | None = None

    def takes(self, backup: ShownBackup) -> bool:
        """Whether a backup is one of those."""
        return (
            self.repo in {None, backup.repo}
            and self.type in {None, backup.type}
            and (self.since is None or backup.finished_at >= self.since)
            and (self.until is None or backup.finished_at <= self.until)
            and self.held in {None, backup.held is not None}
            and self.damaged in {None, backup.damaged}
        )


class Rhythm(msgspec.Struct, frozen=True, kw_only=True):
    """How often one repository gets backups, in seconds."""

    repo: int
    full_every_s: float
    incr_every_s: float | None


class NextRun(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper takes next."""

    repo: int
    type: BackupKind
    at: datetime
    why: str


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When backups are taken by themselves; `next_run_unknown` says why there is no `next_run`."""

    enabled: bool
    rhythm: Sequence[Rhythm]
    next_run: NextRun | None
    next_run_unknown: str | None
    recovery_window_s: float
    keep_weekly_s: float


class BackupsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Backups (those that were asked for, oldest first), what they can restore, when the next one is due."""

    backups: Sequence[ShownBackup]
    repositories: Sequence[ShownRepository]
    windows: Sequence[ShownWindow]
    schedule: Schedule
    under_way: str | None
    """What runs now."""


class BackupOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which backup to take."""

    type: BackupKind = BackupKind.INCR
    repo: Repo | None = None
    """Into this repository alone; `null`: into each."""


class VerifyOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to read."""

    repo: Repo | None = None


class HoldOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which backup must stay, and why."""

    repo: Repo
    label: Label
    reason: Reason


class ReleaseOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which backup retention may let go of again."""

    repo: Repo
    label: Label


class ExpireOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to remove: one backup that retention lets go of, or all of them."""

    repo: Repo | None = None
    label: Label | None = None
    remove: bool = False
    """Without it they are only listed."""


class BackupRunsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for over HTTP, and every attempt of the home, newest first."""

    runs: Sequence[RunAnswer]
    history: Sequence[BackupRun]


class BackupDesk(Protocol):
    """What these operations ask of the platform."""

    async def overview(self, wanted: BackupFilter) -> BackupsAnswer: ...

    async def take(self, order: BackupOrder, *, by: str) -> Run: ...

    async def verify(self, order: VerifyOrder, *, by: str) -> Run: ...

    async def hold(self, repo: int, label: str, reason: str | None, *, by: str) -> Held: ...

    async def expire(self, order: ExpireOrder, *, by: str) -> Expired: ...

    def run(self, run: str) -> Run: ...

    def runs(self, limit: int) -> tuple[Sequence[Run], Sequence[BackupRun]]: ...


def backup_operations(desk: BackupDesk) -> Sequence[AnyOperation]:
    """Everything below `/api/backups`."""

    async def overview(call: Call[BackupFilter, None]) -> Answer:
        return Answer(content=await desk.overview(call.place))

    async def take(call: Call[Nowhere, BackupOrder]) -> Answer:
        return begun(await desk.take(call.body, by=call.who), below=_BELOW)

    async def verify(call: Call[Nowhere, VerifyOrder]) -> Answer:
        return begun(await desk.verify(call.body, by=call.who), below=_BELOW)

    async def hold(call: Call[Nowhere, HoldOrder]) -> Answer:
        order = call.body
        return Answer(content=await desk.hold(order.repo, order.label, order.reason, by=call.who))

    async def release(call: Call[Nowhere, ReleaseOrder]) -> Answer:
        return Answer(content=await desk.hold(call.body.repo, call.body.label, None, by=call.who))

    async def expire(call: Call[Nowhere, ExpireOrder]) -> Answer:
        return Answer(content=await desk.expire(call.body, by=call.who))

    async def run(call: Call[RunPlace, None]) -> Answer:
        return Answer(content=run_answer(desk.run(call.place.id), below=_BELOW))

    async def runs(call: Call[Page, None]) -> Answer:
        asked, history = desk.runs(call.place.limit)
        return Answer(content=BackupRunsAnswer(runs=run_answers(asked, below=_BELOW), history=history))

    return (
        Operation(
            method="GET",
            path="/backups",
            name="list_backups",
            action="backup list",
            summary="Backups, what they can restore, and when the next one is due.",
            place=BackupFilter,
            body=type(None),
            answers={200: BackupsAnswer},
            carry_out=overview,
        ),
        Operation(
            method="POST",
            path="/backups",
            name="take_backup",
            action="backup run",
            summary="Begin to take a backup; it goes on after the answer.",
            place=Nowhere,
            body=BackupOrder,
            answers={202: RunAnswer},
            refusals={409: "A backup or a recovery is under way."},
            carry_out=take,
            sensitive=True,
        ),
        Operation(
            method="GET",
            path="/backups/runs",
            name="list_backup_runs",
            action="backup runs",
            summary="What was asked for, and every attempt to take a backup.",
            place=Page,
            body=type(None),
            answers={200: BackupRunsAnswer},
            carry_out=runs,
        ),
        Operation(
            method="GET",
            path="/backups/runs/{id}",
            name="backup_run",
            action="backup run status",
            summary="How a backup or a verification stands.",
            place=RunPlace,
            body=type(None),
            answers={200: RunAnswer},
            refusals={404: "There is no such run."},
            carry_out=run,
        ),
        Operation(
            method="POST",
            path="/backups/verify",
            name="verify_backups",
            action="backup verify",
            summary="Begin to read repositories whole; it goes on after the answer.",
            place=Nowhere,
            body=VerifyOrder,
            answers={202: RunAnswer},
            refusals={409: "A verification is under way."},
            carry_out=verify,
            sensitive=True,
        ),
        Operation(
            method="POST",
            path="/backups/hold",
            name="hold_backup",
            action="backup hold",
            summary="Keep a backup, and all it is built on, until it is released.",
            place=Nowhere,
            body=HoldOrder,
            answers={200: Held},
            refusals={404: "There is no such backup."},
            carry_out=hold,
            sensitive=True,
        ),
        Operation(
            method="POST",
            path="/backups/release",
            name="release_backup",
            action="backup release",
            summary="Let retention decide about a held backup again.",
            place=Nowhere,
            body=ReleaseOrder,
            answers={200: Held},
            refusals={404: "There is no such backup."},
            carry_out=release,
            sensitive=True,
        ),
        Operation(
            method="POST",
            path="/backups/expire",
            name="expire_backups",
            action="backup expire",
            summary="List the backups that retention lets go of, or remove them.",
            place=Nowhere,
            body=ExpireOrder,
            answers={200: Expired},
            refusals={404: "There is no such backup.", 409: "The backup stays, or something else is under way."},
            carry_out=expire,
            sensitive=True,
        ),
    )
