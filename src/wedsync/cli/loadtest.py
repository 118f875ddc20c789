"""`loadtest run`: as many people as on a busy Saturday, and what that does to the gateway."""

from typing import TYPE_CHECKING, Any, TextIO

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, ProgressLine, command, put_json, put_table

if TYPE_CHECKING:
    from wedsync.loadtest import Outcome

_PROFILES = ("burst", "thousand", "spike", "inserts", "conflicts")
"""Known without loading the package: --help is quick. A test holds them to the package's own."""


def register(main: click.Group) -> None:
    """Add the commands of this module."""

    @main.group()
    def loadtest() -> None:
        """Whether the gateway bears what the specification asks for."""

    @click.option(
        "--profile",
        "profile_name",
        type=click.Choice(_PROFILES),
        default="burst",
        show_default=True,
        help="burst: 100 users with five queries each at once. thousand: 1,000 users for five minutes. spike: ten"
        " times as many within 30 s. inserts: 100 new photo groups at once. conflicts: 20 such queries at once.",
    )
    @click.option(
        "--duration", type=click.FloatRange(1, 3600), metavar="SECONDS", help="Instead of the profile's own."
    )
    @click.option(
        "--rate",
        type=click.FloatRange(min=0, min_open=True, max=20_000),
        help="Requests a second; of the spike: before it.",
    )
    @click.option("--users", type=click.IntRange(1, 10_000), help="Connections.")
    @click.option(
        "--url", help="The gateway to ask, instead of the home's own; it has to serve the same database."
    )
    @click.option(
        "--report",
        type=click.File(
            "w", encoding="utf-8", lazy=False
        ),  # as whoever gives the command, before root is given up
        help="Write a page with tables and plots to this file.",
    )
    @click.option(
        "--allow-remote", "reason", metavar="REASON", help="Ask another machine; the reason goes into the report."
    )
    async def run(
        *,
        home_path: str | None,
        as_json: bool,
        profile_name: str,
        duration: float | None,
        rate: float | None,
        users: int | None,
        url: str | None,
        report: TextIO | None,
        reason: str | None,
    ) -> Exit:
        """Ask the gateway as the people of the demo season do, and say whether the promise is kept.

        Requests come at their own time, whatever the answers do, and latency is counted from then. What is written
        belongs to weddings of the load test's own, which are removed at the end. Ctrl-C ends it early, with what
        was seen until then. Exit code 0 when the promise is kept, 3 when it is not.

        \b
        Example: wedsync loadtest run --profile spike --report spike.html
        """
        import asyncio
        import signal

        from wedsync.app import read_keys
        from wedsync.app.keys import SIGNING_KEY
        from wedsync.loadtest import PROFILES, Keys, address_of, run_load_test, shaped, to_json, to_page

        profile = shaped(PROFILES[profile_name], seconds=duration, rate=rate, users=users)
        platform = open_platform(home_path)
        keys = read_keys(platform)
        line = ProgressLine()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        outcome = await run_load_test(
            profile,
            address=address_of(url or keys.api_url, allow_remote=reason),
            reason=reason,
            owner=platform.owner_target,
            keys=Keys(
                signing_key=platform.secrets.read(SIGNING_KEY).strip(),
                anon=keys.anon,
                service_role=keys.service_role,
            ),
            clock=platform.clock,
            stop=stop,
            on_progress=lambda ended, planned, failed: line.show(
                f"{ended:,} of {planned:,} requests ended, {failed:,} failed"
            ),
        )
        line.end()
        found = to_json(outcome)
        if report is not None:
            report.write(to_page(outcome))
            click.echo(f"  the report: {report.name}", err=True)
        if as_json:
            put_json(found)
        else:
            _say(outcome, found)
        if outcome.interrupted:
            return Exit.INTERRUPTED
        return Exit.DONE if outcome.kept else Exit.NO

    command(loadtest, "run", interrupted="what the load test wrote is removed by the next one")(run)


def _say(outcome: "Outcome", found: dict[str, Any]) -> None:
    rows = [{"request": name, **figures} for name, figures in found["latency"].items()]
    put_table(rows, ["request", "count", "failed", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "worst_ms"])
    for what, times in found["errors"].items():
        click.echo(f"{times:,} × {what}")
    click.echo("")
    put_table(
        [
            {"promise": check.name, "seen": check.seen, "wanted": check.wanted, "kept": check.ok}
            for check in outcome.checks
        ],
        ["promise", "seen", "wanted", "kept"],
    )
    click.echo(
        f"{found['requests']:,} of {found['planned']:,} requests in {outcome.took_s:.1f} s; "
        + ("the promise is kept" if outcome.kept else "the promise is not kept")
    )
