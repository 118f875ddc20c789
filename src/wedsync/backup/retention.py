"""Which backups go and how much WAL is kept: a plain decision over the catalogue, each repository by itself.

Kept are: every full backup back to the base of the recovery window (and, after a recovery in it, back to the
one that the new timeline is reached from), incremental ones for `keep_incr`, the
first full one of each week for `keep_weekly`, held ones, the newest good one whatever its age; and all that
any of them is built on. A backup with damaged pages never counts as the good one. WAL is kept from the base
on without a gap; older backups keep only the segments that make them consistent.

Time ages backups only while new ones are taken. A pause of many times the interval between full backups is
counted as one interval: after a clock that jumped ahead, or a machine that was off for long, the past goes
no faster than new backups come to take its place.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from wedsync.backup.configuration import repositories
from wedsync.backup.model import Backup, BackupKind, Timeline
from wedsync.backup.timelines import leads_to, lineage, live_at
from wedsync.config import BackupConfig

_MANY = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """What is promised about the past."""

    recovery_window: timedelta
    keep_incr: timedelta
    keep_weekly: timedelta
    full_every: timedelta | None = None
    """The longest interval between full backups; `None`: pauses count in full."""

    @classmethod
    def of(cls, config: BackupConfig) -> "RetentionPolicy":
        """The policy that the configuration asks for."""
        return cls(
            recovery_window=config.recovery_window,
            keep_incr=config.keep_incr,
            keep_weekly=config.keep_weekly,
            full_every=max(repository.full_every for repository in repositories(config).values()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A backup that goes, and why."""

    repo: int
    label: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What happens to one repository. The removals are in an order that never breaks a chain."""

    repo: int
    removals: tuple[Removal, ...]
    keep_fulls: int | None
    """WAL goes before this many full backups, counted from the newest of those that stay; `None`: all stays."""
    base: str | None
    """The backup that the promised window stands on."""
    uncounted: timedelta = timedelta(0)
    """How much of the time in which no full backup was taken ages nothing."""


def retention(
    backups: Iterable[Backup],
    policy: RetentionPolicy,
    *,
    now: datetime,
    timelines: Mapping[str, Mapping[int, Timeline]] | None = None,
) -> tuple[Retention, ...]:
    """What to remove from each repository now. `timelines` by system id, as far as they are known."""
    everything = tuple(backups)
    return tuple(
        _one_repository(
            repo,
            sorted((item for item in everything if item.repo == repo), key=lambda item: item.label),
            policy,
            now,
            timelines or {},
        )
        for repo in sorted({item.repo for item in everything})
    )


def _one_repository(
    repo: int,
    backups: Sequence[Backup],
    policy: RetentionPolicy,
    now: datetime,
    timelines: Mapping[str, Mapping[int, Timeline]],
) -> Retention:
    by_label = {item.label: item for item in backups}
    good = [item for item in backups if item.is_good and by_label.keys() >= set(item.references)]
    good_fulls = [item for item in good if item.kind is BackupKind.FULL]
    if not good_fulls:
        return Retention(repo=repo, removals=(), keep_fulls=None, base=None)
    pauses = _pauses(backups, policy, now)
    base = _base(good_fulls, _promised_from(policy, pauses, now), timelines)

    def age(item: Backup) -> timedelta:
        uncounted = (min(pause.uncounted, pause.end - item.finished_at) for pause in pauses)
        return now - item.finished_at - sum((max(part, timedelta()) for part in uncounted), timedelta())

    # What verification found broken may still be worth a try: it goes when it would have gone, with its WAL.
    broken = [item.label for item in backups if item.broken is not None and age(item) < policy.recovery_window]
    first = min([base.label, *(label for label in broken if by_label[label].kind is BackupKind.FULL)])

    kept = {item.label for item in backups if item.kind is BackupKind.FULL and item.label >= first}
    kept |= set(broken)
    kept |= {item.label for item in backups if item.kind is not BackupKind.FULL and age(item) < policy.keep_incr}
    kept |= {item.label for item in _first_of_each_week(good_fulls) if age(item) < policy.keep_weekly}
    kept |= {item.label for item in backups if item.held is not None}
    kept |= {good[-1].label, good_fulls[-1].label}
    kept = _with_all_they_need(kept, by_label)

    removals = [
        Removal(repo=repo, label=item.label, reason=_reason(item, policy))
        for item in reversed(backups)
        if item.label not in kept
    ]
    fulls_left = [item for item in backups if item.kind is BackupKind.FULL and item.label in kept]
    return Retention(
        repo=repo,
        removals=tuple(removals),
        keep_fulls=sum(1 for item in fulls_left if item.label >= first),
        base=base.label,
        uncounted=sum((pause.uncounted for pause in pauses), timedelta()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pause:
    """A time without full backups, far longer than the schedule has it."""

    begin: datetime
    end: datetime
    uncounted: timedelta


def _pauses(backups: Sequence[Backup], policy: RetentionPolicy, now: datetime) -> tuple[_Pause, ...]:
    """The pauses in the recovery window, newest first. Before it, retention itself has made larger ones."""
    if policy.full_every is None:
        return ()
    moments = sorted({item.finished_at for item in backups if item.kind is BackupKind.FULL} | {now})
    found: list[_Pause] = []
    for begin, end in reversed(list(pairwise(moments))):
        if end <= _promised_from(policy, found, now):
            break
        if end - begin > _MANY * policy.full_every:
            found.append(_Pause(begin=begin, end=end, uncounted=end - begin - policy.full_every))
    return tuple(found)


def _promised_from(policy: RetentionPolicy, pauses: Iterable[_Pause], now: datetime) -> datetime:
    """Where the recovery window begins; these pauses, all in it, lengthen it."""
    return now - policy.recovery_window - sum((pause.uncounted for pause in pauses), timedelta())


def _base(
    good_fulls: Sequence[Backup], promised_from: datetime, timelines: Mapping[str, Mapping[int, Timeline]]
) -> Backup:
    """The newest good full backup that leads to every moment from `promised_from` on.

    A timeline that begins later than that needs one from before its fork: until its own first full backup,
    its moments are reached from there. Where nothing leads to the first promised moment, it is the oldest.
    """
    first = [
        item
        for item in good_fulls
        if item.consistent_from <= promised_from
        and _leads_to_live(item, promised_from, timelines.get(item.system_id, {}))
    ]
    needed = [first[-1] if first else good_fulls[0]]
    for known in timelines.values():
        for timeline in known.values():
            if timeline.live_from <= promised_from:
                continue
            legs = lineage(timeline.timeline, known)
            needed += [
                item
                for item in good_fulls
                if item.system_id == timeline.system_id
                and item.consistent_from <= timeline.live_from
                and leads_to(item, legs)
            ][-1:]
    return min(needed, key=lambda item: item.label)


def _leads_to_live(backup: Backup, moment: datetime, known: Mapping[int, Timeline]) -> bool:
    live = live_at(moment, known)
    return live is None or leads_to(backup, lineage(live, known))


def _first_of_each_week(good_fulls: Sequence[Backup]) -> Iterable[Backup]:
    first: dict[tuple[int, int], Backup] = {}
    for item in good_fulls:
        year, week, _ = item.finished_at.isocalendar()
        first.setdefault((year, week), item)
    return first.values()


def _with_all_they_need(labels: set[str], by_label: Mapping[str, Backup]) -> set[str]:
    """`labels` and everything they are built on, as far as it exists."""
    found: set[str] = set()
    waiting = list(labels)
    while waiting:
        label = waiting.pop()
        item = by_label.get(label)
        if item is None or label in found:
            continue
        found.add(label)
        waiting += item.references
        waiting += [item.prior] if item.prior else []
    return found


def _reason(item: Backup, policy: RetentionPolicy) -> str:
    if item.kind is BackupKind.FULL:
        return f"older than the recovery window of {policy.recovery_window} and no weekly archive"
    return f"{item.kind} backup older than {policy.keep_incr}"
