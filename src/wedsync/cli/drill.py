"""`drill …`: restore a backup elsewhere and prove it, see what was proven."""

from typing import TYPE_CHECKING

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, ProgressLine, command, put_json, put_table
from wedsync.errors import UsageProblem

if TYPE_CHECKING:
    from wedsync.drills import Drill


def register(main: click.Group) -> None:
    """Add the commands of this module."""

    @main.group()
    def drill() -> None:
        """Drills: restore a backup elsewhere, check it, time it."""

    @click.option("--repo", type=int, help="Restore from this repository; any of them if left out.")
    @click.option("--label", help="Restore this backup; the newest if left out.")
    @click.option("--random", "any_backup", is_flag=True, help="Restore any backup.")
    @click.option("--at", metavar="MOMENT", help="A moment with its offset, or: latest.")
    @click.option(
        "--random-moment", is_flag=True, help="Any moment that the backup leads to (so it is without --at)."
    )
    @click.option("--keep", is_flag=True, help="Leave the restored copy as a preview.")
    async def run(
        *,
        home_path: str | None,
        as_json: bool,
        repo: int | None,
        label: str | None,
        any_backup: bool,
        at: str | None,
        random_moment: bool,
        keep: bool,
    ) -> Exit:
        """Restore a backup beside the database, check it, time it, remove it.

        Exit code 0 when it passed, 3 when it failed, 1 when it could not be run.

        \b
        Example: wedsync drill run --repo 2 --random
        """
        if label is not None and any_backup:
            raise UsageProblem("--label and --random exclude each other")
        if at is not None and random_moment:
            raise UsageProblem("--at and --random-moment exclude each other")
        from wedsync.app import drill_order

        order = drill_order(repo=repo, label="random" if any_backup else label, at=at)
        return await _run(home_path, order, as_json=as_json, keep=keep)

    @click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
    async def list_(*, home_path: str | None, as_json: bool, limit: int) -> Exit:
        """List the last drills, newest first.

        \b
        Example: wedsync drill list
        """
        return await _list(home_path, as_json=as_json, limit=limit)

    @click.argument("drill_id", metavar="ID")
    async def show(*, home_path: str | None, as_json: bool, drill_id: str) -> Exit:
        """Show a drill: what was restored, each check, each part's time, its evidence.

        Exit code 3 when its evidence was changed or removed.

        \b
        Example: wedsync drill show 20260614_010004_118
        """
        return await _show(home_path, drill_id, as_json=as_json)

    command(drill, "run", interrupted="the copy was removed; wedsync drill list says so")(run)
    command(drill, "list")(list_)
    command(drill, "show")(show)


async def _run(home_path: str | None, order: object, *, as_json: bool, keep: bool) -> Exit:
    from wedsync.app import run_drill, stops_on_sigterm
    from wedsync.drills import Outcome, drill_json

    platform = open_platform(home_path)
    line = ProgressLine(every_s=1.0)
    try:
        with stops_on_sigterm():
            done = await run_drill(
                platform,
                order,  # pyright: ignore[reportArgumentType] - made by drill_order
                by=platform.operator,
                report=lambda phase, words: line.show(f"{phase}: {words}"),
                keep=keep,
            )
    finally:
        line.end()
    if as_json:
        put_json(drill_json(done))
    else:
        _say(done)
        click.echo(f"evidence: {platform.home.drills / done.id}")
    return Exit.DONE if done.outcome is Outcome.PASSED else Exit.NO


async def _list(home_path: str | None, *, as_json: bool, limit: int) -> Exit:
    from wedsync.app import list_drills
    from wedsync.drills import drill_json

    found = list_drills(open_platform(home_path), limit=limit)
    if as_json:
        put_json({"drills": [drill_json(item) for item in found]})
        return Exit.DONE
    rows = [
        {
            "id": item.id,
            "outcome": str(item.outcome),
            "repo": item.source.repo if item.source else None,
            "label": item.source.label if item.source else None,
            "restored_to": item.restored_to,
            "rto_s": item.rto_s,
            "rpo_s": item.rpo_s,
            "why": _why(item),
        }
        for item in found
    ]
    put_table(rows, ["id", "outcome", "repo", "label", "restored_to", "rto_s", "rpo_s", "why"])
    return Exit.DONE


def _why(drill: "Drill") -> str:
    if drill.trouble is not None:
        return drill.trouble.message
    failed = ", ".join(check.name for check in drill.failed_checks)
    return f"failed: {failed}" if failed else f"{len(drill.made_checks)} checks"


async def _show(home_path: str | None, drill_id: str, *, as_json: bool) -> Exit:
    from wedsync.app import evidence_state, find_drill
    from wedsync.drills import drill_json

    platform = open_platform(home_path)
    found = find_drill(platform, drill_id)
    state = evidence_state(platform, drill_id)
    if as_json:
        put_json({**drill_json(found), "evidence": state})
    else:
        _say(found)
        click.echo(f"evidence   {state}" + (f" ({platform.home.drills / found.id})" if state == "whole" else ""))
    return Exit.NO if state in {"changed", "missing"} else Exit.DONE


def _say(drill: "Drill") -> None:
    from wedsync.drills import forecast_words
    from wedsync.words import duration_words, moment_words, size_words

    source = drill.source
    click.echo(f"drill      {drill.id}: {drill.outcome}")
    if source is not None:
        click.echo(
            f"restored   {source.kind} backup {source.label} in repo{source.repo}"
            f" ({size_words(source.database_bytes)}, {moment_words(source.finished_at)})"
            f" and {source.wal_segments} WAL segments"
        )
    if drill.restored_to is not None:
        click.echo(
            f"to         {moment_words(drill.restored_to)}; last commit {moment_words(drill.last_commit_at)}"
        )
    if drill.rto_s is not None:
        click.echo(
            f"RTO        {duration_words(drill.rto_s)}, target {duration_words(drill.rto_target_s)}"
            f" ({'kept' if drill.rto_kept else 'NOT KEPT'})"
        )
    if drill.rpo_s is not None:
        click.echo(
            f"RPO        {duration_words(drill.rpo_s)}, target {duration_words(drill.rpo_target_s)}"
            f" ({'kept' if drill.rpo_kept else 'NOT KEPT'})"
        )
    if drill.phases_s:
        click.echo(
            "parts      " + ", ".join(f"{part} {seconds:.1f} s" for part, seconds in drill.phases_s.items())
        )
    if drill.pauses:
        click.echo(
            f"paused     {duration_words(drill.paused_s)}, not counted, for: "
            + ", ".join(dict.fromkeys(pause.made_way_for for pause in drill.pauses))
        )
    if drill.forecast_s is not None and drill.forecast_took_s is not None:
        expected = forecast_words(drill.forecast_s, drill.forecast_range_s, drill.forecast_from_runs)
        click.echo(
            f"forecast   {expected} for restore, replay and promotion;"
            f" they took {duration_words(drill.forecast_took_s)}"
        )
    for check in drill.checks:
        word = "skipped" if check.skipped else "ok" if check.ok else "FAILED"
        click.echo(f"{word:<10} {check.name}: {check.detail} ({check.took_s:.1f} s)")
    if drill.trouble is not None:
        click.echo(f"ended      {drill.trouble.message} [{drill.trouble.code}]")
