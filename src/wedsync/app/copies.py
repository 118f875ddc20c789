"""What operators do with previews: the command line and the operations API call the same."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Any

from wedsync.app.backups import record
from wedsync.app.platform import Platform
from wedsync.backup import processors_of_this_machine
from wedsync.copies import (
    Answer,
    Copy,
    CopyOrder,
    CopyPlan,
    Effort,
    Listed,
    Purpose,
    Stage,
    Standing,
    choose_preview,
)
from wedsync.database import ConnectionTarget
from wedsync.errors import Busy, CannotConnect, CopyFailed, CopyUnknown, TargetUnreachable, WalDamaged
from wedsync.recovery import Phase, Report, parse_moment, silently

READER = "wedsync_owner"
"""As whom previews are read: it sees every tenant's rows, and is no superuser, so that it can neither end the
replay's pause nor run programs. That nothing is written is the server's doing: it replays WAL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A preview as it is told to people and programs."""

    id: str
    stage: Stage
    running: bool
    at: datetime | None
    """The moment that it shows."""
    last_commit_at: datetime | None
    """The newest commit in it."""
    made_at: datetime
    made_by: str
    last_used_at: datetime
    removed_at: datetime
    """When it is removed unless somebody uses it before."""
    clients: int
    target: ConnectionTarget
    answer: Answer | None = None
    """How the wish for it was answered; `None` in a list."""
    took_s: float | None = None
    plan: CopyPlan | None = None
    phases_s: dict[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The answer of `recover preview --json`."""
        found: dict[str, Any] = {
            "id": self.id,
            "stage": str(self.stage),
            "running": self.running,
            "at": self.at,
            "last_commit_at": self.last_commit_at,
            "made_at": self.made_at,
            "made_by": self.made_by,
            "last_used_at": self.last_used_at,
            "removed_at": self.removed_at,
            "clients": self.clients,
            "connection": {
                "host": self.target.host,
                "port": self.target.port,
                "user": self.target.user,
                "dbname": self.target.dbname,
            },
        }
        if self.answer is not None and self.plan is not None:
            phases_s = self.phases_s or {}
            found |= {
                "answer": str(self.answer),
                "took_s": round(self.took_s or 0.0, 2),
                "phases_s": {name: round(seconds, 2) for name, seconds in phases_s.items()},
                "plan": self.plan.to_json(),
            }
        return found


async def make_preview(
    platform: Platform, at: str, *, new: bool = False, by: str, report: Report = silently
) -> Preview:
    """A preview at a moment (or `latest`): one that is there, one of one's own moved on, or a new one."""
    _require(platform)
    wish = _Wish(platform)
    copies, settings = platform.copies, platform.config.preview
    moment = _moment(platform, at)
    record(platform, by, "recover preview", {"at": moment.isoformat(), "new": new})
    with wish.time("plan"):
        plan = await copies.plan(CopyOrder(target=moment, pace=_effort(platform).pace))
        choice = choose_preview(await _standing(platform), plan, by=by, most=settings.most, new=new)
    if choice.preview is not None:
        copy = copies.open(_listed(platform, choice.preview).directory)
        if choice.answer is Answer.MOVED:
            with wish.time("replay"):
                await copy.forward(moment, report, known=plan)
        copies.registry.used(copy.id, at=platform.clock.now())
        shown = await wish.told(copy, choice.answer, plan)
        if shown.at != plan.target_at:
            raise Busy(
                f"preview {copy.id} was moved to another moment meanwhile",
                detail=f"asked was {plan.target_at}, it shows {shown.at}",
                hint="run the command again",
            )
        return shown
    if choice.makes_room is not None:
        await copies.open(_listed(platform, choice.makes_room).directory).remove()
    try:
        copy = await _make(platform, plan, by=by, report=report)
    except WalDamaged as damage:  # noted by now: another region may have the segment whole
        report(Phase.RESTORE, damage.in_one_line())
        try:
            plan = await copies.plan(CopyOrder(target=moment))
        except TargetUnreachable:
            raise damage from None
        copy = await _make(platform, plan, by=by, report=report)
    wish.phases_s |= copy.phases_s
    return await wish.told(copy, Answer.MADE, plan)


async def _make(platform: Platform, plan: CopyPlan, *, by: str, report: Report) -> Copy:
    copies = platform.copies
    return await copies.make(
        plan,
        directory=copies.new_directory(Purpose.PREVIEW),
        effort=_effort(platform),
        report=report,
        purpose=Purpose.PREVIEW,
        by=by,
        most=platform.config.preview.most,
    )


def still_shows(platform: Platform, preview: Preview) -> bool:
    """Whether a preview is there and shows the moment that it showed; then it counts as used."""
    listed = platform.copies.registry.find(preview.id)
    if listed is None or listed.stage in {Stage.MAKING, Stage.MOVING} or listed.target_at != preview.at:
        return False
    platform.copies.registry.used(preview.id, at=platform.clock.now())
    return True


