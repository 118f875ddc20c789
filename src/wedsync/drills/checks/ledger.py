"""The ledger of migrations is as it was written."""

from datetime import timedelta

from wedsync.drills.check import DrillContext
from wedsync.drills.checks.measured import Answer, Finding, Skipped, check, counted
from wedsync.drills.checks.session import session
from wedsync.migrations import read_ledger


@check("migrations ledger", within=timedelta(minutes=1))
async def check_ledger(context: DrillContext) -> Answer:
    """Whether nobody changed a row of `ops.migrations`, by the codes that only this home's key can make."""
    async with session(context) as connection:
        ledger = await read_ledger(connection)
    if not ledger.rows:
        return Skipped(reason="no migration was ever applied to this database")
    if context.migration_key is None:
        return Skipped(reason="the key of the migrations' ledger is not in this home")
    return Finding(
        looked_at=len(ledger.rows),
        detail=f"{counted(len(ledger.rows), 'row')}, each with its code",
        wrong=tuple(problem.message for problem in ledger.tampering(context.migration_key)),
    )
