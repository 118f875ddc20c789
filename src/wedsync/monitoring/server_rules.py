"""What can be wrong with the server, our processes and the machine."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from wedsync.monitoring.facts import Database, Disk, Facts, Part, ProcessEvent, Records
from wedsync.monitoring.issues import Issue, State
from wedsync.words import duration_words, size_words

CONNECTIONS_WARNING = 0.8
CONNECTIONS_CRITICAL = 0.95
SLOWEST_ANSWER = timedelta(milliseconds=100)
RESTARTS_COUNT_FOR = timedelta(hours=1)
LOOP_WITHIN = timedelta(minutes=10)
LOOP_FAILURES = 3
JOBS_WAIT_AT_MOST = timedelta(minutes=10)
CERTIFICATE_WARNING = timedelta(days=21)
CERTIFICATE_CRITICAL = timedelta(days=3)

_DEATHS = frozenset({"died", "start_failed"})
_ENDS = _DEATHS | {"stopped", "waiting"}


def recovery_issues(facts: Facts, _: datetime) -> Iterator[Issue]:
    """A recovery that goes on, or was interrupted."""
    recovery = facts.records.recovery if facts.records else None
    if recovery is None:
        return
    serves = facts.database is not None and facts.database.connects is True
    if recovery.alive:
        yield Issue(
            severity=State.WARNING if serves else State.DOWN,
            code="recovery_running",
            words=f"a recovery to {recovery.target} is under way ({recovery.phase})",
            since=recovery.started_at,
            next_step="wait for it to end; its terminal shows how far it is",
        )
    else:
        yield Issue(
            severity=State.CRITICAL if serves else State.DOWN,
            code="recovery_interrupted",
            words=f"a recovery to {recovery.target} was interrupted ({recovery.phase})",
            since=recovery.started_at,
            next_step="run the same wedsync recover run again: it goes on where it stopped",
        )


def database_issues(facts: Facts, _: datetime) -> Iterator[Issue]:
    """The server is down, out of reach, without its files, or short of something."""
    database = facts.database
    if database is None:
        return  # `unknown_issues` says so
    if database.connects is None:
        yield Issue(
            severity=State.CRITICAL,
            code="database_unknown",
            words="it is not known whether PostgreSQL takes connections",
            next_step="wedsync doctor",
        )
    elif not database.connects:
        yield _not_serving(facts, database)
    else:
        yield from _serving(facts, database)


def _not_serving(facts: Facts, database: Database) -> Issue:
    words, next_step = _why_down(facts, database)
    return Issue(
        severity=State.DOWN,
        code=f"database_{database.server_state or 'unreachable'}",
        words=words,
        since=down_since("postgresql", facts.records),
        next_step=next_step,
    )


def _why_down(facts: Facts, database: Database) -> tuple[str, str]:  # noqa: PLR0911 - one return for each state
    """What happened, and what to do next."""
    error = f" ({database.error})" if database.error else ""
    match database.server_state:
        case "stopped":
            return "PostgreSQL is down", "run bin/up"
        case "crashed":
            return "PostgreSQL has crashed", "run bin/up, which replays its log"
        case "starting":
            return "PostgreSQL is starting", "wait until it has replayed its log; wedsync status says when"
        case "stopping":
            return "PostgreSQL is stopping", "wait for its end, then run bin/up"
        case "absent" if facts.survey is not None and facts.survey.backups:
            return "PostgreSQL's data directory is gone", "wedsync recover run --to latest"
        case "absent":
            return "there is no PostgreSQL here yet", "run bin/up; if there was one: wedsync recover window"
        case "wrong_version":
            return "the data directory is of another version of PostgreSQL", "wedsync doctor"
        case "foreign":
            return "another program holds the data directory of PostgreSQL", "wedsync doctor"
        case "running":
            return f"PostgreSQL runs but takes no connection{error}", "wedsync doctor"
        case _:
            return f"the database cannot be reached{error}", "wedsync doctor"


def _serving(facts: Facts, database: Database) -> Iterator[Issue]:
    if database.server_state == "absent":
        yield Issue(
            severity=State.CRITICAL,
            code="data_directory_gone",
            words="the data directory was deleted under the running server",
            next_step="wedsync recover run --to latest",
        )
    if database.in_recovery and not (facts.records and facts.records.recovery):
        yield Issue(
            severity=State.CRITICAL,
            code="read_only",
            words="PostgreSQL is in recovery and takes no writes",
            next_step="wedsync doctor; a standby is promoted with pg_promote()",
        )
    used, most = database.connections_used, database.connections_max
    if used is not None and most and used / most > CONNECTIONS_WARNING:
        yield Issue(
            severity=State.CRITICAL if used / most > CONNECTIONS_CRITICAL else State.WARNING,
            code="connections_high",
            words=f"{used} of {most} connections are in use",
            next_step="see who holds them in pg_stat_activity",
        )
    if database.latency_s is None:
        yield Issue(
            severity=State.DOWN,
            code="database_silent",
            words=f"PostgreSQL takes connections but does not answer ({database.error or 'nobody asked'})",
            next_step="wedsync doctor; see what the machine is busy with: top, iostat",
        )
    elif database.latency_s > SLOWEST_ANSWER.total_seconds():
        yield Issue(
            severity=State.WARNING,
            code="latency_high",
            words=f"PostgreSQL takes {database.latency_s * 1000:.0f} ms to answer the simplest question",
            next_step="see what the machine is busy with: top, iostat",
        )


def down_since(process: str, records: Records | None) -> datetime | None:
    """When the process ended that has not come back; `None` if its history does not tell."""
    since = None
    for event in _events_of(process, records):
        if event.what not in _ENDS:
            break
        since = event.at
    return since


def process_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """A process of ours does not run, keeps dying, or was restarted lately."""
    for name, runs in (facts.processes or {}).items():
        if not runs and name != "postgresql":  # the database has rules of its own
            yield _not_running(name, facts)
    if facts.records is None:
        return
    for name in sorted({event.process for event in facts.records.events}):
        failures = [event for event in _events_of(name, facts.records) if event.what in _DEATHS]
        loop = [event for event in failures if now - event.at <= LOOP_WITHIN]
        lately = [event for event in failures if now - event.at <= RESTARTS_COUNT_FOR]
        if len(loop) >= LOOP_FAILURES:
            yield Issue(
                severity=State.CRITICAL,
                code="crash_loop",
                words=f"{name} failed {len(loop)} times within {duration_words(LOOP_WITHIN.total_seconds())}"
                f" (last: {loop[0].detail})",
                since=loop[-1].at,
                next_step=f"read the log of {name} in the home's directory log",
            )
        elif lately and not _is_down(name, facts.records):
            yield Issue(
                severity=State.WARNING,
                code="restarted",
                words=f"{name} failed{_times(len(lately))} in the last hour (last: {lately[0].detail})",
                since=lately[-1].at,
                next_step=f"read the log of {name} in the home's directory log",
            )


def configuration_issues(facts: Facts, _: datetime) -> Iterator[Issue]:
    """What runs does not know what stands in the configuration: a second region there may hold nothing."""
    if facts.configuration_changed_at is not None and (facts.processes or {}).get("supervisor"):
        yield Issue(
            severity=State.WARNING,
            code="configuration_not_applied",
            words="what runs does not know what was changed in wedsync.toml",
            since=facts.configuration_changed_at,
            next_step="wedsync down, then bin/up",
        )


def _not_running(name: str, facts: Facts) -> Issue:
    severity, meaning = {
        "keeper": (State.CRITICAL, "no backup is taken and the recovery window does not move"),
        "supervisor": (State.WARNING, "what dies is not started again"),
        "gateway": (State.WARNING, "there is no API and no console"),
    }.get(name, (State.WARNING, "its work is not done"))
    return Issue(
        severity=severity,
        code="process_down",
        words=f"the {name} does not run, so {meaning}",
        since=down_since(name, facts.records),
        next_step="run bin/up",
    )


def job_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """Maintenance that failed, or that nobody does."""
    jobs = facts.database.jobs if facts.database else None
    if jobs is None:
        return
    if jobs.failed:
        yield Issue(
            severity=State.WARNING,
            code="jobs_failed",
            words=f"{jobs.failed} maintenance {'job' if jobs.failed == 1 else 'jobs'} failed in the last day",
            next_step=f"select get_job({jobs.last_failed}) tells why",
        )
    if jobs.due_since is not None and not jobs.running and now - jobs.due_since > JOBS_WAIT_AT_MOST:
        yield Issue(
            severity=State.WARNING,
            code="jobs_waiting",
            words=f"{jobs.waiting} maintenance {'job waits' if jobs.waiting == 1 else 'jobs wait'} in vain",
            since=jobs.due_since,
            next_step="read the log of keeper in the home's directory log",
        )


def disk_issues(facts: Facts, _: datetime) -> Iterator[Issue]:
    """Little space is left. Shares alone would cry on large disks, sizes alone on small ones."""
    for disk in facts.disks or ():
        severity = disk_severity(disk)
        if severity is not State.HEALTHY:
            yield Issue(
                severity=severity,
                code="disk_low",
                words=f"{size_words(disk.free_bytes)} ({disk.free_share:.0%}) are left on the disk of {disk.name}",
                next_step="free space or move it to a larger disk; a full disk stops PostgreSQL",
            )


def disk_severity(disk: Disk) -> State:
    """How bad the free space of a disk is."""
    if disk.free_share < 0.05 and disk.free_bytes < 10e9:
        return State.CRITICAL
    if disk.free_share < 0.10 and disk.free_bytes < 50e9:
        return State.WARNING
    return State.HEALTHY


def certificate_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """The server's certificate ends soon, or has ended: clients then refuse the server."""
    ends_at = facts.certificate_expires_at
    if ends_at is None or ends_at - now > CERTIFICATE_WARNING:
        return
    left = ends_at - now
    words = (
        "the server's certificate has expired, clients refuse it"
        if left <= timedelta(0)
        else f"the server's certificate expires in {duration_words(left.total_seconds())}"
    )
    yield Issue(
        severity=State.CRITICAL if left <= CERTIFICATE_CRITICAL else State.WARNING,
        code="certificate_expires",
        words=words,
        since=ends_at if left <= timedelta(0) else None,
        next_step="wedsync down, then bin/up: a start renews it",
    )


