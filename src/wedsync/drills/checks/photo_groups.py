"""The specification's own check of the photo groups."""

from datetime import timedelta

from wedsync.drills.check import DrillContext
from wedsync.drills.checks.measured import Answer, Finding, Skipped, check, counted
from wedsync.drills.checks.session import session
from wedsync.sql import statements


@check("photo groups", within=timedelta(minutes=2))
async def check_photo_groups(context: DrillContext) -> Answer:
    """Whether `verify_photo_groups_backup_integrity()` finds the copy consistent.

    What it says about the backups themselves is of the time of the copy, and not what is asked here.
    """
    sql = statements("drill_checks")
    signature = "public.verify_photo_groups_backup_integrity()"
    async with session(context) as connection:
        there = await (await connection.execute(sql["has_function"], {"signature": signature})).fetchone()
        if there is None or not there[0]:
            return Skipped(reason="the schema has no photo groups")
        row = await (await connection.execute(sql["verify_photo_groups"])).fetchone()
    assert row is not None  # noqa: S101 - a function gives one row
    answer = row[0]
    counts = answer["data_counts"]
    said = tuple(str(issue) for issue in answer["issues"])
    wrong = () if answer["consistency_check"] else said or ("it is not consistent, and no reason was given",)
    groups, members = counts["total_groups"], counts["total_members"]
    return Finding(
        looked_at=1,
        detail=f"{counted(groups, 'group')}, {counted(members, 'member')}; constraints and triggers in force",
        wrong=wrong,
    )
