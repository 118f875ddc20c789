"""One text that is no file: it takes the same way, and its own kind of row in the ledger."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationsRefused, UsageProblem
from wedsync.migrations.files.directory import content_problems
from wedsync.migrations.files.header import read_header
from wedsync.migrations.files.migration import MigrationFile, normalise
from wedsync.migrations.ledger.history import EventKind, LedgerRow
from wedsync.migrations.run.freeze import respect
from wedsync.migrations.run.restore_point import RestorePoint, mark
from wedsync.migrations.run.retry import Applying
from wedsync.migrations.run.runner import Conditions, migrating, refuse
from wedsync.migrations.run.transaction import apply_in_one_transaction

_LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class AdHocText(MigrationFile):
    """A text to run once, under a name of its own."""

    number: int = 0

    @property
    def id(self) -> str:
        return self.name

    @property
    def file_name(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRun:
    """How a text ran."""

    name: str
    checksum: str
    applied_at: datetime
    took_ms: int
    by: str
    already: bool
    """The same text ran under this name before, and did not run again."""
    restore_point: RestorePoint | None = field(default=None)

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "checksum": self.checksum,
            "applied_at": self.applied_at.isoformat(),
            "took_ms": self.took_ms,
            "by": self.by,
            "already": self.already,
            "restore_point": self.restore_point.to_json() if self.restore_point else None,
        }


async def run_text(
    target: ConnectionTarget,
    *,
    name: str,
    text: str,
    conditions: Conditions,
    detail: Mapping[str, object] | None = None,
) -> TextRun:
    """Run a text in one transaction, once: a second call with the same name and text does nothing.

    It goes the way of a migration: the runners' lock, freeze, restore point, a short lock timeout with
    another try, the ledger (kind `adhoc`, with `detail`). Raises `UsageProblem` for a name that says nothing,
    `MigrationsRefused` for a text that cannot run or a name that was given to another one, and what `up` raises.
    """
    made = _read(name, text)
    refuse(content_problems(made))
    async with migrating(target, conditions) as (session, ledger):
        refuse(ledger.tampering(conditions.key))
        before = _ran_before(ledger.rows, made)
        if before is not None:
            return _told(before, already=True)
        await respect(session, conditions.freeze, conditions.override)
        point = await mark(session, conditions.restore_point, before=made.name)
        if isinstance(point, str):
            conditions.say(point)
        point = point if isinstance(point, RestorePoint) else None
        how = Applying(
            patience=conditions.patience,
            kind=EventKind.ADHOC,
            detail={**(detail or {}), **(point.to_json() if point else {})},
            say=conditions.say,
        )
        (row,) = await apply_in_one_transaction(session, [made], how)
    return _told(row, already=False, point=point)


def _read(name: str, text: str) -> AdHocText:
    chosen = name.strip()
    if not 0 < len(chosen) <= _LONGEST_NAME or not chosen.isprintable():
        raise UsageProblem(
            "a change of the schema needs a name",
            detail=f"{name[:80]!r}",
            hint=f"a line of at most {_LONGEST_NAME} characters that says what it changes",
        )
    normalised = normalise(text.encode())
    header = read_header(normalised)
    options = header.options
    if header.end >= len(normalised):
        raise MigrationsRefused(f"{chosen} holds no statement", hint="give its SQL")
    if not options.transaction or options.depends:
        raise UsageProblem(
            f"{chosen}: only a file may have options",
            detail="its head says depends or transaction",
            hint="write it as a migration: wedsync migrate new NAME",
        )
    return AdHocText(name=chosen, text=normalised, raw_checksum=hashlib.sha256(text.encode()).hexdigest())


def _ran_before(rows: Sequence[LedgerRow], made: AdHocText) -> LedgerRow | None:
    for row in rows:
        if row.kind == EventKind.ADHOC and row.name == made.name:
            if row.checksum == made.checksum:
                return row
            raise MigrationsRefused(
                f"another text ran as {made.name!r} before",
                detail=f"by {row.by}, {row.applied_at.isoformat()}: {row.checksum}; this one: {made.checksum}",
                hint="give this one a name of its own",
            )
    return None


def _told(row: LedgerRow, *, already: bool, point: RestorePoint | None = None) -> TextRun:
    return TextRun(
        name=row.name,
        checksum=row.checksum,
        applied_at=row.applied_at,
        took_ms=row.took_ms,
        by=row.by,
        already=already,
        restore_point=point,
    )
