"""The first run: from an empty directory to a protected PostgreSQL, one resumable step after the other."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Protocol

from wedsync.app.keys import ensure_keys
from wedsync.app.platform import Platform
from wedsync.app.services import why_server_must_wait
from wedsync.backup import BackupKind, Catalogue, RepositoryStatus, RunReason
from wedsync.cluster import ServerState, capabilities, examine, initialise_cluster
from wedsync.errors import Busy, CannotConnect, DataDirectoryProblem, RepositoryUnreachable, WedsyncError, WrongKey
from wedsync.migrations import status as migration_status
from wedsync.migrations import up as migrate_up
from wedsync.recovery import JournalEntry, Phase, RecoveryPlan
from wedsync.state import as_text

_START = timedelta(minutes=10)
_OTHER_BACKUP_ENDS = timedelta(minutes=10)
_FIRST_RUN = "first_run"


class StepNote(Protocol):
    """A step that is under way."""

    def note(self, words: str) -> None:
        """What to say of it when it is done."""


StepMaker = Callable[[str], AbstractContextManager[StepNote]]
"""Begins a step: says its words now, and how long it took when the context ends."""


class Preparation:
    """Brings a home of profile `local` to where its services can start. Stopped in the middle, it resumes."""

    def __init__(self, platform: Platform, *, step: StepMaker, say: Callable[[str], None]) -> None:
        self._platform = platform
        self._step = step
        self._say = say

    def open(self) -> None:
        """Make the keys and the backup engine's configuration: services may start with them."""
        ensure_keys(self._platform.secrets)
        self._platform.pgbackrest.write_config()

    async def prepare(self, *, demo: bool) -> JournalEntry | None:
        """Do what is missing; gives the unfinished recovery that keeps the server down, if there is one."""
        platform = self._platform
        self.open()
        unfinished = platform.recoverer.journal.unfinished()
        if unfinished is not None and not unfinished.stage.files_are_whole:
            return unfinished
        first = platform.state.row("select 1 from setup_steps where step = ?", (_FIRST_RUN,)) is None
        if platform.server.state() is ServerState.ABSENT:
            await self._refuse_a_lost_cluster(first=first)
        if first:
            with self._step("make the cluster (checksums, TLS, scram)") as step:
                made = await initialise_cluster(engine=platform.engine, home=platform.home, config=platform.config)
                step.note("made" if made else "there already")
        running = platform.server.state() in {ServerState.RUNNING, ServerState.STARTING}
        with self._step(f"start PostgreSQL {platform.engine.postgresql_version}") as step:
            if not running:  # nobody receives WAL before all runs, and what is prepared here must not wait for it
                await platform.server.wait_for("")
            pid = await platform.server.start(
                archive_command=platform.pgbackrest.archive_command(),
                deadline=_START,
                on_progress=self._say,
                hold=lambda: why_server_must_wait(platform),
            )
            step.note(
                f"{'ran already' if running else 'started'}, process {pid}, port {platform.config.cluster.port}"
            )
        if first:
            await self._first_run(demo=demo)
        else:
            await platform.settle_roles()
            await self._tell_pending()
        await platform.eraser.learn()  # the state file may be younger than the database
        return None

    def is_to_be_rescued(self) -> bool:
        """Whether there is no database yet, or a recovery of it that stopped half-way."""
        platform = self._platform
        return platform.server.state() is ServerState.ABSENT or platform.recoverer.journal.unfinished() is not None

    async def find_newest(self) -> RecoveryPlan:
        """The way to the newest state in the repositories, for a home whose machine was lost.

        Raises `TargetUnreachable` where no repository that can be reached holds a backup.
        """
        with self._step("find the newest state in the repositories") as step:
            plan = await self._platform.recoverer.plan(None)
            step.note(f"{plan.base.kind} {plan.base.label} in repo{plan.repo}, {plan.wal_segments} WAL segments")
        for note in plan.notes:
            self._say(note)
        return plan

    async def rescue(self, plan: RecoveryPlan) -> None:
        """Take it back. Services may run already: they wait for the database. It may be killed and run again."""
        done = await self._platform.recoverer.run(plan, report=self._tell_phases())
        phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in done.phases_s.items())
        self._say(f"taken back to {done.last_commit_at or done.restored_to} in {done.took_s:.1f} s: {phases}")
        self._end_first_run()

    def _tell_phases(self) -> Callable[[Phase, str], None]:
        """Says what each phase of a recovery begins with."""
        said: set[Phase] = set()

        def report(phase: Phase, words: str) -> None:
            if phase not in said:
                said.add(phase)
                self._say(f"{phase}: {words}")

        return report

    async def _refuse_a_lost_cluster(self, *, first: bool) -> None:
        """A new cluster must never take the place of one that was lost: its backups would not fit any more."""
        catalogue = await self._platform.backup_runs.refresh()
        if first and not catalogue.backups:
            unknown = what_may_hold_backups(catalogue.repositories)
            if unknown is not None:
                raise unknown
            return
        newest = max(catalogue.backups, key=lambda backup: backup.finished_at, default=None)
        there = f"the newest backup is {newest.label} in repo{newest.repo}" if newest else "there is no backup"
        raise DataDirectoryProblem(
            "PostgreSQL's data directory is gone",
            detail=f"{self._platform.home.pgdata}; {there}",
            hint="wedsync recover run --to latest" if newest else "wedsync recover window says what there is",
        )

    async def _first_run(self, *, demo: bool) -> None:
        """What is there decides what is left; the state file, which may be new, only says when all is done."""
        platform = self._platform
        with self._step("roles, database, rights"):
            await platform.settle_roles()
        with self._step("prepare the backup repositories") as step:
            statuses = await platform.pgbackrest.stanza_create()
            step.note(", ".join(f"repo{item.repo} {'ready' if item.ok else item.message}" for item in statuses))
        catalogue = await platform.backup_runs.refresh()
        if catalogue.backups:
            self._say("backups are there: schema and data are left as they are")
        else:
            await self._fill(demo=demo)
        for repo in platform.pgbackrest.repos_here:
            with self._step(f"first backup to repo{repo}") as step:
                step.note(await self._first_backup(repo, catalogue))
        with self._step("first recovery point") as step:
            step.note(await self._first_recovery_point())
        self._end_first_run()

    def _end_first_run(self) -> None:
        self._platform.state.write(
            "insert or ignore into setup_steps (step, at) values (?, ?)",
            (_FIRST_RUN, as_text(self._platform.clock.now())),
        )

    async def _fill(self, *, demo: bool) -> None:
        platform = self._platform
        with self._step("apply migrations") as step:
            done = await migrate_up(
                platform.owner_target, conditions=platform.migration_conditions(by="wedsync up")
            )
            step.note(f"{len(done.applied)} applied" if done.applied else "there already")
        if demo:
            from wedsync.demo import load  # noqa: PLC0415 - once in a home's life

            with self._step("load the demo season") as step:
                loaded = await load(platform.owner_target)
                step.note("there already" if loaded.already else f"{sum(loaded.rows.values()):,} rows")

    async def _first_backup(self, repo: int, catalogue: Catalogue) -> str:
        """Take the first backup; the second region may be out of reach today: the keeper tries again."""
        if catalogue.of_repo(repo):
            return "there already"
        runs, clock = self._platform.backup_runs, self._platform.clock
        until = clock.now() + _OTHER_BACKUP_ENDS
        try:
            while True:
                try:
                    backup = await runs.take(BackupKind.FULL, repo=repo, reason=RunReason.FIRST)
                    break
                except Busy:  # such as the engine's own process, which outlived an earlier call that was killed
                    if clock.now() > until:
                        raise
                await clock.sleep(timedelta(seconds=1))
                if (await runs.refresh()).of_repo(repo):
                    return "there already, begun by an earlier call"
        except WedsyncError as error:
            if repo == self._platform.pgbackrest.repos[0]:
                raise
            return f"not now: {error.message}"
        return f"{backup.label}, {backup.database_bytes / 1e6:.0f} MB in {backup.repo_bytes / 1e6:.0f} MB"

    async def _first_recovery_point(self) -> str:
        """A commit after the backups, archived: from it on, every second can be restored."""
        platform = self._platform
        backups = platform.backup_records.backups()
        since = max((backup.consistent_from for backup in backups), default=platform.clock.now())
        await platform.clock.sleep(max(since - platform.clock.now(), timedelta(0)))
        async with await platform.owner_target.connect() as connection:
            await connection.execute("update ops.heartbeat set beat_at = clock_timestamp()")
        try:
            await platform.pgbackrest.check()
        except WedsyncError as error:
            first, *others = (await platform.backup_runs.refresh()).repositories
            away = [f"repo{status.repo}" for status in others if not status.ok]
            if not first.ok or not away:
                raise
            return f"not in {', '.join(away)} now: {error.message}"
        return "archived"

    async def _tell_pending(self) -> None:
        found = await migration_status(self._platform.owner_target)
        if found.pending:
            self._say(f"{len(found.pending)} migrations are pending: wedsync migrate up")


