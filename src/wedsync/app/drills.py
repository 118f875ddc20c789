"""What operators do with drills: the command line and the operations API call the same."""

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

from psycopg import Error as DatabaseError

from wedsync.app.backups import record, require_repo
from wedsync.app.platform import Platform
from wedsync.backup import read_live_cluster
from wedsync.drills import (
    Drill,
    DrillOrder,
    Pick,
    Reason,
    asked_effort,
    read_evidence,
)
from wedsync.errors import NotThere, UsageProblem, WedsyncError
from wedsync.recovery import Report, parse_moment


def drill_order(*, repo: int | None, label: str | None, at: str | None) -> DrillOrder:
    """What was asked for in words: a label, `newest` or `random`; a moment, `latest` or `random`."""
    wanted = label or Pick.NEWEST
    return DrillOrder(repo=repo, backup=Pick(wanted) if wanted in set(Pick) else wanted, moment=_moment(at))


def _moment(text: str | None) -> datetime | Pick:
    match text:
        case None | "random":
            return Pick.RANDOM
        case "latest" | "newest":
            return Pick.NEWEST
        case _:
            return parse_moment(text)


async def run_drill(
    platform: Platform, order: DrillOrder, *, by: str, report: Report, keep: bool = False
) -> Drill:
    """Run one drill now; gives one that passed or failed, and raises what kept it from saying either."""
    require_drills(platform, changes=True)
    require_repo(platform, order.repo)
    said = {"repo": order.repo, "backup": str(order.backup), "moment": str(order.moment)}
    record(platform, by, "drill run", said)
    effort = asked_effort(platform.config.drills)
    return await platform.driller.run(
        order, reason=Reason.OPERATOR, by=by, effort=effort, report=report, keep=keep
    )


def list_drills(platform: Platform, *, limit: int) -> tuple[Drill, ...]:
    """The last drills, newest first."""
    return platform.drill_records.newest(limit=limit)


def find_drill(platform: Platform, drill: str) -> Drill:
    """One drill. Raises `NotThere`."""
    found = platform.drill_records.find(drill)
    if found is None:
        raise NotThere(f"there is no drill {drill[:40]!r}", hint="wedsync drill list")
    return found


def drill_evidence(platform: Platform, drill: str) -> tuple[bytes, bytes, bool]:
    """Evidence and page of a drill, and whether both are as they were written. Raises `NotThere`."""
    find_drill(platform, drill)
    sha256 = platform.drill_records.evidence_sha256(drill)
    return read_evidence(platform.home.drills, drill, sha256=sha256)


async def is_busy_day(platform: Platform) -> bool:
    """Whether a wedding is near; where that cannot be seen, it may be."""
    if platform.calendar is None:
        return False
    try:
        return bool(await platform.calendar.reasons())
    except (WedsyncError, DatabaseError):
        return True


async def next_backup_at(platform: Platform) -> datetime | None:
    """When the next backup falls due, where that is known."""
    try:
        live = await read_live_cluster(platform.monitor_target)
    except (WedsyncError, DatabaseError):
        return None
    due = platform.backup_service().next_due(live) if live is not None else None
    return due.at if due is not None else None


def require_drills(platform: Platform, *, changes: bool = False) -> None:
    """Refuse a home whose backups cannot be drilled; see that the backup engine's configuration is there."""
    if not platform.is_local:
        raise UsageProblem(
            "drills restore clusters that the platform runs itself: only of those it knows how a copy is served",
            detail=f"this home has profile {platform.config.profile}",
            hint="wedsync backup verify reads every file of its backups; a restore of them is tried by hand:"
            " docs/how-to/adopt.md, Prove its backups",
        )
    platform.require_backups("drill", changes=changes)


def evidence_state(platform: Platform, drill: str) -> str:
    """`whole`, `changed`, `missing`, or `none` where a drill has left none or its time is over."""
    if platform.drill_records.evidence_sha256(drill) is None:
        return "none"
    try:
        _, _, whole = drill_evidence(platform, drill)
    except NotThere:
        return "missing"
    return "whole" if whole else "changed"


@contextmanager
def stops_on_sigterm() -> Generator[None]:
    """Inside, SIGTERM ends the present task in good order, as Ctrl-C does."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - called from a coroutine
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
