"""Text is sorted here by the rules that the indexes were built with."""

from datetime import timedelta

from psycopg.rows import dict_row

from wedsync.drills.check import DrillContext
from wedsync.drills.checks.measured import Answer, Finding, check, counted
from wedsync.drills.checks.session import session
from wedsync.sql import statements


@check("collations", within=timedelta(minutes=1))
async def check_collations(context: DrillContext) -> Answer:
    """Whether the libraries of this machine sort as those did where the indexes were made."""
    async with (
        session(context) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        await cursor.execute(statements("drill_checks")["collations"])
        found = await cursor.fetchall()
    return Finding(
        looked_at=len(found),
        detail=f"{counted(len(found), 'collation')} with the database's own",
        wrong=tuple(
            f"{item['name']} was version {item['recorded']}, here it is {item['here']}: its indexes need a REINDEX"
            for item in found
            if item["recorded"] != item["here"]
        ),
    )
