"""The keeper's worker: takes jobs from `ops.jobs` and does what cannot be done inside a function.

A worker holds an advisory lock for each job it works on, by its session. If it is killed, PostgreSQL notices
within a second (`client_connection_check_interval`), breaks the statement off and frees the lock: a job that
is `running` without one is taken again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import ClassVar, Protocol, assert_never

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg.errors import Diagnostic, InsufficientPrivilege
from psycopg.rows import DictRow, TupleRow, dict_row
from psycopg.sql import SQL, Composed, Identifier
from psycopg.types.json import Jsonb

from wedsync.clock import Clock
from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationsFrozen, MigrationsRefused, UsageProblem, WedsyncError
from wedsync.events import Event, observe
from wedsync.maintenance.jobs import ATTEMPTS, Job, JobKind, JobState, Outcome, after_failure, is_given_up
from wedsync.sql import statements

_LOOK_EVERY = timedelta(seconds=2)
_ASK_AGAIN = timedelta(minutes=1)
"""A database without our schema, or a standby, is asked again after this time."""
_LOCK_SPACE = int.from_bytes(b"jobs")
_LOCK_TIMEOUT = "30s"
_REFUSALS = (MigrationsRefused, MigrationsFrozen, UsageProblem)


class RunMigration(Protocol):
    """Checks and runs a change of the schema; the same name and text twice does nothing the second time."""

    async def __call__(self, *, sql: str, name: str, by: str) -> Mapping[str, object]:
        """What was done. Raises `MigrationsRefused` or `UsageProblem` where the text or the ledger forbids it,
        `MigrationsFrozen` where the day does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded(Event):
    """An attempt at a job ended; one that is queued again comes back."""

    job: int
    kind: str
    target: str
    state: str
    took_s: float
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsNotWorked(Event):
    """The worker has no database to work on; it tries again."""

    level: ClassVar[str] = "warning"

    message: str


class JobService:
    """Works the queue until it is cancelled; waits while the database is away or in recovery."""

    def __init__(self, *, owner: ConnectionTarget, clock: Clock, migrate: RunMigration | None = None) -> None:
        """`owner` is the role that owns the tables. Without `migrate`, changes of the schema are left waiting."""
        self._owner = owner
        self._clock = clock
        self._migrate = migrate
        self._kinds = [kind.value for kind in JobKind if migrate is not None or kind is not JobKind.MIGRATION]

    async def run(self) -> None:
        """Do each job as it comes, until cancelled."""
        told = False
        while True:
            try:
                async with await self._owner.connect() as connection:
                    while await self.is_ours(connection):
                        told = False
                        while await self.step(connection) is None:
                            await self._clock.sleep(_LOOK_EVERY)
            except (WedsyncError, DatabaseError, OSError) as error:
                if not told:
                    observe(JobsNotWorked(message=str(error)))
                told = True
                await self._clock.sleep(_LOOK_EVERY)
            else:
                await self._clock.sleep(_ASK_AGAIN)

    async def is_ours(self, connection: AsyncConnection[TupleRow]) -> bool:
        """Whether there is a queue here that can be worked; makes the session ready for it."""
        await connection.execute(_sql("prepare_session"), {"lock_timeout": _LOCK_TIMEOUT})
        row = await (await connection.execute(_sql("has_jobs"))).fetchone()
        return row is not None and bool(row[0])

    async def step(self, connection: AsyncConnection[TupleRow]) -> Outcome | None:
        """Take one job and do it; `None`: there is none to take. Raises where the connection itself fails."""
        job = await self._take(connection)
        if job is None:
            return None
        began = monotonic()
        outcome = await self._attempt(connection, job)
        await self._end(connection, job, outcome)
        observe(
            JobEnded(
                job=job.id,
                kind=job.kind,
                target=job.target,
                state=outcome.state,
                took_s=round(monotonic() - began, 3),
                error=outcome.error,
            )
        )
        return outcome

    async def _take(self, connection: AsyncConnection[TupleRow]) -> Job | None:
        async with connection.transaction():
            rows = await (await connection.execute(_sql("open_jobs"), {"kinds": self._kinds})).fetchall()
            for (job,) in rows:
                if not await _answer(connection, "try_lock_job", {"space": _LOCK_SPACE, "id": job}):
                    continue  # another worker is at it
                async with connection.cursor(row_factory=dict_row) as cursor:
                    await cursor.execute(_sql("begin_job"), {"id": job})
                    row = await cursor.fetchone()
                if row is not None:
                    return _job(row)
        return None

    async def _attempt(self, connection: AsyncConnection[TupleRow], job: Job) -> Outcome:
        if is_given_up(job):
            return Outcome(
                state=JobState.FAILED,
                error=f"given up: it was begun {ATTEMPTS} times, and each time its worker died",
            )
        began = monotonic()
        try:
            result = await self._do(connection, job)
        except _REFUSALS as error:
            return Outcome(state=JobState.REFUSED, error=_in_one_line(error.in_one_line()))
        except WedsyncError as error:
            return after_failure(job, _in_one_line(error.in_one_line()), sqlstate="")
        except DatabaseError as error:
            if connection.closed or connection.broken:
                raise  # nothing can be written down now: the job is found again, running without a worker
            return await self._judged(connection, job, error)
        except OSError:
            raise  # as above
        except Exception as error:
            return Outcome(state=JobState.FAILED, error=_in_one_line(f"{type(error).__name__}: {error}"))
        return Outcome(state=JobState.DONE, result={**result, "took_s": round(monotonic() - began, 3)})

    async def _judged(self, connection: AsyncConnection[TupleRow], job: Job, error: DatabaseError) -> Outcome:
        outcome = after_failure(job, _in_one_line(str(error)), sqlstate=error.sqlstate)
        if outcome.state is JobState.QUEUED and await _answer(connection, "identical_job_waits", {"id": job.id}):
            return Outcome(state=JobState.FAILED, error=f"{outcome.error}; an identical job waits already")
        return outcome

    async def _do(self, connection: AsyncConnection[TupleRow], job: Job) -> Mapping[str, object]:
        match job.kind:
            case JobKind.ANALYZE if not job.target:
                tables = SQL(", ").join(await _names(connection, "our_tables", job))
                return await _told(connection, [SQL("analyze {}").format(tables)])  # each in its own transaction
            case JobKind.ANALYZE:
                return await _told(connection, [SQL("analyze {}").format(await _table(connection, job))])
            case JobKind.VACUUM:
                return await _told(connection, [SQL("vacuum (analyze) {}").format(await _table(connection, job))])
            case JobKind.REINDEX:
                return await _reindex(connection, job)
            case JobKind.MIGRATION:
                assert self._migrate is not None  # noqa: S101 - such jobs are not taken otherwise
                sql = str(job.payload["sql"])
                return await self._migrate(sql=sql, name=job.target, by=job.requested_by)
            case _:
                assert_never(job.kind)

    async def _end(self, connection: AsyncConnection[TupleRow], job: Job, outcome: Outcome) -> None:
        values = {
            "id": job.id,
            "state": outcome.state.value,
            "result": None if outcome.result is None else Jsonb(outcome.result),
            "error": outcome.error,
            "wait_s": outcome.wait.total_seconds(),
        }
        await connection.execute(_sql("end_job"), values)
        await _answer(connection, "unlock_job", {"space": _LOCK_SPACE, "id": job.id})


