"""The way from a backup to a moment: which segments, on which timelines."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wedsync.backup import (
    Archive,
    Backup,
    Timeline,
    leads_to,
    lineage,
    number_at,
    number_of,
    segment_name,
    timeline_of,
)


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


def on_the_way(names: Iterable[str], *, timeline: int, known: Mapping[int, Timeline]) -> list[str]:
    """Those of the segments that a recovery to `timeline` would read, in WAL order.

    What an ancestor wrote behind the place where it was left is not among them.
    """
    begins: dict[int, tuple[int, int]] = {}
    begin = 0
    for leg in lineage(timeline, known):
        end = number_at(leg.until) if leg.until is not None else 1 << 62
        begins[leg.timeline] = (begin, end)
        begin = end
    found = [
        name
        for name in names
        if timeline_of(name) in begins
        and begins[timeline_of(name)][0] <= number_of(name) < begins[timeline_of(name)][1]
    ]
    return sorted(found, key=number_of)


def find_route(
    backups: Sequence[Backup],
    archive: Archive,
    *,
    last_segment: str,
    timeline: int,
    known: Mapping[int, Timeline],
    also_here: Collection[str] = (),
    label: str | None = None,
) -> Route | None:
    """The route from the newest of `backups` to `last_segment`; `None` if WAL is missing on each.

    `backups` are those that end before the moment wanted; `label` names the one of them to start from (what it is
    built on has to be among them as well). `also_here` are segments on this machine that
    are not archived. A backup that is damaged, or that misses a backup it refers to, is no base.
    """
    have = {*archive.segments, *also_here}
    labels = {backup.label for backup in backups if backup.repo == archive.repo}
    legs = lineage(timeline, known)
    usable = [
        backup
        for backup in backups
        if backup.repo == archive.repo
        and label in {None, backup.label}
        and backup.system_id == archive.system_id
        and backup.is_good
        and labels.issuperset(backup.references)
        and leads_to(backup, legs)
    ]
    for base in sorted(usable, key=lambda backup: backup.finished_at, reverse=True):
        end = max(number_of(last_segment), number_of(base.wal_stop))
        segments = tuple(segments_between(number_of(base.wal_start), end, timeline=timeline, known=known))
        if have.issuperset(segments):
            return Route(base=base, segments=segments)
    return None
