"""Row counts and digests of tables, against what was recorded at this very place of the WAL."""

from datetime import timedelta

from wedsync.drills.check import DIGESTS, DrillContext
from wedsync.drills.checks.measured import Answer, Finding, Skipped, check, counted
from wedsync.drills.witness import compare_copy

_READING = timedelta(minutes=5)


@check(DIGESTS, within=_READING + timedelta(minutes=1))
async def check_digests(context: DrillContext) -> Answer:
    """Whether each table has the rows that the witness saw, no other and none less."""
    witness = context.witness
    if witness is None:
        return Skipped(reason="no readable witness between the backup's end and the moment: not compared")
    async with await context.copy.target(dbname=witness.database).connect() as connection:
        compared = await compare_copy(connection, witness, within_s=_READING.total_seconds())
    parts = sum(table.span is not None for table in witness.tables)
    words = [
        f"{counted(compared.tables, 'table')}, {counted(compared.rows, 'row')} as they were at {witness.lsn},"
        f" {witness.at:%Y-%m-%d %H:%M:%S} UTC"
    ]
    words += [f"of {counted(parts, 'large table')} a part"] if parts else []
    words += [f"{len(compared.not_read)} not read for want of time"] if compared.not_read else []
    words += [f"{len(witness.left_out)} were not recorded"] if witness.left_out else []
    return Finding(looked_at=compared.tables, detail="; ".join(words), wrong=compared.differences)
