"""`up`, `down` and the services behind them."""

import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

import click

from wedsync.cli.context import enter_home, is_home, open_platform
from wedsync.cli.kit import read_kit
from wedsync.cli.output import Exit, Step, command, put_json
from wedsync.errors import ServerFailed

if TYPE_CHECKING:
    from wedsync.app import Platform, Preparation, RescueKit

_KEEPER_COMES_UP = timedelta(seconds=30)
_GATEWAY_ANSWERS = timedelta(seconds=60)


def register(main: click.Group) -> None:
    """Add the commands of this module."""

    @click.option("--port", type=int, metavar="N", help="Port of the gateway; 8000 for a new home.")
    @click.option("--db-port", type=int, metavar="N", help="Port of PostgreSQL; 54329 for a new home.")
    @click.option("--detach", is_flag=True, help="Return as soon as the gateway answers.")
    @click.option("--empty", is_flag=True, help="No demo season in a new home.")
    @click.option(
        "--rescue",
        type=click.Path(exists=True, dir_okay=False),
        metavar="KIT",
        help="The machine was lost: make its home again from a rescue kit and the repositories.",
    )
    @click.option(
        "--passphrase-file",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="Its first line opens the kit; else it is asked for.",
    )
    async def up(
        *,
        home_path: str | None,
        port: int | None,
        db_port: int | None,
        detach: bool,
        empty: bool,
        rescue: str | None,
        passphrase_file: str | None,
    ) -> Exit:
        """Set up what is missing and start everything.

        The first run makes the cluster, applies migrations, loads a demo season and takes the first backup;
        stopped in the middle, the next one goes on from there. On a running home it says what is running.

        \b
        Example: wedsync up --home /srv/wedsync --port 8080 --detach
        """
        kit = read_kit(rescue, passphrase_file) if rescue is not None else None  # while still root
        return await _up(home_path, port=port, db_port=db_port, detach=detach, empty=empty, kit=kit)

    async def down(*, home_path: str | None, as_json: bool) -> Exit:
        """Stop the gateway, the keeper and PostgreSQL; what was written is safe.

        \b
        Example: wedsync down
        """
        from wedsync.app import stop_everything

        stopped = await stop_everything(open_platform(home_path))
        if as_json:
            put_json({"stopped": stopped})
        else:
            click.echo("stopped: " + ", ".join(stopped) if stopped else "nothing was running")
        return Exit.DONE

    @click.argument("name", type=click.Choice(["supervisor", "keeper", "gateway", "receiver"]))
    async def service(*, home_path: str | None, name: str) -> Exit:
        """Run one service in the foreground (the supervisor does this)."""
        from wedsync.app import run_gateway, run_keeper, run_receiver, run_supervisor, until_signalled
        from wedsync.log import configure_logging

        platform = open_platform(home_path)
        configure_logging(file=platform.home.log / f"{name}.log", json=True)
        services: dict[str, Callable[[Platform], Awaitable[None]]] = {
            "supervisor": run_supervisor,
            "keeper": run_keeper,
            "gateway": run_gateway,
            "receiver": run_receiver,
        }
        await until_signalled(lambda: services[name](platform))
        return Exit.DONE

    @click.argument("run_id")
    async def operation(*, home_path: str | None, run_id: str) -> Exit:
        """Do what a call of the operations API asked for (the gateway starts this)."""
        from wedsync.app import do_run, until_signalled
        from wedsync.log import configure_logging

        platform = open_platform(home_path)
        configure_logging(file=platform.home.log / "operations.log", json=True)
        done: list[bool] = []

        async def work() -> None:
            done.append(await do_run(platform, run_id))

        await until_signalled(work)
        return Exit.DONE if done == [True] else Exit.FAILED

    resumes = "what is done stays; wedsync up goes on from there, wedsync down stops what runs"
    command(main, "up", answers=False, interrupted=resumes)(up)
    command(main, "down", interrupted="wedsync status says what still runs")(down)
    run = command(main, "service", answers=False, serves=lambda options: options["name"] == "gateway")(service)
    run.hidden = True
    command(main, "operation", answers=False)(operation).hidden = True


