"""Gather the facts of a home: each part by itself and within a time, so that no bad one hides the others."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, TupleRow, class_row, dict_row

from wedsync.clock import Clock
from wedsync.config import Config, Home, Profile, RepositoryKind, ZeroLossMode
from wedsync.database import ConnectionTarget
from wedsync.errors import CannotConnect, WedsyncError
from wedsync.monitoring.exposure import read_exposure
from wedsync.monitoring.facts import (
    Archiver,
    BackupRun,
    Database,
    Disk,
    Facts,
    Jobs,
    Outlook,
    Part,
    ProcessEvent,
    ProofFacts,
    Records,
    Recovery,
    Repository,
    SurveyFacts,
)
from wedsync.monitoring.regions import read_queue, read_regions
from wedsync.monitoring.verification import read_verification
from wedsync.process import is_alive
from wedsync.sql import statements
from wedsync.state import StateStore, as_moment

T = TypeVar("T")

_LAST_RUNS = 10
_LAST_EVENTS = 200
_OUTSIDE_ERRORS = (WedsyncError, OSError, ValueError, psycopg.Error, sqlite3.Error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the facts of a home come from."""

    config: Config
    home: Home
    target: ConnectionTarget
    """The database, as a member of pg_monitor."""
    survey: Callable[[], Awaitable[SurveyFacts]]
    """What the repositories hold; their rhythm is added here."""
    state: StateStore | None
    """None: the state file cannot be opened."""
    server_state: Callable[[], str] | None = None
    """State of the server by its files and processes; None for a server that is not ours."""
    processes: Mapping[str, Callable[[], int | None]] = field(
        default_factory=dict[str, "Callable[[], int | None]"]
    )
    """Our processes by name, and how to find the pid of each."""
    proof: Callable[[], ProofFacts | None] | None = None
    """What drills have shown; `None`: there are none."""
    outlook: Callable[[], Outlook | None] | None = None
    """How long a recovery would take now; `None`: it is none of ours."""
    configuration_changed_at: Callable[[], datetime | None] | None = None
    """When the file was changed, if what runs was started with another one."""


async def collect(
    sources: Sources,
    *,
    clock: Clock,
    within: timedelta = timedelta(seconds=1),
    survey_within: timedelta | None = None,
) -> Facts:
    """Everything that can be known in time; what cannot is `None`, with the reason in `Facts.unread`.

    Never raises for a part that fails. `survey_within` is the time of the repositories alone, which a
    command may give longer than a page.
    """
    unread: dict[Part, str] = {}
    collected_at = clock.now()

    async def part(name: Part, read: Awaitable[T], limit: timedelta = within) -> T | None:
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return await read
        except TimeoutError as error:
            unread[name] = str(error) or f"no answer within {limit.total_seconds():g} s"
        except _OUTSIDE_ERRORS as error:
            unread[name] = _in_one_line(error)
        return None

    async with asyncio.TaskGroup() as group:
        database = group.create_task(part(Part.DATABASE, _database(sources, within)))
        survey = group.create_task(part(Part.REPOSITORIES, _survey(sources), survey_within or within))
        records = group.create_task(part(Part.RECORDS, _records(sources, collected_at)))
        processes = group.create_task(part(Part.PROCESSES, _processes(sources)))
        changed_at = group.create_task(part(Part.PROCESSES, _configuration(sources)))
        disks = group.create_task(part(Part.DISKS, asyncio.to_thread(read_disks, sources.home, sources.config)))
        certificate = group.create_task(part(Part.CERTIFICATE, _certificate(sources)))
    return Facts(
        collected_at=collected_at,
        expected=_expected(sources.config),
        scheduled=sources.config.backup.enabled,
        database=database.result(),
        survey=survey.result(),
        records=records.result(),
        processes=processes.result(),
        configuration_changed_at=changed_at.result(),
        disks=disks.result(),
        certificate_expires_at=certificate.result(),
        unread=unread,
    )


