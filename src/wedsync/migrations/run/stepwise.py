"""Files without a transaction: step by step, each recorded, resumed where a run was interrupted."""

from dataclasses import replace
from datetime import timedelta
from time import monotonic

import psycopg
from psycopg.rows import class_row

from wedsync.errors import MigrationBlocked, MigrationFailed, MigrationsRefused, StepUndecided
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.ledger.history import Entry, LedgerRow
from wedsync.migrations.run.catalogue import drop_broken_indexes, presence_of
from wedsync.migrations.run.failure import LOCK_CONFLICTS, connection_lost, failed, first_error, sqlstate_of
from wedsync.migrations.run.progress import reporting
from wedsync.migrations.run.retry import Applying, Blocked, until_not_blocked
from wedsync.migrations.run.session import Session
from wedsync.migrations.run.steps import (
    Decision,
    Direction,
    Presence,
    Step,
    StepKind,
    StepRecord,
    StepState,
    changed_since,
    decide,
    steps_of,
)
from wedsync.sql import statements

_CLEAN_UP = timedelta(seconds=1)


async def apply_stepwise(
    session: Session, file: MigrationFile, how: Applying, *, undone_by: MigrationFile | None = None
) -> LedgerRow:
    """Run a file's steps, those that did not run yet; then its row of the ledger.

    With `undone_by`, the file's rollback as a text to run, those of the rollback.
    """
    text = undone_by or file
    how.on_file(text)
    started = monotonic()
    await _run_steps(session, file, Direction.UP if undone_by is None else Direction.DOWN, how)
    entry = Entry(
        kind=how.kind,
        name=file.name,
        number=file.number,
        checksum=text.checksum,
        raw_checksum=text.raw_checksum,
        text=text.text,
        took_ms=round((monotonic() - started) * 1000),
        detail=how.detail,
    )
    async with session.transaction():
        row = await session.append(entry)
        await _forget_steps(session, file)
    return row


async def _run_steps(session: Session, file: MigrationFile, direction: Direction, how: Applying) -> None:
    """Run the steps of a file or of its rollback, going on where an earlier run was interrupted.

    Afterwards each is recorded as done, until the ledger has its row. Raises `StepUndecided` where only a person
    can tell whether a step ran, `MigrationsRefused` where the text of such a step was edited since.
    """
    steps = steps_of(file.statements if direction is Direction.UP else file.rollback_statements)
    records = await read_steps(session, file, direction)
    name = file.file_name if direction is Direction.UP else file.rollback_file_name
    problem = changed_since(name, steps, records)
    if problem is not None:
        raise MigrationsRefused(problem.message, hint=problem.hint)
    runner = _Runner(session, file, direction, how, len(steps))
    try:
        for step in steps:
            await runner.take(step, records.get(step.number))
    except psycopg.OperationalError as error:
        if not session.connection.broken:
            raise
        raise connection_lost(file, error, kept="steps that ran are recorded, and not run twice") from error
    finally:
        if not session.connection.closed and not session.connection.broken:
            await session.send(session.end_of_file)


async def read_steps(session: Session, file: MigrationFile, direction: Direction) -> dict[int, StepRecord]:
    """What is recorded of a file's steps."""
    async with session.connection.cursor(row_factory=class_row(StepRecord)) as cursor:
        await cursor.execute(_sql("read_steps"), {"id": file.number, "direction": direction.value})
        found = await cursor.fetchall()
    return {
        record.step: replace(record, state=StepState(record.state), before=Presence(record.before))
        for record in found
    }


async def _forget_steps(session: Session, file: MigrationFile) -> None:
    """The file is done, in either direction: the ledger says so from now on."""
    await session.connection.execute(_sql("forget_steps"), {"id": file.number})


