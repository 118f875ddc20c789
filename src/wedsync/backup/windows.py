"""Which moments can be restored: true to the second, never an impossible one.

A window runs from the end of the oldest usable backup to the last commit that is archived; a gap in the WAL
splits it: behind a gap, the next backup starts a new window. Each repository is judged by itself, because a
restore takes everything from one of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from wedsync.backup.model import Archive, Backup, SegmentCommits, Timeline
from wedsync.backup.timelines import Leg, leads_to, lineage, live_until
from wedsync.backup.wal import number_at, number_of, segment_name, timeline_of
from wedsync.database import Lsn


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Moments on one timeline that can be restored, both ends included, by any one of `repos`."""

    system_id: str
    timeline: int
    from_at: datetime
    to_at: datetime
    """Time of the last archived commit."""
    to_lsn: Lsn | None
    """Start of that commit's record. PostgreSQL refuses a *time* that no later commit proves to be reached,
    so the very end of a window is restored with this position as the target."""
    to_segment: str
    repos: tuple[int, ...]

    def __contains__(self, moment: datetime) -> bool:
        return self.from_at <= moment <= self.to_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A single restorable moment: the end of a backup whose following WAL is not kept (weekly archives), or
    has no commit yet. Restore it with a target of kind `immediate`."""

    repo: int
    label: str
    system_id: str
    timeline: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """WAL segments that are missing in one repository between others that it has."""

    repo: int
    system_id: str
    timeline: int
    first: str
    last: str
    from_at: datetime | None
    """The last commit before the gap, where a window ends there."""
    to_at: datetime | None
    """From here on moments can be restored again; `None`: not before another backup was taken."""
    covered_by: tuple[int, ...] = ()
    """Repositories that have all of the missing segments."""

    @property
    def segments(self) -> int:
        """How many segments are missing."""
        return number_of(self.last) - number_of(self.first) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadSegment:
    """A segment whose commits must be known before a window's end can be told."""

    repo: int
    system_id: str
    segment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """What can be restored."""

    windows: tuple[Window, ...]
    """All repositories together, oldest first."""
    per_repo: tuple[Window, ...]
    """The same, each repository by itself."""
    moments: tuple[Moment, ...]
    gaps: tuple[Gap, ...]
    unread: tuple[UnreadSegment, ...] = ()
    """Not empty: the answer is not complete before these are read."""


