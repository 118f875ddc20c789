"""What the operations API does with backups and recoveries of a home, and what it tells of both."""

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from wedsync.api.operations import (
    BackupFilter,
    BackupOrder,
    BackupsAnswer,
    ExpireOrder,
    NextRun,
    Rhythm,
    Schedule,
    VerifyOrder,
)
from wedsync.app.background import Background
from wedsync.app.backups import expire_backups, hold_backup, require_repo
from wedsync.app.platform import Platform
from wedsync.app.proofs import shown_proofs
from wedsync.app.recoveries import plan_recovery, plan_undo, recovery_window
from wedsync.app.view import StatusReader
from wedsync.backup import (
    BackupRun,
    Expired,
    Held,
    RecoveryWindows,
    Survey,
    next_due,
    read_live_cluster,
    repositories,
    show_catalogue,
    show_windows,
)
from wedsync.errors import Busy, WedsyncError
from wedsync.process import FileLock
from wedsync.recovery import JournalEntry, RecoveryPlan
from wedsync.state import Action, Run, RunKind, actions

_RECOVERIES = frozenset({RunKind.RECOVERY, RunKind.UNDO})
_BACKUPS = frozenset({RunKind.BACKUP, RunKind.VERIFICATION})


class HomeBackups:
    """What `/api/backups` does."""

    def __init__(self, platform: Platform, background: Background) -> None:
        self._platform = platform
        self._background = background
        self._lock = asyncio.Lock()
        self._surveyed: tuple[float, Survey] | None = None

    async def overview(self, wanted: BackupFilter) -> BackupsAnswer:
        """What the repositories hold, and what is taken next."""
        self._platform.require_backups("backup")
        survey = await self._survey()
        shown = show_catalogue(survey.catalogue, shown_proofs(self._platform))
        running = self._platform.backup_runs.under_way()
        return BackupsAnswer(
            backups=[item for item in shown.backups if wanted.takes(item)],
            repositories=shown.repositories,
            windows=show_windows(survey).windows,
            schedule=await self._schedule(),
            under_way=running.purpose if running is not None else None,
        )

    async def take(self, order: BackupOrder, *, by: str) -> Run:
        """Begin a backup. Raises `Busy` while one is taken, or a recovery works on the files."""
        self._platform.require_backups("backup", changes=True)
        require_repo(self._platform, order.repo)
        refuse_while_recovering(self._platform)
        holder = self._platform.backup_runs.under_way()
        if holder is not None:
            raise Busy(
                "a backup is under way", detail=f"{holder.purpose}, since {holder.since}", hint="wait for it"
            )
        wanted = {"type": order.type, "repo": order.repo}
        return self._background.begin(RunKind.BACKUP, wanted, by=by, beside={RunKind.BACKUP, *_RECOVERIES})

    async def verify(self, order: VerifyOrder, *, by: str) -> Run:
        """Begin a verification; one at a time."""
        self._platform.require_backups("backup")
        require_repo(self._platform, order.repo)
        wanted = {"repo": order.repo}
        return self._background.begin(RunKind.VERIFICATION, wanted, by=by, beside={RunKind.VERIFICATION})

    async def hold(self, repo: int, label: str, reason: str | None, *, by: str) -> Held:
        """Hold or release. Raises `BackupUnknown`."""
        return await hold_backup(self._platform, repo=repo, label=label, reason=reason, by=by)

    async def expire(self, order: ExpireOrder, *, by: str) -> Expired:
        """List or remove what retention lets go of."""
        return await expire_backups(self._platform, repo=order.repo, label=order.label, remove=order.remove, by=by)

    def run(self, run: str) -> Run:
        """How a run stands."""
        return self._background.find(run)

    def runs(self, limit: int) -> tuple[Sequence[Run], Sequence[BackupRun]]:
        """What was asked for, and every attempt."""
        return self._background.newest(_BACKUPS, limit=limit), self._platform.backup_records.runs(limit=limit)

    async def _survey(self) -> Survey:
        """What the repositories hold now. Those who ask while they are read share the next reading."""
        asked_at = monotonic()
        async with self._lock:
            if self._surveyed is None or self._surveyed[0] < asked_at:
                began_at = monotonic()
                found = await self._platform.surveyor.survey()
                self._platform.backup_records.save(found.catalogue)
                self._surveyed = (began_at, found)
            return self._surveyed[1]

    async def _schedule(self) -> Schedule:
        config = self._platform.config.backup
        following: NextRun | None = None
        unknown: str | None = None
        if not config.enabled:
            unknown = "backups are switched off: backup.enabled"
        else:
            try:
                live = await read_live_cluster(self._platform.monitor_target)
            except WedsyncError as error:
                live, unknown = None, error.message
            if live is None:
                unknown = unknown or "the database is in recovery"
            else:
                records = self._platform.backup_records
                due = next_due(
                    records.backups(), records.runs(), config, live=live, now=self._platform.clock.now()
                )
                if due is not None:
                    following = NextRun(repo=due.repo, type=due.kind, at=due.at, why=due.why)
        return Schedule(
            enabled=config.enabled,
            rhythm=[
                Rhythm(
                    repo=number,
                    full_every_s=repo.full_every.total_seconds(),
                    incr_every_s=repo.incr_every.total_seconds() if repo.incr_every else None,
                )
                for number, repo in repositories(config).items()
            ],
            next_run=following,
            next_run_unknown=unknown,
            recovery_window_s=config.recovery_window.total_seconds(),
            keep_weekly_s=config.keep_weekly.total_seconds(),
        )