async def list_previews(platform: Platform) -> list[Preview]:
    """The previews there are, oldest first."""
    _require(platform)
    return [await _shown(platform, listed) for listed in platform.copies.registry.all(Purpose.PREVIEW)]


async def find_preview(platform: Platform, preview: str) -> Preview:
    """One preview. Raises `CopyUnknown`."""
    _require(platform)
    return await _shown(platform, _listed(platform, preview))


async def move_preview(
    platform: Platform, preview: str, at: str, *, by: str, report: Report = silently
) -> Preview:
    """Move a preview on to a later moment. Whoever is connected to it is disconnected."""
    _require(platform)
    wish = _Wish(platform)
    moment = _moment(platform, at)
    record(platform, by, "recover preview move", {"id": preview, "at": moment.isoformat()})
    copy = platform.copies.open(_listed(platform, preview).directory)
    with wish.time("replay"):
        await copy.forward(moment, report)
    return await wish.told(copy, Answer.MOVED, copy.plan)


async def remove_preview(platform: Platform, preview: str, *, by: str) -> None:
    """Remove a preview, whoever is connected to it."""
    _require(platform)
    record(platform, by, "recover preview remove", {"id": preview})
    await platform.copies.open(_listed(platform, preview).directory).remove()


@contextmanager
def held_still(platform: Platform, preview: Preview) -> Generator[ConnectionTarget]:
    """How to read a preview that neither moves nor goes meanwhile. Raises `Busy` if it has, or does."""
    with platform.copies.open(_listed(platform, preview.id).directory).held_still() as copy:
        if copy.note.target_at != preview.at:
            raise Busy(
                f"preview {preview.id} has moved to another moment",
                detail=f"it was at {preview.at}, and is at {copy.note.target_at}",
                hint="run the command again",
            )
        yield copy.target(READER)


def preview_target(platform: Platform, preview: str, dbname: str | None = None) -> ConnectionTarget:
    """How to read a preview. Raises `CopyUnknown`."""
    return platform.copies.open(_listed(platform, preview).directory).target(READER, dbname)


class _Wish:
    """A wish that is being granted, and how long the parts of it take."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._began = monotonic()
        self.phases_s: dict[str, float] = {}

    @contextmanager
    def time(self, phase: str) -> Generator[None]:
        """Take the time of a part."""
        began = monotonic()
        yield
        self.phases_s[phase] = monotonic() - began

    async def told(self, copy: Copy, answer: Answer, plan: CopyPlan) -> Preview:
        """The preview, with how the wish was granted."""
        shown = await _shown(self._platform, _listed(self._platform, copy.id))
        return replace(shown, answer=answer, plan=plan, took_s=monotonic() - self._began, phases_s=self.phases_s)


async def _standing(platform: Platform) -> list[Standing]:
    """The previews that answer; others are no help."""
    found: list[Standing] = []
    for listed in platform.copies.registry.all(Purpose.PREVIEW):
        try:
            copy = platform.copies.open(listed.directory)
            clients = await copy.clients()
        except (CopyUnknown, CopyFailed, CannotConnect):
            continue
        place = copy.note.place  # of a promoted one: where it left the timeline that is archived
        if place is not None and copy.note.stage in {Stage.READY, Stage.PROMOTED}:
            found.append(
                Standing(
                    id=listed.id,
                    made_by=listed.made_by,
                    target_at=copy.note.target_at,
                    timeline=copy.note.target.timeline or copy.plan.timeline,
                    lsn=place.lsn,
                    clients=clients,
                    last_used_at=listed.last_used_at,
                    is_fixed=copy.note.stage is Stage.PROMOTED,
                )
            )
    return found


async def _shown(platform: Platform, listed: Listed) -> Preview:
    clients, running = 0, False
    try:
        copy = platform.copies.open(listed.directory)
        clients, running = await copy.clients(), True
    except (CopyUnknown, CannotConnect):
        running = False
    return Preview(
        id=listed.id,
        stage=listed.stage,
        running=running,
        at=listed.target_at,
        last_commit_at=listed.last_commit_at,
        made_at=listed.made_at,
        made_by=listed.made_by,
        last_used_at=listed.last_used_at,
        removed_at=listed.last_used_at + platform.config.preview.keep_for,
        clients=clients,
        target=platform.copies.target_of(listed.directory, READER),
    )


def _listed(platform: Platform, preview: str) -> Listed:
    listed = platform.copies.registry.find(preview)
    if listed is None or listed.purpose is not Purpose.PREVIEW:
        raise CopyUnknown(f"there is no preview {preview}", hint="wedsync recover preview --list")
    return listed


def _moment(platform: Platform, at: str) -> datetime:
    return platform.clock.now() if at == "latest" else parse_moment(at)


def _effort(platform: Platform) -> Effort:
    settings = platform.config.preview
    return Effort(
        nice=settings.nice,
        idle_disk=False,
        processes=settings.processes or processors_of_this_machine(),
        memory_bytes=settings.memory,
        least_free_bytes=settings.keep_free,
    )


def _require(platform: Platform) -> None:
    platform.require_local("recover preview")
    platform.require_backups("recover preview")