Commits = Callable[[str, str], SegmentCommits | None]
"""System id and segment to its commits; `None`: not read yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Segments without a gap along one lineage, by number, with the backups that can start in it."""

    first: int
    last: int
    bases: tuple[Backup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One timeline in one archive, with the way that leads to it."""

    archive: Archive
    present: frozenset[str]
    timeline: int
    known: Mapping[int, Timeline]
    legs: tuple[Leg, ...]

    @property
    def begin(self) -> int:
        """Number of the timeline's first segment."""
        return _ranges(self.legs)[self.timeline].start


def recovery_windows(
    backups: Sequence[Backup],
    archives: Sequence[Archive],
    timelines: Mapping[str, Mapping[int, Timeline]],
    commits: Commits,
    *,
    promised_from: datetime | None = None,
    unreadable: AbstractSet[tuple[int, str]] = frozenset(),
) -> Windows:
    """What can be restored from these backups and archives.

    `timelines` by system id; `unreadable` are segments (repository, name) that are there but damaged: as good
    as missing. Holes in the WAL before `promised_from` are what retention leaves, and no gaps. Backups that
    are damaged start no window.
    """
    per_repo: list[Window] = []
    gaps: list[Gap] = []
    moments: list[Moment] = []
    unread: list[UnreadSegment] = []
    for archive in archives:
        known = timelines.get(archive.system_id, {})
        own = _usable(backups, archive)
        present = [name for name in archive.segments if (archive.repo, name) not in unreadable]
        for timeline in sorted({timeline_of(name) for name in present}):
            line = _Line(
                archive=archive,
                present=frozenset(present),
                timeline=timeline,
                known=known,
                legs=lineage(timeline, known),
            )
            runs = _runs(present, own, line.legs)
            windows = [_window(line, run, commits, unread) for run in runs]
            per_repo += [window for window in windows if window is not None]
            gaps += _gaps(line, own, list(zip(runs, windows, strict=True)), promised_from)
        moments += _moments(archive, own, present, per_repo)
    return Windows(
        windows=_together(per_repo),
        per_repo=tuple(sorted(per_repo, key=lambda window: (window.from_at, window.repos))),
        moments=tuple(sorted(moments, key=lambda moment: (moment.at, moment.repo))),
        gaps=tuple(replace(gap, covered_by=_holders(gap, archives)) for gap in gaps),
        unread=tuple(dict.fromkeys(unread)),
    )


def _usable(backups: Sequence[Backup], archive: Archive) -> tuple[Backup, ...]:
    """Backups of this cluster and repository that are whole and clean."""
    here = [item for item in backups if item.repo == archive.repo and item.system_id == archive.system_id]
    labels = {item.label for item in here}
    return tuple(item for item in here if item.is_good and labels.issuperset(item.references))


def _runs(present: Iterable[str], backups: Sequence[Backup], legs: Sequence[Leg]) -> tuple[_Run, ...]:
    """The runs of segments without a gap along a lineage, oldest first."""
    ranges = _ranges(legs)
    numbers = sorted(
        number_of(name)
        for name in present
        if timeline_of(name) in ranges and number_of(name) in ranges[timeline_of(name)]
    )
    runs: list[_Run] = []
    start = 0
    for index in range(1, len(numbers) + 1):
        if index < len(numbers) and numbers[index] == numbers[index - 1] + 1:
            continue
        first, last = numbers[start], numbers[index - 1]
        bases = [item for item in backups if _starts_in(item, first, last, legs)]
        runs.append(_Run(first=first, last=last, bases=tuple(sorted(bases, key=lambda item: item.finished_at))))
        start = index
    return tuple(runs)


def _ranges(legs: Sequence[Leg]) -> dict[int, range]:
    """Which segment numbers of each timeline lie on a lineage. The segment in which a timeline leaves its
    parent exists on both; recovery takes the child's."""
    ranges: dict[int, range] = {}
    begin = 0
    for leg in legs:
        end = number_at(leg.until) if leg.until is not None else 1 << 62
        ranges[leg.timeline] = range(begin, end)
        begin = end
    return ranges


def _starts_in(backup: Backup, first: int, last: int, legs: Sequence[Leg]) -> bool:
    """Whether recovery from this backup can begin in the run and stays on the lineage."""
    if not (first <= number_of(backup.wal_start) and number_of(backup.wal_stop) <= last):
        return False
    return leads_to(backup, legs)


def _window(line: _Line, run: _Run, commits: Commits, unread: list[UnreadSegment]) -> Window | None:
    """The moments of the line's own timeline that a recovery through this run can reach."""
    if not run.bases:
        return None
    reader = _Reader(archive=line.archive, present=line.present, commits=commits)
    oldest = run.bases[0]
    last = reader.last_commit(line.timeline, max(line.begin, run.first), run.last)
    from_at = _consistent_from(oldest, reader)
    if reader.unread:
        unread += reader.unread
        return None
    if last is None or last.last_at is None:
        return None
    own = line.known.get(line.timeline)
    if own is not None:
        from_at = max(from_at, own.live_from)
    until = live_until(line.timeline, line.known)
    to_at = last.last_at if until is None else min(last.last_at, until)
    if to_at < from_at:
        return None
    return Window(
        system_id=line.archive.system_id,
        timeline=line.timeline,
        from_at=from_at,
        to_at=to_at,
        to_lsn=last.last_lsn if to_at == last.last_at else None,
        to_segment=last.segment,
        repos=(line.archive.repo,),
    )


def _consistent_from(backup: Backup, reader: "_Reader") -> datetime:
    """The first moment a recovery from this backup may stop at, within the second that pgBackRest cuts off.

    Recovery fails where it meets a commit later than the target before the backup is consistent. So the
    target must not be older than the last commit up to the backup's last segment.
    """
    if backup.wal_stop not in reader.present:
        return backup.consistent_from  # the child timeline's copy of the segment is used: not looked into
    last = reader.last_commit(backup.timeline, number_of(backup.wal_start), number_of(backup.wal_stop))
    latest = last.last_at if last is not None and last.last_at is not None else backup.finished_at
    return max(backup.finished_at, min(latest, backup.consistent_from))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Commits in one archive; `unread` are the segments that it was asked for and does not know."""

    archive: Archive
    present: frozenset[str]
    commits: Commits
    unread: list[UnreadSegment] = field(default_factory=list[UnreadSegment])

    def last_commit(self, timeline: int, first: int, last: int) -> SegmentCommits | None:
        """The last segment with a commit in it, from number `last` back to number `first`."""
        for number in range(last, first - 1, -1):
            name = segment_name(timeline, number)
            if name not in self.present:
                continue
            found = self.commits(self.archive.system_id, name)
            if found is None:
                self.unread.append(
                    UnreadSegment(repo=self.archive.repo, system_id=self.archive.system_id, segment=name)
                )
                return None
            if found.last_at is not None:
                return found
        return None


def _gaps(
    line: _Line,
    backups: Sequence[Backup],
    runs: Sequence[tuple[_Run, Window | None]],
    promised_from: datetime | None,
) -> list[Gap]:
    """The holes between runs. WAL older than every backup has none: nothing can be restored with it."""
    ancestors = {leg.timeline for leg in line.legs}
    starts = [number_of(item.wal_start) for item in backups if item.timeline in ancestors]
    found: list[Gap] = []
    for (before, ended), (after, begun) in pairwise(runs):
        if before.last < min(starts, default=after.last) or after.first <= line.begin:
            continue
        to_at = after.bases[0].consistent_from if after.bases else None
        to_at = begun.from_at if begun else to_at
        if to_at is not None and promised_from is not None and to_at <= promised_from:
            continue
        found.append(
            Gap(
                repo=line.archive.repo,
                system_id=line.archive.system_id,
                timeline=line.timeline,
                first=segment_name(line.timeline, max(before.last + 1, line.begin)),
                last=segment_name(line.timeline, after.first - 1),
                from_at=ended.to_at if ended else None,
                to_at=to_at,
            )
        )
    return found


def _moments(
    archive: Archive, backups: Sequence[Backup], present: Sequence[str], windows: Sequence[Window]
) -> list[Moment]:
    """The usable backups whose end lies in no window of their repository."""
    names = set(present)
    found: list[Moment] = []
    for backup in backups:
        numbers = range(number_of(backup.wal_start), number_of(backup.wal_stop) + 1)
        whole = all(segment_name(backup.timeline, number) in names for number in numbers)
        inside = any(
            archive.repo in window.repos
            and window.timeline == backup.timeline
            and window.system_id == backup.system_id
            and window.from_at <= backup.consistent_from
            and backup.finished_at <= window.to_at
            for window in windows
        )
        if whole and not inside:
            found.append(
                Moment(
                    repo=archive.repo,
                    label=backup.label,
                    system_id=backup.system_id,
                    timeline=backup.timeline,
                    at=backup.finished_at,
                )
            )
    return found


def _together(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Windows of the same timeline that overlap, as one, with all their repositories."""
    merged: list[Window] = []
    for window in sorted(windows, key=lambda item: (item.system_id, item.timeline, item.from_at)):
        last = merged[-1] if merged else None
        if (
            last is None
            or (last.system_id, last.timeline) != (window.system_id, window.timeline)
            or window.from_at > last.to_at
        ):
            merged.append(window)
            continue
        end = max(last, window, key=lambda item: item.to_at)
        merged[-1] = replace(
            last,
            to_at=end.to_at,
            to_lsn=end.to_lsn,
            to_segment=end.to_segment,
            repos=tuple(sorted({*last.repos, *window.repos})),
        )
    return tuple(sorted(merged, key=lambda item: (item.from_at, item.timeline)))


def _holders(gap: Gap, archives: Iterable[Archive]) -> tuple[int, ...]:
    """Repositories that have every segment of a gap."""
    missing = {
        segment_name(gap.timeline, number) for number in range(number_of(gap.first), number_of(gap.last) + 1)
    }
    return tuple(
        sorted(
            archive.repo
            for archive in archives
            if archive.system_id == gap.system_id and missing.issubset(archive.segments)
        )
    )
