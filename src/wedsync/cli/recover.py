"""`recover …`: what can be restored, what it would cost, and doing it."""

import sys
from typing import TYPE_CHECKING

import click

from wedsync.cli import preview, recover_looks, recover_rows
from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, ProgressLine, command, put_json
from wedsync.errors import Busy, UsageProblem

if TYPE_CHECKING:
    from wedsync.recovery import Recovered, RecoveryPlan


def register(main: click.Group) -> None:
    """Add the commands of this module."""

    @main.group()
    def recover() -> None:
        """Take the database back to any second: look, plan, run, undo."""

    async def window(*, home_path: str | None, as_json: bool) -> Exit:
        """Say which moments can be restored, and which cannot.

        Exit code 0 when there are some, 3 when there is none.

        \b
        Example: wedsync recover window
        """
        return await _window(home_path, as_json=as_json)

    @click.option("--to", metavar="MOMENT", required=True, help="A moment with its offset, or: latest")
    async def plan(*, home_path: str | None, as_json: bool, to: str) -> Exit:
        """Say what a recovery to a moment would do, lose and take; change nothing.

        \b
        Example: wedsync recover plan --to '2026-06-14 11:05:30+01:00'
        """
        from wedsync.app import plan_recovery

        made = await plan_recovery(open_platform(home_path), to)
        if as_json:
            put_json(made.to_json())
        else:
            _say_plan(made)
        return Exit.DONE

    @click.option("--to", metavar="MOMENT", help="A moment with its offset, or: latest")
    @click.option("--undo", is_flag=True, help="Back to the state before the last recovery.")
    @click.option("--yes", is_flag=True, help="Do it; without it the plan is shown and confirmed.")
    async def run(*, home_path: str | None, as_json: bool, to: str | None, undo: bool, yes: bool) -> Exit:
        """Take the whole database back, in place. Interrupted, the same command goes on.

        The present state is secured first; the plan says whether `--undo` brings it back.

        \b
        Example: wedsync recover run --to '2026-06-14 11:05:30+01:00'
        """
        return await _run(home_path, as_json=as_json, to=to, undo=undo, yes=yes)

    preview.register(recover)
    command(recover, "window")(window)
    command(recover, "plan")(plan)
    command(recover, "run", interrupted="nothing is lost; the same command goes on")(run)
    recover_looks.register(recover)
    recover_rows.register(recover)


async def _window(home_path: str | None, *, as_json: bool) -> Exit:
    from wedsync.app import recovery_window
    from wedsync.words import moment_words

    found = await recovery_window(open_platform(home_path))
    if as_json:
        put_json(found)
        return Exit.DONE if found.windows else Exit.NO
    for item in found.windows:
        repos = " and ".join(f"repo{repo}" for repo in item.repos)
        click.echo(
            f"{moment_words(item.from_at)} – {moment_words(item.to_at)}  every second, from {repos}"
            + (f", timeline {item.timeline}" if item.timeline > 1 else "")
        )
    for moment in found.moments:
        click.echo(f"{moment_words(moment.at)}  this moment only, from {moment.label} in repo{moment.repo}")
    for gap in found.gaps:
        covered = " (another repository has them)" if gap.covered_by else ""
        click.echo(f"gap in repo{gap.repo}: WAL segments {gap.first} to {gap.last} are missing{covered}")
    for problem in found.problems:
        click.echo(f"repo{problem.repo} cannot be read: {problem.message}", err=True)
    if not found.windows:
        click.echo("no moment can be restored yet")
        return Exit.NO
    return Exit.DONE


async def _run(home_path: str | None, *, as_json: bool, to: str | None, undo: bool, yes: bool) -> Exit:
    from wedsync.app import carry_out, plan_recovery, plan_undo

    if (to is None) == (not undo):
        raise UsageProblem("say where to go back to", hint="either --to MOMENT or --undo")
    platform = open_platform(home_path)
    plan = await (plan_undo(platform) if to is None else plan_recovery(platform, to, changes=True))
    if not as_json:
        _say_plan(plan)
    if not yes and not _confirmed():
        raise UsageProblem("nothing was done: the plan was not confirmed", hint="add --yes to carry it out")
    line = ProgressLine(every_s=1.0)
    others = False
    try:
        done = await carry_out(
            platform,
            plan,
            by=platform.operator,
            report=lambda phase, words: line.show(f"{phase}: {words}"),
        )
    except Busy:
        others = True  # the unfinished recovery is that of another process, which goes on with it
        raise
    finally:
        line.end()
        unfinished = platform.recoverer.journal.unfinished()
        if unfinished is not None and not others:
            click.echo(
                f"the recovery stopped at: {unfinished.stage}. Nothing is lost; run the command again to go on",
                err=True,
            )
    if as_json:
        put_json(done.to_json())
    else:
        _say_done(done)
    return Exit.DONE


def _confirmed() -> bool:
    return sys.stdin.isatty() and click.confirm("Take the whole database back now?", default=False)


_AFTERWARDS = {
    "undo": "undo brings them back",
    "backup": "a backup is taken first: undo brings them back",
    "aside": "undo does not bring them back: the present data directory is put aside, whole",
    "lost": "undo does not bring them back",
}


def _say_plan(plan: "RecoveryPlan") -> None:
    from wedsync.words import duration_words, moment_words, size_words

    click.echo(f"back to    {moment_words(plan.target_at)}")
    click.echo(
        f"from       {plan.base.kind} backup {plan.base.label} in repo{plan.repo}"
        f" ({size_words(plan.base.database_bytes)}, {moment_words(plan.base.finished_at)})"
    )
    click.echo(f"WAL        {plan.wal_segments} segments, {plan.wal_first} to {plan.wal_last}")
    loss = plan.loss
    many = "" if loss.exact else "at least "
    click.echo(
        f"lost       {many}{loss.commits} commits"
        + (f", {moment_words(loss.from_at)} to {moment_words(loss.to_at)}" if loss.commits else "")
        + f" ({_AFTERWARDS[plan.present]})"
    )
    forecast = plan.forecast
    like = "" if forecast.alike else " of another kind"
    learnt = f"from {forecast.runs} runs{like} here" if forecast.runs else "not measured on this machine yet"
    most = f"most of it {forecast.dominant}, {duration_words(forecast.phases_s[forecast.dominant])}"
    click.echo(
        f"takes      about {duration_words(forecast.total_s)}"
        f" ({duration_words(forecast.low_s)} to {duration_words(forecast.high_s)}; {learnt}); {most}"
    )
    for note in plan.notes:
        click.echo(f"note       {note}")


def _say_done(done: "Recovered") -> None:
    from wedsync.words import duration_words, moment_words

    click.echo(f"restored to {moment_words(done.restored_to)}; last commit {moment_words(done.last_commit_at)}")
    click.echo(
        f"took {duration_words(done.took_s)} (forecast {duration_words(done.forecast_s)}): "
        + ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in done.phases_s.items())
    )
    click.echo(
        f"archiving goes on, on timeline {done.timeline}"
        if done.archiving
        else "the new timeline is not seen in the archive yet: look at wedsync status"
    )
    if done.can_be_undone:
        click.echo("to take it back: wedsync recover run --undo")
