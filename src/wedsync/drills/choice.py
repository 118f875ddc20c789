"""Which backup a drill restores and to which moment: a plain decision over what the repositories hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from wedsync.backup import Backup, Survey, Window
from wedsync.drills.order import DrillOrder, Pick
from wedsync.errors import (
    BackupUnknown,
    RepositoryUnreachable,
    TargetUnreachable,
    WedsyncError,
    WrongKey,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A backup and a moment that it leads to."""

    repo: int | None
    backup: Backup | None
    """`None`: whichever a recovery to the moment would take."""
    moment: datetime
    own_end: bool = False
    """Whether it is the end of the backup itself, behind which no WAL is kept (weekly archives) or written yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The moments that a backup is the nearest one for, both included."""

    from_at: datetime
    to_at: datetime
    last_at: datetime
    """The last moment that it leads to at all, past later backups."""


def choose(order: DrillOrder, survey: Survey, rng: Random) -> Chosen:
    """The backup and the moment for an order; `rng` decides what is left to chance.

    A backup whose own WAL is missing is chosen like any other: that it cannot be restored is for the drill to
    find. Raises `BackupUnknown` and `TargetUnreachable`.
    """
    backups = [item for item in survey.catalogue.backups if order.repo in {None, item.repo}]
    if not backups:
        raise _nothing_there(order, survey)
    if isinstance(order.moment, datetime):
        return _for_moment(order, order.moment, backups, survey, rng)
    backup = _backup(order, backups, rng)
    found = reach(backup, survey)
    if found is None:
        return Chosen(repo=backup.repo, backup=backup, moment=backup.finished_at, own_end=True)
    moment = found.to_at if order.moment is Pick.NEWEST else _between(found, rng)
    return Chosen(repo=backup.repo, backup=backup, moment=moment)


def reach(backup: Backup, survey: Survey) -> Reach | None:
    """The moments from the end of a backup to the next backup; `None`: it leads to its own end at the most."""
    window = _window_of(backup, survey.windows.per_repo)
    if window is None:
        return None
    from_at = max(backup.consistent_from, window.from_at)
    if from_at > window.to_at:
        return None
    later = [
        item.consistent_from
        for item in survey.catalogue.of_repo(backup.repo)
        if item.system_id == backup.system_id
        and item.timeline == backup.timeline
        and item.consistent_from > backup.consistent_from
    ]
    return Reach(from_at=from_at, to_at=min([window.to_at, *later]), last_at=window.to_at)


def _window_of(backup: Backup, windows: Sequence[Window]) -> Window | None:
    return next(
        (
            window
            for window in windows
            if backup.repo in window.repos
            and window.system_id == backup.system_id
            and window.timeline == backup.timeline
            and window.from_at <= backup.consistent_from
            and backup.finished_at <= window.to_at
        ),
        None,
    )


def _between(found: Reach, rng: Random) -> datetime:
    """A moment to the millisecond."""
    span_ms = (found.to_at - found.from_at) // timedelta(milliseconds=1)
    return found.from_at + timedelta(milliseconds=rng.randint(0, span_ms))


def _backup(order: DrillOrder, backups: Sequence[Backup], rng: Random) -> Backup:
    if order.backup is Pick.RANDOM:
        return rng.choice(backups)
    if order.backup is Pick.NEWEST:
        return max(backups, key=lambda item: (item.finished_at, -item.repo))
    found = [item for item in backups if item.label == order.backup]
    if not found:
        raise BackupUnknown(
            f"there is no backup {order.backup}" + (f" in repo{order.repo}" if order.repo else ""),
            hint="wedsync backup list",
        )
    return min(found, key=lambda item: item.repo)


def _for_moment(
    order: DrillOrder, moment: datetime, backups: Sequence[Backup], survey: Survey, rng: Random
) -> Chosen:
    if order.backup is Pick.NEWEST:  # as a recovery chooses
        return Chosen(repo=order.repo, backup=None, moment=moment)
    leading = [
        item
        for item in backups
        if (found := reach(item, survey)) is not None and found.from_at <= moment <= found.last_at
    ]
    if order.backup is Pick.RANDOM:
        if not leading:
            raise TargetUnreachable(
                f"no backup leads to {moment.isoformat()}",
                hint="wedsync recover window says which do",
            )
        backup = rng.choice(leading)
    else:
        backup = _backup(order, backups, rng)
        if backup not in leading:
            own = reach(backup, survey)
            raise TargetUnreachable(
                f"backup {backup.label} in repo{backup.repo} does not lead to {moment.isoformat()}",
                detail=f"it leads to {own.from_at.isoformat()} until {own.last_at.isoformat()}"
                if own
                else f"it leads to its own end, {backup.finished_at.isoformat()}, and no further",
            )
    return Chosen(repo=backup.repo, backup=backup, moment=moment)


def _nothing_there(order: DrillOrder, survey: Survey) -> WedsyncError:
    where = f" in repo{order.repo}" if order.repo else ""
    problems = [item for item in survey.problems if order.repo in {None, item.repo}]
    seen = "; ".join(f"repo{item.repo}: {item.message}" for item in problems) or None
    if not problems or any(item.empty for item in problems):
        return BackupUnknown(f"there is no backup to restore{where}", detail=seen, hint="wedsync backup list")
    kind = WrongKey if any(item.wrong_key for item in problems) else RepositoryUnreachable
    return kind(
        f"there is no backup that could be read{where}",
        detail=seen,
        hint="wedsync status says what is wrong with each repository",
    )