def _expected(config: Config) -> frozenset[Part]:
    return frozenset(Part) - ({Part.CERTIFICATE} if config.profile is Profile.EXTERNAL else frozenset())


async def _database(sources: Sources, within: timedelta) -> Database:
    """Files and processes first: they can be read whatever the server does."""
    found = Database()
    if sources.server_state is not None:
        try:
            found = replace(found, server_state=sources.server_state())
        except _OUTSIDE_ERRORS as error:
            found = replace(found, error=_in_one_line(error))
    within_s = within.total_seconds()
    try:
        async with asyncio.timeout(within_s * 0.6):
            connection = await sources.target.connect(connect_timeout=timedelta(seconds=2))
    except TimeoutError:
        return replace(found, connects=False, error=f"no connection within {within_s * 0.6:g} s")
    except CannotConnect as error:
        return replace(found, connects=False, error=" ".join((error.detail or error.message).split()))
    async with connection:
        found = replace(found, connects=True)
        try:
            async with asyncio.timeout(within_s * 0.3):
                async for better in _answers(connection, found):
                    found = better
        except TimeoutError:
            return replace(found, error=f"no answer within {within_s * 0.3:g} s")
        except psycopg.Error as error:
            return replace(found, error=_in_one_line(error))
    return found


async def _answers(connection: AsyncConnection[TupleRow], found: Database) -> AsyncIterator[Database]:
    """What is known after each question; the most important ones first."""
    began = monotonic()
    await connection.execute("select 1")
    found = replace(found, latency_s=monotonic() - began)
    yield found
    for name in ("archiver_facts", "server_facts"):
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statements("monitoring")[name])
            row = await cursor.fetchone() or {}
        found = replace(found, **({"archiver": _archiver(row)} if name == "archiver_facts" else row))
        yield found
    has_jobs = await (await connection.execute(statements("monitoring")["has_jobs"])).fetchone()
    if has_jobs is not None and has_jobs[0]:
        async with connection.cursor(row_factory=class_row(Jobs)) as cursor:
            await cursor.execute(statements("monitoring")["job_facts"])
            yield replace(found, jobs=await cursor.fetchone())


def _archiver(row: DictRow) -> Archiver:
    timeout_s = row.pop("timeout_s")
    return Archiver(timeout=timedelta(seconds=timeout_s or 60), **row)


async def _survey(sources: Sources) -> SurveyFacts:
    """The repositories' answer, with the rhythm of backups that the configuration asks of each."""
    survey = await sources.survey()
    backup = sources.config.backup
    wanted = {1: backup.repo1, 2: backup.repo2}
    repositories = {item.repo: item for item in survey.repositories}
    scheduled: list[Repository] = []
    for repo, settings in wanted.items():
        if settings is not None:
            answered = repositories.pop(repo, Repository(repo=repo))
            scheduled.append(replace(answered, full_every=settings.full_every, incr_every=settings.incr_every))
    return replace(survey, repositories=(*scheduled, *repositories.values()))


async def _records(sources: Sources, now: datetime) -> Records:
    if sources.state is None:
        raise sqlite3.OperationalError("state.db cannot be opened")
    records = replace(read_records(sources.state, sources.home), exposure=read_exposure(sources.state, now))
    if sources.proof is not None:
        records = replace(records, proof=sources.proof())
    if sources.outlook is not None:
        records = replace(records, outlook=sources.outlook())
    verification = sources.config.backup.verification
    if not verification.enabled:
        return records
    return replace(records, verification=read_verification(sources.state, within=verification.within, now=now))


