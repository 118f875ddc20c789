"""Backups, archives and timelines made up for the plain decisions."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from wedsync.backup import Archive, Backup, BackupKind, SegmentCommits, Timeline, segment_name
from wedsync.database import SEGMENT_BYTES, Lsn

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
SYSTEM = "7000000000000000001"


def at(minutes: float) -> datetime:
    """A moment so many minutes after the start."""
    return START + timedelta(minutes=minutes)


def label_of(moment: datetime, kind: BackupKind, full: str | None = None) -> str:
    """The label pgBackRest would give."""
    text = moment.strftime("%Y%m%d-%H%M%S") + kind.value[0].upper()
    return f"{full}_{text}" if full else text


def backup(
    started_at: datetime,
    kind: BackupKind = BackupKind.FULL,
    *,
    repo: int = 1,
    on: Backup | None = None,
    wal: tuple[int, int] = (1, 1),
    timeline: int = 1,
    took: timedelta = timedelta(minutes=1),
    held: str | None = None,
    damaged: bool = False,
    system_id: str = SYSTEM,
) -> Backup:
    """A backup; `on` is the one before it that it is built on, `wal` numbers of its first and last segment."""
    full = None if on is None else on.label.partition("_")[0]
    references = () if on is None else tuple(sorted({*on.references, on.label}))
    return Backup(
        repo=repo,
        label=label_of(started_at, kind, full),
        kind=kind,
        started_at=started_at,
        finished_at=started_at + took,
        wal_start=segment_name(timeline, wal[0]),
        wal_stop=segment_name(timeline, wal[1]),
        lsn_start=Lsn(wal[0] * SEGMENT_BYTES + 40),
        lsn_stop=Lsn(wal[1] * SEGMENT_BYTES + 256),
        timeline=timeline,
        prior=on.label if on else None,
        references=references,
        database_bytes=1000,
        repo_bytes=100,
        held=held,
        damaged=damaged,
        system_id=system_id,
    )


def archive(*runs: tuple[int, int, int], repo: int = 1, system_id: str = SYSTEM) -> Archive:
    """An archive that holds runs of segments: timeline, first and last number."""
    return Archive(
        repo=repo,
        system_id=system_id,
        postgresql_version="15",
        archive_id="15-1",
        segments=tuple(
            sorted(
                segment_name(timeline, number)
                for timeline, first, last in runs
                for number in range(first, last + 1)
            )
        ),
    )


def commits_each_minute(system_id: str, segment: str) -> SegmentCommits:
    """Segment number n holds the commits of minute n: the last is half a minute after its start."""
    del system_id
    number = int(segment[8:16], 16) * 256 + int(segment[16:], 16)
    return SegmentCommits(
        segment=segment,
        commits=2,
        first_at=at(number),
        last_at=at(number + 0.5),
        last_lsn=Lsn(number * SEGMENT_BYTES + 5000),
    )


def timeline(number: int, parent: int | None = None, fork: int = 0, live_from: datetime | None = None) -> Timeline:
    """A timeline that leaves its parent in the middle of segment number `fork`."""
    return Timeline(
        system_id=SYSTEM,
        timeline=number,
        parent=parent,
        forked_at=Lsn(fork * SEGMENT_BYTES + 4096) if parent else None,
        live_from=live_from or datetime(1970, 1, 1, tzinfo=UTC),
    )


def timelines(*items: Timeline) -> Mapping[str, Mapping[int, Timeline]]:
    """Timelines by system id and number."""
    return {SYSTEM: {item.timeline: item for item in items}}


def labels(items: Iterable[object]) -> list[str]:
    """The labels of backups or removals."""
    return [str(getattr(item, "label")) for item in items]  # noqa: B009 - two types have it
