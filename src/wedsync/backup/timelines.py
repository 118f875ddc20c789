"""Which line of history was the live one when. A recovery to a moment in the past starts a new one."""

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wedsync.backup.model import Archive, Backup, Timeline
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.wal import number_at, number_of, segment_name, timeline_of
from wedsync.database import Lsn
from wedsync.state import StateStore, as_moment, as_text

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""`live_from` of a timeline that has no parent."""

_HISTORY_LINE = re.compile(r"\s*(?P<timeline>\d+)\s+(?P<lsn>[0-9A-F]+/[0-9A-F]+)\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """The part of a lineage on one timeline: up to where the next one leaves it (`None`: open end)."""

    timeline: int
    until: Lsn | None


def read_history(text: str) -> tuple[int, Lsn] | None:
    """Parent and fork in a `.history` file: its last line says where the timeline left its parent."""
    matches = [match for match in map(_HISTORY_LINE.match, text.splitlines()) if match]
    return (int(matches[-1]["timeline"]), Lsn.parse(matches[-1]["lsn"])) if matches else None


def lineage(timeline: int, known: Mapping[int, Timeline]) -> tuple[Leg, ...]:
    """The way to `timeline` from its oldest ancestor; a timeline nobody knows stands alone."""
    legs: list[Leg] = []
    current: int | None = timeline
    until: Lsn | None = None
    while current is not None and all(leg.timeline != current for leg in legs):
        legs.append(Leg(timeline=current, until=until))
        entry = known.get(current)
        current, until = (entry.parent, entry.forked_at) if entry else (None, None)
    return tuple(reversed(legs))


def leads_to(backup: Backup, legs: Sequence[Leg]) -> bool:
    """Whether recovery from this backup can follow the lineage: it ended before its timeline was left."""
    for leg in legs:
        if leg.timeline != backup.timeline:
            continue
        if leg.until is None:
            return True
        if backup.lsn_stop is not None:
            return backup.lsn_stop <= leg.until
        return number_of(backup.wal_stop) < number_at(leg.until)
    return False


def goes_on_behind(segment: str, archive: Archive, known: Mapping[int, Timeline]) -> bool:
    """Whether WAL follows that recovery through `segment` goes on with: its own timeline's, or a child's."""
    timeline, number = timeline_of(segment), number_of(segment)
    return segment_name(timeline, number + 1) in archive.segments or any(
        item.parent == timeline and item.forked_at is not None and number_at(item.forked_at) > number
        for item in known.values()
    )


def live_until(timeline: int, known: Mapping[int, Timeline]) -> datetime | None:
    """When this timeline stopped being the live one; `None`: it still is."""
    own = known.get(timeline)
    if own is None:
        return min((item.live_from for item in known.values() if item.timeline > timeline), default=None)
    later = [item.live_from for item in known.values() if (item.live_from, item.timeline) > _rank(own)]
    return min(later, default=None)


def live_at(moment: datetime, known: Mapping[int, Timeline]) -> int | None:
    """The timeline that was the live one at this moment of the wall clock."""
    before = [item for item in known.values() if item.live_from <= moment]
    return max(before, key=_rank).timeline if before else None


def _rank(item: Timeline) -> tuple[datetime, int]:
    return item.live_from, item.timeline


class TimelineBook:
    """The table `timelines` of the state file; what is missing in it is read from the archive."""

    def __init__(self, *, pgbackrest: PgBackRest, state: StateStore) -> None:
        self._pgbackrest = pgbackrest
        self._state = state

    def of_system(self, system_id: str) -> dict[int, Timeline]:
        """What is known of one cluster's timelines."""
        rows = self._state.rows("select * from timelines where system_id = ?", (system_id,))
        return {
            row["timeline"]: Timeline(
                system_id=system_id,
                timeline=row["timeline"],
                parent=row["parent"],
                forked_at=Lsn.parse(row["forked_at_lsn"]) if row["forked_at_lsn"] else None,
                live_from=as_moment(row["live_from"]),
            )
            for row in rows
        }

    def record(self, timeline: Timeline) -> None:
        """Write down a timeline; what was known of it before is replaced."""
        self._state.write(
            "insert or replace into timelines (system_id, timeline, parent, forked_at_lsn, live_from)"
            " values (?, ?, ?, ?, ?)",
            (
                timeline.system_id,
                timeline.timeline,
                timeline.parent,
                str(timeline.forked_at) if timeline.forked_at else None,
                as_text(timeline.live_from),
            ),
        )

    async def refresh(self, archives: Sequence[Archive]) -> dict[str, dict[int, Timeline]]:
        """All timelines by system id; those the state file does not know come from the archived histories.

        Their `live_from` is then the second at which the history was archived.
        """
        for archive in archives:
            known = self.of_system(archive.system_id)
            for number, archived_at in sorted(archive.histories.items()):
                if number not in known:
                    await self._learn(archive, number, archived_at)
            roots = {int(name[:8], 16) for name in archive.segments} - self.of_system(archive.system_id).keys()
            for number in sorted(roots - archive.histories.keys()):
                self.record(
                    Timeline(
                        system_id=archive.system_id,
                        timeline=number,
                        parent=None,
                        forked_at=None,
                        live_from=BEGINNING,
                    )
                )
        return {system_id: self.of_system(system_id) for system_id in _systems(archives)}

    async def _learn(self, archive: Archive, number: int, archived_at: datetime) -> None:
        name = f"{number:08X}.history"
        with tempfile.TemporaryDirectory(prefix="history-", dir=self._pgbackrest.home.run) as scratch:
            file = Path(scratch) / name
            if not await self._pgbackrest.archive_get(name, file, repo=archive.repo, system_id=archive.system_id):
                return
            fork = read_history(file.read_text())
        self.record(
            Timeline(
                system_id=archive.system_id,
                timeline=number,
                parent=fork[0] if fork else None,
                forked_at=fork[1] if fork else None,
                live_from=archived_at,
            )
        )


def _systems(archives: Iterable[Archive]) -> list[str]:
    return sorted({archive.system_id for archive in archives})
