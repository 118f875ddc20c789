"""Apply migrations: one runner at a time, stop at the first error, never on a day that must be quiet."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import TypeAlias

from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationsRefused
from wedsync.events import Event, observe
from wedsync.migrations.files.directory import SHIPPED, content_problems, read_files
from wedsync.migrations.files.migration import MigrationFile, MigrationFiles
from wedsync.migrations.files.problems import Problem, ProblemKind
from wedsync.migrations.ledger.history import LedgerRow, applied_now
from wedsync.migrations.ledger.status import Applied, Status, compare
from wedsync.migrations.run.blockers import Patience
from wedsync.migrations.run.freeze import Freeze, respect
from wedsync.migrations.run.lock import only_runner
from wedsync.migrations.run.restore_point import RestorePoint, RestorePointRule, mark
from wedsync.migrations.run.retry import Applying
from wedsync.migrations.run.session import Ledger, Session, prepare_ledger, read_ledger
from wedsync.migrations.run.steps import step_problems
from wedsync.migrations.run.stepwise import apply_stepwise
from wedsync.migrations.run.transaction import apply_in_one_transaction
from wedsync.sql import statements

Say: TypeAlias = Callable[[str], None]
OnFile: TypeAlias = Callable[[MigrationFile], None]


class Mode(StrEnum):
    """How many transactions a run has."""

    EACH = "each"
    """One a file: what ran before an error stays."""
    ALL = "all"
    """One for all that is pending: all of it or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationApplied(Event):
    """A migration was applied and committed."""

    migration: str
    took_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under which conditions a run changes a database."""

    by: str | None = None
    """The person or service, for the ledger, beside the database role."""
    key: bytes | None = field(default=None, repr=False)
    """Of the ledger's chain; `None`: it is neither made nor checked."""
    freeze: Freeze | None = None
    override: str | None = None
    """Why the run goes ahead on a day on which changes are frozen."""
    restore_point: RestorePointRule = RestorePointRule.IF_ALLOWED
    patience: Patience = field(default_factory=Patience)
    wait: timedelta = timedelta(minutes=5)
    """For another runner."""
    say: Say = lambda _: None
    """Told how it goes, a line at a time."""
    witness: Callable[[], Awaitable[None]] | None = None
    """Writes down what the database holds: right before the first change, and right behind the last one."""

    async def record(self) -> None:
        """Let it be written down, where somebody does."""
        if self.witness is not None:
            await self.witness()


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRun:
    """What `up` did, or would do."""

    dry_run: bool
    applied: tuple[Applied, ...]
    would_apply: tuple[MigrationFile, ...]
    took_s: float
    restore_point: RestorePoint | None = None
    overridden: tuple[str, ...] = ()
    """Why the day was frozen, if the run went ahead all the same."""

    def to_json(self) -> dict[str, object]:
        return {
            "dry_run": self.dry_run,
            "applied": [row.to_json() for row in self.applied],
            "would_apply": [file.id for file in self.would_apply],
            "took_s": round(self.took_s, 3),
            "restore_point": self.restore_point.to_json() if self.restore_point else None,
            "overridden": list(self.overridden),
        }


async def status(target: ConnectionTarget, *, directory: Path = SHIPPED, key: bytes | None = None) -> Status:
    """Compare the files with the ledger, and with `key` the ledger with its chain; changes nothing."""
    found = read_files(directory)
    async with await target.connect() as connection:
        ledger = await read_ledger(connection)
    return judge(found, ledger, key)


def judge(found: MigrationFiles, ledger: Ledger, key: bytes | None, *, allow_out_of_order: bool = False) -> Status:
    """Files and ledger compared, and the ledger with its chain; what was changed by hand comes first."""
    compared = compare(found, applied_now(ledger.rows), allow_out_of_order=allow_out_of_order)
    return replace(compared, problems=(*ledger.tampering(key), *compared.problems))


