"""The first run: from an empty directory to a protected PostgreSQL, one resumable step after the other."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Protocol

from wedsync.app.keys import ensure_keys
from wedsync.app.platform import Platform
from wedsync.backup import BackupKind, RunReason
from wedsync.cluster import ServerState, initialise_cluster, require_free_port
from wedsync.config import Environment, Home, Profile
from wedsync.demo import load as load_demo
from wedsync.errors import ConfigProblem, WedsyncError
from wedsync.migrations import status as migration_status
from wedsync.migrations import up as migrate_up
from wedsync.recovery import JournalEntry
from wedsync.state import as_text

_START = timedelta(minutes=10)
_FIRST_RUN = "first_run"


class StepNote(Protocol):
    """A step that is under way."""

    def note(self, words: str) -> None:
        """What to say of it when it is done."""


StepMaker = Callable[[str], AbstractContextManager[StepNote]]
"""Begins a step: says its words now, and how long it took when the context ends."""


def write_first_config(home: Home, flags: Mapping[str, object]) -> bool:
    """Write the configuration file of a new home; whether it was written.

    A home that has one keeps it: flags that contradict it are a `ConfigProblem`.
    """
    if home.config_file.exists():
        return False
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = f"""\
# The configuration of this home. Every setting, its value and its origin: wedsync config show
profile = "{flags.get("profile", Profile.LOCAL)}"
environment = "{flags.get("environment", Environment.PRODUCTION)}"

[cluster]
port = {flags.get("cluster.port", 54329)}

[gateway]
port = {flags.get("gateway.port", 8000)}
"""
    partial = home.config_file.with_suffix(".new")
    partial.write_text(text)
    partial.chmod(0o600)
    partial.rename(home.config_file)
    return True


def check_flags(platform: Platform, flags: Mapping[str, object]) -> None:
    """Refuse flags that differ from what the home was made with."""
    values = {setting.name: setting for setting in platform.loaded.settings}
    for name, value in flags.items():
        if values[name].value != value:
            raise ConfigProblem(
                f"this home has {name} = {values[name].value}, not {value}",
                detail=f"from {values[name].origin}",
                hint=f"leave the flag out, or change it in {platform.home.config_file.name} after wedsync down",
            )


class Preparation:
    """Brings a home of profile `local` to where its services can start. Stopped in the middle, it resumes."""

    def __init__(self, platform: Platform, *, step: StepMaker, progress: Callable[[str], None]) -> None:
        self._platform = platform
        self._step = step
        self._progress = progress

    @property
    def is_first_run(self) -> bool:
        """Whether the first run has not come to its end yet."""
        return self._platform.state.row("select 1 from setup_steps where step = ?", (_FIRST_RUN,)) is None

    async def prepare(self, *, demo: bool) -> JournalEntry | None:
        """Do what is missing; gives the unfinished recovery that keeps the server down, if there is one."""
        platform = self._platform
        unfinished = platform.recoverer.journal.unfinished()
        if unfinished is not None and not unfinished.stage.files_are_whole:
            return unfinished
        first = self.is_first_run
        running = platform.server.state() in {ServerState.RUNNING, ServerState.STARTING}
        if not running:
            require_free_port(
                platform.config.cluster.port, addresses=["127.0.0.1"], setting="--db-port (cluster.port)"
            )
        ensure_keys(platform.secrets)
        if first:
            with self._step("make the cluster (checksums, TLS, scram)") as step:
                made = await initialise_cluster(engine=platform.engine, home=platform.home, config=platform.config)
                step.note("made" if made else "there already")
        platform.pgbackrest.write_config()
        with self._step(f"start PostgreSQL {platform.engine.postgresql_version}") as step:
            pid = await platform.server.start(
                archive_command=platform.pgbackrest.archive_command(),
                deadline=_START,
                on_progress=self._progress,
            )
            step.note(
                f"{'ran already' if running else 'started'}, process {pid}, port {platform.config.cluster.port}"
            )
        if first:
            await self._first_run(demo=demo)
        else:
            await platform.settle_roles()
            await self._tell_pending()
        return None

    async def _first_run(self, *, demo: bool) -> None:
        platform = self._platform
        with self._step("roles, database, rights"):
            await platform.settle_roles()
        with self._step("prepare the backup repositories") as step:
            statuses = await platform.pgbackrest.stanza_create()
            step.note(", ".join(f"repo{item.repo} {'ready' if item.ok else item.message}" for item in statuses))
        with self._step("apply migrations") as step:
            done = await migrate_up(platform.owner_target, by="wedsync up")
            step.note(f"{len(done.applied)} applied")
        if demo:
            with self._step("load the demo season") as step:
                loaded = await load_demo(platform.owner_target)
                rows = sum(loaded.rows.values())
                step.note("there already" if loaded.already else f"{rows:,} rows")
        for repo in platform.pgbackrest.repos:
            with self._step(f"first backup to repo{repo}") as step:
                step.note(await self._first_backup(repo))
        with self._step("first recovery point"):
            await self._first_recovery_point()
        platform.state.write(
            "insert or ignore into setup_steps (step, at) values (?, ?)",
            (_FIRST_RUN, as_text(platform.clock.now())),
        )

    async def _first_backup(self, repo: int) -> str:
        """Take the first backup; the second region may be out of reach today: the keeper tries again."""
        runs = self._platform.backup_runs
        if (await runs.refresh()).of_repo(repo):
            return "there already"
        try:
            backup = await runs.take(BackupKind.FULL, repo=repo, reason=RunReason.FIRST)
        except WedsyncError as error:
            if repo == self._platform.pgbackrest.repos[0]:
                raise
            return f"not now: {error.message}"
        return f"{backup.label}, {backup.database_bytes / 1e6:.0f} MB in {backup.repo_bytes / 1e6:.0f} MB"

    async def _first_recovery_point(self) -> None:
        """A commit after the backups, archived: from it on, every second can be restored."""
        platform = self._platform
        backups = platform.backup_records.backups()
        since = max((backup.consistent_from for backup in backups), default=platform.clock.now())
        await platform.clock.sleep(max(since - platform.clock.now(), timedelta(0)))
        async with await platform.owner_target.connect() as connection:
            await connection.execute("update ops.heartbeat set beat_at = clock_timestamp()")
        await platform.pgbackrest.check()

    async def _tell_pending(self) -> None:
        found = await migration_status(self._platform.owner_target)
        if found.pending:
            self._progress(f"{len(found.pending)} migrations are pending: wedsync migrate up")


def require_gateway_port(platform: Platform) -> None:
    """`PortTaken` if somebody else listens where the gateway wants to."""
    gateway = platform.config.gateway
    require_free_port(gateway.port, addresses=[gateway.host], setting="--port (gateway.port)")