def unknown_issues(facts: Facts, _: datetime) -> Iterator[Issue]:
    """Parts that should be known and are not: not known is not good."""
    for part in Part:
        if (part in facts.expected or part is Part.DATABASE) and facts.of(part) is None:
            reason = f" ({facts.unread[part]})" if part in facts.unread else ""
            yield Issue(
                severity=State.CRITICAL
                if part in {Part.DATABASE, Part.REPOSITORIES, Part.RECORDS}
                else State.WARNING,
                code=f"unknown_{part}",
                words=f"nothing is known of the {_KNOWN_AS[part]}{reason}",
                next_step="wedsync doctor",
            )


_KNOWN_AS = {
    Part.DATABASE: "database",
    Part.REPOSITORIES: "backup repositories",
    Part.RECORDS: "records in state.db",
    Part.PROCESSES: "processes",
    Part.DISKS: "disks",
    Part.CERTIFICATE: "server's certificate",
}


def _events_of(process: str, records: Records | None) -> list[ProcessEvent]:
    """Newest first."""
    return [event for event in (records.events if records else ()) if event.process == process]


def _is_down(process: str, records: Records) -> bool:
    """Whether it did not come back: then that is the issue, not its end."""
    return _events_of(process, records)[0].what in _ENDS


def _times(count: int) -> str:
    return "" if count == 1 else f" {count} times"
