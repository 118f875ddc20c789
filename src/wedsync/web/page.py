"""What the status page shows, in words: every figure with its source and when it was read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from wedsync.monitoring import (
    BackupRun,
    Facts,
    KeptBackup,
    Part,
    StatusView,
    WalGap,
    continuous_window,
    issue_words,
)
from wedsync.words import age_words, duration_words, short_moment_words, size_words

_LAST_BACKUPS = 10
_LAST_EVENTS = 10
_UNKNOWN = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of the page."""

    name: str
    value: str
    source: str
    age: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownIssue:
    """One issue of the page."""

    severity: str
    words: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under column names; a row that is bad is marked."""

    columns: tuple[str, ...]
    rows: tuple[tuple[bool, tuple[str, ...]], ...]
    source: str
    age: str
    empty: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusPage:
    """The whole page."""

    state: str
    sentence: str
    judged_at: str
    judged_at_iso: str
    issues: tuple[ShownIssue, ...]
    database: tuple[Figure, ...]
    archive: tuple[Figure, ...]
    windows: Table
    gaps: Table
    repositories: Table
    backups: Table
    runs: Table
    processes: tuple[Figure, ...]
    events: Table
    machine: tuple[Figure, ...]


def status_page(view: StatusView) -> StatusPage:
    """The page of one look at a home; moments are in the zone of the verdict."""
    facts, verdict = view.facts, view.verdict
    now = verdict.judged_at
    return StatusPage(
        state=verdict.state,
        sentence=verdict.sentence,
        judged_at=now.strftime("%Y-%m-%d %H:%M:%S %Z"),
        judged_at_iso=now.isoformat(),
        issues=tuple(
            ShownIssue(severity=item.severity, words=issue_words(item, now), next_step=item.next_step)
            for item in verdict.issues
        ),
        database=tuple(_database(facts, now)),
        archive=tuple(_archive(facts, now)),
        windows=_windows(facts, now),
        gaps=_gaps(facts, now),
        repositories=_repositories(facts, now),
        backups=_backups(facts, now),
        runs=_runs(facts, now),
        processes=tuple(_processes(facts, now)),
        events=_events(facts, now),
        machine=tuple(_machine(facts, now)),
    )


def _database(facts: Facts, now: datetime) -> Iterator[Figure]:
    age, database = _age(facts.collected_at, now), facts.database

    def figure(name: str, value: str | None, source: str, *, is_bad: bool = False) -> Figure:
        return Figure(name=name, value=value or _UNKNOWN, source=source, age=age, is_bad=is_bad)

    if database is None:
        yield figure("State", facts.unread.get(Part.DATABASE), "one connection", is_bad=True)
        return
    taken = {None: None, True: "taken", False: "refused"}[database.connects]
    yield figure("Connection", taken, "one connection", is_bad=database.connects is not True)
    if database.server_state is not None:
        down = database.server_state != "running"
        yield figure("Server", database.server_state.replace("_", " "), "pid file, /proc", is_bad=down)
    if database.error is not None:
        yield figure("Error", database.error, "the driver", is_bad=True)
    if not database.connects:
        return
    answer = None if database.latency_s is None else f"{database.latency_s * 1000:.1f} ms"
    yield figure("Answers in", answer, "select 1")
    yield figure("Version", database.version and f"PostgreSQL {database.version}", "server_version")
    since = database.started_at
    yield figure("Running", since and duration_words((now - since).total_seconds()), "pg_postmaster_start_time")
    size = database.size_bytes
    yield figure("Size", None if size is None else size_words(size), "pg_database_size")
    used, most = database.connections_used, database.connections_max
    yield figure("Connections", None if used is None else f"{used} of {most}", "pg_stat_activity")


def _archive(facts: Facts, now: datetime) -> Iterator[Figure]:
    archiver = facts.database.archiver if facts.database else None
    age = _age(facts.collected_at, now)
    source = "pg_stat_archiver"
    if archiver is None:
        yield Figure(name="Archiving", value=_UNKNOWN, source=source, age=age, is_bad=True)
        return
    off = not archiver.enabled
    yield Figure(name="Archiving", value="off" if off else "on", source="archive_mode", age=age, is_bad=off)
    last = archiver.last_archived_at
    said = f"{archiver.last_archived_segment}, {age_words(last, now)}" if last else "none yet"
    yield Figure(name="Last segment", value=said, source=source, age=age)
    if archiver.last_failed_at is not None:
        said = f"{archiver.last_failed_segment}, {age_words(archiver.last_failed_at, now)}"
        yield Figure(name="Last failure", value=said, source=source, age=age, is_bad=archiver.is_failing)
    waiting = archiver.waiting_segments
    yield Figure(
        name="Waiting segments",
        value=_UNKNOWN if waiting is None else str(waiting),
        source="pg_ls_archive_statusdir",
        age=age,
    )


def _windows(facts: Facts, now: datetime) -> Table:
    survey = facts.survey
    whole = continuous_window(survey)
    windows = survey.windows if survey else ()
    return Table(
        columns=("From", "To", "Repositories"),
        rows=tuple(
            (
                False,
                (
                    _moment(item.from_at, now),
                    f"{_moment(item.to_at, now)} ({age_words(item.to_at, now)})"
                    if whole and item.to_at == whole.to_at
                    else _moment(item.to_at, now),
                    _numbers(item.repos),
                ),
            )
            for item in reversed(windows)
        ),
        source="backups and archived WAL",
        age=_surveyed(facts, now),
        empty="No moment can be restored yet." if survey else _not_read(facts, Part.REPOSITORIES),
    )


def _gaps(facts: Facts, now: datetime) -> Table:
    def row(gap: WalGap) -> tuple[bool, tuple[str, ...]]:
        cells = (
            str(gap.repo),
            gap.first if gap.first == gap.last else f"{gap.first} – {gap.last}",
            _moment(gap.from_at, now),
            _moment(gap.to_at, now) if gap.to_at else "the next backup",
            _numbers(gap.covered_by) or "nobody",
        )
        return not gap.covered_by, cells

    return Table(
        columns=("Repository", "Missing WAL", "From", "Until", "Also in"),
        rows=tuple(row(gap) for gap in (facts.survey.gaps if facts.survey else ())),
        source="names of archived WAL",
        age=_surveyed(facts, now),
        empty="No gaps." if facts.survey else _not_read(facts, Part.REPOSITORIES),
    )


def _repositories(facts: Facts, now: datetime) -> Table:
    survey = facts.survey
    return Table(
        columns=("Repository", "State", "Backups", "Newest"),
        rows=tuple(
            (
                item.ok is not True,
                (
                    str(item.repo),
                    {True: "readable", False: "unreachable", None: _UNKNOWN}[item.ok]
                    + (f": {item.message}" if item.message and not item.ok else ""),
                    str(sum(kept.repo == item.repo for kept in survey.backups)) if item.ok else _UNKNOWN,
                    _newest(survey.backups, item.repo, now) if item.ok else _UNKNOWN,
                ),
            )
            for item in survey.repositories
        )
        if survey
        else (),
        source="pgbackrest info",
        age=_surveyed(facts, now),
        empty="None is set." if survey else _not_read(facts, Part.REPOSITORIES),
    )


def _newest(backups: tuple[KeptBackup, ...], repo: int, now: datetime) -> str:
    return age_words(max((item.finished_at for item in backups if item.repo == repo), default=None), now)


def _backups(facts: Facts, now: datetime) -> Table:
    survey = facts.survey
    newest = sorted(survey.backups, key=lambda item: item.finished_at, reverse=True) if survey else []

    def note(item: KeptBackup) -> str:
        words = ["damaged"] if item.damaged else []
        return ", ".join([*words, f"held: {item.held}"] if item.held else words) or "–"

    return Table(
        columns=("Backup", "Kind", "Repository", "Finished", "Took", "Size", "Note"),
        rows=tuple(
            (
                item.damaged,
                (
                    item.label,
                    item.kind,
                    str(item.repo),
                    f"{_moment(item.finished_at, now)} ({age_words(item.finished_at, now)})",
                    duration_words((item.finished_at - item.started_at).total_seconds()),
                    f"{size_words(item.repo_bytes)} of {size_words(item.database_bytes)}",
                    note(item),
                ),
            )
            for item in newest[:_LAST_BACKUPS]
        ),
        source="pgbackrest info",
        age=_surveyed(facts, now),
        empty="There is no backup yet." if survey else _not_read(facts, Part.REPOSITORIES),
    )


def _runs(facts: Facts, now: datetime) -> Table:
    def row(run: BackupRun) -> tuple[bool, tuple[str, ...]]:
        killed = run.outcome == "running" and not run.alive
        outcome = "killed" if killed else run.outcome
        cells = (
            _moment(run.started_at, now),
            run.kind,
            str(run.repo),
            run.reason,
            f"{outcome}: {run.error}" if run.error else outcome,
        )
        return killed or run.outcome == "failed", cells

    return Table(
        columns=("Started", "Kind", "Repository", "Why", "Outcome"),
        rows=tuple(row(run) for run in (facts.records.runs if facts.records else ())),
        source="state.db",
        age=_age(facts.collected_at, now),
        empty="No run is recorded." if facts.records else _not_read(facts, Part.RECORDS),
    )


def _processes(facts: Facts, now: datetime) -> Iterator[Figure]:
    age = _age(facts.collected_at, now)
    if facts.processes is None:
        words = _not_read(facts, Part.PROCESSES)
        yield Figure(name="Processes", value=words, source="/proc", age=age, is_bad=True)
        return
    for name, runs in facts.processes.items():
        value = "runs" if runs else "does not run"
        yield Figure(name=name.capitalize(), value=value, source="lock file, /proc", age=age, is_bad=not runs)


def _events(facts: Facts, now: datetime) -> Table:
    events = facts.records.events if facts.records else ()
    return Table(
        columns=("When", "Process", "What", "Detail"),
        rows=tuple(
            (
                item.what in {"died", "start_failed", "stop_failed"},
                (_moment(item.at, now), item.process, item.what.replace("_", " "), item.detail or "–"),
            )
            for item in events[:_LAST_EVENTS]
        ),
        source="state.db",
        age=_age(facts.collected_at, now),
        empty="Nothing is recorded." if facts.records else _not_read(facts, Part.RECORDS),
    )


def _machine(facts: Facts, now: datetime) -> Iterator[Figure]:
    age = _age(facts.collected_at, now)
    for disk in facts.disks or ():
        yield Figure(
            name="Free space",
            value=f"{size_words(disk.free_bytes)} of {size_words(disk.total_bytes)} ({disk.free_share:.0%}),"
            f" on the disk of {disk.name}",
            source="statvfs",
            age=age,
        )
    if facts.disks is None:
        words = _not_read(facts, Part.DISKS)
        yield Figure(name="Free space", value=words, source="statvfs", age=age, is_bad=True)
    if Part.CERTIFICATE in facts.expected:
        ends_at = facts.certificate_expires_at
        yield Figure(
            name="Certificate",
            value=f"until {_moment(ends_at, now)}" if ends_at else _not_read(facts, Part.CERTIFICATE),
            source="tls/server.crt",
            age=age,
            is_bad=ends_at is None or ends_at <= now,
        )


def _age(read_at: datetime, now: datetime) -> str:
    """When something was read."""
    return "just now" if (now - read_at).total_seconds() < 2 else age_words(read_at, now)


def _moment(moment: datetime | None, now: datetime) -> str:
    return "–" if moment is None else short_moment_words(moment, now, seconds=True)


def _numbers(numbers: tuple[int, ...]) -> str:
    return ", ".join(str(number) for number in numbers)


def _surveyed(facts: Facts, now: datetime) -> str:
    return _age(facts.survey.surveyed_at, now) if facts.survey else "never"


def _not_read(facts: Facts, part: Part) -> str:
    return f"Not known: {facts.unread.get(part, 'it was not asked')}."
