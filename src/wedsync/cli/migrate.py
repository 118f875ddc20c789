"""`migrate …`: changes of the schema."""

from pathlib import Path
from typing import Any

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, command, put_json, put_table

_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Migrations of your own instead of the platform's.",
)


def register(main: click.Group) -> None:
    """Add the commands of this module."""

    @main.group()
    def migrate() -> None:
        """Schema changes: status, plan, up, new."""

    @_directory
    async def status(*, home_path: str | None, as_json: bool, directory: Path | None) -> Exit:
        """Say what is applied and what is pending.

        Exit code 0 when the schema is current, 3 when it is not.

        \b
        Example: wedsync migrate status
        """
        from wedsync.migrations import SHIPPED
        from wedsync.migrations import status as read_status

        platform = open_platform(home_path)
        found = await read_status(
            platform.owner_target, directory=directory or SHIPPED, key=platform.migration_key()
        )
        if as_json:
            put_json(found.to_json())
        else:
            applied: list[Any] = [row.to_json() for row in found.applied]
            put_table(applied, ["id", "applied_at", "took_ms", "by"])
            for file in found.pending:
                click.echo(f"pending: {file.id}")
            for problem in found.problems:
                click.echo(f"problem: {problem.message}")
            if found.is_current:
                click.echo("the schema is current")
        return Exit.DONE if found.is_current else Exit.NO

    @_directory
    async def plan(*, home_path: str | None, as_json: bool, directory: Path | None) -> Exit:
        """Say which statements `up` would run; change nothing.

        \b
        Example: wedsync migrate plan --json
        """
        from wedsync.migrations import SHIPPED
        from wedsync.migrations import status as read_status

        platform = open_platform(home_path)
        found = await read_status(
            platform.owner_target, directory=directory or SHIPPED, key=platform.migration_key()
        )
        planned: Any = found.plan_to_json()
        if as_json:
            put_json(planned)
        else:
            for file in planned["pending"]:
                click.echo(file["id"])
                put_table(file["statements"], ["line", "statement"])
            click.echo(f"{len(found.pending)} pending")
        return Exit.DONE

    @_directory
    @click.option("--dry-run", is_flag=True, help="Say what would be applied; change nothing.")
    async def up(*, home_path: str | None, as_json: bool, directory: Path | None, dry_run: bool) -> Exit:
        """Apply what is pending, each file in its own transaction; stop at the first error.

        \b
        Example: wedsync migrate up
        """
        from wedsync.migrations import SHIPPED, Conditions
        from wedsync.migrations import up as migrate_up

        platform = open_platform(home_path)
        done = await migrate_up(
            platform.owner_target,
            directory=directory or SHIPPED,
            dry_run=dry_run,
            conditions=Conditions(by=platform.operator, key=platform.migration_key(), say=_say),
            on_file=lambda file: click.echo(f"  {file.id}", err=True),
        )
        if as_json:
            put_json(done.to_json())
        elif dry_run:
            for file in done.would_apply:
                click.echo(f"would apply {file.id}")
            click.echo(f"{len(done.would_apply)} pending")
        else:
            click.echo(f"{len(done.applied)} applied in {done.took_s:.2f} s")
        return Exit.DONE

    @click.argument("name")
    @_directory
    async def new(*, home_path: str | None, as_json: bool, name: str, directory: Path | None) -> Exit:
        """Write the two files of a new migration.

        \b
        Example: wedsync migrate new seating_plan
        """
        from wedsync.migrations import SHIPPED, new_migration

        del home_path
        made = new_migration(name, directory=directory or SHIPPED)
        if as_json:
            put_json(made.to_json())
        else:
            click.echo(f"{made.forward}\n{made.rollback}")
        return Exit.DONE

    command(migrate, "status")(status)
    command(migrate, "plan")(plan)
    command(migrate, "up", interrupted="files that were applied stay; of the one under way nothing was kept")(up)
    command(migrate, "new")(new)


def _say(words: str) -> None:
    click.echo(f"  {words}", err=True)
