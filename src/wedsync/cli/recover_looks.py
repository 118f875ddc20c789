"""`recover moments` and `recover diff`: which moment to go back to, and what would be different then."""

from typing import TYPE_CHECKING

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, command, put_json

if TYPE_CHECKING:
    from datetime import datetime

    from wedsync.recovery import Happening, Timeline


def register(recover: click.Group) -> None:
    """Add the commands of this module."""

    @click.option("--from", "since", metavar="MOMENT", help="The first moment; else a day before the last.")
    @click.option("--to", "until", metavar="MOMENT", help="The last moment; else now.")
    @click.option(
        "--rows", default=10, show_default=True, help="Leave out transactions that touched fewer rows.",
        type=click.IntRange(min=1),
    )  # fmt: skip
    async def moments(
        *, home_path: str | None, as_json: bool, since: str | None, until: str | None, rows: int
    ) -> Exit:
        """List what happened, and of each the last moment before it.

        Mass deletions and changes with who made them, loads, migrations, restore points, recoveries. The moment
        behind `just before` is the last one without it: give it to --at or --to.

        \b
        Example: wedsync recover moments --from '2026-06-14 11:00+01:00'
        """
        from wedsync.app import read_timeline
        from wedsync.recovery import parse_moment

        found = await read_timeline(
            open_platform(home_path),
            since=parse_moment(since) if since is not None else None,
            until=parse_moment(until) if until is not None else None,
            least=rows,
        )
        if as_json:
            put_json(found)
        else:
            _say_moments(found)
        return Exit.DONE

    command(recover, "moments")(moments)


def _say_moments(found: "Timeline") -> None:
    from wedsync.words import moment_words

    for happening in found.happenings:
        click.echo(_line(happening))
    if not found.happenings:
        click.echo(f"nothing happened from {moment_words(found.from_at)} to {moment_words(found.to_at)}")
    for window in found.windows:
        click.echo(f"every second can be restored: {moment_words(window.from_at)} – {moment_words(window.to_at)}")
    for missing in found.unknown:
        click.echo(f"not known: {missing.what}: {missing.why}", err=True)


def _line(happening: "Happening") -> str:
    words = f"{_exactly(happening.at)}  {happening.words}"
    if happening.by:
        words += f", by {happening.by}"
    name = happening.detail.get("couple_name")
    if happening.couple:
        words += f", of {name} (couple {happening.couple})" if name else f", of couple {happening.couple}"
    if happening.before is not None:
        words += f"; just before: {_exactly(happening.before)}"
        if not happening.exact:
            words += " (when it committed is not known: this is before it began)" if happening.tables else ""
    if happening.restorable is False:
        words += " (cannot be restored)"
    return words


def _exactly(moment: "datetime") -> str:
    """A moment to the microsecond with its offset: as --to and --at take it."""
    return moment.astimezone().isoformat(timespec="microseconds")
