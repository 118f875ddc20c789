"""Is the WAL of each repository whole: no segment missing, none twice, each region having what the other has?"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from wedsync.backup.model import Archive, Backup, Problem, ProblemKind, SegmentCommits, Timeline
from wedsync.backup.verification.files import FileKind, StoredFile
from wedsync.backup.wal import contiguous_spans, number_of, segment_name, timeline_of
from wedsync.backup.windows import recovery_windows

LAG = timedelta(minutes=15)
"""What one region has, the other has after this long; before, it may be on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTail:
    """What PostgreSQL was told to be archived last, and when (`pg_stat_archiver`)."""

    segment: str
    at: datetime


def judge_wal(
    archives: Sequence[Archive],
    backups: Sequence[Backup],
    *,
    promised_from: datetime,
    timelines: Mapping[str, Mapping[int, Timeline]],
) -> list[Problem]:
    """WAL segments that a backup needs to be consistent, or the promised window to be without a gap."""
    found: list[Problem] = []
    for archive in archives:
        present = set(archive.segments)
        for backup in backups:
            if backup.repo != archive.repo or backup.system_id != archive.system_id:
                continue
            needed = range(number_of(backup.wal_start), number_of(backup.wal_stop) + 1)
            found += [
                Problem(
                    repo=archive.repo,
                    label=backup.label,
                    file=name,
                    problem="WAL segment is missing: this backup cannot be restored",
                    kind=ProblemKind.MISSING_WAL,
                    segments=(name,),
                    critical=not _holders((name,), archive, archives),
                )
                for name in (segment_name(backup.timeline, number) for number in needed)
                if name not in present
            ]
    named = {problem.file for problem in found}
    windows = recovery_windows(backups, archives, timelines, _no_commits, promised_from=promised_from)
    for gap in windows.gaps:
        names = [
            segment_name(gap.timeline, number) for number in range(number_of(gap.first), number_of(gap.last) + 1)
        ]
        if set(names) <= named:
            continue
        elsewhere = f"; repo{gap.covered_by[0]} has it" if gap.covered_by else ""
        found.append(
            Problem(
                repo=gap.repo,
                label=None,
                file=gap.first if gap.segments == 1 else f"{gap.first} to {gap.last}",
                problem=f"{gap.segments} WAL segment(s) missing inside the recovery window{elsewhere}",
                kind=ProblemKind.MISSING_WAL,
                segments=tuple(names),
                critical=not gap.covered_by,
            )
        )
    return found


def differences(
    archives: Sequence[Archive],
    files: Iterable[StoredFile],
    bases: Mapping[int, Backup],
    *,
    now: datetime,
    lag: timedelta = LAG,
) -> list[Problem]:
    """Segments that one region has and another has not, though its oldest needed backup is older than they are.

    `bases`: by repository, the backup that its promised window stands on. What is not older than `lag` may be on
    its way.
    """
    arrived = {
        (file.repo, file.segment): file.modified_at for file in files if file.kind is FileKind.WAL and file.segment
    }
    found: list[Problem] = []
    for archive in archives:
        base = bases.get(archive.repo)
        if base is None or base.system_id != archive.system_id:
            continue
        begin = number_of(base.wal_start)
        missing: set[str] = set()
        for other in archives:
            if other.repo == archive.repo or other.system_id != archive.system_id:
                continue
            missing |= {
                name
                for name in set(other.segments) - set(archive.segments)
                if number_of(name) >= begin
                and timeline_of(name) >= base.timeline
                and now - arrived.get((other.repo, name), now) > lag
            }
        for span in contiguous_spans(missing):
            names = tuple(span.names())
            holders = _holders(names, archive, archives)
            found.append(
                Problem(
                    repo=archive.repo,
                    label=None,
                    file=span.first if len(names) == 1 else f"{span.first} to {span.last}",
                    problem=f"{len(names)} WAL segment(s) missing that {_listed(holders or (0,))} has",
                    kind=ProblemKind.MISSING_WAL,
                    segments=names,
                )
            )
    return found


