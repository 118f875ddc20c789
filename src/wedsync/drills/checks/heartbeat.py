"""The last commit of the platform's own before the moment is there, to the second."""

from datetime import datetime, timedelta

from wedsync.drills.check import DrillContext
from wedsync.drills.checks.measured import Answer, Finding, Skipped, check
from wedsync.drills.checks.session import session
from wedsync.drills.known import known_commit
from wedsync.sql import statements


@check("heartbeat", within=timedelta(minutes=1))
async def check_heartbeat(context: DrillContext) -> Answer:
    """Whether the copy ends with the heartbeat that was noted last before the moment."""
    sql = statements("drill_checks")
    async with session(context) as connection:
        found = await (await connection.execute(sql["has_relation"], {"name": "ops.heartbeat"})).fetchone()
        if found is None or not found[0]:
            return Skipped(reason="the database has no heartbeat")
        beat = await (await connection.execute(sql["newest_beat"])).fetchone()
        timeline = await (await connection.execute(sql["own_timeline"])).fetchone()
    if context.moment is None:
        return Skipped(reason="the backup was restored to its own end: no moment to compare with")
    noted = (
        known_commit(context.state, timeline[0], context.moment)
        if timeline is not None and timeline[0] is not None
        else None
    )
    return judge_beat(beat[0] if beat else None, noted=noted, moment=context.moment)


def judge_beat(found: datetime | None, *, noted: datetime | None, moment: datetime) -> Answer:
    """`found` is the copy's newest heartbeat, `noted` the last one that was committed a second before `moment`."""
    if noted is None:
        return Skipped(reason="no heartbeat was noted before the moment")
    if found is None:
        return Finding(looked_at=1, detail=f"noted: {noted.isoformat()}", wrong=("the copy has no heartbeat",))
    said = f"the copy's newest is of {found.isoformat()}, the last one noted before of {noted.isoformat()}"
    if found > moment:
        return Finding(looked_at=1, detail=said, wrong=(f"a heartbeat from behind {moment.isoformat()} is there",))
    if found < noted:
        return Finding(looked_at=1, detail=said, wrong=("the last heartbeat before the moment is missing",))
    return Finding(looked_at=1, detail=said)
