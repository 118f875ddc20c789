"""A home where all is well, to spoil one fact at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from wedsync.monitoring import (
    Archiver,
    BackupRun,
    Database,
    Disk,
    Facts,
    KeptBackup,
    ProcessEvent,
    Records,
    RecoveryWindow,
    Repository,
    SurveyFacts,
)

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def kept(repo: int = 1, kind: str = "full", ago: timedelta = 12 * MINUTE, **changes: Any) -> KeptBackup:
    """A backup that ended so long ago."""
    found = KeptBackup(
        repo=repo,
        label=f"{NOW - ago:%Y%m%d-%H%M%S}{kind[0].upper()}",
        kind=kind,
        started_at=NOW - ago - timedelta(seconds=8),
        finished_at=NOW - ago,
        database_bytes=4_100_000_000,
        repo_bytes=240_000_000,
    )
    return replace(found, **changes)


ARCHIVER = Archiver(
    enabled=True,
    timeout=MINUTE,
    last_archived_at=NOW - timedelta(seconds=40),
    last_archived_segment="00000001000000000000002A",
    waiting_segments=0,
)
DATABASE = Database(
    server_state="running",
    connects=True,
    latency_s=0.0004,
    version="15.18",
    started_at=NOW - 3 * DAY,
    in_recovery=False,
    size_bytes=4_100_000_000,
    connections_used=12,
    connections_max=120,
    archiver=ARCHIVER,
)
SURVEY = SurveyFacts(
    surveyed_at=NOW - timedelta(seconds=5),
    repositories=(
        Repository(repo=1, ok=True, full_every=DAY, incr_every=HOUR),
        Repository(repo=2, ok=True, full_every=DAY, incr_every=6 * HOUR),
    ),
    backups=(kept(1, "full", 20 * HOUR), kept(2, "full", 19 * HOUR), kept(2, "incr", 2 * HOUR), kept(1, "incr")),
    windows=(RecoveryWindow(from_at=NOW - 20 * HOUR, to_at=NOW - timedelta(seconds=41), repos=(1, 2)),),
)
RUN = BackupRun(
    repo=1,
    kind="incr",
    reason="schedule",
    started_at=NOW - 13 * MINUTE,
    finished_at=NOW - 12 * MINUTE,
    outcome="done",
)
WELL = Facts(
    collected_at=NOW,
    database=DATABASE,
    survey=SURVEY,
    records=Records(
        runs=(RUN,),
        events=(ProcessEvent(at=NOW - 3 * DAY, process="postgresql", what="started", detail="process 411"),),
    ),
    processes={"supervisor": True, "keeper": True, "gateway": True},
    disks=(Disk(name="the home and repository 1", free_bytes=600 * 10**9, total_bytes=10**12),),
    certificate_expires_at=NOW + 300 * DAY,
)


def with_database(**changes: Any) -> Facts:
    """All well but the server."""
    return replace(WELL, database=replace(DATABASE, **changes))


def with_archiver(**changes: Any) -> Facts:
    """All well but archiving."""
    return with_database(archiver=replace(ARCHIVER, **changes))


def with_survey(**changes: Any) -> Facts:
    """All well but what the repositories say."""
    return replace(WELL, survey=replace(SURVEY, **changes))


def with_records(**changes: Any) -> Facts:
    """All well but what the state file says."""
    assert WELL.records is not None
    return replace(WELL, records=replace(WELL.records, **changes))


def events(process: str, *facts: tuple[timedelta, str]) -> tuple[ProcessEvent, ...]:
    """What happened to a process, newest first: how long ago, and what."""
    return tuple(
        ProcessEvent(at=NOW - ago, process=process, what=what, detail=f"{what} with exit status 1")
        for ago, what in facts
    )
