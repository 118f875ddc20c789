"""The way from a backup to a moment: which segments, on which timelines."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wedsync.backup import Archive, Backup, Timeline, lineage, number_at, number_of, segment_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A backup and the segments that recovery replays from it, in order."""

    base: Backup
    segments: tuple[str, ...]


def segments_between(first: int, last: int, *, timeline: int, known: Mapping[int, Timeline]) -> Iterator[str]:
    """Names of the segments with numbers `first` to `last` on the way that ends on `timeline`.

    The segment in which a timeline leaves its parent exists on both; recovery takes the child's.
    """
    legs = lineage(timeline, known)
    at = 0
    for number in range(first, last + 1):
        while at + 1 < len(legs):
            until = legs[at].until
            if until is None or number < number_at(until):
                break
            at += 1
        yield segment_name(legs[at].timeline, number)


def is_ancestor(backup: Backup, *, timeline: int, known: Mapping[int, Timeline]) -> bool:
    """Whether a recovery from this backup can follow the way that ends on `timeline`."""
    for leg in lineage(timeline, known):
        if leg.timeline == backup.timeline:
            if leg.until is None:
                return True
            if backup.lsn_stop is not None:
                return backup.lsn_stop <= leg.until
            return number_of(backup.wal_stop) < number_at(leg.until)
    return False


def find_route(
    backups: Sequence[Backup],
    archive: Archive,
    *,
    last_segment: str,
    timeline: int,
    known: Mapping[int, Timeline],
    also_here: Collection[str] = (),
) -> Route | None:
    """The route from the newest of `backups` to `last_segment`; `None` if WAL is missing on each.

    `backups` are those that end before the moment wanted. `also_here` are segments on this machine that
    are not archived. A backup with damaged pages, or that misses a backup it refers to, is no base.
    """
    have = {*archive.segments, *also_here}
    labels = {backup.label for backup in backups if backup.repo == archive.repo}
    usable = [
        backup
        for backup in backups
        if backup.repo == archive.repo
        and backup.system_id == archive.system_id
        and not backup.damaged
        and labels.issuperset(backup.references)
        and is_ancestor(backup, timeline=timeline, known=known)
    ]
    for base in sorted(usable, key=lambda backup: backup.finished_at, reverse=True):
        end = max(number_of(last_segment), number_of(base.wal_stop))
        segments = tuple(segments_between(number_of(base.wal_start), end, timeline=timeline, known=known))
        if have.issuperset(segments):
            return Route(base=base, segments=segments)
    return None