class HomeRecovery:
    """What `/api/recovery` does."""

    def __init__(self, platform: Platform, background: Background) -> None:
        self._platform = platform
        self._background = background
        self.stanza = platform.config.backup.stanza

    async def window(self) -> RecoveryWindows:
        """Which moments can be restored."""
        return await recovery_window(self._platform)

    async def plan(self, to: str) -> RecoveryPlan:
        """The plan of a recovery."""
        return await plan_recovery(self._platform, to)

    async def plan_undo(self) -> RecoveryPlan:
        """The plan of taking the last one back."""
        return await plan_undo(self._platform)

    async def recover(self, to: str, *, by: str) -> Run:
        """Begin a recovery; one at a time."""
        refuse_while_recovering(self._platform)
        return self._background.begin(RunKind.RECOVERY, {"to": to}, by=by, beside=_RECOVERIES)

    async def undo(self, *, by: str) -> Run:
        """Begin to take the last recovery back."""
        refuse_while_recovering(self._platform)
        return self._background.begin(RunKind.UNDO, {}, by=by, beside=_RECOVERIES)

    def run(self, run: str) -> Run:
        """How a run stands."""
        return self._background.find(run)

    def runs(self, limit: int) -> Sequence[Run]:
        """What was asked for."""
        return self._background.newest(_RECOVERIES, limit=limit)

    def recoveries(self, limit: int) -> Sequence[JournalEntry]:
        """Every recovery of the home."""
        return self._platform.recoverer.journal.all(limit=limit) if self._platform.is_local else ()


class HomeOverview:
    """What `/api/status` and `/api/audit` tell."""

    def __init__(self, platform: Platform, reader: StatusReader) -> None:
        self._platform = platform
        self._reader = reader

    async def status(self) -> Mapping[str, Any]:
        """The answer of `status --json`."""
        view = await self._reader.view()
        return view.verdict.to_json(view.facts)

    def actions(self, *, before: int | None, limit: int, containing: str) -> Sequence[Action]:
        """A page of the trail."""
        return actions(self._platform.state, before=before, limit=limit, containing=containing)


def refuse_while_recovering(platform: Platform) -> None:
    """Raise `Busy` while a recovery works on the files."""
    holder = FileLock(platform.home.run / "recovery.lock", purpose="look for a recovery").holder()
    if holder is not None:
        raise Busy(
            "a recovery is under way", detail=f"{holder.purpose}, since {holder.since}", hint="wait for its end"
        )
