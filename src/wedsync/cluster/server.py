"""Start and stop the PostgreSQL of a home, and say how it is."""

import asyncio
import os
import re
import shutil
import signal
import stat
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Literal

from wedsync.cluster.access import hba_file, ident_file, user_name
from wedsync.cluster.control import raised_for_recovery, read_control
from wedsync.cluster.datadir import (
    ServerState,
    check_data_directory,
    holds_socket,
    is_server_of,
    processes_in,
    read_pid_file,
    reap,
    version_of,
)
from wedsync.cluster.engine import Engine
from wedsync.cluster.machine import measure_machine
from wedsync.cluster.ports import require_free_port
from wedsync.cluster.secrets import write_private
from wedsync.cluster.serverlog import LogReader, without_prefix
from wedsync.cluster.settings import as_conf, quoted, server_settings, slot_room
from wedsync.config import Config, Home, ZeroLossMode
from wedsync.database import ConnectionTarget
from wedsync.errors import (
    Busy,
    CannotConnect,
    DiskFull,
    ForeignServer,
    HomeProblem,
    ServerFailed,
    ServerTimedOut,
)
from wedsync.process import FileLock, Priority, is_alive, spawn_detached, wait_for_exit

StopMode = Literal["smart", "fast", "immediate"]

_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_POLL_S = 0.02
_REPORT_S = 1.0
_ORPHANS_END_S = 5.0
_RECOVERING = {"max_standby_archive_delay": "500ms", "max_standby_streaming_delay": "500ms"}
"""A read in the way of replay is cancelled after this long: reads are welcome, and recovery comes first."""
_PROGRESS = re.compile(r"redo (starts|in progress|done)|not properly shut down|recovery|checkpoint (start|compl)")


