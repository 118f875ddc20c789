"""What operators do to go back in time: the command line and the operations API call the same."""

from datetime import datetime

from wedsync.app.backups import record
from wedsync.app.platform import Platform
from wedsync.backup import RecoveryWindows, show_windows
from wedsync.recovery import Recovered, RecoveryPlan, Report, parse_moment


async def recovery_window(platform: Platform) -> RecoveryWindows:
    """Which moments can be restored now."""
    platform.require_backups("recover window")
    return show_windows(await platform.surveyor.survey())


async def plan_recovery(platform: Platform, to: str, *, changes: bool = False) -> RecoveryPlan:
    """What a recovery to a moment (or `latest`) would do; `changes`: it will be carried out."""
    _require(platform, changes=changes)
    return await platform.recoverer.plan(named_moment(to))


async def plan_undo(platform: Platform) -> RecoveryPlan:
    """What taking the last recovery back would do. Raises `NothingToUndo`."""
    _require(platform, changes=True)
    return await platform.recoverer.plan_undo()


async def carry_out(platform: Platform, plan: RecoveryPlan, *, by: str, report: Report) -> Recovered:
    """Take the whole database back, as planned."""
    record(platform, by, "recover run", {"to": plan.asked, "base": plan.base.label, "repo": plan.repo})
    return await platform.recoverer.run(plan, report=report)


def named_moment(text: str) -> datetime | None:
    """The moment that an operator names; `None`: the newest state there is. Raises `UsageProblem`."""
    return None if text == "latest" else parse_moment(text)


def _require(platform: Platform, *, changes: bool) -> None:
    platform.require_local("recover")
    platform.require_backups("recover", changes=changes)
