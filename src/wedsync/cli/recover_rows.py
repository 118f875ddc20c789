"""`recover tenant` and `recover rows`: some rows as they were, everything else as it is."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, ProgressLine, command, put_json, put_table
from wedsync.errors import RowConflicts, RowsChangedSince, UsageProblem

if TYPE_CHECKING:
    from wedsync.app import Platform, RowRequest, RowsAnswer, UndoRequest

_LISTED = 20


def register(recover: click.Group) -> None:
    """Add the commands to their group."""

    @click.option("--couple", metavar="ID", required=True, help="A wedding.")
    @click.option("--to", metavar="MOMENT", required=True, help="A moment with its offset.")
    @_conflict_options
    async def tenant(**options: Any) -> Exit:
        """Bring one couple's rows back as they were, in one transaction; nobody else's are touched.

        Shows the plan first. Rows that somebody else changed since are listed (exit code 3) and decided by
        --on-conflict or --choices; deletes since are taken back without asking.

        \b
        Example: wedsync recover tenant --couple ID --to '2026-06-14 11:05:30+01:00'
        """
        return await _recover(options)

    @click.argument("what", required=False, type=click.Choice(["list"]))
    @click.option("--table", metavar="NAME", help="A table, with its schema unless that is public.")
    @click.option("--where", metavar="SQL", help="Only rows for which this condition holds, now or then.")
    @click.option("--to", metavar="MOMENT", help="A moment with its offset.")
    @click.option("--undo", metavar="ID", help="Put back what was before this recovery of rows.")
    @_conflict_options
    async def rows(*, what: str | None, **options: Any) -> Exit:
        """Bring the rows of a table back as they were, undo such a recovery, or list them all.

        \b
        Example: wedsync recover rows --table guests --where "household_id = 'ID'" --to '2026-06-14 11:05+01:00'
        """
        if what == "list":
            return await _list(options["home_path"], as_json=options["as_json"])
        return await _recover(options)

    unfinished = "nothing is half done: wedsync recover rows list says whether it was done"
    command(recover, "tenant", interrupted=unfinished)(tenant)
    command(recover, "rows", interrupted=unfinished)(rows)


def _conflict_options(function: Any) -> Any:
    for option in reversed(
        (
            click.option("--dry-run", is_flag=True, help="Show the plan; change nothing."),
            click.option("--yes", is_flag=True, help="Do it; without it the plan is shown and confirmed."),
            click.option(
                "--on-conflict",
                type=click.Choice(["ask", "keep", "past"]),
                default="ask",
                show_default=True,
                help="What becomes of rows that somebody else changed since.",
            ),
            click.option(
                "--choices",
                metavar="FILE",
                type=click.Path(path_type=Path, exists=True, dir_okay=False),
                help="A saved plan (--dry-run --json), with a `choice` in each of its conflicts.",
            ),
            click.option(
                "--mistake-by",
                metavar="ACTOR",
                multiple=True,
                help="All changes of this user or role since are taken back.",
            ),
            click.option(
                "--mistake-tx",
                metavar="XID",
                multiple=True,
                help="All that this transaction changed is taken back.",
            ),
            click.option("--reason", metavar="WORDS", help="Why, for the record."),
            click.option("--show-values", is_flag=True, help="Show what conflicting rows hold: personal data."),
        )
    ):
        function = option(function)
    return function


async def _recover(options: dict[str, Any]) -> Exit:
    """Plan, show, confirm, do."""
    from wedsync.app import bring_back, plan_rows, plan_undo_of_rows, undo_rows

    as_json, by_hand = options["as_json"], not options["yes"]
    platform = open_platform(options["home_path"])
    undo = _undo_request(options)
    request = None if undo is not None else _request(options)
    line = ProgressLine(every_s=1.0)

    def report(phase: str, words: str) -> None:
        line.show(f"{phase}: {words}")

    if undo is not None:
        planned = await plan_undo_of_rows(platform, undo, by=platform.operator)
    else:
        assert request is not None  # noqa: S101 - one of the two
        planned = await plan_rows(platform, request, by=platform.operator, report=report)
    line.end()
    if not as_json:
        _say(planned)
    if options["dry_run"] or planned.plan.open_conflicts:
        if as_json:
            put_json(planned.to_json())
        return _end_of_plan(planned, asked=options["dry_run"])
    if by_hand and not (sys.stdin.isatty() and click.confirm("Bring these rows back now?", default=False)):
        raise UsageProblem("nothing was done: the plan was not confirmed", hint="add --yes to carry it out")
    try:
        if undo is not None:
            done = await undo_rows(platform, undo, expected=planned.plan.fingerprint, by=platform.operator)
        else:
            assert request is not None  # noqa: S101
            done = await bring_back(platform, request, planned=planned, by=platform.operator, report=report)
    except (RowsChangedSince, RowConflicts):
        await _say_anew(platform, request, undo, as_json=as_json)
        raise
    finally:
        line.end()
    if as_json:
        put_json(done.to_json())
    else:
        _say_done(done)
    return Exit.DONE


async def _say_anew(
    platform: "Platform", request: "RowRequest | None", undo: "UndoRequest | None", *, as_json: bool
) -> None:
    """Show the plan as it would be now."""
    from wedsync.app import plan_rows, plan_undo_of_rows

    if as_json:
        return
    click.echo("the plan as it is now:", err=True)
    if undo is not None:
        _say(await plan_undo_of_rows(platform, undo, by=platform.operator))
    elif request is not None:
        _say(await plan_rows(platform, request, by=platform.operator))


def _request(options: dict[str, Any]) -> "RowRequest":
    from wedsync.app import RowRequest
    from wedsync.rows import OnConflict

    if options["to"] is None or (options.get("couple") is None and options.get("table") is None):
        raise UsageProblem(
            "say which rows, and as of when", hint="--table NAME --to MOMENT, or --undo ID, or: recover rows list"
        )
    return RowRequest(
        to=options["to"],
        couple=options.get("couple"),
        table=options.get("table"),
        where=options.get("where"),
        on_conflict=OnConflict(options["on_conflict"]),
        choices=_choices(options["choices"]),
        mistake_by=options["mistake_by"],
        mistake_transactions=options["mistake_tx"],
        reason=options["reason"],
        with_values=options["show_values"],
    )


def _undo_request(options: dict[str, Any]) -> "UndoRequest | None":
    from wedsync.app import UndoRequest
    from wedsync.rows import OnConflict

    if options.get("undo") is None:
        return None
    if any(options.get(name) for name in ("table", "where", "to", "mistake_by", "mistake_tx")):
        raise UsageProblem("--undo goes back to before a recovery: it takes no table and no moment")
    return UndoRequest(
        recovery=options["undo"],
        on_conflict=OnConflict(options["on_conflict"]),
        choices=_choices(options["choices"]),
        reason=options["reason"],
        with_values=options["show_values"],
    )


def _choices(path: Path | None) -> Any:
    from wedsync.app import read_choices

    return read_choices(path.read_bytes()) if path is not None else ()


def _end_of_plan(planned: "RowsAnswer", *, asked: bool) -> Exit:
    waiting = planned.plan.open_conflicts
    if waiting:
        click.echo(
            f"{waiting} rows wait for a choice; nothing was done: --on-conflict keep leaves them as they are,"
            " --on-conflict past takes them back, --choices FILE.json decides row by row",
            err=True,
        )
        return Exit.NO
    if asked:
        click.echo("nothing was done" if planned.plan.tables else "nothing differs: nothing was done", err=True)
    return Exit.DONE


async def _list(home_path: str | None, *, as_json: bool) -> Exit:
    from wedsync.app import list_row_recoveries

    found = await list_row_recoveries(open_platform(home_path))
    if as_json:
        put_json({"recoveries": found})
        return Exit.DONE
    put_table(
        [
            {
                "recovery": item.id,
                "at": item.at,
                "by": item.by,
                "rows of": item.scope,
                "back": item.put_back,
                "changed": item.changed,
                "removed": item.removed,
                "undo until": item.expires_at if item.rows and item.undone_by is None else None,
            }
            for item in found
        ],
        ["recovery", "at", "by", "rows of", "back", "changed", "removed", "undo until"],
    )
    return Exit.DONE


def _say(answer: "RowsAnswer") -> None:
    from wedsync.words import moment_words

    plan = answer.plan
    if plan.restored_to is not None:
        click.echo(f"{plan.scope} as of {moment_words(plan.restored_to)}")
    else:
        click.echo(plan.scope)
    put_table(
        [
            {
                "table": item.table.removeprefix("public."),
                "come back": item.put_back,
                "change": item.changed,
                "go": item.removed,
                "stay": item.kept,
                "conflicts": item.conflicts,
            }
            for item in plan.tables
        ],
        ["table", "come back", "change", "go", "stay", "conflicts"],
    )
    for conflict in plan.conflicts[:_LISTED]:
        key = ", ".join(conflict.key)
        said = f"{conflict.table.removeprefix('public.')} ({key}): {conflict.detail}"
        if conflict.columns:
            said += f" ({', '.join(conflict.columns)})"
        said += "".join(
            f"\n    {change.operation} by {change.by}, {moment_words(change.at)}, transaction {change.transaction}"
            for change in conflict.changes[:1]
        )
        if conflict.past is not None or conflict.now is not None:
            said += f"\n    then {conflict.past}\n    now  {conflict.now}"
        click.echo(f"{conflict.choice or '?':5} {said}")
    more = sum(item.conflicts for item in plan.tables) - _LISTED
    if more > 0:
        click.echo(f"… and {more} more conflicts: --json lists a thousand")
    for note in plan.notes:
        click.echo(f"note  {note}")


def _say_done(done: "RowsAnswer") -> None:
    plan = done.plan
    if done.done is None or done.done.recovery is None:
        click.echo("nothing differs: nothing was done")
        return
    click.echo(
        f"{plan.put_back} rows came back, {plan.changed} changed, {plan.removed} went, {plan.kept} stayed"
        f" ({done.took_s:.1f} s)"
    )
    click.echo(f"to take it back: wedsync recover rows --undo {done.done.recovery}")
