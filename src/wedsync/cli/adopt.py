"""What `migrate baseline` shows, asks and says."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wedsync.cli.output import Exit, put_json
from wedsync.errors import UsageProblem

if TYPE_CHECKING:
    from wedsync.app import Platform


async def adopt(
    platform: "Platform",
    *,
    directory: Path,
    accept_differences: bool,
    reason: str | None,
    yes: bool,
    as_json: bool,
) -> Exit:
    """Compare, show, have it confirmed, record."""
    from wedsync.migrations import baseline, plan_baseline, refuse_differences
    from wedsync.state import record_action

    plan = await plan_baseline(
        platform.owner_target, platform.shadow_maker(), directory=directory, key=platform.migration_key()
    )
    if not as_json:
        for sentence in plan.sentences():
            click.echo(f"  {sentence}")
        same = "the database is what the files make" if not plan.differences else "it differs as above"
        click.echo(f"{len(plan.files)} migrations would be recorded as applied; {same}")
    refuse_differences(plan, accepted=accept_differences, reason=reason)
    if not yes and not (sys.stdin.isatty() and click.confirm("Record them as applied?", err=True)):
        raise UsageProblem("nothing was recorded: it was not confirmed", hint="add --yes to record it")
    record_action(
        platform.state,
        at=platform.clock.now(),
        operator=platform.operator,
        action="migrate baseline",
        detail={"differences": plan.sentences(), "reason": reason},
    )
    recorded = await baseline(
        platform.owner_target,
        plan,
        accept_differences=accept_differences,
        reason=reason,
        conditions=platform.migration_conditions(),
    )
    if as_json:
        put_json({**plan.to_json(), "recorded": recorded, "reason": reason})
    else:
        click.echo(f"{len(recorded)} recorded as applied, up to {recorded[-1]}")
    return Exit.DONE
