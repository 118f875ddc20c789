"""Undo migrations: newest first, what would be lost shown before, a way back made before."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TypeAlias

from wedsync.database import ConnectionTarget
from wedsync.errors import DataLossRefused, MigrationsRefused, UsageProblem
from wedsync.events import Event, observe
from wedsync.migrations.files.directory import SHIPPED, content_problems, read_files
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.files.problems import ProblemKind
from wedsync.migrations.ledger.history import EventKind, LedgerRow
from wedsync.migrations.run.freeze import respect
from wedsync.migrations.run.restore_point import RestorePoint, mark
from wedsync.migrations.run.retry import Applying
from wedsync.migrations.run.runner import Conditions, judge, migrating, refuse
from wedsync.migrations.run.session import Ledger, Session, read_ledger
from wedsync.migrations.run.stepwise import apply_stepwise
from wedsync.migrations.run.transaction import apply_in_one_transaction
from wedsync.migrations.shadow.database import ShadowMaker
from wedsync.migrations.undo.losses import Loss, Threat, lost_rows
from wedsync.migrations.undo.rehearsal import count, rehearse

OnFile: TypeAlias = Callable[[MigrationFile], None]


@dataclass(frozen=True, kw_only=True)
class Undoing(MigrationFile):
    """The rollback of a migration, as a text to run."""

    @property
    def file_name(self) -> str:
        return self.rollback_file_name


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationUndone(Event):
    """A migration was undone and committed."""

    migration: str
    took_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DownPlan:
    """What would be undone, and lost."""

    files: tuple[MigrationFile, ...]
    """Newest first, as they were applied."""
    threats: tuple[Threat, ...]
    losses: tuple[Loss, ...]
    applied: tuple[int, ...]
    """Numbers of what was applied when this was planned, in that order."""

    def to_json(self) -> dict[str, object]:
        return {
            "would_undo": [file.id for file in self.files],
            "losses": [loss.to_json() for loss in self.losses],
            "rows_lost": lost_rows(self.losses),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DownRun:
    """What was undone."""

    undone: tuple[str, ...]
    losses: tuple[Loss, ...]
    restore_point: RestorePoint | None
    overridden: tuple[str, ...]
    took_s: float

    def to_json(self) -> dict[str, object]:
        return {
            "undone": list(self.undone),
            "losses": [loss.to_json() for loss in self.losses],
            "rows_lost": lost_rows(self.losses),
            "restore_point": self.restore_point.to_json() if self.restore_point else None,
            "overridden": list(self.overridden),
            "took_s": round(self.took_s, 3),
        }


async def plan_down(
    target: ConnectionTarget,
    maker: ShadowMaker,
    *,
    directory: Path = SHIPPED,
    steps: int = 1,
    to: str | None = None,
    key: bytes | None = None,
) -> DownPlan:
    """Which migrations would be undone, and which rows lost; changes nothing.

    The last `steps` that were applied, or all that were applied after `to`. The rollbacks are run in a
    shadow first: one that does not work raises `MigrationFailed` here.
    """
    async with await target.connect() as connection:
        ledger = await read_ledger(connection)
    files = _chosen(ledger, directory, steps=steps, to=to, key=key)
    threats = tuple(await rehearse(target, maker, [undoing(file) for file in files])) if files else ()
    return DownPlan(
        files=files,
        threats=threats,
        losses=await count(target, threats) if threats else (),
        applied=_applied_order(ledger.rows),
    )


async def down(
    target: ConnectionTarget,
    plan: DownPlan,
    *,
    accept_data_loss: bool = False,
    conditions: Conditions,
    on_file: OnFile = lambda _: None,
) -> DownRun:
    """Carry a plan out: each rollback in a transaction of its own with its row of the ledger.

    Raises `DataLossRefused` if any row would be lost and that was not accepted (they are counted once more,
    under the lock), `MigrationsRefused` if the ledger went on since the plan was made, and what `up` raises.
    """
    started = monotonic()
    refuse_loss(plan.losses, accepted=accept_data_loss)
    undone: list[LedgerRow] = []
    async with migrating(target, conditions) as (session, ledger):
        refuse(ledger.tampering(conditions.key))
        now = _applied_order(ledger.rows)
        if now != plan.applied:
            raise MigrationsRefused(
                "others migrated since this was planned; nothing was undone",
                detail=f"applied then: {_numbers(plan.applied)}; applied now: {_numbers(now)}",
                hint="run wedsync migrate down again: it shows what would be undone now",
            )
        losses = await count(target, plan.threats) if plan.threats else ()
        refuse_loss(losses, accepted=accept_data_loss)
        overridden = await respect(session, conditions.freeze, conditions.override)
        await conditions.record()
        point = await mark(session, conditions.restore_point, before=plan.files[0].id)
        if isinstance(point, str):
            conditions.say(point)
        made = point if isinstance(point, RestorePoint) else None
        how = Applying(
            patience=conditions.patience,
            kind=EventKind.UNDONE,
            detail=made.to_json() if made is not None else {},
            say=conditions.say,
            on_file=on_file,
        )
        for file in plan.files:
            row = await _undo(session, file, how)
            observe(MigrationUndone(migration=row.id, took_ms=row.took_ms))
            undone.append(row)
        await conditions.record()
    return DownRun(
        undone=tuple(row.id for row in undone),
        losses=losses,
        restore_point=made,
        overridden=overridden,
        took_s=monotonic() - started,
    )


def undoing(file: MigrationFile) -> Undoing:
    """A migration's rollback as a file to run; `MigrationsRefused` where there is none."""
    if file.rollback is None:
        raise MigrationsRefused(
            f"{file.file_name} has no {file.rollback_file_name}", hint="write how it is undone, and try again"
        )
    return Undoing(
        number=file.number,
        name=file.name,
        text=file.rollback,
        raw_checksum=hashlib.sha256(file.rollback.encode()).hexdigest(),
        options=file.rollback_options,
    )