def _job(row: DictRow) -> Job:
    return Job(
        id=row["id"],
        kind=JobKind(row["kind"]),
        target=row["target"],
        payload=row["payload"],
        attempts=row["attempts"],
        requested_by=row["requested_by"],
    )


async def _reindex(connection: AsyncConnection[TupleRow], job: Job) -> Mapping[str, object]:
    """Rebuild the indexes of a table; what an earlier attempt left half-built is removed first."""
    table = await _table(connection, job)
    leftovers = await _names(connection, "leftover_indexes", job)
    kept: list[str] = []
    for index in leftovers:
        try:
            await connection.execute(SQL("drop index concurrently if exists {}").format(index))
        except InsufficientPrivilege as error:  # an adopted server, where pg_toast is closed to the owner
            kept.append(f"{index.as_string(connection)}: {error.diag.message_primary}")
    invalid = await _names(connection, "invalid_indexes", job)
    told = await _told(
        connection,
        [
            *(SQL("reindex index concurrently {}").format(index) for index in invalid),
            SQL("reindex table concurrently {}").format(table),
        ],
    )
    cleared = {"leftovers_dropped": len(leftovers) - len(kept), "invalid_rebuilt": len(invalid)}
    return {**cleared, **({"leftovers_kept": kept} if kept else {}), **told}


async def _told(connection: AsyncConnection[TupleRow], commands: list[Composed]) -> Mapping[str, object]:
    """Run commands, each by itself; gives the server's warnings: it only warns of what it leaves out."""
    warnings: list[str] = []

    def note(diagnostic: Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            warnings.append(diagnostic.message_primary or "")

    connection.add_notice_handler(note)
    try:
        for command in commands:
            await connection.execute(command)
    finally:
        connection.remove_notice_handler(note)
    return {"warnings": warnings} if warnings else {}


async def _table(connection: AsyncConnection[TupleRow], job: Job) -> Identifier:
    """The table of a job, looked up again: it may be gone or renamed since. Raises psycopg's `UndefinedTable`."""
    rows = await (await connection.execute(_sql("table_of_job"), {"target": job.target})).fetchall()
    schema, table = rows[0]
    return Identifier(schema, table)


async def _names(connection: AsyncConnection[TupleRow], name: str, job: Job) -> list[Identifier]:
    rows = await (await connection.execute(_sql(name), {"target": job.target})).fetchall()
    return [Identifier(schema, index) for schema, index in rows]


async def _answer(connection: AsyncConnection[TupleRow], name: str, values: Mapping[str, object]) -> bool:
    row = await (await connection.execute(_sql(name), values)).fetchone()
    return row is not None and bool(row[0])


def _in_one_line(words: str) -> str:
    return " ".join(words.split())


def _sql(name: str) -> bytes:
    return statements("maintenance")[name]
