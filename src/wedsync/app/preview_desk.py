"""What the operations API does with the previews of a home, and how the data API finds them."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from wedsync.api.callers import Callers
from wedsync.api.operations import DifferencePlace, PreviewAnswer
from wedsync.app.background import Background
from wedsync.app.copies import (
    Preview,
    find_preview,
    list_previews,
    move_preview,
    preview_target,
    remove_preview,
)
from wedsync.app.desks import refuse_while_recovering
from wedsync.app.differences import Wanted, difference_of
from wedsync.app.gateway import rest_settings
from wedsync.app.platform import Platform
from wedsync.app.preview_door import Exposed, PreviewAt
from wedsync.app.preview_doors import PreviewDoors
from wedsync.app.recoveries import named_moment
from wedsync.app.waking import wake_preview
from wedsync.copies import CopyOrder, Purpose, Stage
from wedsync.errors import Busy, NotThere, PreviewAway
from wedsync.state import Run, RunKind
from wedsync.tenants import Difference

_COMPARED_AT_ONCE = 1
_WAITS_S = 60.0
_LOGIN = "wedsync_gateway"


class HomePreviews:
    """What `/api/recovery/previews` does."""

    def __init__(self, platform: Platform, background: Background, doors: PreviewDoors | None = None) -> None:
        """`doors` serve the data API of previews: closed before one is moved or removed."""
        self._platform = platform
        self._background = background
        self._doors = doors
        self._comparing = asyncio.Semaphore(_COMPARED_AT_ONCE)

    async def plan(self, at: str) -> Mapping[str, Any]:
        """What a preview is made from. Raises `TargetUnreachable`."""
        moment = named_moment(at) or self._platform.clock.now()
        return (await self._platform.copies.plan(CopyOrder(target=moment))).to_json()

    async def begin(self, at: str, *, new: bool, by: str) -> Run:
        """Begin to make a preview; one at a time."""
        refuse_while_recovering(self._platform)
        wanted = {"at": at, "new": new}
        return self._background.begin(RunKind.PREVIEW, wanted, by=by, beside={RunKind.PREVIEW})

    async def all(self) -> Sequence[PreviewAnswer]:
        """Every preview."""
        return [show_preview(each) for each in await list_previews(self._platform)]

    async def one(self, preview: str) -> PreviewAnswer:
        """One of them. Raises `CopyUnknown`."""
        return show_preview(await find_preview(self._platform, preview))

    async def move(self, preview: str, at: str, *, by: str) -> PreviewAnswer:
        """Move one on. Raises `CopyPassed`, `TargetUnreachable`."""
        await self._close(preview)
        return show_preview(await move_preview(self._platform, preview, at, by=by))

    async def remove(self, preview: str, *, by: str) -> None:
        """Remove one with its files."""
        await self._close(preview)
        await remove_preview(self._platform, preview, by=by)

    async def difference(self, place: DifferencePlace) -> tuple[Difference, bool]:
        """Compare one with now; who comes meanwhile waits, up to a minute."""
        wanted = Wanted(
            table=place.table,
            couple=place.couple,
            limit=place.limit,
            offset=place.offset,
            with_values=place.values,
        )
        async with self._turn():
            found = await difference_of(self._platform, wanted, preview=place.id)
        return found.difference, found.more

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        """Whole tables are read: so many comparisons at a time, and no queue without end."""
        try:
            async with asyncio.timeout(_WAITS_S):
                await self._comparing.acquire()
        except TimeoutError:
            raise Busy("other comparisons are under way", hint="come again; ask for one table") from None
        try:
            yield
        finally:
            self._comparing.release()

    async def _close(self, preview: str) -> None:
        if self._doors is not None:
            await self._doors.close(preview)


class OpenPreviews:
    """The previews of a home as the data API reads them."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def find(self, preview: str) -> PreviewAt:
        """Where it stands. Raises `NotThere`, and `PreviewAway` while it is made."""
        listed = self._platform.copies.registry.find(preview)
        if listed is None or listed.purpose is not Purpose.PREVIEW:
            raise NotThere(f"there is no preview {preview[:60]}", hint="GET /api/recovery/previews lists them")
        if listed.stage is Stage.MAKING:
            raise PreviewAway(f"preview {preview} is being made", hint="come again when it is ready")
        owner = preview_target(self._platform, preview)
        return PreviewAt(
            id=preview,
            at=listed.target_at,
            moves=listed.stage is Stage.MOVING,
            moved=f"{listed.target_at} {listed.last_commit_at}",
            gateway=replace(owner, user=_LOGIN, password=self._platform.secrets.read(_LOGIN)),
            owner=owner,
        )

    async def wake(self, preview: str) -> None:
        """See that its server runs. Raises `PreviewAway`."""
        await wake_preview(self._platform, preview)

    def used(self, preview: str) -> None:
        """Note that somebody reads it."""
        self._platform.copies.registry.used(preview, at=self._platform.clock.now())


def show_preview(preview: Preview) -> PreviewAnswer:
    """A preview as the operations API shows it."""
    state = str(preview.stage) if preview.stage is Stage.MAKING or preview.running else "stopped"
    return PreviewAnswer(
        id=preview.id,
        state=state,
        at=preview.at,
        last_commit_at=preview.last_commit_at,
        made_at=preview.made_at,
        made_by=preview.made_by,
        last_used_at=preview.last_used_at,
        removed_at=preview.removed_at,
        clients=preview.clients,
        address=f"/api/recovery/previews/{preview.id}",
        rest=f"/api/recovery/previews/{preview.id}/rest/v1",
    )


def home_doors(platform: Platform, callers: Callers) -> PreviewDoors | None:
    """The data API of a home's previews; `None` where there can be none."""
    if not platform.is_local:
        return None
    settings = platform.config.gateway
    return PreviewDoors(
        previews=OpenPreviews(platform),
        callers=callers,
        exposed=Exposed(
            schemas=tuple(settings.shown_schemas()),
            extra_search_path=tuple(settings.searched_schemas()),
            roles=(settings.anon_role, "authenticated", "service_role"),
            rest=rest_settings(settings),
        ),
        state=platform.state,
        clock=platform.clock,
    )
