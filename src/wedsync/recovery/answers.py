"""What a plan says beside its numbers, and why there is none."""

from datetime import datetime

from wedsync.errors import TargetUnreachable
from wedsync.recovery.ground import Ground

_WINDOWS_SHOWN = 6


def notes(ground: Ground, *, repo: int, timeline: int, ends_at: datetime | None) -> list[str]:
    """What the operator should know; `ends_at` is the last commit there is, where that is earlier than asked."""
    found: list[str] = []
    if ends_at is not None:
        found.append(
            f"the last commit that still exists is of {ends_at.isoformat(sep=' ', timespec='milliseconds')}: what"
            " was committed after it, if anything was, is in no archive and not on this machine"
        )
    if timeline != ground.live:
        found.append(
            f"the moment is on timeline {timeline}, which an earlier recovery left; the live one is {ground.live}"
        )
    found += [
        f"repo{status.repo} cannot be used: {status.message}"
        for status in ground.survey.problems
        if status.repo != repo
    ]
    found += [f"repo{repo} is used: {error.message}" for met, error in ground.met if met != repo]
    return found


def tail_is_gone(last_segment: str) -> str:
    """The note that an undo cannot reach the very end of the state before."""
    return f"WAL behind {last_segment} was not archived and is not here any more: what it held stays lost"


def future(wanted: datetime, now: datetime) -> TargetUnreachable:
    """The refusal of a moment that has not come yet."""
    return TargetUnreachable(
        f"{wanted.isoformat(sep=' ')} is in the future",
        detail=f"now it is {now.isoformat(sep=' ', timespec='seconds')}",
        hint="give a moment that has passed, or: --to latest",
    )


def unreachable(ground: Ground, wanted: datetime) -> TargetUnreachable:
    """The refusal of a moment that cannot be restored: why, what can, and the nearest moments."""
    found = ground.survey.windows
    seen = "; ".join(f"{_words(item.from_at)} to {_words(item.to_at)}" for item in found.windows[-_WINDOWS_SHOWN:])
    ends = [
        *(item.to_at for item in found.windows if item.to_at < wanted),
        *(item.at for item in found.moments if item.at < wanted),
    ]
    begins = [
        *(item.from_at for item in found.windows if item.from_at > wanted),
        *(item.at for item in found.moments if item.at > wanted),
    ]
    near = [_words(moment) for moment in ([max(ends)] if ends else []) + ([min(begins)] if begins else [])]
    return TargetUnreachable(
        f"{wanted.isoformat(sep=' ')} cannot be restored: {_why(ground, wanted)}",
        detail=f"what can be restored: {seen or 'no span of time'}",
        hint=f"the nearest moments: {', '.join(near)}"
        if near
        else "take a backup: wedsync backup run --type full",
    )


def _why(ground: Ground, wanted: datetime) -> str:
    if ground.met:
        return "; ".join(error.message for _, error in ground.met)
    for gap in ground.survey.windows.gaps:
        if (gap.from_at is None or gap.from_at < wanted) and (gap.to_at is None or wanted < gap.to_at):
            return f"WAL {gap.first} to {gap.last} is missing in repo{gap.repo}"
    if any(item.from_at < wanted for item in ground.survey.windows.windows):
        return "WAL that leads to it is missing or damaged"
    return "no backup is older"


def _words(moment: datetime) -> str:
    """To the microsecond: cut off, the beginning of a window would lie before the window."""
    return moment.isoformat(sep=" ")
