"""Bring back what was deleted or overwritten in a bucket, with our credentials or in our name: a plain decision.

Deleting in a bucket with versions adds a delete marker; overwriting adds a version. With object lock on, nobody
can remove the versions below.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from wedsync.backup.regions.s3 import Bucket, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelete:
    """What is done so that every object is as it was at a moment; what was added since stays."""

    markers: tuple[Version, ...]
    """Delete markers to take away."""
    copies: tuple[Version, ...]
    """Older versions to copy over newer ones."""
    lost: tuple[str, ...]
    """Objects that were there at the moment and have no version of that time any more."""

    @property
    def size_bytes(self) -> int:
        """Size of what is copied."""
        return sum(version.size_bytes for version in self.copies)


def plan_undelete(versions: Iterable[Version], *, before: datetime) -> Undelete:
    """What to do. `versions` may come in any order: some stores list delete markers behind all others."""
    by_key: dict[str, list[Version]] = {}
    for version in versions:
        by_key.setdefault(version.key, []).append(version)
    markers: list[Version] = []
    copies: list[Version] = []
    lost: list[str] = []
    for key, found in by_key.items():
        own = sorted(found, key=lambda version: version.at, reverse=True)
        wanted = next((version for version in own if version.at < before), None)
        newer = [version for version in own if version.at >= before]
        if not newer or (wanted is not None and wanted.deleted):
            continue  # untouched since, or deleted before: by retention
        if wanted is None:
            if newer[-1].deleted:
                lost.append(key)
            continue
        if all(version.deleted for version in newer):
            markers += newer
        else:
            copies.append(wanted)
    return Undelete(markers=tuple(markers), copies=tuple(copies), lost=tuple(lost))


def undelete(bucket: Bucket, plan: Undelete) -> None:
    """Do it; may be repeated after it was interrupted. Blocks."""
    for version in plan.markers:
        bucket.remove(version)
    for version in plan.copies:
        bucket.bring_up(version)