def refuse_loss(losses: Sequence[Loss], *, accepted: bool) -> None:
    """Raise `DataLossRefused` if there is any loss that nobody accepted."""
    if losses and not accepted:
        raise DataLossRefused(
            f"undoing this would lose {lost_rows(losses):,} rows or values; nothing was undone",
            detail="\n        ".join(loss.sentence() for loss in losses),
            hint="if that is meant: --accept-data-loss; a restore point is made before it, to go back to",
        )


async def _undo(session: Session, file: MigrationFile, how: Applying) -> LedgerRow:
    text = undoing(file)
    if file.rollback_options.transaction:
        (row,) = await apply_in_one_transaction(session, [text], how)
        return row
    return await apply_stepwise(session, file, how, undone_by=text)


def _chosen(
    ledger: Ledger, directory: Path, *, steps: int, to: str | None, key: bytes | None
) -> tuple[MigrationFile, ...]:
    found = read_files(directory)
    refuse(found.problems)
    compared = judge(found, ledger, key)
    refuse([problem for problem in compared.problems if problem.kind is not ProblemKind.LATE])
    order = _applied_order(ledger.rows)
    if to is None:
        if steps < 1:
            raise UsageProblem("--steps is a number from 1", hint="wedsync migrate down --steps 2")
        chosen = order[-steps:]
    else:
        by_number = {file.id: file.number for file in found.files}
        if by_number.get(to) not in order:
            raise UsageProblem(
                f"{to!r} is not applied",
                hint="--to names the migration that stays the newest: wedsync migrate status",
            )
        chosen = order[order.index(by_number[to]) + 1 :]
    files = {file.number: file for file in found.files}
    picked = tuple(files[number] for number in reversed(chosen))
    refuse([problem for file in picked for problem in content_problems(file)])
    return picked


def _numbers(order: Sequence[int]) -> str:
    return ", ".join(f"{number:04d}" for number in order[-10:]) or "nothing"


def _applied_order(rows: Sequence[LedgerRow]) -> tuple[int, ...]:
    """Numbers of what is applied now, in the order in which it was."""
    order: list[int] = []
    for row in rows:
        if row.number is None:
            continue
        if row.kind in {EventKind.APPLIED, EventKind.BASELINE}:
            order = [*(number for number in order if number != row.number), row.number]
        elif row.kind == EventKind.UNDONE:
            order = [number for number in order if number != row.number]
    return tuple(order)