class Server:
    """The PostgreSQL of one home. It runs in a session of its own and outlives whoever started it."""

    def __init__(self, *, engine: Engine, home: Home, config: Config, priority: Priority | None = None) -> None:
        """`priority` is that of the server and its backends; `None`: the usual one."""
        self._priority = priority or Priority()
        self.engine = engine
        self.home = home
        self.config = config

    def state(self) -> ServerState:  # noqa: PLR0911 - one return for each state
        """What files and processes say; `ready` asks the server itself."""
        version = version_of(self.home.pgdata)
        if version is None:
            return ServerState.ABSENT
        if version != self.engine.postgresql_version:
            return ServerState.WRONG_VERSION
        noted = read_pid_file(self.home.pgdata / "postmaster.pid")
        if noted is None:
            return ServerState.STOPPED
        if not is_alive(noted.pid):
            return ServerState.CRASHED
        if is_server_of(noted.pid, self.home.pgdata) is not True:
            return ServerState.FOREIGN
        match noted.status:
            case "ready" | "standby":
                return ServerState.RUNNING
            case "stopping":
                return ServerState.STOPPING
            case _:
                return ServerState.STARTING

    def postmaster_pid(self) -> int | None:
        """Pid of the server that has our data directory, also while it starts or stops.

        A server whose data directory was deleted or moved under it is still found, by the lock file of
        its socket: it has to end before anything takes its place.
        """
        noted = read_pid_file(self.home.pgdata / "postmaster.pid")
        if noted is not None and is_server_of(noted.pid, self.home.pgdata):
            return noted.pid
        noted = read_pid_file(self._socket_lock)
        if noted is None or noted.data_directory != str(self.home.pgdata):
            return None
        # The pid may have gone to another process since: it has to hold our socket.
        return noted.pid if holds_socket(noted.pid, self._socket_lock.with_suffix("")) else None

    async def ready(self) -> bool:
        """Whether the server takes a connection now."""
        try:
            connection = await self.target().connect(connect_timeout=timedelta(seconds=5))
        except CannotConnect:
            return False
        await connection.close()
        return True

    def target(self, user: str = "postgres", dbname: str = "postgres") -> ConnectionTarget:
        """Through the socket, as one of the roles that the service user may be."""
        return ConnectionTarget(
            host=str(self.home.sockets), port=self.config.cluster.port, dbname=dbname, user=user
        )

    def tcp_target(self, user: str, password: str, dbname: str | None = None) -> ConnectionTarget:
        """Over TCP, with the server's certificate verified fully."""
        return ConnectionTarget(
            host=_reachable(self._addresses()),
            port=self.config.cluster.port,
            dbname=dbname or self.config.database.name,
            user=user,
            password=password,
            sslmode="verify-full",
            sslrootcert=str(self.home.ca_certificate),
        )

    async def start(
        self,
        *,
        archive_command: str,
        deadline: timedelta,
        overrides: Mapping[str, str] | None = None,
        on_progress: Callable[[str], None] | None = None,
        hold: Callable[[], str | None] | None = None,
    ) -> int:
        """Start it unless it runs, wait until it takes connections; gives its pid.

        `overrides` are settings for this start only; they win over every file and are no place for
        secrets (the command line shows them). `on_progress` gets a line about crash recovery every second
        while there is one. `hold` is asked last of all whether it may be launched, at a moment when no
        `stop` is looking for it: its reason, if any, is raised as `Busy`. Cancelling stops the waiting,
        not the server. Raises `DataDirectoryProblem`, `PortTaken`, `ForeignServer`, `DiskFull`, or
        `ServerFailed` with what PostgreSQL's log says; past `deadline` `ServerTimedOut`, and the server,
        which may be replaying WAL, is left to it.
        """
        ends_at = monotonic() + deadline.total_seconds()
        while True:
            logs = LogReader(self.home.log)
            async with self._launching(deadline):
                pid = self.postmaster_pid()
                launched = pid is None or self.state() not in {ServerState.RUNNING, ServerState.STARTING}
                if pid is None or launched:
                    if pid is not None:
                        await self._wait_for_end(pid, deadline)
                    pid = await self._launch_now(archive_command, overrides or {}, hold)
            if await self._wait_until_ready(pid, ends_at - monotonic(), logs, on_progress):
                return pid
            reap(pid)
            if launched:
                raise self._why_it_ended(logs)
            # it ran already and died under our eyes: start it

    async def stop(self, mode: StopMode = "fast", *, deadline: timedelta = timedelta(minutes=2)) -> bool:
        """Stop it; whether there was anything to stop.

        `fast` ends sessions and writes a checkpoint; past `deadline` it is stopped at once instead, which
        costs a crash recovery at the next start and nothing else. A server without its data directory
        has nothing left to write and is always stopped at once.
        """
        async with self._launching(deadline):
            pid = self.postmaster_pid()
        if pid is None:
            await self._end_orphans()
            return False
        if not (self.home.pgdata / "postmaster.pid").exists():
            mode = "immediate"
        for attempt, seconds in ((mode, deadline.total_seconds()), ("immediate", 15.0)):
            with suppress(ProcessLookupError):
                os.kill(pid, _SIGNALS[attempt])
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await wait_for_exit(pid)
                    reap(pid)
                    await self._end_orphans()
                    return True
        raise ServerTimedOut(
            f"PostgreSQL (process {pid}) did not stop",
            detail=f"not within {deadline.total_seconds():g} s, nor 15 s after an immediate stop",
            hint="a process in state D waits for the disk: look at dmesg",
        )

    async def reload(self) -> None:
        """Let a running server read its files again: settings, access rules, certificates."""
        pid = self.postmaster_pid()
        if pid is not None:
            os.kill(pid, signal.SIGHUP)

    @property
    def has_receiver(self) -> bool:
        """Whether somebody is to receive its WAL besides the archive."""
        return self.config.backup.zero_loss.mode is not ZeroLossMode.OFF

    @property
    def received(self) -> Path:
        """Where its receiver writes to; also where there is none now, for there may have been one."""
        return self.home.resolve(self.config.backup.zero_loss.directory)

    @property
    def waits_for(self) -> str:
        """The receiver that commits wait for; empty: they wait for none."""
        try:
            return self._sync_file.read_text(encoding="utf-8").partition("'")[2].partition("'")[0]
        except FileNotFoundError:
            return ""

    async def wait_for(self, receiver: str) -> None:
        """Let commits wait until `receiver` has them; empty: let none wait. Those that do are let go then.

        It holds over restarts of the server, and not over a recovery. A file of ours and not ALTER SYSTEM: it can
        be changed while no connection comes about.
        """
        if receiver:
            write_private(self._sync_file, f"synchronous_standby_names = '{receiver}'\n".encode(), replace=True)
        else:
            self._sync_file.unlink(missing_ok=True)
        await self.reload()

    async def renew_certificate(self) -> bool:
        """Renew the server's certificate if it ends within 30 days; whether it was.

        New connections get it at once (the server reads it again), those that are open go on.
        """
        from wedsync.cluster.certificates import ensure_certificates  # noqa: PLC0415 - as in write_configuration

        renewed = (await ensure_certificates(self.home, self._addresses())).renewed
        if renewed:
            await self.reload()
        return renewed

    async def write_configuration(self, archive_command: str) -> None:
        """Write settings, access rules and certificates as the configuration has them now."""
        settings = (
            server_settings(measure_machine(self.engine), self.config)
            | {
                "listen_addresses": self.config.cluster.listen_addresses,
                "port": str(self.config.cluster.port),
                "unix_socket_directories": str(self.home.sockets),
                "unix_socket_permissions": "0700",
                "log_directory": str(self.home.log),
                "archive_command": archive_command,
                "max_slot_wal_keep_size": slot_room(
                    shutil.disk_usage((self.home.pgdata / "pg_wal").resolve()).total
                ),
            }
            | await self._encryption()
            | self.config.cluster.settings
        )
        in_recovery = any((self.home.pgdata / name).exists() for name in ("recovery.signal", "standby.signal"))
        if in_recovery:
            settings |= raised_for_recovery(settings, await read_control(self.engine, self.home.pgdata))
            settings |= _RECOVERING
            self._sync_file.unlink(missing_ok=True)  # as it was when the backup was taken
        text = "# Written by wedsync at each start; changes are lost. Set them in wedsync.toml.\n"
        files = {
            "wedsync.conf": text
            + as_conf(settings)
            + f"include_if_exists = '{self._sync_file.name}'\n"
            + f"include_if_exists = {quoted(str(self.home.given_up_settings))}\n",
            "pg_hba.conf": hba_file(
                in_recovery=in_recovery, has_receiver=self.has_receiver, tcp=bool(self._addresses())
            ),
            "pg_ident.conf": ident_file(user_name(os.geteuid())),
        }
        for name, content in files.items():
            write_private(self.home.pgdata / name, content.encode(), replace=True)

    async def _encryption(self) -> dict[str, str]:
        """The settings of TLS; a server that listens nowhere needs no certificate."""
        if not self._addresses():
            return {"ssl": "off"}
        from wedsync.cluster.certificates import ensure_certificates  # noqa: PLC0415 - 0.1 s; most commands start nothing

        certificates = await ensure_certificates(self.home, self._addresses())
        return {"ssl_cert_file": str(certificates.certificate), "ssl_key_file": str(certificates.key)}

    async def _launch_now(
        self, archive_command: str, overrides: Mapping[str, str], hold: Callable[[], str | None] | None
    ) -> int:
        reason = hold() if hold is not None else None
        if reason is not None:
            raise Busy("PostgreSQL is not started now", detail=reason)
        await self._prepare(archive_command)
        pid = self._launch(overrides)
        await self._wait_for_pid_file(pid)
        return pid

    async def _prepare(self, archive_command: str) -> None:
        """Everything that can be known to fail is found before the server is started."""
        if os.geteuid() == 0:
            raise HomeProblem(
                "PostgreSQL does not run as root", hint="start through bin/up: it uses a user of its own"
            )
        pgdata = self.home.pgdata
        check_data_directory(pgdata, version=self.engine.postgresql_version, user_id=os.geteuid())
        await read_control(self.engine, pgdata)
        await self._clear_stale_pid_files()
        require_free_port(self.config.cluster.port, addresses=self._addresses(), setting="cluster.port")
        prepare_socket_directory(self.home.sockets)
        self.home.log.mkdir(exist_ok=True, mode=0o700)
        try:
            await self.write_configuration(archive_command)
        except OSError as error:
            raise _about_files(error, pgdata) from error

    @asynccontextmanager
    async def _launching(self, deadline: timedelta) -> AsyncGenerator[None]:
        """Held while a server is launched, until its pid file is there, and while one is looked for.

        Without it a stop (say, before a recovery replaces the files) could look between the launch and the
        pid file, and find nothing.
        """
        lock = FileLock(self.home.run / "postgresql.lock", purpose="launch PostgreSQL")
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                while not lock.try_acquire():  # noqa: ASYNC110 - another process holds it
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise ServerTimedOut("another process launches PostgreSQL and does not finish") from error
        except OSError as error:
            raise _about_files(error, self.home.run) from error
        try:
            yield
        finally:
            lock.release()

    async def _wait_for_pid_file(self, pid: int) -> None:
        path = self.home.pgdata / "postmaster.pid"
        while is_alive(pid):
            noted = read_pid_file(path)
            if noted is not None and noted.pid == pid:
                return
            await asyncio.sleep(_POLL_S)

    async def _clear_stale_pid_files(self) -> None:
        """Remove pid and socket lock files whose process is gone or is no server of this directory.

        PostgreSQL removes what a dead process left, but refuses when the pid was taken by another process
        or is a zombie that nobody reaps. Backends that outlive a killed postmaster are ended first: they
        could still write to the files.
        """
        for path in (self.home.pgdata / "postmaster.pid", self._socket_lock):
            noted = read_pid_file(path)
            if noted is None:
                if path == self.home.pgdata / "postmaster.pid":
                    path.unlink(missing_ok=True)  # empty: the disk was full, or the machine went down
                continue
            reap(noted.pid)
            owner = Path(noted.data_directory)
            belongs = is_server_of(noted.pid, owner)
            if belongs is None or (belongs and is_alive(noted.pid)):
                raise ForeignServer(
                    f"a PostgreSQL (process {noted.pid}) has {path.name} already",
                    detail=f"it works in {owner}"
                    if belongs
                    else "it belongs to another user, who alone can say where it works",
                    hint="stop that server first, or use another --home and --db-port",
                )
            await self._end_orphans()
            path.unlink(missing_ok=True)

    async def _end_orphans(self) -> None:
        """End backends whose postmaster is gone; they notice themselves, unless they are busy computing."""
        for number in (None, signal.SIGQUIT, signal.SIGKILL):
            left = processes_in(self.home.pgdata)
            if not left:
                return
            for pid in left:
                if number is not None:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(_ORPHANS_END_S if number else 1.0):
                    for pid in left:
                        await wait_for_exit(pid)

    def _launch(self, overrides: Mapping[str, str]) -> int:
        words = [word for name, value in overrides.items() for word in ("-c", f"{name}={value}")]
        try:
            return spawn_detached(
                [*self._priority.words(), self.engine.program("postgres"), "-D", self.home.pgdata, *words],
                log=self.home.log / "postgresql.log",
                env=self.engine.environment,
                cwd=self.home.root,
            )
        except OSError as error:
            raise _about_files(error, self.home.log) from error

    async def _wait_until_ready(
        self, pid: int, wait_s: float, logs: LogReader, on_progress: Callable[[str], None] | None
    ) -> bool:
        """Whether it takes connections; False if it ended instead."""
        ended = asyncio.ensure_future(wait_for_exit(pid))
        reported = monotonic()
        try:
            async with asyncio.timeout(max(wait_s, 0.0)):
                while not ended.done():
                    noted = read_pid_file(self.home.pgdata / "postmaster.pid")
                    if noted and noted.pid == pid and noted.status in {"ready", "standby"} and await self.ready():
                        return True
                    if on_progress is not None and monotonic() - reported >= _REPORT_S:
                        reported = monotonic()
                        for line in logs.new_lines()[-200:]:
                            if _PROGRESS.search(line):
                                on_progress(without_prefix(line))
                    await asyncio.wait([ended], timeout=_POLL_S)
        except TimeoutError as error:
            raise ServerTimedOut(
                f"PostgreSQL (process {pid}) takes no connections after {wait_s:.0f} s",
                detail=logs.why() or "its log says nothing new",
                hint="it goes on starting; wedsync status says when it is there",
            ) from error
        finally:
            ended.cancel()
        return False

    def _why_it_ended(self, logs: LogReader) -> ServerFailed | DiskFull:
        why = logs.why()
        if "No space left on device" in why:
            return DiskFull(
                "the disk is full: PostgreSQL cannot start", detail=why, hint="free space, then start again"
            )
        return ServerFailed(
            "PostgreSQL ended while it was starting",
            detail=why or "its log says nothing",
            hint=f"the whole log is in {self.home.log}",
        )

    async def _wait_for_end(self, pid: int, deadline: timedelta) -> None:
        """Wait for a server that is stopping; one whose data directory was taken away is stopped first."""
        if self.state() is not ServerState.STOPPING:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline.total_seconds()):
                await wait_for_exit(pid)
                reap(pid)

    @property
    def _sync_file(self) -> Path:
        return self.home.pgdata / "wedsync.sync.conf"

    @property
    def _socket_lock(self) -> Path:
        return self.home.sockets / f".s.PGSQL.{self.config.cluster.port}.lock"

    def _addresses(self) -> list[str]:
        words = self.config.cluster.listen_addresses.split(",")
        return [word.strip() for word in words if word.strip()]


def prepare_socket_directory(directory: Path) -> None:
    """Make the sockets' directory, ours alone; `HomeProblem` if somebody else made it or may write there."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    about = directory.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        raise HomeProblem(
            "the directory of the sockets is not ours",
            detail=f"{directory} belongs to user {about.st_uid}",
            hint="remove it, or choose a --home with a shorter path",
        )
    if about.st_mode & 0o077:
        directory.chmod(0o700)


def _reachable(addresses: list[str]) -> str:
    """An address that a client on this machine can use."""
    chosen = addresses[0] if addresses else "localhost"
    return "localhost" if chosen in {"*", "0.0.0.0", "::", "127.0.0.1"} else chosen  # noqa: S104 - compared


def _about_files(error: OSError, place: Path) -> HomeProblem | DiskFull:
    if error.errno in {28, 122}:  # ENOSPC, EDQUOT
        return DiskFull("the disk is full: PostgreSQL cannot start", detail=str(error), hint="free space")
    return HomeProblem(f"cannot write below {place}", detail=str(error))


__all__ = ["Server", "ServerState", "StopMode", "prepare_socket_directory"]
