"""What operators do with backups: the command line and the operations API call the same."""

from collections.abc import Callable, Mapping
from time import monotonic

from wedsync.app.platform import Platform
from wedsync.app.proofs import shown_proofs
from wedsync.backup import (
    Backup,
    BackupKind,
    BackupList,
    BackupTaken,
    Expired,
    Held,
    Removal,
    RunReason,
    show_catalogue,
    show_taken,
)
from wedsync.errors import UsageProblem
from wedsync.state import record_action


async def list_backups(platform: Platform) -> BackupList:
    """Ask the repositories for their backups."""
    platform.require_backups("backup")
    return show_catalogue(await platform.backup_runs.refresh(), shown_proofs(platform))


async def take_backups(
    platform: Platform,
    kind: BackupKind,
    *,
    repo: int | None,
    by: str,
    on_progress: Callable[[int, float], None],
    on_taken: Callable[[Backup, float], None] = lambda _, __: None,
) -> BackupTaken:
    """Take a backup into one repository, or into each. `on_progress` gets the repository and a percentage,
    `on_taken` each backup and the seconds it took. Raises `Busy` while another one is under way."""
    platform.require_backups("backup", changes=True)
    require_repo(platform, repo)
    record(platform, by, "backup run", {"type": kind, "repo": repo})
    taken: list[tuple[Backup, float]] = []
    if kind is BackupKind.FULL:
        await _prepare_empty(platform, repo)
    for number in platform.pgbackrest.repos_here if repo is None else (repo,):
        began = monotonic()
        newest = await platform.backup_runs.take(
            kind,
            repo=number,
            reason=RunReason.OPERATOR,
            on_progress=lambda percent, number=number: on_progress(number, percent),
        )
        taken.append((newest, monotonic() - began))
        on_taken(*taken[-1])
    return show_taken(taken)


async def _prepare_empty(platform: Platform, repo: int | None) -> None:
    """Make a repository that holds nothing ready for its first backup, as the keeper does by itself."""
    found = await platform.pgbackrest.catalogue()
    if any(status.empty and repo in {None, status.repo} for status in found.repositories):
        await platform.pgbackrest.stanza_create()


async def expire_backups(
    platform: Platform, *, repo: int | None, label: str | None, remove: bool, by: str
) -> Expired:
    """What retention lets go of: `label` in `repo`, or everything; gone if `remove`."""
    platform.require_backups("backup", changes=remove)
    require_repo(platform, repo)
    if label is not None and repo is None:
        raise UsageProblem("a label alone does not name a backup", hint="say which repository it is in")
    plans = await platform.backup_runs.plan_retention()
    goes: list[Removal] = [
        removal
        for plan in plans
        for removal in plan.removals
        if label is None or (removal.label, removal.repo) == (label, repo)
    ]
    if not remove:
        return Expired(would_remove=goes)
    record(platform, by, "backup expire", {"repo": repo, "label": label})
    if label is not None and repo is not None:
        await platform.backup_runs.remove(repo=repo, label=label)
    else:
        await platform.backup_runs.apply_retention()
    return Expired(removed=goes)


async def hold_backup(platform: Platform, *, repo: int, label: str, reason: str | None, by: str) -> Held:
    """Keep a backup until it is released (`reason=None`), and all it is built on."""
    platform.require_backups("backup", changes=True)
    require_repo(platform, repo)
    record(platform, by, "backup hold", {"repo": repo, "label": label, "reason": reason})
    await platform.backup_runs.hold(repo=repo, label=label, reason=reason)
    return Held(repo=repo, label=label, held=reason)


def require_repo(platform: Platform, repo: int | None) -> None:
    """Raise `UsageProblem` for a repository that is not configured."""
    if repo is not None and repo not in platform.pgbackrest.repos:
        known = ", ".join(f"repo{item}" for item in platform.pgbackrest.repos)
        raise UsageProblem(f"there is no repo{repo}", hint=f"configured: {known}")


def record(platform: Platform, by: str, action: str, detail: Mapping[str, object]) -> None:
    """Write an action into the operators' audit trail."""
    record_action(platform.state, at=platform.clock.now(), operator=by, action=action, detail=detail)