def read_records(state: StateStore, home: Home) -> Records:
    """The last backup runs and process events, and a recovery that has not ended."""
    runs = state.rows(
        "select repo, kind, reason, started_at, finished_at, outcome, label, took_s, repo_bytes, error, pid"
        " from backup_runs order by id desc limit ?",
        (_LAST_RUNS,),
    )
    events = state.rows(
        "select at, process, what, detail from process_events order by id desc limit ?", (_LAST_EVENTS,)
    )
    recovery = state.row(
        "select id, target, phase, started_at from recoveries where outcome = 'running' order by started_at desc"
    )
    return Records(
        runs=tuple(_run(row) for row in runs),
        recovery=_recovery(recovery, home) if recovery else None,
        events=tuple(
            ProcessEvent(at=as_moment(row["at"]), process=row["process"], what=row["what"], detail=row["detail"])
            for row in events
        ),
        regions=read_regions(state),
        wal_queue=read_queue(state),
    )


def _run(row: sqlite3.Row) -> BackupRun:
    return BackupRun(
        repo=row["repo"],
        kind=row["kind"],
        reason=row["reason"],
        started_at=as_moment(row["started_at"]),
        finished_at=as_moment(row["finished_at"]) if row["finished_at"] else None,
        outcome=row["outcome"],
        label=row["label"],
        took_s=row["took_s"],
        repo_bytes=row["repo_bytes"],
        error=row["error"],
        alive=is_alive(row["pid"]),
    )


def _recovery(row: sqlite3.Row, home: Home) -> Recovery:
    return Recovery(
        id=row["id"],
        target=row["target"],
        phase=row["phase"],
        started_at=as_moment(row["started_at"]),
        alive=_recovery_works(home),
    )


def _recovery_works(home: Home) -> bool:
    """Whether the process that noted itself in the recovery's lock lives.

    The lock itself is not tried: whoever tries has it for a moment, and a recovery that starts just then
    would be refused.
    """
    try:
        return is_alive(int(json.loads((home.run / "recovery.lock").read_text())["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False


async def _processes(sources: Sources) -> Mapping[str, bool]:
    return {name: find() is not None for name, find in sources.processes.items()}


async def _configuration(sources: Sources) -> datetime | None:
    return sources.configuration_changed_at() if sources.configuration_changed_at is not None else None


def read_disks(home: Home, config: Config) -> tuple[Disk, ...]:
    """Free space where the home and the local repositories are; one line for each file system.

    Blocks for as long as a hanging mount does.
    """
    places = {"the home": home.root}
    for number, repository in ((1, config.backup.repo1), (2, config.backup.repo2)):
        if repository is not None and repository.kind is RepositoryKind.PATH:
            places[f"repository {number}"] = home.resolve(repository.path)
    if config.backup.zero_loss.mode is not ZeroLossMode.OFF and config.backup.zero_loss.here:
        places["the received WAL"] = home.resolve(config.backup.zero_loss.directory)
    if (home.pgdata / "pg_wal").is_symlink():
        places["the WAL"] = (home.pgdata / "pg_wal").resolve()
    names: dict[int, list[str]] = {}
    sizes: dict[int, tuple[int, int]] = {}
    for name, place in places.items():
        there = _existing(place)
        device = there.stat().st_dev
        usage = shutil.disk_usage(there)
        names.setdefault(device, []).append(name)
        sizes[device] = (usage.free, usage.total)
    return tuple(
        Disk(name=_listed(names[device]), free_bytes=free, total_bytes=total)
        for device, (free, total) in sizes.items()
    )


def _listed(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _existing(place: Path) -> Path:
    """The directory, or the nearest one above it that there is."""
    return next((path for path in (place, *place.parents) if path.exists()), Path("/"))


async def _certificate(sources: Sources) -> datetime | None:
    if sources.config.profile is Profile.EXTERNAL:
        return None
    from cryptography import x509  # noqa: PLC0415 - 0.1 s, for this line alone

    pem = (sources.home.tls / "server.crt").read_bytes()
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.astimezone(UTC)


def _in_one_line(error: Exception) -> str:
    said: Any = error
    if isinstance(error, WedsyncError):
        said = f"{error.message}: {error.detail}" if error.detail else error.message
    return " ".join(str(said).split())[:300]