async def up(
    target: ConnectionTarget,
    *,
    directory: Path = SHIPPED,
    mode: Mode = Mode.EACH,
    allow_out_of_order: bool = False,
    dry_run: bool = False,
    conditions: Conditions = Conditions(),
    on_file: OnFile = lambda _: None,
) -> MigrationRun:
    """Apply what is pending, in order.

    `on_file` is told of each file before it runs. Raises `MigrationsRefused` before any SQL of a file if
    anything is wrong with the files or the ledger (and before connecting, if the files alone show it),
    `MigrationsFrozen` on a day on which the schema does not change, `MigrationFailed` at the first error,
    `MigrationsBusy` if another runner is still at work after `conditions.wait`.
    """
    started = monotonic()
    found = read_files(directory)
    refuse(found.problems)
    if dry_run:
        async with await target.connect() as connection:
            ledger = await read_ledger(connection)
        compared = judge(found, ledger, conditions.key, allow_out_of_order=allow_out_of_order)
        refuse(compared.problems)
        refuse(cannot_run(compared.pending, mode))
        return MigrationRun(dry_run=True, applied=(), would_apply=compared.pending, took_s=monotonic() - started)
    async with migrating(target, conditions) as (session, ledger):
        compared = judge(found, ledger, conditions.key, allow_out_of_order=allow_out_of_order)
        refuse(compared.problems)
        refuse(cannot_run(compared.pending, mode))
        if not compared.pending:
            return MigrationRun(dry_run=False, applied=(), would_apply=(), took_s=monotonic() - started)
        overridden = await respect(session, conditions.freeze, conditions.override)
        await conditions.record()
        point = await mark(session, conditions.restore_point, before=compared.pending[0].id)
        if isinstance(point, str):
            conditions.say(point)
        how = Applying(
            patience=conditions.patience,
            detail=point.to_json() if isinstance(point, RestorePoint) else {},
            say=conditions.say,
            on_file=on_file,
        )
        applied = await _apply(session, compared.pending, mode, how)
        await conditions.record()
    return MigrationRun(
        dry_run=False,
        applied=tuple(applied),
        would_apply=(),
        took_s=monotonic() - started,
        restore_point=point if isinstance(point, RestorePoint) else None,
        overridden=overridden,
    )


@asynccontextmanager
async def migrating(target: ConnectionTarget, conditions: Conditions) -> AsyncGenerator[tuple[Session, Ledger]]:
    """A session that is the only one to migrate this database, and the ledger, made or upgraded if need be."""
    async with await target.connect() as connection:
        session = await Session.begin(
            connection,
            target=target,
            by=conditions.by,
            key=conditions.key,
            lock_timeout=conditions.patience.lock_timeout,
        )
        async with only_runner(connection, wait=conditions.wait, say=conditions.say):
            yield session, await prepare_ledger(session)


def cannot_run(pending: Sequence[MigrationFile], mode: Mode) -> list[Problem]:
    """What keeps pending files from running, beside what files and ledger show."""
    problems = [problem for file in pending for problem in content_problems(file)]
    if not problems:
        problems = [problem for file in pending for problem in step_problems(file)]
    stepwise = [file for file in pending if not file.options.transaction]
    if mode is Mode.ALL and stepwise:
        problems.append(
            Problem(
                kind=ProblemKind.CANNOT_RUN,
                id=stepwise[0].id,
                message=f"{stepwise[0].file_name} runs outside a transaction: all or nothing is not possible",
                hint="wedsync migrate up --mode each",
            )
        )
    return problems


async def _apply(session: Session, pending: Sequence[MigrationFile], mode: Mode, how: Applying) -> list[Applied]:
    match mode:
        case Mode.ALL:
            groups = [pending]
        case Mode.EACH:
            groups = [[file] for file in pending]
    rows: list[LedgerRow] = []
    try:
        for group in groups:
            if all(file.options.transaction for file in group):
                done = await apply_in_one_transaction(session, group, how, flush=group is groups[-1])
            else:
                done = [await apply_stepwise(session, file, how) for file in group]
            rows += done
            for row in done:
                observe(MigrationApplied(migration=row.id, took_ms=row.took_ms))
    except BaseException:
        await _flush(session, any_done=bool(rows))
        raise
    return applied_now(rows)


async def _flush(session: Session, *, any_done: bool) -> None:
    """Files before the one that failed stay: also if the machine is gone in a moment."""
    if any_done and not session.connection.closed and not session.connection.broken:
        await session.connection.execute(statements("migrations")["flush"])


def refuse(problems: Sequence[Problem]) -> None:
    """Raise `MigrationsRefused` if there is any problem."""
    if problems:
        first = problems[0]
        raise MigrationsRefused(
            first.message if len(problems) == 1 else f"{len(problems)} problems; nothing was run",
            detail="\n        ".join(problem.message for problem in problems) if len(problems) > 1 else None,
            hint=first.hint,
        )
