"""The processes of a home: the supervisor keeps PostgreSQL, keeper and gateway running."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import ClassVar

from wedsync.app.keys import webhook_secrets
from wedsync.app.opening import setup_lock
from wedsync.app.platform import Platform
from wedsync.app.queued_change import QueuedChange
from wedsync.app.running import note_configuration, receives_here, running_pid, service_lock
from wedsync.app.view import StatusReader
from wedsync.backup import lock_check, serve_backup_host
from wedsync.cluster import supervised_server
from wedsync.errors import Busy, ServerFailed, WedsyncError
from wedsync.events import Event, observe
from wedsync.process import FileLock, beat, beat_of, is_alive, spawn_detached, wait_for_exit
from wedsync.process.supervision import ProcessFact, Record, Supervised, Supervisor
from wedsync.state import as_text

_COMES_UP = timedelta(seconds=30)
_GOES_DOWN = timedelta(seconds=20)
_POLL_S = 0.05


async def run_keeper(platform: Platform) -> None:
    """Backups by schedule, shelter of WAL, heartbeat, queued maintenance, until cancelled; one keeper a home."""
    with service_lock(platform, "keeper"):
        async with asyncio.TaskGroup() as group:
            group.create_task(beat(platform.home.beat("keeper"), platform.clock), name="beat")
            if platform.takes_backups:
                platform.pgbackrest.write_config()
                group.create_task(platform.backup_mirror().run(), name="mirror")
                group.create_task(platform.region_watch().run(), name="regions")
                locks = lock_check(platform.pgbackrest, platform.state, platform.clock)
                group.create_task(locks.run(), name="locks")
                if platform.config.backup.serve is not None:
                    group.create_task(serve_backup_host(platform.pgbackrest, platform.clock), name="backup server")
            if platform.takes_backups and platform.config.backup.enabled:
                group.create_task(platform.backup_service().run(), name="backups")
                if platform.is_local and platform.config.drills.enabled:
                    group.create_task(platform.drill_service().run(), name="drills")
                    group.create_task(platform.witness_service().run(), name="witnesses")
            if platform.takes_backups and platform.config.backup.verification.enabled:
                service = platform.verification.service(platform.monitor_target)
                group.create_task(service.run(), name="verification")
            group.create_task(platform.heartbeat_service().run(), name="heartbeat")
            group.create_task(platform.job_service(migrate=QueuedChange(platform)).run(), name="jobs")
            group.create_task(platform.routine_service().run(), name="routines")
            if platform.is_local:
                group.create_task(platform.shelter().run(), name="shelter")
                group.create_task(platform.zero_loss_service().run(), name="exposure")
                group.create_task(platform.preview_service().run(), name="previews")
                group.create_task(renew_certificate_daily(platform), name="certificate")


async def renew_certificate_daily(platform: Platform) -> None:
    """Renew the server's certificate before it ends, while the server runs."""
    while True:
        try:
            await platform.server.renew_certificate()
        except (WedsyncError, OSError) as error:
            observe(CertificateNotRenewed(message=str(error)))
        await platform.clock.sleep(timedelta(days=1))


async def run_receiver(platform: Platform) -> None:
    """Receive WAL, until cancelled; one receiver a home."""
    from wedsync.zero_loss import require_directory  # noqa: PLC0415 - most homes have none

    with service_lock(platform, "receiver"):
        require_directory(platform.home.resolve(platform.config.backup.zero_loss.directory))
        receiver = platform.receiver(may_run=lambda: why_server_must_wait(platform))
        async with asyncio.TaskGroup() as group:
            group.create_task(beat(platform.home.beat("receiver"), platform.clock), name="beat")
            group.create_task(receiver.run(), name="receiver")


