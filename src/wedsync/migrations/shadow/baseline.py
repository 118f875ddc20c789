"""Adopt a database that was there before the ledger: what the files would make is compared with what is there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wedsync.database import ConnectionTarget
from wedsync.errors import BaselineRefused, MigrationsRefused, UsageProblem
from wedsync.migrations.files.directory import SHIPPED, read_files
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.ledger.history import Entry, EventKind, applied_now
from wedsync.migrations.run.restore_point import RestorePointRule
from wedsync.migrations.run.runner import Conditions, Mode, cannot_run, migrating, refuse, up
from wedsync.migrations.run.session import Ledger, read_ledger
from wedsync.migrations.shadow.database import ShadowMaker, shadow_of
from wedsync.migrations.shadow.dry_run import LEDGER
from wedsync.migrations.shadow.fingerprint import (
    Difference,
    Fingerprint,
    differences,
    fact_words,
    read_fingerprint,
)

_OF_THE_LEDGER = frozenset({*LEDGER, "ops"})
"""What making the ledger may add to a database: its tables, and their schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinePlan:
    """Which files would be taken as applied, and where the database is not what they make."""

    files: tuple[MigrationFile, ...]
    differences: tuple[Difference, ...]
    """From what the files make to what is there."""
    built: Fingerprint
    live: Fingerprint

    def sentences(self) -> list[str]:
        """Every difference in a line."""
        return [_sentence(it) for it in self.differences]

    def to_json(self) -> dict[str, object]:
        return {
            "would_record": [file.id for file in self.files],
            "same": not self.differences,
            "differences": [
                {"object": it.subject, "files": it.before, "database": it.after} for it in self.differences
            ],
            "fingerprint_of_files": self.built.digest,
            "fingerprint_of_database": self.live.digest,
        }


async def plan_baseline(
    target: ConnectionTarget, maker: ShadowMaker, *, directory: Path = SHIPPED, key: bytes | None = None
) -> BaselinePlan:
    """Run all files in an empty shadow and compare its catalogue with the database's; changes nothing.

    Raises `MigrationsRefused` where the ledger already tells of migrations, or a file cannot run.
    """
    from wedsync.migrations.shadow.beyond import refuse_what_reaches_beyond  # noqa: PLC0415 - needs the parser

    found = read_files(directory)
    refuse(found.problems)
    refuse(cannot_run(found.files, Mode.EACH))
    for file in found.files:
        refuse_what_reaches_beyond(file)
    async with await target.connect() as connection:
        ledger = await read_ledger(connection)
    refuse(ledger.tampering(key))
    _refuse_second(ledger)
    live = (await read_fingerprint(target)).without(LEDGER)
    async with shadow_of(target, maker, empty=True) as shadow:
        await up(shadow, directory=directory, conditions=Conditions(restore_point=RestorePointRule.NONE))
        built = (await read_fingerprint(shadow)).without(LEDGER)
    return BaselinePlan(files=found.files, differences=differences(built, live), built=built, live=live)


async def baseline(
    target: ConnectionTarget,
    plan: BaselinePlan,
    *,
    accept_differences: bool = False,
    reason: str | None = None,
    conditions: Conditions,
) -> tuple[str, ...]:
    """Record the files of a plan as applied, all in one transaction; gives their ids.

    Raises `BaselineRefused` where the database differs and that was not accepted with a reason, and
    `MigrationsRefused` where it changed since the plan was made.
    """
    refuse_differences(plan, accepted=accept_differences, reason=reason)
    async with migrating(target, conditions) as (session, ledger):
        refuse(ledger.tampering(conditions.key))
        _refuse_second(ledger)
        now = (await read_fingerprint(target)).without(_OF_THE_LEDGER)
        if now.digest != plan.live.without(_OF_THE_LEDGER).digest:
            raise MigrationsRefused(
                "the database changed since it was compared; nothing was recorded",
                hint="run wedsync migrate baseline again: it compares once more",
            )
        detail: Mapping[str, object] = {
            "differences": plan.sentences(),
            "fingerprint": plan.live.digest,
        }
        async with session.transaction():
            rows = [
                await session.append(
                    Entry(
                        kind=EventKind.BASELINE,
                        name=file.name,
                        number=file.number,
                        checksum=file.checksum,
                        raw_checksum=file.raw_checksum,
                        text=file.text,
                        reason=reason.strip() if reason else None,
                        detail=detail if file is plan.files[0] else {},
                    )
                )
                for file in plan.files
            ]
    return tuple(row.id for row in rows)


def refuse_differences(plan: BaselinePlan, *, accepted: bool, reason: str | None) -> None:
    """Raise `BaselineRefused` where there are differences that nobody accepted, with a reason."""
    if not plan.differences:
        return
    if not accepted:
        raise BaselineRefused(
            f"the database is not what the files make: {len(plan.differences)} differences; nothing was recorded",
            detail="\n        ".join(plan.sentences()),
            hint="write the differences as a migration, or mend the database; or take it as it is: "
            '--accept-differences --reason "why"',
        )
    if reason is None or not reason.strip():
        raise UsageProblem("differences are accepted with a reason", hint='--accept-differences --reason "why"')


def _refuse_second(ledger: Ledger) -> None:
    applied = applied_now(ledger.rows)
    if applied:
        raise MigrationsRefused(
            f"this database has a ledger already: {len(applied)} migrations are applied",
            detail=f"the newest is {applied[-1].id}, by {applied[-1].by}, {applied[-1].applied_at.isoformat()}",
            hint="wedsync migrate status says what is pending; baseline is for a database without a ledger",
        )


def _sentence(it: Difference) -> str:
    if it.before is None:
        return f"{it.subject}: only in the database"
    if it.after is None:
        return f"{it.subject}: only in the files"
    parts = (
        f"{fact} is {fact_words(it.after.get(fact))}, the files say {fact_words(it.before.get(fact))}"
        for fact in sorted(it.before.keys() | it.after.keys())
    )
    return f"{it.subject}: {'; '.join(parts)}"
