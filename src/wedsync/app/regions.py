"""What operators ask of regions: whether they are locked, and to bring back what was deleted in one."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from wedsync.app.backups import record, require_repo
from wedsync.app.platform import Platform
from wedsync.backup import lock_check
from wedsync.config import RepositoryKind
from wedsync.errors import UndeleteRefused

if TYPE_CHECKING:
    from wedsync.backup import LockVerdict


class Undeleted(Struct, kw_only=True):
    """What was brought back in a store, or would be."""

    repo: int
    before: datetime
    dry_run: bool
    markers: int
    """Objects that were deleted."""
    copies: int
    """Objects that were overwritten."""
    copied_bytes: int
    lost: list[str]
    """Objects that were there then, and of which no version is left."""


async def check_locks(platform: Platform) -> "Mapping[int, LockVerdict]":
    """Ask the stores now whether what they hold can be deleted."""
    platform.require_backups("doctor")
    return await lock_check(platform.pgbackrest, platform.state, platform.clock).check()


async def undelete_region(platform: Platform, *, repo: int, before: datetime, dry_run: bool, by: str) -> Undeleted:
    """Make every object of a repository's store as it was at a moment; what was added since stays."""
    from wedsync.backup.regions.s3 import Bucket  # noqa: PLC0415 - the library of a cloud
    from wedsync.backup.regions.undelete import plan_undelete, undelete  # noqa: PLC0415

    platform.require_backups("backup undelete", changes=not dry_run)
    require_repo(platform, repo)
    repository = {1: platform.config.backup.repo1, 2: platform.config.backup.repo2}[repo]
    if repository is None or repository.kind is not RepositoryKind.S3:
        raise UndeleteRefused(
            f"repo{repo} is no S3 bucket: what was deleted there is not brought back from here",
            hint="Azure: az storage blob undelete-batch; a host or directory: its snapshots",
        )
    bucket = Bucket(
        repository.options, home=platform.home, secret=lambda name: platform.secrets.read(name).strip()
    )
    prefix = f"{repository.path.strip('/')}/"
    plan = await asyncio.to_thread(lambda: plan_undelete(bucket.versions(prefix.lstrip("/")), before=before))
    if not dry_run:
        record(platform, by, "backup undelete", {"repo": repo, "before": before.isoformat()})
        await asyncio.to_thread(undelete, bucket, plan)
    return Undeleted(
        repo=repo,
        before=before,
        dry_run=dry_run,
        markers=len(plan.markers),
        copies=len(plan.copies),
        copied_bytes=plan.size_bytes,
        lost=list(plan.lost),
    )