async def run_gateway(platform: Platform) -> None:
    """The HTTP side, until cancelled."""
    from wedsync.api.callers import KeySet  # noqa: PLC0415 - no other process needs
    from wedsync.api.front import Mount, reads_only_words  # noqa: PLC0415
    from wedsync.api.operations import TokenAdministrators  # noqa: PLC0415 - no other process needs
    from wedsync.app.gateway import DataGateway, Served  # noqa: PLC0415 - the web framework
    from wedsync.app.operations import home_operations, pool_status  # noqa: PLC0415
    from wedsync.app.preview_desk import home_doors  # noqa: PLC0415
    from wedsync.app.sign_in import home_sign_in, home_signing_keys  # noqa: PLC0415
    from wedsync.web import gateway_app, serve  # noqa: PLC0415

    settings = platform.config.gateway
    with service_lock(platform, "gateway"):
        reader = StatusReader(platform)
        signing = home_signing_keys(platform)
        data = DataGateway(
            Served(
                target=platform.gateway_target,
                keys=KeySet.of_ours(signing),
                settings=settings,
                roles=frozenset({settings.anon_role, "authenticated", "service_role"}),
                min_connections=platform.config.database.pool.min_size,
                max_connections=platform.config.database.pool.max_size,
                pool=platform.config.database.pool,
                api_keys=True,
                webhook_secrets=lambda provider: webhook_secrets(platform.secrets, provider),
                clock=platform.clock,
            )
        )

        async def ready() -> str | None:
            await data.settled()
            reason = await reader.ready()
            if reason is not None or (data.is_refused and not platform.is_local):
                return reason  # an adopted server may never get our roles: it is looked after all the same
            return data.why_not_ready()

        doors = home_doors(platform, data.callers)
        console = gateway_app(
            view=reader.view,
            ready=ready,
            state=platform.state,
            clock=platform.clock,
            api=home_operations(
                platform,
                administrators=TokenAdministrators(data.callers),
                reader=reader,
                pool=lambda: pool_status(data.pool.status()),
                doors=doors,
            ),
            hosts=settings.hosts.split(),
            reads_only=lambda: reads_only_words(data.reads_only()),
        )
        mounts: dict[str, Mount] = {}
        behind: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as group, data.serving():
            if doors is not None:
                behind.append(group.create_task(doors.run(), name="previews"))
            if platform.config.auth.enabled:
                sign_in = home_sign_in(platform, data.pool, signing)
                mounts["/auth/v1"] = Mount(app=sign_in.app)
                behind.append(group.create_task(sign_in.delivery.run(), name="letters"))
            front = data.front(elsewhere=console, mounts=mounts)
            try:
                await serve(front, settings.host, settings.port)
            finally:
                for task in behind:
                    task.cancel()


async def run_supervisor(platform: Platform) -> None:
    """Keep all processes of the home running until cancelled, then stop them in order."""
    with service_lock(platform, "supervisor"):
        note_configuration(platform.home)
        processes: list[Supervised] = []
        if receives_here(platform):
            processes.append(
                _own(platform, "receiver", beats=True)
            )  # stopped last: it takes what the server writes at its end
        if platform.is_local:
            processes.append(
                supervised_server(
                    platform.server,
                    archive_command=platform.pgbackrest.archive_command,
                    may_start=lambda: why_server_must_wait(platform),
                )
            )
        processes += [_own(platform, "keeper", beats=True), _own(platform, "gateway")]
        await Supervisor(processes, record=_record(platform)).run()


def why_server_must_wait(platform: Platform) -> str | None:
    """Why PostgreSQL must not be started now: a recovery works on its files, or left them half-way."""
    holder = FileLock(platform.home.run / "recovery.lock", purpose="look for a recovery").holder()
    if holder is not None:
        return f"a recovery is under way (process {holder.pid})"
    unfinished = platform.recoverer.journal.unfinished()
    if unfinished is not None and not unfinished.stage.files_are_whole:
        return f"the recovery of {unfinished.started_at:%Y-%m-%d %H:%M:%S} stopped at: {unfinished.stage}"
    if not platform.home.pgdata.exists():
        return "there is no data directory"
    return None


