"""Tables, constraints, policies, functions and rights, against what was recorded at this very place of the WAL."""

from datetime import timedelta

from wedsync.drills.check import DrillContext
from wedsync.drills.checks.measured import Answer, Finding, Skipped, check, counted
from wedsync.drills.witness import catalogue_of
from wedsync.migrations import differences, fingerprint_of


@check("catalogue", within=timedelta(minutes=2))
async def check_catalogue(context: DrillContext) -> Answer:
    """Whether every object is there as the witness saw it, and no other."""
    if context.witness is None:
        return Skipped(reason="no readable witness between the backup's end and the moment: not compared")
    recorded = catalogue_of(context.state, context.witness)
    if recorded is None:
        return Skipped(reason="the schema was being changed when the witness was taken: not compared")
    async with await context.copy.target(dbname=context.witness.database).connect() as connection:
        found = await fingerprint_of(connection)
    policies = sum(item.kind == "policy" for item in found.objects)
    return Finding(
        looked_at=len(found.objects),
        detail=f"{counted(len(found.objects), 'object')}, {counted(policies, 'policy', 'policies')} among them",
        wrong=tuple(difference.sentence() for difference in differences(recorded, found)),
    )
