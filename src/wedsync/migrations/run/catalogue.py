"""What the catalogue says of the thing that a step makes or takes away."""

from psycopg.rows import dict_row

from wedsync.errors import MigrationBlocked
from wedsync.migrations.run.session import Session
from wedsync.migrations.run.steps import Presence, Step, StepKind
from wedsync.sql import statements

_LOOKS = {
    StepKind.CREATE_INDEX: "index_of_table",
    StepKind.DROP_INDEX: "index_by_name",
    StepKind.DETACH: "partition",
    StepKind.CREATE_DATABASE: "database",
    StepKind.DROP_DATABASE: "database",
}


async def presence_of(session: Session, step: Step) -> Presence:
    """How the step's thing is found now; `UNKNOWN` where it has none."""
    look = _LOOKS.get(step.kind)
    if look is None:
        return Presence.UNKNOWN
    values = {"name": step.name, "table": step.table}
    row = await (await session.connection.execute(statements("migrations")[look], values)).fetchone()
    if row is None:
        return Presence.ABSENT
    return Presence.VALID if row[0] else Presence.INVALID


async def drop_broken_indexes(session: Session, step: Step) -> list[str]:
    """Drop, without locking anybody out, what an interrupted CONCURRENTLY left behind; their names.

    Raises `MigrationBlocked` where another session is building the index at this moment.
    """
    if step.kind not in {StepKind.CREATE_INDEX, StepKind.REINDEX} or session.connection.broken:
        return []
    async with session.connection.cursor(row_factory=dict_row) as cursor:
        look = "broken_index" if step.kind is StepKind.CREATE_INDEX else "broken_copies"
        await cursor.execute(statements("migrations")[look], {"name": step.name, "table": step.table})
        found = await cursor.fetchall()
    dropped: list[str] = []
    for row in found:
        if row["builder"] is not None:
            raise MigrationBlocked(
                f"{row['name']} is being built by another session",
                detail=f"pid {row['builder']}",
                hint="let it end, then run this again",
            )
        await session.connection.execute(b"drop index concurrently if exists " + str(row["name"]).encode())
        dropped.append(str(row["name"]))
    return dropped
