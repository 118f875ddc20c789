"""Row-level security is on wherever callers of the application reach."""

from datetime import timedelta

from psycopg.rows import dict_row

from wedsync.drills.check import DrillContext
from wedsync.drills.checks.measured import Answer, Finding, Skipped, check, counted
from wedsync.drills.checks.session import session
from wedsync.sql import statements


@check("row-level security", within=timedelta(minutes=1))
async def check_isolation(context: DrillContext) -> Answer:
    """Whether every table that `anon` or `authenticated` may touch is secured and has a policy."""
    async with (
        session(context) as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        await cursor.execute(statements("drill_checks")["reachable_tables"])
        tables = await cursor.fetchall()
    if not tables:
        return Skipped(reason="no table is open to the roles anon and authenticated")
    wrong = [f"row-level security is off on {table['name']}" for table in tables if not table["secured"]]
    wrong += [f"{table['name']} has no policy" for table in tables if table["secured"] and not table["policies"]]
    wrong += [f"{table['name']} belongs to a role of callers" for table in tables if table["owned"]]
    policies = sum(table["policies"] for table in tables)
    return Finding(
        looked_at=len(tables),
        detail=f"{counted(len(tables), 'table')}, {counted(policies, 'policy', 'policies')}",
        wrong=tuple(wrong),
    )
