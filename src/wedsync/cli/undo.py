"""What `migrate down` shows, asks and says."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wedsync.cli.output import Exit, put_json
from wedsync.errors import UsageProblem

if TYPE_CHECKING:
    from wedsync.app import Platform
    from wedsync.migrations import Conditions, DownPlan


async def undo(
    platform: "Platform",
    *,
    directory: Path,
    steps: int,
    to: str | None,
    accept_data_loss: bool,
    yes: bool,
    conditions: "Conditions",
    as_json: bool,
) -> Exit:
    """Plan, show, have it confirmed, undo."""
    from wedsync.migrations import down, plan_down, refuse_loss

    plan = await plan_down(
        platform.owner_target,
        platform.shadow_maker(),
        directory=directory,
        steps=steps,
        to=to,
        key=platform.migration_key(),
    )
    if not plan.files:
        if as_json:
            put_json({**plan.to_json(), "undone": ()})
        else:
            click.echo("nothing to undo")
        return Exit.DONE
    if not as_json:
        _show(plan)
    refuse_loss(plan.losses, accepted=accept_data_loss)
    if not yes and not _confirmed():
        raise UsageProblem("nothing was done: the plan was not confirmed", hint="add --yes to carry it out")
    _record(platform, plan)
    done = await down(
        platform.owner_target,
        plan,
        accept_data_loss=accept_data_loss,
        conditions=conditions,
        on_file=lambda file: click.echo(f"  {file.file_name}", err=True),
    )
    if as_json:
        put_json(done.to_json())
    else:
        click.echo(f"{len(done.undone)} undone in {done.took_s:.2f} s")
        if done.restore_point is not None:
            point = done.restore_point
            click.echo(f"restore point before it: {point.name} at {point.lsn}")
            click.echo(f"to go back: wedsync recover run --to '{point.at.isoformat(sep=' ')}'")
    return Exit.DONE


def _show(plan: "DownPlan") -> None:
    for file in plan.files:
        click.echo(f"would undo {file.id}")
    for loss in plan.losses:
        click.echo(f"  would lose: {loss.sentence()}")
    if not plan.losses:
        click.echo("  no row would be lost")


def _confirmed() -> bool:
    return sys.stdin.isatty() and click.confirm("Undo this?", err=True)


def _record(platform: "Platform", plan: "DownPlan") -> None:
    from wedsync.state import record_action

    detail = {"undo": [file.id for file in plan.files], "losses": [loss.sentence() for loss in plan.losses]}
    record_action(
        platform.state,
        at=platform.clock.now(),
        operator=platform.operator,
        action="migrate down",
        detail=detail,
    )
