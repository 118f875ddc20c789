"""Take a backup: one at a time in a home, written down before and after, retention right behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from wedsync.backup.configuration import repositories_of_hosts
from wedsync.backup.known_damage import with_known_damage
from wedsync.backup.model import Backup, BackupKind, Catalogue, RunReason
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.records import BackupRecords
from wedsync.backup.retention import Retention, RetentionPolicy, retention
from wedsync.backup.timelines import TimelineBook
from wedsync.clock import Clock
from wedsync.errors import BackupKept, BackupUnknown, TakenElsewhere, WedsyncError
from wedsync.events import Event, observe
from wedsync.process import FileLock, LockHolder
from wedsync.state import StateStore


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupStarted(Event):
    """A run began."""

    repo: int
    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFinished(Event):
    """A run made a backup."""

    repo: int
    kind: str
    label: str
    size_bytes: int
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRunFailed(Event):
    """A run made no backup."""

    level = "error"

    repo: int
    kind: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupDamaged(Event):
    """A backup was taken of a cluster with damaged pages."""

    level = "error"

    repo: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRemoved(Event):
    """Retention removed a backup."""

    repo: int
    label: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionHeldBack(Event):
    """A long time without full backups ages nothing: the clock may have jumped ahead; backups stay longer."""

    level = "warning"

    repo: int
    uncounted_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionFailed(Event):
    """A repository could not be tidied up; nothing that is needed is missing, it only takes more room."""

    level = "warning"

    repo: int
    message: str


class BackupRuns:
    """The one way to take, hold and remove backups of a home."""

    def __init__(self, *, pgbackrest: PgBackRest, state: StateStore, clock: Clock) -> None:
        self._pgbackrest = pgbackrest
        self._clock = clock
        self._state = state
        self._timelines = TimelineBook(pgbackrest=pgbackrest, state=state)
        self.records = BackupRecords(state)

    def under_way(self) -> LockHolder | None:
        """Who takes a backup or tidies up now."""
        return self._lock("look who takes a backup").holder()

    async def take(
        self,
        kind: BackupKind,
        *,
        repo: int,
        reason: RunReason,
        on_progress: Callable[[float], None] | None = None,
    ) -> Backup:
        """Take one backup, then apply retention to that repository.

        `on_progress` gets the percentage. Raises `Busy`, naming who, when another one is under way,
        `TakenElsewhere` for a repository of a pgBackRest host, and what `PgBackRest.backup` raises. A failing
        retention is an event, not an error: the backup is there.
        """
        self._require_here(repo)
        with self._lock(f"{kind} backup to repo{repo}"):
            self.records.fail_abandoned(at=self._clock.now())
            run = self.records.begin(repo=repo, kind=kind, reason=reason, at=self._clock.now())
            observe(BackupStarted(repo=repo, kind=kind, reason=reason))
            began = monotonic()
            try:
                backup = await self._pgbackrest.backup(kind, repo=repo, on_progress=on_progress)
            except WedsyncError as error:
                self.records.fail(run, at=self._clock.now(), error=error.in_one_line())
                observe(BackupRunFailed(repo=repo, kind=kind, code=error.code, message=error.message))
                raise
            except BaseException as error:
                self.records.fail(
                    run, at=self._clock.now(), error=f"stopped before its end ({type(error).__name__})"
                )
                raise
            took_s = monotonic() - began
            self.records.end(run, at=self._clock.now(), backup=backup, took_s=took_s)
            observe(
                BackupFinished(
                    repo=repo, kind=backup.kind, label=backup.label, size_bytes=backup.repo_bytes, took_s=took_s
                )
            )
            if backup.damaged:
                observe(BackupDamaged(repo=repo, label=backup.label))
            try:
                await self._tidy_up((repo,))
            except WedsyncError as error:
                observe(RetentionFailed(repo=repo, message=str(error)))
            return backup

    async def apply_retention(self) -> tuple[Retention, ...]:
        """Remove what retention lets go of, in every readable repository."""
        with self._lock("retention"):
            return await self._tidy_up(self._pgbackrest.repos)

    async def plan_retention(self) -> tuple[Retention, ...]:
        """What `apply_retention` would remove now."""
        catalogue = with_known_damage(await self._pgbackrest.catalogue(), self._state)
        return await self._plan(catalogue, self._clock.now())

    async def remove(self, *, repo: int, label: str) -> None:
        """Remove one backup by hand. Raises `BackupKept` if retention keeps it, saying why."""
        self._require_here(repo)
        with self._lock(f"removal of {label} from repo{repo}"):
            catalogue = with_known_damage(await self._pgbackrest.catalogue(), self._state)
            self._require(catalogue, repo, label)
            goes = {
                removal.label
                for plan in await self._plan(catalogue, self._clock.now())
                for removal in plan.removals
                if plan.repo == repo
            }
            if label not in goes:
                raise BackupKept(
                    f"backup {label} in repo{repo} stays",
                    detail=_why_kept(catalogue, repo, label),
                    hint="release it if it is held; shorten backup.recovery_window or backup.keep_weekly",
                )
            await self._pgbackrest.expire_label(repo=repo, label=label)
            await self._refresh()

    async def hold(self, *, repo: int, label: str, reason: str | None) -> None:
        """Keep a backup until it is released (`reason=None`), and all it is built on."""
        with self._lock(f"hold of {label} in repo{repo}"):
            self._require(await self._pgbackrest.catalogue(), repo, label)
            await self._pgbackrest.annotate(repo=repo, label=label, values={"hold": reason})
            await self._refresh()

    async def refresh(self) -> Catalogue:
        """Read the repositories and keep a copy in the state file."""
        return await self._refresh()

    async def _refresh(self, repos: tuple[int, ...] | None = None) -> Catalogue:
        catalogue = with_known_damage(await self._pgbackrest.catalogue(repos), self._state)
        self.records.save(catalogue)
        return catalogue

    async def _plan(self, catalogue: Catalogue, now: datetime) -> tuple[Retention, ...]:
        # What the state file has lost is learnt again first: without the timelines a wrong base would be chosen.
        readable = [status.repo for status in catalogue.repositories if status.ok]
        await self._timelines.refresh(
            [found for repo in readable for found in await self._pgbackrest.archives(repo)]
        )
        systems = {backup.system_id for backup in catalogue.backups}
        return retention(
            catalogue.backups,
            RetentionPolicy.of(self._pgbackrest.config),
            now=now,
            timelines={system_id: self._timelines.of_system(system_id) for system_id in systems},
        )

    async def _tidy_up(self, repos: tuple[int, ...]) -> tuple[Retention, ...]:
        catalogue = await self._refresh(repos)
        readable = {status.repo for status in catalogue.repositories if status.ok}
        elsewhere = repositories_of_hosts(self._pgbackrest.config)
        plans = tuple(
            plan
            for plan in await self._plan(catalogue, self._clock.now())
            if plan.repo in repos and plan.repo in readable and plan.repo not in elsewhere
        )
        for plan in plans:
            if plan.uncounted:
                observe(RetentionHeldBack(repo=plan.repo, uncounted_s=plan.uncounted.total_seconds()))
            for removal in plan.removals:
                await self._pgbackrest.expire_label(repo=plan.repo, label=removal.label)
                observe(BackupRemoved(repo=plan.repo, label=removal.label, reason=removal.reason))
            if plan.keep_fulls is not None:
                await self._pgbackrest.expire_wal(repo=plan.repo, keep_fulls=plan.keep_fulls)
        if any(plan.removals for plan in plans):
            await self._refresh(repos)
        return plans

    def _require_here(self, repo: int) -> None:
        if repo in repositories_of_hosts(self._pgbackrest.config):
            raise TakenElsewhere(
                f"repo{repo} is on a pgBackRest host, which takes and removes its backups itself",
                hint=f"on that host: pgbackrest --stanza={self._pgbackrest.config.stanza} backup"
                " (docs/how-to/second-region.md)",
            )

    def _require(self, catalogue: Catalogue, repo: int, label: str) -> None:
        if catalogue.find(repo, label) is None:
            raise BackupUnknown(f"repo{repo} has no backup {label}", hint="wedsync backup list")

    def _lock(self, purpose: str) -> FileLock:
        return FileLock(self._pgbackrest.home.run / "backup.lock", purpose=purpose)


def _why_kept(catalogue: Catalogue, repo: int, label: str) -> str:
    own = catalogue.find(repo, label)
    if own is not None and own.held is not None:
        return f"it is held: {own.held}"
    others = [item.label for item in catalogue.of_repo(repo) if label in item.references]
    if others:
        return f"{len(others)} other backups are built on it, such as {others[-1]}"
    return "the promised window, the weekly archives or the newest good backup need it"
