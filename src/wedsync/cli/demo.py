"""`demo …`: a believable season of weddings, and a busy Saturday."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, ProgressLine, command, put_json, put_table

if TYPE_CHECKING:
    from wedsync.demo import LiveTick


def register(main: click.Group) -> None:
    """Add the commands of this module."""

    @main.group()
    def demo() -> None:
        """Data to try everything on."""

    @click.option(
        "--size",
        type=click.FloatRange(min=0, min_open=True),
        default=1.0,
        show_default=True,
        help="Times 150 weddings; 100 makes gigabytes.",
    )
    @click.option("--seed", type=int, help="Another season; the same number gives the same one.")
    async def load(*, home_path: str | None, as_json: bool, size: float, seed: int | None) -> Exit:
        """Load the demo season into an empty database.

        \b
        Example: wedsync demo load --size 10
        """
        from wedsync.demo import DEFAULT_SEED
        from wedsync.demo import load as load_season

        line = ProgressLine()
        loaded = await load_season(
            open_platform(home_path).owner_target,
            size=size,
            seed=DEFAULT_SEED if seed is None else seed,
            on_progress=lambda done, total: line.show(f"{bar(done, total)} {done:,} of {total:,} rows"),
        )
        line.end()
        if as_json:
            put_json(loaded.to_json())
            return Exit.DONE
        if loaded.already:
            click.echo("the demo season is there already")
        put_table([{"table": name, "rows": rows} for name, rows in loaded.rows.items()], ["table", "rows"])
        if not loaded.already:
            click.echo(f"{loaded.rows_in_all:,} rows in {loaded.took_s:.1f} s: {loaded.rows_per_s:,.0f} rows/s")
        return Exit.DONE

    @click.option(
        "--rate",
        type=click.FloatRange(min=0, min_open=True),
        default=20.0,
        show_default=True,
        help="Transactions a second.",
    )
    @click.option("--writers", type=click.IntRange(1, 64), default=4, show_default=True)
    @click.option(
        "--for", "seconds", type=click.FloatRange(min=0), help="Seconds to write; until Ctrl-C if left out."
    )
    @click.option(
        "--ledger",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Append each acknowledged commit to this file.",
    )
    async def live(
        *,
        home_path: str | None,
        as_json: bool,
        rate: float,
        writers: int,
        seconds: float | None,
        ledger: Path | None,
    ) -> Exit:
        """Keep writing like a busy Saturday; goes on while the database restarts.

        \b
        Example: wedsync demo live --rate 50 --ledger commits.txt
        """
        import asyncio
        import signal

        from wedsync.demo import live as write_on

        target = open_platform(home_path).owner_target
        line = ProgressLine(every_s=5.0)
        until = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, until.set)
        if seconds is not None:
            loop.call_later(seconds, until.set)
        last = await write_on(
            target,
            rate_per_s=rate,
            writers=writers,
            ledger=ledger,
            on_tick=lambda tick: line.show(tick_words(tick)),
            until=until,
        )
        line.end()
        if as_json:
            put_json(
                {
                    "committed": last.committed,
                    "unknown": last.unknown,
                    "failed": last.failed,
                    "newest_commit_at": last.newest_commit_at,
                }
            )
        else:
            click.echo(tick_words(last))
        return Exit.DONE

    command(demo, "load", interrupted="nothing was loaded")(load)
    command(demo, "live")(live)


def bar(done: int, total: int) -> str:
    """A bar of 24 characters."""
    filled = 24 * done // total if total else 24
    return "█" * filled + "·" * (24 - filled)


def tick_words(tick: "LiveTick") -> str:
    """How the writing goes, in one line."""
    newest = (
        tick.newest_commit_at.isoformat(sep=" ", timespec="milliseconds") if tick.newest_commit_at else "none yet"
    )
    return (
        f"{tick.committed:,} committed ({tick.per_s:.0f}/s), {tick.unknown} unknown, {tick.failed} undone;"
        f" {tick.connected} of {tick.writers} connected; newest commit {newest}"
    )
