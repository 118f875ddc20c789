"""No index is invalid."""

from datetime import timedelta

from wedsync.drills.check import DrillContext
from wedsync.drills.checks.measured import Answer, Finding, check, counted
from wedsync.drills.checks.session import session
from wedsync.sql import statements


@check("indexes", within=timedelta(minutes=1))
async def check_indexes(context: DrillContext) -> Answer:
    """Whether every index is used and kept up to date."""
    async with session(context) as connection:
        row = await (await connection.execute(statements("drill_checks")["invalid_indexes"])).fetchone()
    assert row is not None  # noqa: S101 - an aggregate gives one row
    return Finding(
        looked_at=row[0],
        detail=counted(row[0], "index", "indexes"),
        wrong=tuple(f"{name} is invalid" for name in row[1]),
    )
