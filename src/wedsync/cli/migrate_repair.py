"""`migrate repair`: put files and ledger in agreement again."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, command, put_json
from wedsync.errors import UsageProblem

if TYPE_CHECKING:
    from wedsync.app import Platform
    from wedsync.migrations import LedgerRow


def register(migrate: click.Group) -> None:
    """Add the command."""

    @click.argument("migration", required=False)
    @click.option("--reason", metavar="TEXT", help="Why; it is recorded with your name.")
    @click.option("--yes", is_flag=True, help="Do it; without it the difference is shown first.")
    @click.option("--restore", is_flag=True, help="Write the text that ran back into its file instead.")
    @click.option("--step", type=click.IntRange(min=1), help="A step whose outcome could not be seen.")
    @click.option("--ran/--did-not-run", default=None, help="What is true of that step.")
    @click.option("--chain", is_flag=True, help="Accept the whole ledger as it is, after tampering or a lost key.")
    @click.option(
        "--directory",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Migrations of your own instead of the platform's.",
    )
    async def repair(
        *,
        home_path: str | None,
        as_json: bool,
        migration: str | None,
        reason: str | None,
        yes: bool,
        restore: bool,
        step: int | None,
        ran: bool | None,
        chain: bool,
        directory: Path | None,
    ) -> Exit:
        """Accept an edited file, put back the text that ran, or settle a step or the ledger.

        Shows what differs, needs a reason, and appends to the ledger: nothing in it is rewritten.

        \b
        Example: wedsync migrate repair 0007_seats --reason "comment added after it ran"
        """
        from wedsync.migrations import SHIPPED

        platform = open_platform(home_path)
        where = directory or SHIPPED
        if chain:
            if migration is not None or restore or step is not None:
                raise UsageProblem("--chain is about the whole ledger", hint="leave the rest out")
            return await _chain(platform, where, reason, yes=yes, as_json=as_json)
        if migration is None:
            raise UsageProblem("say which migration", hint="wedsync migrate status names those that differ")
        if step is not None:
            return await _step(platform, where, migration, step=step, ran=ran, reason=reason, as_json=as_json)
        return await _file(platform, where, migration, reason, restore=restore, yes=yes, as_json=as_json)

    command(migrate, "repair")(repair)


async def _file(
    platform: "Platform",
    directory: Path,
    migration: str,
    reason: str | None,
    *,
    restore: bool,
    yes: bool,
    as_json: bool,
) -> Exit:
    from wedsync.migrations import accept, file_difference, restore_file

    found = await file_difference(platform.owner_target, migration, directory=directory)
    if not as_json:
        click.echo(f"{found.ran.id}: applied by {found.ran.by}, {found.ran.applied_at.isoformat()}")
        click.echo(found.diff or f"{found.ran.id}.sql is not there; the text that ran is in the ledger")
    if restore:
        _confirm("Write the text that ran back into its file?", yes=yes)
        path = restore_file(found, directory=directory)
        _answer({**found.to_json(), "action": "restored", "path": str(path)}, f"written: {path}", as_json=as_json)
        return Exit.DONE
    if found.file is not None:
        said = _needed(reason)
        _confirm("Accept the file as it is now?", yes=yes)
        _record(platform, "migrate repair", migration=found.ran.id, reason=said, accepted=found.file.checksum)
        row = await accept(
            platform.owner_target, found, reason=said, conditions=platform.migration_conditions(say=_say)
        )
        _answer({**found.to_json(), **_row(row), "action": "accepted"}, f"accepted: {row.id}", as_json=as_json)
        return Exit.DONE
    raise UsageProblem(
        f"{found.ran.id} has no file that could be accepted",
        hint=f"write the text that ran back: wedsync migrate repair {found.ran.id} --restore",
    )


async def _step(
    platform: "Platform",
    directory: Path,
    migration: str,
    *,
    step: int,
    ran: bool | None,
    reason: str | None,
    as_json: bool,
) -> Exit:
    from wedsync.migrations import decide_step

    if ran is None:
        raise UsageProblem("say whether the step ran", hint="--ran, or --did-not-run")
    said = _needed(reason)
    _record(platform, "migrate repair --step", migration=migration, step=step, ran=ran, reason=said)
    row = await decide_step(
        platform.owner_target,
        migration,
        step,
        ran=ran,
        reason=said,
        conditions=platform.migration_conditions(say=_say),
        directory=directory,
    )
    _answer({**_row(row), "action": "step", "step": step, "ran": ran}, "recorded", as_json=as_json)
    return Exit.DONE


async def _chain(platform: "Platform", directory: Path, reason: str | None, *, yes: bool, as_json: bool) -> Exit:
    from wedsync.migrations import ProblemKind, chain_anew, status

    found = await status(platform.owner_target, directory=directory, key=platform.migration_key())
    broken = [problem for problem in found.problems if problem.kind is ProblemKind.TAMPERED]
    if not as_json:
        for problem in broken:
            click.echo(problem.message)
    if not broken:
        raise UsageProblem("the ledger is whole: there is nothing to accept")
    said = _needed(reason)
    _confirm("Accept the ledger as it is now?", yes=yes)
    _record(platform, "migrate repair --chain", reason=said, accepted=[problem.message for problem in broken])
    accepted, row = await chain_anew(
        platform.owner_target, reason=said, conditions=platform.migration_conditions(say=_say)
    )
    _answer(
        {**_row(row), "action": "chained", "accepted": [problem.message for problem in accepted]},
        f"{len(accepted)} accepted: the ledger is whole again",
        as_json=as_json,
    )
    return Exit.DONE


def _row(row: "LedgerRow") -> dict[str, object]:
    return {"reason": row.reason, "repaired_by": row.by, "repaired_at": row.applied_at.isoformat()}


def _answer(value: dict[str, object], words: str, *, as_json: bool) -> None:
    if as_json:
        put_json(value)
    else:
        click.echo(words)


def _needed(reason: str | None) -> str:
    if reason is None or not reason.strip():
        raise UsageProblem("nothing was done: a repair needs its reason", hint='--reason "what happened"')
    return reason


def _confirm(question: str, *, yes: bool) -> None:
    if not yes and not (sys.stdin.isatty() and click.confirm(question, default=False)):
        raise UsageProblem("nothing was done: it was not confirmed", hint="add --yes to do it")


def _record(platform: "Platform", action: str, **detail: object) -> None:
    from wedsync.state import record_action

    record_action(
        platform.state, at=platform.clock.now(), operator=platform.operator, action=action, detail=detail
    )


def _say(words: str) -> None:
    click.echo(f"  {words}", err=True)
