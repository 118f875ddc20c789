"""The schema of a home, changed by whoever calls the operations API."""

from dataclasses import replace
from datetime import timedelta

from wedsync.api.operations import Changed
from wedsync.app.platform import Platform
from wedsync.migrations import accept, dry_run, file_difference, up

_WAIT = timedelta(seconds=10)
"""For another runner: a client does not wait for minutes."""


class HomeSchema:
    """What `/api/database/migrate` does."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def try_in_shadow(self) -> Changed:
        """Run what is pending in a shadow."""
        platform = self._platform
        done = await dry_run(
            platform.owner_target, platform.shadow_maker(), conditions=platform.migration_conditions()
        )
        return Changed(migrations=tuple(it.file.id for it in done.files), more={"report": done.to_json()})

    async def apply(self, *, by: str, override: str | None) -> Changed:
        """Apply what is pending, as `migrate up` does."""
        platform = self._platform
        conditions = replace(platform.migration_conditions(by=by, override=override), wait=_WAIT)
        done = await up(platform.owner_target, conditions=conditions)
        point = done.restore_point.to_json() if done.restore_point else None
        return Changed(migrations=tuple(row.id for row in done.applied), more={"restore_point": point})

    async def accept(self, identity: str, *, by: str, reason: str) -> Changed:
        """Accept the file of a migration as it is now, as `migrate repair` does."""
        platform = self._platform
        found = await file_difference(platform.owner_target, identity)
        conditions = replace(platform.migration_conditions(by=by), wait=_WAIT)
        row = await accept(platform.owner_target, found, reason=reason, conditions=conditions)
        return Changed(migrations=(row.id,), more={"checksum": row.checksum})
