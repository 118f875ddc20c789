"""`tenant …`: what a wedding's rows were, who changed them; everything about somebody, and its end."""

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, ProgressLine, command, put_json, put_table
from wedsync.errors import UsageProblem

if TYPE_CHECKING:
    from wedsync.tenants import Erased, ErasurePlan, Subject

_couple = click.option("--couple", metavar="ID", help="A wedding.")
_organization = click.option("--organization", metavar="ID", help="A business.")
_user = click.option("--user", metavar="ID", help="A person's account.")


def register(main: click.Group) -> None:
    """Add the commands of this module."""

    @main.group()
    def tenant() -> None:
        """One wedding, business or person: history, export, erasure."""

    @click.option("--couple", metavar="ID", required=True, help="A wedding.")
    @click.option("--table", metavar="NAME", default="guests", show_default=True)
    @click.option(
        "--at", metavar="MOMENT", required=True, help="By the wedding's own clocks unless it has an offset."
    )
    async def history(*, home_path: str | None, as_json: bool, couple: str, table: str, at: str) -> Exit:
        """Show a wedding's rows of a table as they were at a moment.

        \b
        Example: wedsync tenant history --couple ID --table guests --at '2026-11-20 14:00'
        """
        from wedsync.tenants import parse_id, rows_as_of

        key, moment = parse_id(couple, "--couple"), _moment(at)
        found = await rows_as_of(open_platform(home_path).owner_target, key, table=table, at=moment)
        if as_json:
            put_json({"couple": couple, "table": found.table, "at": found.at, "rows": found.rows})
            return Exit.DONE
        put_table(found.rows, _columns(found.rows))
        click.echo(f"{len(found.rows)} rows of {found.table} as of {found.at.isoformat(sep=' ')}")
        return Exit.DONE

    @click.option("--couple", metavar="ID", required=True, help="A wedding.")
    @click.option("--since", metavar="MOMENT", help="Seven days ago if left out.")
    @click.option("--table", metavar="NAME", help="Of this table only.")
    async def changes(
        *, home_path: str | None, as_json: bool, couple: str, since: str | None, table: str | None
    ) -> Exit:
        """Say who changed what about a wedding, oldest first.

        \b
        Example: wedsync tenant changes --couple ID --since '2026-11-20 14:00'
        """
        return await _changes(home_path, as_json=as_json, couple=couple, since=since, table=table)

    @_couple
    @_organization
    @_user
    @click.option(
        "--to", "directory", metavar="DIR", type=click.Path(path_type=Path), required=True, help="A new directory."
    )
    async def export(
        *,
        home_path: str | None,
        as_json: bool,
        couple: str | None,
        organization: str | None,
        user: str | None,
        directory: Path,
    ) -> Exit:
        """Write everything about a wedding, a business or a person: JSON, CSV, and what they mean.

        \b
        Example: wedsync tenant export --couple ID --to /tmp/export
        """
        subjects = _subjects(couple=couple, organization=organization, user=user)
        if len(subjects) > 1:
            raise UsageProblem("an export is about one", hint="--couple, --organization or --user")
        return await _export(home_path, subjects[0], directory, as_json=as_json)

    @_couple
    @_organization
    @_user
    @click.option("--yes", is_flag=True, help="Do it; without it the plan is shown and confirmed.")
    @click.option("--override", metavar="REASON", help="Why it cannot wait until after the wedding.")
    async def erase(
        *,
        home_path: str | None,
        as_json: bool,
        couple: str | None,
        organization: str | None,
        user: str | None,
        yes: bool,
        override: str | None,
    ) -> Exit:
        """Erase somebody for good: every table and the values in the history; writes a proof.

        There is no undo: a recovery to before it is followed by the same erasure again.

        \b
        Example: wedsync tenant erase --couple ID
        """
        subjects = _subjects(couple=couple, organization=organization, user=user)
        return await _erase(home_path, subjects, as_json=as_json, yes=yes, override=override)

    command(tenant, "history")(history)
    command(tenant, "changes")(changes)
    command(tenant, "export", interrupted="nothing was written")(export)
    command(
        tenant, "erase", interrupted="what was erased so far is in the list of erasures; nothing is half erased"
    )(erase)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageProblem(
            f"{text!r} is no moment", detail=str(error), hint="write 2026-11-20 14:00, or 2026-11-20T14:00:00Z"
        ) from error