async def stop_everything(platform: Platform) -> list[str]:
    """Stop the supervisor and with it the rest, or what is left of it; gives the names of what ran."""
    if FileLock(platform.home.run / "recovery.lock", purpose="stop").holder() is not None:
        raise Busy("a recovery is under way", hint="let it end; stopping now would leave the files half-way")
    preparing = setup_lock(platform).holder()
    if preparing is not None:
        raise Busy(
            f"wedsync up is at work (process {preparing.pid})",
            hint="let it end, or stop it with Ctrl-C",
        )
    found = {name: running_pid(platform, name) for name in ("gateway", "keeper", "supervisor", "receiver")}
    if platform.is_local:
        found["PostgreSQL"] = platform.server.postmaster_pid()
    for name in ("supervisor", "gateway", "keeper"):
        pid = running_pid(platform, name)
        if pid is not None:
            await _end(pid, within=timedelta(minutes=3) if name == "supervisor" else _GOES_DOWN)
    if platform.is_local:
        if platform.home.copies.is_dir():
            found |= dict.fromkeys(await platform.copies.stop_previews(), 0)
        await platform.server.stop("fast")
    pid = running_pid(platform, "receiver")
    if pid is not None:
        await _end(pid, within=_GOES_DOWN)
    return [name for name, pid in found.items() if pid is not None]


def what_runs(platform: Platform) -> list[str]:
    """Names of what runs of a home, in the words and the order of their stopping."""
    running = [name for name in ("gateway", "keeper") if running_pid(platform, name) is not None]
    if platform.is_local and platform.server.postmaster_pid() is not None:
        running.append("PostgreSQL")
    return running


async def until_signalled(
    work: Callable[[], Awaitable[None]], *, on_signal: Callable[[int], None] | None = None
) -> signal.Signals | None:
    """Run a service until it ends, or until SIGTERM or SIGINT asks for its end; gives which of them.

    Only the first signal asks: a further one would break off the orderly stopping that is under way.
    `on_signal` hears of each, with its number: 1, 2, …
    """
    task = asyncio.ensure_future(work())
    loop = asyncio.get_running_loop()
    came: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        came.append(number)
        if len(came) == 1:
            task.cancel()
        if on_signal is not None:
            on_signal(len(came))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    with suppress(asyncio.CancelledError):
        await task
    return came[0] if came else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateNotRenewed(Event):
    """The server's certificate could not be renewed; it is tried again the next day."""

    level: ClassVar[str] = "error"
    message: str


def spawn_service(platform: Platform, name: str) -> int:
    """Start a service of this home in a session of its own; gives its pid."""
    return spawn_detached(
        [sys.executable, "-P", "-m", "wedsync", "service", name, "--home", str(platform.home.root)],
        log=platform.home.log / f"{name}.out",
        cwd=platform.home.root,
    )


async def wait_for_service(platform: Platform, name: str, pid: int) -> None:
    """Return when the service holds its lock. Raises `ServerFailed` if it ends or takes too long."""
    started = monotonic()
    while monotonic() - started < _COMES_UP.total_seconds():
        if running_pid(platform, name) == pid:
            return
        if not is_alive(pid):
            break
        await asyncio.sleep(_POLL_S)
    raise ServerFailed(
        f"the {name} did not come up",
        detail=last_words(platform, name),
        hint=f"its whole output is in {platform.home.log / name}.out",
    )


def last_words(platform: Platform, name: str) -> str:
    """The last lines that a service printed."""
    try:
        lines = (platform.home.log / f"{name}.out").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "it printed nothing"
    return " / ".join(line.strip() for line in lines[-3:]) or "it printed nothing"


def _own(platform: Platform, name: str, *, beats: bool = False) -> Supervised:
    async def start() -> int:
        pid = spawn_service(platform, name)
        await wait_for_service(platform, name, pid)
        return pid

    async def stop(pid: int) -> None:
        await _end(pid, within=_GOES_DOWN)

    return Supervised(
        name=name,
        start=start,
        stop=stop,
        find_running=lambda: running_pid(platform, name),
        pulse=beat_of(platform.home.beat(name)) if beats else None,
    )


async def _end(pid: int, *, within: timedelta) -> None:
    """SIGTERM, and SIGKILL when the time is up: every service of ours survives that."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                await wait_for_exit(pid)
                return


def _record(platform: Platform) -> Record:
    def record(process: str, what: ProcessFact, detail: str) -> None:
        platform.state.write(
            "insert into process_events (at, process, what, detail) values (?, ?, ?, ?)",
            (as_text(platform.clock.now()), process, what, detail),
        )

    return record
