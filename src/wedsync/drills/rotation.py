"""Which backup is drilled next and when, so that each full backup is proven while it is kept: a plain decision.

Each night the newest full backup of each region comes first, the region first whose proof is oldest: what is most
likely to be needed is proven when it is a day old. What is left of the night goes to the full backups that were
never tried, the one first that goes first, and then to the newest incremental ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from math import ceil
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wedsync.backup import Backup, BackupKind, RetentionPolicy, repositories
from wedsync.config import Config
from wedsync.drills.drill import Drill, Outcome, Reason
from wedsync.errors import ConfigProblem

_DAY = timedelta(days=1)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_TRIED_AGAIN_AFTER = timedelta(minutes=15)
"""A drill that could not be run, or made way, is tried again after this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillPolicy:
    """When drills are run, and how many."""

    quiet_from: time
    quiet_to: time
    zone: ZoneInfo
    fulls_per_day: float
    """Full backups that the schedule takes, of all regions together."""
    per_day: int
    first_after: timedelta
    proof_limit: timedelta
    retention: RetentionPolicy

    @classmethod
    def of(cls, config: Config) -> "DrillPolicy":
        """The policy that the configuration asks for."""
        drills = config.drills
        fulls = sum(_DAY / repository.full_every for repository in repositories(config.backup).values())
        return cls(
            quiet_from=time.fromisoformat(drills.quiet_from),
            quiet_to=time.fromisoformat(drills.quiet_to),
            zone=_zone(config.calendar.time_zone),
            fulls_per_day=fulls,
            per_day=drills.per_day or ceil(fulls) + 1,
            first_after=drills.first_after,
            proof_limit=drills.proof_limit,
            retention=RetentionPolicy.of(config.backup),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NextDrill:
    """The drill that is due at `at`, or was."""

    repo: int
    label: str
    at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """What is next, and what will be gone before its turn."""

    next: NextDrill | None
    too_late: tuple[Backup, ...]


def next_drill(
    backups: Sequence[Backup],
    drills: Sequence[Drill],
    now: datetime,
    policy: DrillPolicy,
    *,
    busy_day: bool = False,
) -> Rotation:
    """The next drill of these backups, and the full ones that will expire unproven at this rate.

    `drills`: as many as are known, in any order. On a `busy_day` nothing is made up for outside the quiet hours.
    """
    usable = [item for item in backups if not item.damaged and item.broken is None]
    tried: dict[tuple[int, str], Drill] = {}
    for drill in sorted(drills, key=lambda item: item.began_at):
        if drill.source is not None and drill.outcome.says_something:
            tried[drill.source.repo, drill.source.label] = drill
    backlog = _backlog(usable, tried, policy)
    too_late = _too_late(backlog, usable, now, policy)
    chosen = _which(usable, tried, backlog)
    if chosen is None:
        return Rotation(next=None, too_late=too_late)
    at, reason = _when(usable, drills, now, policy, busy_day=busy_day)
    return Rotation(next=NextDrill(repo=chosen.repo, label=chosen.label, at=at, reason=reason), too_late=too_late)


def _which(
    usable: Sequence[Backup], tried: Mapping[tuple[int, str], Drill], backlog: Sequence[Backup]
) -> Backup | None:
    if not usable:
        return None
    drilled_at: dict[int, datetime] = {}
    for (repo, _), drill in tried.items():
        drilled_at[repo] = max(drill.began_at, drilled_at.get(repo, _LONG_AGO))
    repos = sorted({item.repo for item in usable}, key=lambda repo: (drilled_at.get(repo, _LONG_AGO), repo))
    newest_fulls = [full for repo in repos if (full := _newest_full(usable, repo)) is not None]
    newest = [max((item for item in usable if item.repo == repo), key=lambda item: item.label) for repo in repos]
    never = [item for item in (*newest_fulls, *backlog, *newest) if (item.repo, item.label) not in tried]
    return never[0] if never else newest[0]


def _newest_full(usable: Sequence[Backup], repo: int) -> Backup | None:
    fulls = [item for item in usable if item.repo == repo and item.kind is BackupKind.FULL]
    return max(fulls, key=lambda item: item.label, default=None)


def _backlog(
    usable: Sequence[Backup], tried: Mapping[tuple[int, str], Drill], policy: DrillPolicy
) -> list[Backup]:
    """Full backups that were never tried and are not the newest, the one first that goes first."""
    newest = [_newest_full(usable, repo) for repo in {item.repo for item in usable}]
    waiting = [
        item
        for item in usable
        if item.kind is BackupKind.FULL and item not in newest and (item.repo, item.label) not in tried
    ]
    return sorted(waiting, key=lambda item: (expires_at(item, usable, policy.retention), item.repo))


def _too_late(
    backlog: Sequence[Backup], usable: Sequence[Backup], now: datetime, policy: DrillPolicy
) -> tuple[Backup, ...]:
    spare = policy.per_day - policy.fulls_per_day
    if spare <= 0:
        return tuple(backlog)
    _, ends = _night(now, policy)
    return tuple(
        item
        for place, item in enumerate(backlog)
        if expires_at(item, usable, policy.retention) < ends + _DAY * int(place // spare)
    )


def expires_at(backup: Backup, backups: Iterable[Backup], policy: RetentionPolicy) -> datetime:
    """A moment before which retention keeps a full backup; far in the future while nothing is set.

    The recovery window stands on it until the next full backup of its repository is older than the window.
    """
    later = sorted(
        item.finished_at
        for item in backups
        if item.repo == backup.repo
        and item.kind is BackupKind.FULL
        and not item.damaged
        and item.finished_at > backup.finished_at
    )
    if not later or backup.held is not None:
        return datetime.max.replace(tzinfo=UTC)
    return later[0] + policy.recovery_window


def _when(
    usable: Sequence[Backup], drills: Sequence[Drill], now: datetime, policy: DrillPolicy, *, busy_day: bool
) -> tuple[datetime, Reason]:
    ended = [drill for drill in drills if drill.outcome is not Outcome.RUNNING]
    last = max(ended, key=lambda drill: drill.began_at, default=None)
    not_before = _LONG_AGO
    if last is not None and not last.outcome.says_something:
        not_before = (last.finished_at or last.began_at) + _TRIED_AGAIN_AFTER
    said = [drill.began_at for drill in ended if drill.outcome.says_something]
    if not said:
        first = min(item.finished_at for item in usable)
        return max(first + policy.first_after, not_before), Reason.FIRST
    begins, ends = _night(now, policy)
    tonight = sum(1 for at in said if begins <= at < ends)
    if now < begins or tonight >= policy.per_day or not_before >= ends:
        begins = _night(ends, policy)[0] if now >= begins else begins
        due, reason = begins, Reason.SCHEDULE
    else:
        return max(begins, not_before), Reason.SCHEDULE
    overdue = max(max(said) + policy.proof_limit, not_before)
    if overdue < due and not busy_day:
        return overdue, Reason.OVERDUE
    return due, reason


def _night(now: datetime, policy: DrillPolicy) -> tuple[datetime, datetime]:
    """The quiet hours that `now` is in, or the next ones; the end is not part of them."""
    today = now.astimezone(policy.zone).date()
    for days in (-1, 0, 1, 2):
        begins = datetime.combine(today + days * _DAY, policy.quiet_from, tzinfo=policy.zone)
        ends = datetime.combine(begins.date(), policy.quiet_to, tzinfo=policy.zone)
        if policy.quiet_to <= policy.quiet_from:
            ends = datetime.combine(begins.date() + _DAY, policy.quiet_to, tzinfo=policy.zone)
        begins, ends = begins.astimezone(UTC), ends.astimezone(UTC)
        if now < ends:
            return begins, ends
    raise AssertionError(now)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigProblem(
            f"calendar.time_zone is {name!r}, which this machine does not know",
            detail=str(error),
            hint="a name such as Europe/London; where no name is known, install tzdata",
        ) from error