async def _up(
    home_path: str | None,
    *,
    port: int | None,
    db_port: int | None,
    detach: bool,
    empty: bool,
    kit: "RescueKit | None" = None,
) -> Exit:
    began = monotonic()
    home = enter_home(home_path)
    from wedsync import app
    from wedsync.log import log_to_terminal

    log_to_terminal()
    flags: dict[str, object] = {
        name: value for name, value in (("gateway.port", port), ("cluster.port", db_port)) if value is not None
    }
    if kit is not None:
        app.unpack_kit(kit, home)
        app.close_home(home)
        click.echo(f"the kit of {kit.made_at:%Y-%m-%d %H:%M} UTC is in place", err=True)
    new = not is_home(home)
    platform = app.Platform(home, app.this_environment(), flags=flags if new else None)
    app.check_flags(platform, flags)
    click.echo(f"home {home.root}", err=True)
    if kit is not None and _preparation(platform).is_to_be_rescued():
        app.require_free_ports(platform, new=False)
        return await _rescue(platform, detach=detach, began=began)
    if await _runs_already(platform):
        return Exit.DONE
    app.require_free_ports(platform, new=new)
    if app.write_first_config(platform):
        click.echo(f"  wrote {home.config_file.name}", err=True)
    app.close_home(home)
    with app.setup_lock(platform):
        if await _runs_already(platform):
            return Exit.DONE
        await _prepare(platform, demo=not empty)
        if detach:
            pid = app.spawn_service(platform, "supervisor")
            await app.wait_for_service(platform, "supervisor", pid)
            await _say_it_runs(platform, pid, began)
            return Exit.DONE
    return await _supervise(platform)


async def _rescue(platform: "Platform", *, detach: bool, began: float) -> Exit:
    """Take the database back into the home of a lost machine while its services come up beside it."""
    from wedsync import app

    app.require_free_ports(platform, new=False)
    with app.setup_lock(platform):
        preparation = _preparation(platform)
        preparation.open()
        plan = await preparation.find_newest()
        pid = app.running_pid(platform, "supervisor")
        if detach and pid is None:
            pid = app.spawn_service(platform, "supervisor")  # it comes up while files are restored
        await preparation.rescue(plan)
        if pid is not None:
            await app.wait_for_service(platform, "supervisor", pid)
            await _say_it_runs(platform, pid, began)
            return Exit.DONE
    return await _supervise(platform)


async def _say_it_runs(platform: "Platform", supervisor: int, began: float) -> None:
    await _wait_for_gateway(platform, supervisor)
    await _say_what_runs(platform)
    click.echo(f"  all of it took {monotonic() - began:.1f} s", err=True)


async def _supervise(platform: "Platform") -> Exit:
    """Keep everything running in the foreground until it is stopped."""
    import asyncio
    import signal

    from wedsync import app
    from wedsync.log import configure_logging

    configure_logging(file=platform.home.log / "supervisor.log", json=True)

    async def supervise() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(app.run_supervisor(platform))
            group.create_task(_greet(platform))

    ran: list[str] = []

    def on_signal(number: int) -> None:
        if number == 1:
            ran.extend(app.what_runs(platform))
        click.echo("\nstopping …" if number == 1 else "\nstopping already: wait for it", err=True)

    ended_by = await app.until_signalled(supervise, on_signal=on_signal)
    still = app.what_runs(platform)
    click.echo(_stopped_words([name for name in ran if name not in still], still), err=True)
    if still:
        return Exit.FAILED
    return Exit.INTERRUPTED if ended_by is signal.SIGINT else Exit.DONE


def _stopped_words(stopped: Sequence[str], still: Sequence[str]) -> str:
    """What ended and what did not, after Ctrl-C."""
    words = [f"stopped: {_listed(stopped)}; wedsync up starts them again"] if stopped else []
    if still:
        words.append(f"still running: {_listed(still)}; wedsync down stops what is left")
    return "\n".join(words) or "nothing was running"


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


