"""`/api/database/migrate`: apply what is pending, try it in a shadow, accept a file that was edited."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec

from wedsync.api.operations.operation import Answer, AnyOperation, Call, Nowhere, Operation, Problem
from wedsync.clock import Clock


class MigrateOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with pending migrations."""

    dry_run: bool
    override: str | None = None
    """Why it goes ahead on a day on which the schema does not change."""


class RepairOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which migration's file is accepted as it is now, and why."""

    id: str
    reason: str


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    success: bool
    dry_run: bool
    applied_migrations: Sequence[str]
    """Applied; in a dry run: those that would be; in a repair: the one that was repaired."""
    errors: Sequence[Problem]
    timestamp: datetime
    restore_point: Any = msgspec.UNSET
    """The restore point before the run: name, position in the WAL, moment."""
    report: Any = msgspec.UNSET
    """Of a dry run: what each statement did in the shadow."""
    checksum: Any = msgspec.UNSET
    """Of a repair: the file's checksum now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What came of a call."""

    migrations: tuple[str, ...]
    """Applied; in a dry run: those that would be; in a repair: the one that was repaired."""
    more: Mapping[str, object] = field(default_factory=dict[str, object])


class SchemaChanges(Protocol):
    """What the endpoint asks of the platform."""

    async def try_in_shadow(self) -> Changed: ...

    async def apply(self, *, by: str, override: str | None) -> Changed: ...

    async def accept(self, identity: str, *, by: str, reason: str) -> Changed: ...


def migrate_operations(changes: SchemaChanges, *, clock: Clock) -> Sequence[AnyOperation]:
    """POST applies or tries; PUT repairs."""

    def answer(done: Changed, *, dry_run: bool) -> Answer:
        return Answer(
            content=Migrated(
                success=True,
                dry_run=dry_run,
                applied_migrations=done.migrations,
                errors=(),
                timestamp=clock.now(),
                **done.more,
            )
        )

    async def migrate(call: Call[Nowhere, MigrateOrder]) -> Answer:
        order = call.body
        if order.dry_run:
            return answer(await changes.try_in_shadow(), dry_run=True)
        return answer(await changes.apply(by=call.who, override=order.override), dry_run=False)

    async def repair(call: Call[Nowhere, RepairOrder]) -> Answer:
        done = await changes.accept(call.body.id, by=call.who, reason=call.body.reason)
        return answer(done, dry_run=False)

    def failed(order: MigrateOrder | RepairOrder | None, errors: Sequence[Problem], at: datetime) -> Migrated:
        dry_run = isinstance(order, MigrateOrder) and order.dry_run
        return Migrated(success=False, dry_run=dry_run, applied_migrations=(), errors=errors, timestamp=at)

    every = {200: Migrated, **dict.fromkeys((400, 401, 403, 409, 413, 423, 429, 500, 503), Migrated)}
    return (
        Operation(
            method="POST",
            path="/database/migrate",
            name="migrate",
            action="migrate",
            summary="Apply what is pending, or try it in a shadow database.",
            place=Nowhere,
            body=MigrateOrder,
            answers=every | {422: Migrated},
            refusals=_REFUSALS,
            carry_out=migrate,
            failed=failed,
            sensitive=True,
        ),
        Operation(
            method="PUT",
            path="/database/migrate",
            name="repair_migration",
            action="migrate repair",
            summary="Accept the file of an applied migration as it is now.",
            place=Nowhere,
            body=RepairOrder,
            answers=every,
            refusals=_REFUSALS,
            carry_out=repair,
            failed=failed,
            sensitive=True,
        ),
    )


_REFUSALS = {
    409: "Another runner is at work, or sessions hold a table.",
    423: "The schema does not change today; `override` says why it does.",
}