class _Runner:
    """Takes the steps of one file in their order."""

    def __init__(
        self, session: Session, file: MigrationFile, direction: Direction, how: Applying, total: int
    ) -> None:
        self._session = session
        self._file = file
        self._direction = direction
        self._how = how
        self._total = total
        self._own_lock_timeout = False

    async def take(self, step: Step, record: StepRecord | None) -> None:
        """Do what is to be done with one step."""
        presence = await presence_of(self._session, step)
        match decide(step, record, presence):
            case Decision.SKIP:
                self._say(step, "done by an earlier run")
            case Decision.MARK_DONE:
                self._say(step, "had ended when an earlier run was interrupted")
                await self._end(step, StepState.DONE)
            case Decision.ASK:
                raise self._undecided(step)
            case Decision.RUN:
                await self._run(step, presence, again=record is not None)

    async def _run(self, step: Step, presence: Presence, *, again: bool) -> None:
        if not self._own_lock_timeout:
            waits = self._how.patience.concurrent_wait if step.is_concurrent else None
            await self._session.send(self._session.settings(lock_timeout=waits))
        match step.kind:
            case StepKind.SETTING:
                self._own_lock_timeout |= getattr(step.statement.node, "name", "") == "lock_timeout"
                await self._checked(step, step.statement.text)
            case StepKind.ORDINARY:
                await until_not_blocked(self._session, self._how, lambda: self._ordinary(step, presence))
            case StepKind.OPAQUE | StepKind.REPEATABLE | StepKind.CREATE_DATABASE | StepKind.DROP_DATABASE:
                await self._recorded(step, presence)
            case StepKind.CREATE_INDEX | StepKind.DROP_INDEX | StepKind.REINDEX | StepKind.DETACH:
                await self._concurrent(step, presence, again=again)

    async def _ordinary(self, step: Step, presence: Presence) -> None:
        """The statement and its record in one transaction."""
        started = self._session.bound("start_step", **self._values(step, presence))
        ended = self._session.bound("end_step", **self._ending(step, StepState.DONE, None))
        results = await self._session.send(f"begin;\n{step.statement.text};\n{started}\n{ended}\ncommit;")
        failure = first_error(results)
        if failure is not None:
            await self._session.send("rollback")
            error, _ = failure
            said = self._failure(step, error)
            if error.sqlstate in LOCK_CONFLICTS:
                raise Blocked(self._file, error, said)
            raise said from error

    async def _concurrent(self, step: Step, presence: Presence, *, again: bool) -> None:
        """A statement that leaves a broken index behind where it does not end well."""
        if presence is Presence.INVALID or again:
            for name in await drop_broken_indexes(self._session, step):
                self._say(step, f"{name} was left broken: dropped, to be built anew")
        async with reporting(self._session, lambda words: self._say(step, words)) as watch:
            try:
                await self._recorded(step, presence)
            except MigrationFailed as error:
                await self._clean_up(step)
                if sqlstate_of(error) not in LOCK_CONFLICTS:
                    raise
                waited = self._how.patience.concurrent_wait.total_seconds()
                raise MigrationBlocked(
                    f"{error.message}; waited {waited:g} s",
                    detail=watch.in_words(),
                    hint="run it again when that transaction has ended: the steps before this one are done",
                ) from error

    async def _clean_up(self, step: Step) -> None:
        """Leave no broken index behind; one that old transactions still see goes with the next run."""
        await self._session.send(self._session.settings(lock_timeout=_CLEAN_UP))
        try:
            for name in await drop_broken_indexes(self._session, step):
                self._say(step, f"{name} was left broken: dropped")
        except psycopg.errors.LockNotAvailable:
            self._say(step, f"{step.name} is left broken while old transactions last: the next run drops it")

    async def _recorded(self, step: Step, presence: Presence) -> None:
        """Begin is written down before, the end after: in between, the outcome is unknown."""
        await self._session.connection.execute(_sql("start_step"), self._values(step, presence))
        self._say(step, step.statement.first_line)
        text = step.statement.text
        if step.kind is StepKind.DETACH and presence is Presence.INVALID:
            text = f"alter table {step.table} detach partition {step.name} finalize"
        try:
            await self._checked(step, text)
        except MigrationFailed as error:
            await self._end(step, StepState.FAILED, error.message)
            raise
        await self._end(step, StepState.DONE)

    async def _checked(self, step: Step, text: str) -> None:
        failure = first_error(await self._session.send(text))
        if failure is not None:
            if self._session.connection.broken:
                raise psycopg.OperationalError(str(failure[0])) from failure[0]
            raise self._failure(step, failure[0]) from failure[0]

    async def _end(self, step: Step, state: StepState, error: str | None = None) -> None:
        await self._session.connection.execute(_sql("end_step"), self._ending(step, state, error))

    def _values(self, step: Step, presence: Presence) -> dict[str, object]:
        return {
            "id": self._file.number,
            "direction": self._direction.value,
            "step": step.number,
            "checksum": step.checksum,
            "statement": step.statement.text,
            "before": presence.value,
            "by": self._session.by,
        }

    def _ending(self, step: Step, state: StepState, error: str | None) -> dict[str, object]:
        key = {"id": self._file.number, "direction": self._direction.value, "step": step.number}
        return {**key, "state": state.value, "error": error}

    def _say(self, step: Step, words: str) -> None:
        self._how.say(f"step {step.number} of {self._total}: {words}")

    def _failure(self, step: Step, error: psycopg.Error) -> MigrationFailed:
        return failed(
            self._file,
            error,
            statement=step.statement,
            line=step.statement.line,
            kept=f"steps before {step.number} are done; mend it and run it again: they are not run twice",
        )

    def _undecided(self, step: Step) -> StepUndecided:
        return StepUndecided(
            f"{self._file.file_name}: step {step.number} was begun by a run that was interrupted, "
            "and only a person can tell whether it ran",
            detail=step.statement.first_line,
            hint=f"look, then say it: wedsync migrate repair {self._file.id} --step {step.number} --ran "
            "(or --did-not-run) --reason TEXT",
        )


def _sql(name: str) -> bytes:
    return statements("migrations")[name]
