"""Every extension can be loaded on this machine."""

from datetime import timedelta

from psycopg import DatabaseError, sql
from psycopg.rows import dict_row

from wedsync.drills.check import DrillContext
from wedsync.drills.checks.measured import Answer, Finding, check, counted
from wedsync.drills.checks.session import session
from wedsync.sql import statements


@check("extensions", within=timedelta(minutes=1))
async def check_extensions(context: DrillContext) -> Answer:
    """Whether the version of each extension is installed here and its library loads."""
    wrong: list[str] = []
    async with session(context) as connection:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statements("drill_checks")["extensions"])
            extensions = await cursor.fetchall()
        for extension in extensions:
            if not extension["available"]:
                wrong.append(f"{extension['name']} {extension['version']} is not installed here")
            for library in extension["libraries"]:
                try:
                    await connection.execute(sql.SQL("load {}").format(sql.Literal(library)))
                except DatabaseError as error:
                    wrong.append(f"{extension['name']} does not load: {' '.join(str(error).split())}")
    return Finding(
        looked_at=len(extensions),
        detail=", ".join(f"{item['name']} {item['version']}" for item in extensions) or counted(0, "extension"),
        wrong=tuple(wrong),
    )