def _subjects(**given: str | None) -> "list[Subject]":
    from wedsync.tenants import Subject, SubjectKind

    found = [Subject.parse(SubjectKind(kind), text) for kind, text in given.items() if text is not None]
    if not found:
        raise UsageProblem("say whom", hint="--couple ID, --organization ID or --user ID")
    return found


_QUIET = {"couple_id", "created_at", "updated_at", "household_id", "organization_id"}


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    """Columns in which any row says something; keys and times are in the JSON."""
    return [
        name
        for name in (rows[0] if rows else {})
        if name not in _QUIET and any(row.get(name) not in {None, ""} for row in rows if _is_plain(row.get(name)))
    ]


def _is_plain(value: object) -> bool:
    return not isinstance(value, dict | list)


async def _changes(
    home_path: str | None, *, as_json: bool, couple: str, since: str | None, table: str | None
) -> Exit:
    from dataclasses import asdict

    from wedsync.tenants import changes, parse_id
    from wedsync.words import moment_words

    key = parse_id(couple, "--couple")
    platform = open_platform(home_path)
    start = _moment(since) if since is not None else platform.clock.now() - timedelta(days=7)
    found = changes(platform.owner_target, key, since=start, table=table)
    if as_json:
        put_json({"couple": couple, "since": start, "changes": [asdict(change) async for change in found]})
        return Exit.DONE
    count = 0
    async for change in found:
        count += 1
        click.echo(
            f"{moment_words(change.changed_at)}  {change.who}"
            f"  {change.operation} {change.table_name.removeprefix('public.')}  {change.what}"
        )
    click.echo(f"{count} changes")
    return Exit.DONE


async def _export(home_path: str | None, subject: "Subject", directory: Path, *, as_json: bool) -> Exit:
    from wedsync.state import record_action
    from wedsync.tenants import export_tenant

    platform = open_platform(home_path)
    record_action(
        platform.state,
        at=platform.clock.now(),
        operator=platform.operator,
        action="tenant export",
        detail={"subject": str(subject), "to": str(directory)},
    )
    line = ProgressLine()
    done = await export_tenant(
        platform.owner_target,
        subject,
        directory,
        on_table=lambda table, rows: line.show(f"{table}: {rows:,} rows"),
    )
    line.end()
    if as_json:
        put_json(done.to_json() | {"directory": str(directory)})
        return Exit.DONE
    put_table([{"table": item.name, "rows": item.rows} for item in done.tables if item.rows], ["table", "rows"])
    click.echo(f"{done.rows:,} rows as of {done.at.isoformat(sep=' ')}, in {directory}")
    return Exit.DONE


async def _erase(
    home_path: str | None, subjects: "list[Subject]", *, as_json: bool, yes: bool, override: str | None
) -> Exit:
    from wedsync.state import record_action

    platform = open_platform(home_path)
    eraser = platform.eraser
    plans = [await eraser.plan(subject) for subject in subjects]
    if not as_json:
        for plan in plans:
            _say_plan(plan)
    if not yes and not (sys.stdin.isatty() and click.confirm("Erase all of this for good?", default=False)):
        if as_json:
            put_json({"plan": [plan.to_json() for plan in plans], "erased": False})
        raise UsageProblem("nothing was erased: the plan was not confirmed", hint="add --yes to carry it out")
    done: list[Erased] = []
    for subject in subjects:
        record_action(
            platform.state,
            at=platform.clock.now(),
            operator=platform.operator,
            action="tenant erase",
            detail={"subject": str(subject), "override": override},
        )
        done.append(await eraser.erase(subject, by=platform.operator, override=override))
    if as_json:
        put_json({"erased": [item.to_json() for item in done]})
        return Exit.DONE
    for item in done:
        _say_done(item)
    return Exit.DONE


def _say_plan(plan: "ErasurePlan") -> None:
    put_table(
        [
            {"table": item.table, "rows": item.rows, "what": item.action.value, "why": item.why}
            for item in plan.tables
        ],
        ["table", "rows", "what", "why"],
    )
    click.echo(f"{plan.subject}: {plan.rows:,} rows to erase, and all their values in the history")
    if plan.wedding_is_near is not None:
        click.echo(f"the wedding is near: {plan.wedding_is_near}; it takes --override REASON")


def _say_done(done: "Erased") -> None:
    click.echo(f"erased {done.subject}: {done.rows:,} rows, {done.versions:,} versions of the history")
    if done.gone_from_backups_at is not None:
        click.echo(f"the last backup that holds them goes by {done.gone_from_backups_at.date()}")
    for key in done.stored_files:
        click.echo(f"remove from the store of files: {key}")
    click.echo(f"proof: {done.proof}")
