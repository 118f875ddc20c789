"""Which backup is due, and when: a plain decision over the catalogue and the runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from wedsync.backup.configuration import repositories, repositories_of_hosts
from wedsync.backup.model import Backup, BackupKind, BackupRun, LiveCluster, RunOutcome
from wedsync.config import BackupConfig

_LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A backup to take, and since (or from) when."""

    repo: int
    kind: BackupKind
    at: datetime
    why: str


def next_due(
    backups: Iterable[Backup],
    runs: Iterable[BackupRun],
    config: BackupConfig,
    *,
    live: LiveCluster,
    now: datetime,
) -> Due | None:
    """The next backup to take, due when its `at` is not after `now`; `None`: backups are switched off.

    A repository without a full backup of the live cluster and timeline comes first; then whatever is due
    longest. What was missed while the machine slept is taken once, not once for each time it was missed.
    """
    if not config.enabled:
        return None
    everything, all_runs = tuple(backups), tuple(runs)
    candidates: list[tuple[bool, Due]] = []
    elsewhere = repositories_of_hosts(config)
    for repo, settings in repositories(config).items():
        if repo in elsewhere:
            continue
        own = sorted(
            (
                item
                for item in everything
                if item.repo == repo and item.system_id == live.system_id and item.timeline == live.timeline
            ),
            key=lambda item: item.label,
        )
        wanted = _wanted(repo, own, settings.full_every, settings.incr_every, now)
        pause_until = retry_at([run for run in all_runs if run.repo == repo], config.retry_after)
        if pause_until is not None and pause_until > wanted.at:
            wanted = Due(repo=repo, kind=wanted.kind, at=pause_until, why=f"{wanted.why}, again after a failure")
        candidates.append((bool(own), wanted))
    if not candidates:
        return None
    ready = [item for item in candidates if item[1].at <= now]
    chosen = min(ready or candidates, key=lambda item: (item[0] if ready else False, item[1].at, item[1].repo))
    return chosen[1]


def retry_at(runs: Sequence[BackupRun], retry_after: timedelta) -> datetime | None:
    """When a repository may be tried again; `None`: its last run did not fail. Doubles up to an hour."""
    failures = 0
    last: datetime | None = None
    for run in sorted(runs, key=lambda item: item.id, reverse=True):
        if run.outcome is RunOutcome.RUNNING:
            continue
        if run.outcome is not RunOutcome.FAILED:
            break
        failures += 1
        last = last or run.finished_at or run.started_at
    if last is None:
        return None
    return last + min(retry_after * 2 ** min(failures - 1, 20), max(_LONGEST_PAUSE, retry_after))


def _wanted(
    repo: int,
    own: Sequence[Backup],
    full_every: timedelta,
    incr_every: timedelta | None,
    now: datetime,
) -> Due:
    fulls = [item for item in own if item.kind is BackupKind.FULL]
    broken = [item for item in own if item.broken is not None]
    if fulls and fulls[-1] in broken:
        return Due(repo=repo, kind=BackupKind.FULL, at=now, why="the last full backup is broken")
    if own and own[-1] in broken:  # what is built on it would be broken as well; on the full backup, it is not
        return Due(repo=repo, kind=BackupKind.DIFF, at=now, why="the last backup is broken")
    if not fulls:
        return Due(repo=repo, kind=BackupKind.FULL, at=now, why="no full backup of the live timeline")
    full_at = _after(fulls[-1].started_at, full_every, now)
    full = Due(repo=repo, kind=BackupKind.FULL, at=full_at, why="the last full backup is old")
    if incr_every is None or full_at <= now:
        return full
    incr_at = _after(own[-1].started_at, incr_every, now)
    incr = Due(repo=repo, kind=BackupKind.INCR, at=incr_at, why="the last backup is old")
    return min(full, incr, key=lambda due: due.at)


def _after(last: datetime, every: timedelta, now: datetime) -> datetime:
    """`every` after the last one; at once where the last one lies in the future, for the clock was wrong."""
    return now if last - now > every else last + every