def vanished(
    gone: Iterable[str], archive: Archive, archives: Sequence[Archive], base: Backup | None
) -> list[Problem]:
    """Segments that were in a repository when it was last looked at, are not now, and were not let go of."""
    if base is None or base.system_id != archive.system_id:
        return []
    lost = [name for name in gone if number_of(name) >= number_of(base.wal_start) and name not in archive.segments]
    return [
        Problem(
            repo=archive.repo,
            label=None,
            file=span.first if len(span) == 1 else f"{span.first} to {span.last}",
            problem=f"{len(span)} WAL segment(s) vanished that nobody of ours removed",
            kind=ProblemKind.MISSING_WAL,
            segments=tuple(span.names()),
            critical=not _holders(tuple(span.names()), archive, archives),
        )
        for span in contiguous_spans(lost)
    ]


def judge_tail(archives: Sequence[Archive], tail: LiveTail | None, *, now: datetime) -> list[Problem]:
    """Repositories without the segment that PostgreSQL was told to be archived: it may be removed from pg_wal."""
    if tail is None or now - tail.at < timedelta(minutes=1):
        return []
    return [
        Problem(
            repo=archive.repo,
            label=None,
            file=tail.segment,
            problem="PostgreSQL was told that this WAL segment is archived, and it is not there",
            kind=ProblemKind.MISSING_WAL,
            segments=(tail.segment,),
            critical=not _holders((tail.segment,), archive, archives),
        )
        for archive in archives
        if archive.segments and tail.segment not in archive.segments
    ]


def judge_names(files: Iterable[StoredFile], system_ids: Mapping[tuple[int, str], str]) -> list[Problem]:
    """Segments of one cluster with one name and different content, within a repository or between two.

    `system_ids` by repository and archive id.
    """
    by_name: dict[tuple[str, str], list[StoredFile]] = defaultdict(list)
    for file in files:
        if file.kind is FileKind.WAL and file.segment and file.archive_id:
            by_name[system_ids.get((file.repo, file.archive_id), ""), file.segment].append(file)
    found: list[Problem] = []
    for (_, segment), same in sorted(by_name.items()):
        if len({file.sha1 for file in same}) == 1:
            continue
        seen = ", ".join(f"repo{file.repo}: {(file.sha1 or '')[:8]}…" for file in same)
        found += [
            Problem(
                repo=file.repo,
                label=None,
                file=file.name,
                problem=f"WAL segment {segment} exists with different content ({seen}): two servers wrote it",
                kind=ProblemKind.OTHER_WAL,
                path=file.path,
                segments=(segment,),
                critical=True,
            )
            for file in same
        ]
    return found


def without_repetition(problems: Iterable[Problem]) -> list[Problem]:
    """Each missing segment of a repository told once, by whoever told it first."""
    told: dict[int, set[str]] = defaultdict(set)
    kept: list[Problem] = []
    for problem in problems:
        if problem.kind is ProblemKind.MISSING_WAL:
            new = [name for name in problem.segments if name not in told[problem.repo]]
            if not new:
                continue
            told[problem.repo].update(new)
            if len(new) < len(problem.segments):
                problem = replace(problem, segments=tuple(new))  # noqa: PLW2901 - the rest of it
        kept.append(problem)
    return kept


def _holders(names: Sequence[str], archive: Archive, archives: Sequence[Archive]) -> tuple[int, ...]:
    """Other repositories that have all of these segments."""
    return tuple(
        other.repo
        for other in archives
        if other.repo != archive.repo
        and other.system_id == archive.system_id
        and set(names).issubset(other.segments)
    )


def _listed(repos: Sequence[int]) -> str:
    return " or ".join(f"repo{repo}" for repo in repos if repo) or "another repository"


def _no_commits(_system_id: str, segment: str) -> SegmentCommits:
    """Stands for "the times do not matter here": only the gaps are wanted."""
    return SegmentCommits(segment=segment, commits=0, first_at=None, last_at=None, last_lsn=None)