async def _runs_already(platform: "Platform") -> bool:
    """Whether the home runs; says what, once its gateway answers."""
    from wedsync.app import configuration_changed_at, running_pid

    supervisor = running_pid(platform, "supervisor")
    if supervisor is None:
        return False
    if configuration_changed_at(platform.home) is None:  # else the gateway may be at another port than it says
        await _wait_for_gateway(platform, supervisor)
    click.echo("running already:", err=True)
    await _say_what_runs(platform)
    return True


def _preparation(platform: "Platform") -> "Preparation":
    from wedsync.app import Preparation

    return Preparation(platform, step=Step, say=lambda words: click.echo(f"  {words}", err=True))


async def _prepare(platform: "Platform", *, demo: bool) -> None:
    from wedsync import app

    if not platform.is_local:
        await app.prepare_adopted(platform, step=Step)
        return
    unfinished = await _preparation(platform).prepare(demo=demo)
    if unfinished is not None:
        again = "--undo" if unfinished.target == "undo" else f"--to '{unfinished.target}'"
        click.echo(
            f"  PostgreSQL stays down: the recovery to {unfinished.target} of"
            f" {unfinished.started_at:%Y-%m-%d %H:%M:%S} UTC stopped at: {unfinished.stage}\n"
            f"  next: wedsync recover run {again} --yes goes on with it",
            err=True,
        )


async def _greet(platform: "Platform") -> None:
    await _wait_for_gateway(platform, os.getpid())
    await _say_what_runs(platform)
    click.echo("  Ctrl-C stops everything", err=True)


async def _wait_for_gateway(platform: "Platform", supervisor: int) -> None:
    """Return when /healthz answers and, unless it does not come up, the keeper is at work."""
    import asyncio

    from wedsync.app import last_words
    from wedsync.process import is_alive

    gateway = platform.config.gateway
    started = monotonic()
    while monotonic() - started < _GATEWAY_ANSWERS.total_seconds():
        if await _answers(gateway.host, gateway.port):
            await _let_keeper_come_up(platform)
            return
        if not is_alive(supervisor):
            raise ServerFailed("the supervisor ended", detail=last_words(platform, "supervisor"))
        await asyncio.sleep(0.05)
    raise ServerFailed(
        f"the gateway does not answer on port {gateway.port}",
        detail=last_words(platform, "gateway"),
        hint="wedsync status",
    )


async def _let_keeper_come_up(platform: "Platform") -> None:
    """Return when the keeper runs, or should long have come up: what is said next is that it does not."""
    import asyncio

    from wedsync.app import running_pid

    until = monotonic() + _KEEPER_COMES_UP.total_seconds()
    while monotonic() < until:
        if running_pid(platform, "keeper") is not None:
            return
        await asyncio.sleep(0.05)


async def _answers(host: str, port: int) -> bool:
    import asyncio

    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            line = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in line


async def _say_what_runs(platform: "Platform") -> None:
    from wedsync.app import StatusReader, new_sign_in_link, read_keys
    from wedsync.monitoring import continuous_window, judge
    from wedsync.words import moment_words

    facts = await StatusReader(platform).facts(survey_within=timedelta(seconds=15))
    verdict = judge(facts, platform.clock.now().astimezone())
    keys = read_keys(platform)
    window = continuous_window(facts.survey)
    click.echo(f"  {verdict.sentence}")
    click.echo(f"  console          {new_sign_in_link(platform)}  (signs in once, within 15 minutes)")
    click.echo(f"  API              {keys.api_url}")
    click.echo(f"  database         port {platform.config.cluster.port}; keys: wedsync keys")
    # A server that runs archives the rest before it is stopped: then the window reaches to the present.
    serves = facts.database is not None and facts.database.connects
    words = (
        f"{moment_words(window.from_at)} – {'now' if serves else moment_words(window.to_at)}"
        if window
        else "none yet"
    )
    click.echo(f"  recovery window  {words}")
