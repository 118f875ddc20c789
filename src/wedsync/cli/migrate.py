"""`migrate …`: changes of the schema."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wedsync.cli import migrate_repair
from wedsync.cli.context import open_platform
from wedsync.cli.dry_run import try_in_shadow
from wedsync.cli.output import Exit, command, put_json, put_table

if TYPE_CHECKING:
    from wedsync.app import Platform

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
    @click.option("--strict", is_flag=True, help="Let warnings of lint count as errors.")
    async def plan(*, home_path: str | None, as_json: bool, directory: Path | None, strict: bool) -> Exit:
        """Say which statements `up` would run, which locks they take, and what lint says of them; change nothing.

        Exit code 3 when there is something to mend first.

        \b
        Example: wedsync migrate plan --json
        """
        from wedsync.cli.migration_words import put_plan
        from wedsync.migrations import SHIPPED, read_files
        from wedsync.migrations import status as read_status
        from wedsync.migrations.plan import make_plan

        platform = open_platform(home_path)
        place = directory or SHIPPED
        found = await read_status(platform.owner_target, directory=place, key=platform.migration_key())
        planned = await make_plan(read_files(place), found)
        if as_json:
            put_json(planned.to_json())
        else:
            put_plan(planned)
        return Exit.DONE if planned.can_run and planned.lint.is_clean(strict=strict) else Exit.NO

    @_directory
    @click.option(
        "--mode",
        type=click.Choice(["each", "all"]),
        default="each",
        show_default=True,
        help="One transaction a file, or one for all that is pending.",
    )
    @click.option("--allow-out-of-order", is_flag=True, help="Also run a file numbered before one that ran.")
    @click.option("--override", metavar="REASON", help="Go ahead on a frozen day; the reason is recorded.")
    @click.option("--without-restore-point", is_flag=True, help="Make no restore point before the run.")
    @click.option("--dry-run", is_flag=True, help="Run it in a shadow database and say what it would do.")
    async def up(
        *,
        home_path: str | None,
        as_json: bool,
        directory: Path | None,
        mode: str,
        allow_out_of_order: bool,
        override: str | None,
        without_restore_point: bool,
        dry_run: bool,
    ) -> Exit:
        """Apply what is pending, in order; stop at the first error.

        On Saturdays, and when a wedding is today or tomorrow, it refuses with exit code 78.

        \b
        Example: wedsync migrate up --mode all
        """
        from wedsync.migrations import SHIPPED, Mode
        from wedsync.migrations import up as migrate_up

        platform = open_platform(home_path)
        if dry_run:
            return await try_in_shadow(
                platform, directory=directory or SHIPPED, allow_out_of_order=allow_out_of_order, as_json=as_json
            )
        if override is not None:
            _record(platform, "migrate up --override", reason=override)
        done = await migrate_up(
            platform.owner_target,
            directory=directory or SHIPPED,
            mode=Mode(mode),
            allow_out_of_order=allow_out_of_order,
            conditions=platform.migration_conditions(
                override=override, restore_point=not without_restore_point, say=_say
            ),
            on_file=lambda file: click.echo(f"  {file.id}", err=True),
        )
        if as_json:
            put_json(done.to_json())
        else:
            click.echo(f"{len(done.applied)} applied in {done.took_s:.2f} s")
            if done.restore_point is not None:
                point = done.restore_point
                click.echo(f"restore point before it: {point.name} at {point.lsn}")
                click.echo(f"to go back: wedsync recover run --to '{point.at.isoformat(sep=' ')}'")
        return Exit.DONE

    @_directory
    @click.option("--steps", type=int, default=1, show_default=True, help="Undo this many, newest first.")
    @click.option("--to", metavar="ID", help="Undo all that was applied after this one, which stays.")
    @click.option("--accept-data-loss", is_flag=True, help="Also if rows are lost.")
    @click.option("--yes", is_flag=True, help="Do it; without it the plan is shown and confirmed.")
    @click.option("--override", metavar="REASON", help="Go ahead on a frozen day; the reason is recorded.")
    @click.option("--without-restore-point", is_flag=True, help="Make no restore point before the run.")
    async def down(
        *,
        home_path: str | None,
        as_json: bool,
        directory: Path | None,
        steps: int,
        to: str | None,
        accept_data_loss: bool,
        yes: bool,
        override: str | None,
        without_restore_point: bool,
    ) -> Exit:
        """Undo migrations by their rollbacks, newest first, each in its own transaction.

        Shows what would be lost, and refuses with exit code 3 if any row would be and --accept-data-loss is
        not given. The rollbacks are tried in a shadow database first.

        \b
        Example: wedsync migrate down --steps 2
        """
        from wedsync.cli.undo import undo
        from wedsync.migrations import SHIPPED

        platform = open_platform(home_path)
        if override is not None:
            _record(platform, "migrate down --override", reason=override)
        return await undo(
            platform,
            directory=directory or SHIPPED,
            steps=steps,
            to=to,
            accept_data_loss=accept_data_loss,
            yes=yes,
            conditions=platform.migration_conditions(
                override=override, restore_point=not without_restore_point, say=_say
            ),
            as_json=as_json,
        )

    @_directory
    @click.option("--accept-differences", is_flag=True, help="Also if the database is not what the files make.")
    @click.option("--reason", metavar="TEXT", help="Why the differences are right; it is recorded.")
    @click.option("--yes", is_flag=True, help="Record it; without it this is asked.")
    async def baseline(
        *,
        home_path: str | None,
        as_json: bool,
        directory: Path | None,
        accept_differences: bool,
        reason: str | None,
        yes: bool,
    ) -> Exit:
        """Take a database that has the schema already under the ledger's care.

        The files are run in an empty shadow database and its catalogue is compared with the database's. Every
        difference is listed; with any, nothing is recorded (exit code 3) unless it is accepted with a reason.

        \b
        Example: wedsync migrate baseline --yes
        """
        from wedsync.cli.adopt import adopt
        from wedsync.migrations import SHIPPED

        return await adopt(
            open_platform(home_path),
            directory=directory or SHIPPED,
            accept_differences=accept_differences,
            reason=reason,
            yes=yes,
            as_json=as_json,
        )

    @click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
    @_directory
    @click.option("--database", is_flag=True, help="Look at the live database's catalogue instead of files.")
    @click.option("--strict", is_flag=True, help="Let warnings count as errors.")
    @click.option("--allowed", is_flag=True, help="Show what was allowed too, and why.")
    async def lint(
        *,
        home_path: str | None,
        as_json: bool,
        files: tuple[Path, ...],
        directory: Path | None,
        database: bool,
        strict: bool,
        allowed: bool,
    ) -> Exit:
        """Say what a reviewer would: locks, lost data, tables open to other tenants.

        Looks at FILES, or at every migration; needs no database. Exit code 3 when there is something to mend.
        With --database it looks at what is really there: policies, rights, keys, indexes, functions.
        A finding that is right as it is: -- lint: allow RULE because REASON, on the line before the statement.

        \b
        Example: wedsync migrate lint src/wedsync/migrations/versions/0007_identity.sql
        """
        from wedsync.cli.migration_words import put_catalogue, put_lint
        from wedsync.migrations import SHIPPED
        from wedsync.migrations.lint import lint as judge
        from wedsync.migrations.lint import lint_catalogue, migrations_among

        if database:
            if files or directory:
                raise click.UsageError("--database looks at no files: leave FILES and --directory out")
            seen = await lint_catalogue(open_platform(home_path).owner_target)
            if as_json:
                put_json(seen.to_json())
            else:
                put_catalogue(seen, show_allowed=allowed)
            return Exit.DONE if seen.is_clean(strict=strict) else Exit.NO
        found, only = migrations_among(files, directory=directory or SHIPPED)
        report = await judge(found, only=only)
        if as_json:
            put_json(report.to_json())
        else:
            put_lint(report, show_allowed=allowed)
        return Exit.DONE if report.is_clean(strict=strict) else Exit.NO

    @click.argument("name")
    @_directory
    @click.option("--table", is_flag=True, help="Fill them with a table NAME: key, policies, audit, grants.")
    async def new(*, home_path: str | None, as_json: bool, name: str, directory: Path | None, table: bool) -> Exit:
        """Write the two files of a new migration.

        \b
        Example: wedsync migrate new seating_plan --table
        """
        from wedsync.migrations import SHIPPED, new_migration

        del home_path
        made = new_migration(name, directory=directory or SHIPPED, table=table)
        if as_json:
            put_json(made.to_json())
        else:
            click.echo(f"{made.forward}\n{made.rollback}")
        return Exit.DONE

    command(migrate, "status")(status)
    command(migrate, "plan")(plan)
    command(migrate, "up", interrupted="files that were applied stay; of the one under way nothing was kept")(up)
    command(migrate, "down", interrupted="what was undone stays so; of the one under way nothing was")(down)
    command(migrate, "baseline", interrupted="nothing was recorded")(baseline)
    command(migrate, "lint")(lint)
    command(migrate, "new")(new)
    migrate_repair.register(migrate)


def _record(platform: "Platform", action: str, **detail: object) -> None:
    from wedsync.state import record_action

    record_action(
        platform.state, at=platform.clock.now(), operator=platform.operator, action=action, detail=detail
    )


def _say(words: str) -> None:
    click.echo(f"  {words}", err=True)
