"""A named place in the WAL just before a run, to go back to."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import psycopg
from psycopg.rows import class_row

from wedsync.errors import RestorePointRefused
from wedsync.migrations.run.session import Session
from wedsync.sql import statements


class RestorePointRule(StrEnum):
    """Whether a run needs a restore point."""

    REQUIRED = "required"
    """Without one nothing runs: what a home that takes backups wants."""
    IF_ALLOWED = "if_allowed"
    """Where the role may not make one, the run says so and goes on."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePoint:
    """A place in the WAL with a name."""

    name: str
    lsn: str
    at: datetime

    def to_json(self) -> dict[str, object]:
        return {"restore_point": self.name, "lsn": self.lsn, "restore_to": self.at.isoformat()}


async def mark(session: Session, rule: RestorePointRule, *, before: str) -> RestorePoint | str | None:
    """Make a restore point before migration `before`; a sentence where it could not be made and need not be.

    Raises `RestorePointRefused` where it has to be.
    """
    if rule is RestorePointRule.NONE:
        return None
    try:
        async with session.connection.cursor(row_factory=class_row(RestorePoint)) as cursor:
            await cursor.execute(statements("migrations")["create_restore_point"], {"before": before})
            return await cursor.fetchone()
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState) as error:
        said = error.diag.message_primary or str(error)
        if rule is RestorePointRule.IF_ALLOWED:
            return f"no restore point: {said}"
        raise RestorePointRefused(
            "no restore point can be made, and nothing was run without one",
            detail=said,
            hint="a superuser allows it: grant execute on function pg_catalog.pg_create_restore_point(text) to "
            "the migrating role (wedsync doctor); or go without: --without-restore-point",
        ) from error
