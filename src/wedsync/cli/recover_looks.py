"""`recover moments` and `recover diff`: which moment to go back to, and what would be different then."""

from typing import TYPE_CHECKING

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, ProgressLine, command, put_json, put_table
from wedsync.errors import UsageProblem

if TYPE_CHECKING:
    from datetime import datetime

    from wedsync.recovery import Happening, Timeline
    from wedsync.rows import RowDifference
    from wedsync.tenants import Difference


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

    @click.option("--preview", metavar="ID", help="A preview that is there.")
    @click.option(
        "--at", metavar="MOMENT", help="A moment with its offset: a preview that shows it, or a new one."
    )
    @click.option("--table", metavar="NAME", help="One table, and its rows: public.guests")
    @click.option("--couple", metavar="ID", help="One couple's rows.")
    @click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="Rows to list.")
    @click.option("--values", is_flag=True, help="Show the rows' values then and now; they are personal.")
    async def diff(
        *,
        home_path: str | None,
        as_json: bool,
        preview: str | None,
        at: str | None,
        table: str | None,
        couple: str | None,
        limit: int,
        values: bool,
    ) -> Exit:
        """Say what would return, change and vanish if a moment of the past were brought back.

        By table, then by couple; with --table the rows, too. Changes nothing. Exit code 0 when something differs,
        3 when nothing does.

        \b
        Example: wedsync recover diff --at '2026-06-14 11:05:30+01:00' --table guests
        """
        from wedsync.app import Wanted, difference_at, difference_of

        if preview is not None and at is not None:
            raise UsageProblem("two moments are named", hint="either --preview ID or --at MOMENT")
        wanted = Wanted(
            table=table if table is None or "." in table else f"public.{table}",
            couple=couple,
            limit=limit,
            with_values=values,
        )
        platform = open_platform(home_path)
        if preview is not None:
            found = await difference_of(platform, wanted, preview=preview)
        elif at is not None:
            line = ProgressLine(every_s=1.0)
            try:
                found = await difference_at(
                    platform,
                    wanted,
                    at=at,
                    by=platform.operator,
                    report=lambda phase, words: line.show(f"{phase}: {words}"),
                )
            finally:
                line.end()
        else:
            raise UsageProblem("say which moment to compare with", hint="either --preview ID or --at MOMENT")
        if as_json:
            put_json(found.difference)
        else:
            _say_difference(found.difference, more=found.more)
        return Exit.DONE if any(each.differs for each in found.difference.tables) else Exit.NO

    command(recover, "moments")(moments)
    command(recover, "diff", interrupted="nothing was changed; a preview that was made stays until it is idle")(
        diff
    )


_COMPARED = ("table", "past_rows", "now_rows", "returns", "changes", "vanishes")


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


def _say_difference(found: "Difference", *, more: bool) -> None:
    from msgspec.structs import asdict

    from wedsync.words import duration_words, moment_words

    click.echo(f"the past: last commit {moment_words(found.past_at)}; compared with {moment_words(found.now_at)}")
    differ = [table for table in found.tables if table.differs]
    if differ:
        put_table(
            [asdict(table) for table in differ],
            _COMPARED,
        )
    else:
        click.echo("nothing differs")
    for couple in found.couples:
        name = f"{couple.name} ({couple.couple})" if couple.name else f"couple {couple.couple}"
        click.echo(f"{name}: {couple.words}")
    if len(found.couples) < found.couples_in_all:
        click.echo(f"and {found.couples_in_all - len(found.couples)} more couples with fewer rows")
    for row in found.rows or ():
        click.echo(_row_words(row))
    if more:
        click.echo("and more rows: --limit shows up to 1000", err=True)
    for table in found.tables:
        for note in (*table.notes, *([table.refused] if table.refused else [])):
            click.echo(f"note: {note}", err=True)
    click.echo(f"compared in {duration_words(found.took_s)}", err=True)


def _row_words(row: "RowDifference") -> str:
    said = f"{row.kind:<8}  {row.table.removeprefix('public.')} {', '.join(row.key)}"
    if row.columns:
        said += f": {', '.join(row.columns)}"
    if row.past is None and row.now is None:
        return said
    past, now = row.past or {}, row.now or {}
    for name in row.columns or tuple(past or now):
        shown = [value for value in (past, now) if value]
        said += f"\n            {name}: {' → '.join(str(each.get(name)) for each in shown)}"
    return said


def _exactly(moment: "datetime") -> str:
    """A moment to the microsecond with its offset: as --to and --at take it."""
    return moment.astimezone().isoformat(timespec="microseconds")