def what_may_hold_backups(repositories: Iterable[RepositoryStatus]) -> WedsyncError | None:
    """Why no new cluster may be made though no backup was seen: a repository that cannot be read."""
    for status in repositories:
        if status.ok or status.empty:
            continue
        said = f"no new cluster is made: repo{status.repo} cannot be read, and may hold the backups of a lost one"
        if status.wrong_key:
            return WrongKey(said, detail=status.message, hint=f"bring back secrets/repo{status.repo}_key")
        without = "; or leave it out at first: repo2 = false in [backup]" if status.repo > 1 else ""
        return RepositoryUnreachable(said, detail=status.message, hint=f"make it readable{without}")
    return None


async def prepare_adopted(platform: Platform, *, step: StepMaker) -> None:
    """Make the keys of a home of profile `external`, and say what its PostgreSQL allows."""
    ensure_keys(platform.secrets)
    with step("look at the adopted PostgreSQL") as looking:
        try:
            found = capabilities(await examine(platform.owner_target))
        except CannotConnect as error:
            looking.note(f"not now: {error.message}")
            return
        missing = [item.feature for item in found if not item.available]
        looking.note(
            f"{len(found) - len(missing)} of {len(found)} features"
            + (f"; wedsync doctor says how to get: {', '.join(missing)}" if missing else "")
        )
    with step("prepare the backup repositories") as preparing:
        if not platform.takes_backups:
            preparing.note("left out: database.data_directory does not name the files on this host")
            return
        platform.pgbackrest.write_config()
        try:
            statuses = await platform.pgbackrest.stanza_create()
        except WedsyncError as error:
            preparing.note(f"not now: {error.in_one_line()}")
            return
        preparing.note(", ".join(f"repo{item.repo} {'ready' if item.ok else item.message}" for item in statuses))
