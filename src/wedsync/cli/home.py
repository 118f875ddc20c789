"""`status`, `doctor`, `keys` and `config`: what a home is and how it is."""

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, command, put_json, put_table

if TYPE_CHECKING:
    from wedsync.app import Platform
    from wedsync.cluster import Capability

_REPOSITORIES_MAY_TAKE = timedelta(seconds=20)


def register(main: click.Group) -> None:
    """Add the commands of this module."""

    async def status(*, home_path: str | None, as_json: bool) -> Exit:
        """Say in one sentence how the home is, then what it is made of.

        Exit code 0 when it is healthy, 3 when it is not.

        \b
        Example: wedsync status --json
        """
        return await _status(home_path, as_json=as_json)

    async def doctor(*, home_path: str | None, as_json: bool) -> Exit:
        """Say which features this PostgreSQL allows, and what to run to get the others.

        Exit code 0 when all are there, 3 when some are missing.

        \b
        Example: WEDSYNC_PROFILE=external WEDSYNC_DATABASE__DSN=postgresql://… wedsync doctor
        """
        return await _doctor(home_path, as_json=as_json)

    @click.option("--sign-in", is_flag=True, help="Make a link that signs in to the console once.")
    async def keys(*, home_path: str | None, as_json: bool, sign_in: bool) -> Exit:
        """Print the addresses and keys that clients need. They are secrets.

        \b
        Example: psql "$(wedsync keys --json | jq -r .db_url)"
        """
        from wedsync.app import new_sign_in_link, read_keys

        platform = open_platform(home_path)
        found = read_keys(platform)
        link = new_sign_in_link(platform) if sign_in else None
        if as_json:
            put_json(
                {
                    "api_url": found.api_url,
                    "anon": found.anon,
                    "service_role": found.service_role,
                    "db_url": found.db_url,
                    "console_url": found.console_url,
                }
                | ({"sign_in_url": link} if link else {})
            )
            return Exit.DONE
        for name, value in (
            ("API", found.api_url),
            ("anon key", found.anon),
            ("service_role key", found.service_role),
            ("database", found.db_url),
            ("console", link or found.console_url),
            (
                "backup keys",
                f"{platform.home.secrets}/repo*_key: keep a copy elsewhere (docs/how-to/keys-escrow.md)",
            ),
        ):
            click.echo(f"{name:17} {value}")
        return Exit.DONE

    @main.group()
    def config() -> None:
        """The settings of a home."""

    async def show(*, home_path: str | None, as_json: bool) -> Exit:
        """Print every setting, its value and where it came from.

        \b
        Example: wedsync config show
        """
        from wedsync.config import format_value

        settings = open_platform(home_path).loaded.settings
        rows = [{"name": item.name, "value": format_value(item.value), "origin": item.origin} for item in settings]
        if as_json:
            put_json(rows)
        else:
            put_table(rows, ["name", "value", "origin"])
        return Exit.DONE

    command(main, "status")(status)
    command(main, "doctor")(doctor)
    command(main, "keys")(keys)
    command(config, "show")(show)


async def _status(home_path: str | None, *, as_json: bool) -> Exit:
    from wedsync.app import StatusReader
    from wedsync.monitoring import (
        State,
        continuous_window,
        exposure_words,
        if_it_broke_words,
        judge,
        last_good_backup,
    )
    from wedsync.words import age_words, moment_words, size_words

    platform = open_platform(home_path)
    facts = await StatusReader(platform).facts(survey_within=_REPOSITORIES_MAY_TAKE)
    now = platform.clock.now().astimezone()
    verdict = judge(facts, now)
    if as_json:
        put_json(verdict.to_json(facts))
        return Exit.DONE if verdict.state is State.HEALTHY else Exit.NO
    click.echo(verdict.sentence)
    for issue in verdict.issues:
        click.echo(f"  {issue.severity}: {issue.words}")
        click.echo(f"    next: {issue.next_step}")
    click.echo(if_it_broke_words(facts.records))
    database = facts.database
    if database is not None and database.connects:
        click.echo(
            f"database         PostgreSQL {database.version}, {size_words(database.size_bytes or 0)},"
            f" {database.connections_used} of {database.connections_max} connections,"
            f" answers in {(database.latency_s or 0) * 1000:.1f} ms"
        )
    else:
        click.echo(f"database         no connection: {database.error if database else 'not known'}")
    newest, window = last_good_backup(facts.survey), continuous_window(facts.survey)
    click.echo(
        f"last backup      {newest.kind} {newest.label} in repo{newest.repo}, {age_words(newest.finished_at, now)}"
        if newest
        else "last backup      none"
    )
    click.echo(
        f"recovery window  {moment_words(window.from_at)} – {moment_words(window.to_at)}"
        if window
        else "recovery window  none"
    )
    click.echo(f"exposure         {exposure_words(facts.records)}")
    click.echo(
        "processes        "
        + ", ".join(f"{name} {'runs' if runs else 'is down'}" for name, runs in (facts.processes or {}).items())
    )
    click.echo(f"open alerts      {len(verdict.issues)}")
    return Exit.DONE if verdict.state is State.HEALTHY else Exit.NO


async def _doctor(home_path: str | None, *, as_json: bool) -> Exit:
    from wedsync.cluster import (
        Capability,
        capabilities,
        examine,
        examine_home,
        home_capabilities,
    )
    from wedsync.errors import CannotConnect

    platform = open_platform(home_path)
    if platform.is_local:
        home = examine_home(platform.home, engine=platform.engine)
        superuser = platform.server.target(dbname=platform.config.database.name)
        try:
            found = capabilities(await examine(superuser, home=home))
        except CannotConnect as error:
            down = Capability(feature="connection", available=False, because=error.message, remedy=("bin/up",))
            found = [down, *home_capabilities(home)]
    else:
        facts = await examine(platform.owner_target)
        found = capabilities(facts, archive_command=platform.pgbackrest.archive_command())
    if platform.takes_backups:
        found = [*found, *await _locks(platform)]
    if as_json:
        put_json(
            [
                {
                    "feature": item.feature,
                    "available": item.available,
                    "because": item.because,
                    "remedy": list(item.remedy),
                }
                for item in found
            ]
        )
    else:
        for item in found:
            click.echo(f"{'yes' if item.available else 'NO ':3}  {item.feature}: {item.because}")
            for line in () if item.available else item.remedy:
                click.echo(f"       run: {line}")
    return Exit.DONE if all(item.available for item in found) else Exit.NO


async def _locks(platform: "Platform") -> "list[Capability]":
    """Whether what a repository holds is safe from our own credentials, for those whose store can lock it."""
    from wedsync.app import check_locks
    from wedsync.backup import LockState
    from wedsync.cluster import Capability

    return [
        Capability(
            feature=f"repository {repo} locked",
            available=verdict.state is LockState.ON,
            because=verdict.words,
            remedy=(verdict.next_step,) if verdict.next_step else (),
        )
        for repo, verdict in (await check_locks(platform)).items()
        if verdict.state is not LockState.NONE
    ]
