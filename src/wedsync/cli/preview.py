"""`recover preview`: look at the database as it was, without touching the one that is."""

import os
import shlex
from typing import TYPE_CHECKING

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, ProgressLine, command, put_json, put_table
from wedsync.errors import UsageProblem

if TYPE_CHECKING:
    from wedsync.app import Platform, Preview
    from wedsync.database import ConnectionTarget

_ONE_OF = "one of --at MOMENT, --list, --id ID --at MOMENT, --remove ID, --psql ID"
_ANSWERS = {
    "same": "one that is at this moment already",
    "moved": "moved on from an earlier moment",
    "made": "made from",
}


def register(recover: click.Group) -> None:
    """Add the command to its group."""

    @click.option("--at", metavar="MOMENT", help="A moment with its offset, or: latest")
    @click.option("--new", is_flag=True, help="Make one, even if one that is there could be moved on.")
    @click.option("--id", "preview_id", metavar="ID", help="With --at: move this one on to a later moment.")
    @click.option("--list", "show", is_flag=True, help="Which there are.")
    @click.option("--remove", metavar="ID", help="Remove one.")
    @click.option("--psql", "psql_id", metavar="ID", help="Open psql on one.")
    async def preview(
        *,
        home_path: str | None,
        as_json: bool,
        at: str | None,
        new: bool,
        preview_id: str | None,
        show: bool,
        remove: str | None,
        psql_id: str | None,
    ) -> Exit:
        """Look at the database as it was: a read-only copy beside it, paused at a moment.

        The first takes one restore; a later moment is reached by moving on. It is removed when nobody was
        connected to it for a while (`preview.keep_for`).

        \b
        Example: wedsync recover preview --at '2026-06-14 11:05:30+01:00'
        """
        if sum([at is not None, show, remove is not None, psql_id is not None]) != 1:
            raise UsageProblem("say what to do with previews", hint=_ONE_OF)
        if at is None and (new or preview_id is not None):
            raise UsageProblem("--new and --id go with --at", hint=_ONE_OF)
        if new and preview_id is not None:
            raise UsageProblem("--new makes another one, --id moves one that is there", hint=_ONE_OF)
        platform = open_platform(home_path)
        if show:
            return await _list(platform, as_json=as_json)
        if remove is not None:
            return await _remove(platform, remove, as_json=as_json)
        if psql_id is not None:
            return await _open_psql(platform, psql_id)
        assert at is not None  # noqa: S101 - counted above
        return await _show_moment(platform, at, new=new, preview_id=preview_id, as_json=as_json)

    command(recover, "preview", interrupted="what there was of the preview is removed, now or with the next one")(
        preview
    )


async def _show_moment(platform: "Platform", at: str, *, new: bool, preview_id: str | None, as_json: bool) -> Exit:
    from wedsync.app import make_preview, move_preview

    line = ProgressLine(every_s=1.0)

    def report(phase: object, words: str) -> None:
        line.show(f"{phase}: {words}")

    by = platform.operator
    try:
        if preview_id is not None:
            found = await move_preview(platform, preview_id, at, by=by, report=report)
        else:
            found = await make_preview(platform, at, new=new, by=by, report=report)
    finally:
        line.end()
    if as_json:
        put_json(found.to_json())
    else:
        _say(platform, found)
    return Exit.DONE


async def _list(platform: "Platform", *, as_json: bool) -> Exit:
    from wedsync.app import list_previews

    found = await list_previews(platform)
    if as_json:
        put_json({"previews": [item.to_json() for item in found]})
        return Exit.DONE
    if not found:
        click.echo("there is no preview")
        return Exit.DONE
    columns = ["id", "at", "last_commit_at", "state", "clients", "made_by", "removed_at"]
    put_table([item.to_json() | {"state": _state(item)} for item in found], columns)
    return Exit.DONE


async def _remove(platform: "Platform", preview: str, *, as_json: bool) -> Exit:
    from wedsync.app import remove_preview

    await remove_preview(platform, preview, by=platform.operator)
    if as_json:
        put_json({"removed": preview})
    else:
        click.echo(f"removed {preview}")
    return Exit.DONE


async def _open_psql(platform: "Platform", preview: str) -> Exit:
    from wedsync.app import preview_target, wake_preview

    words = _psql(platform, preview_target(platform, preview))
    await wake_preview(platform, preview)
    os.execve(words[0], words, {**os.environ, **platform.engine.environment})  # noqa: S606 - the whole purpose


def _psql(platform: "Platform", target: "ConnectionTarget") -> list[str]:
    return [
        str(platform.engine.program("psql")),
        *("-h", target.host),
        *("-p", str(target.port)),
        *("-U", target.user),
        target.dbname,
    ]


def _state(item: "Preview") -> str:
    return str(item.stage) if item.running or item.stage == "making" else "stopped"


def _say(platform: "Platform", found: "Preview") -> None:
    from wedsync.words import moment_words

    plan = found.plan
    click.echo(f"preview    {found.id}")
    click.echo(f"shows      {moment_words(found.at)}; last commit {moment_words(found.last_commit_at)}")
    if plan is not None and found.answer is not None:
        origin = f" {plan.base.label} in repo{plan.repo}" if found.answer == "made" else ""
        click.echo(f"this is    {_ANSWERS[found.answer]}{origin}")
        phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in (found.phases_s or {}).items())
        click.echo(f"took       {found.took_s or 0:.1f} s: {phases}")
    click.echo(f"read it    wedsync recover preview --psql {found.id}")
    click.echo(f"or         {shlex.join(_psql(platform, found.target))}")
    click.echo(f"goes       {moment_words(found.removed_at)}, unless somebody is connected")
    for note in plan.notes if plan is not None else ():
        click.echo(f"note       {note}")
