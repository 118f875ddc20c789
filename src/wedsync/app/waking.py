"""Previews whose server ended, with the machine or killed: started again when somebody asks."""

from wedsync.app.platform import Platform
from wedsync.errors import Busy, CopyFailed, NotThere, PreviewAway


async def wake_preview(platform: Platform, preview: str) -> None:
    """Start a preview's server again where it ended. Raises `PreviewAway` if it does not come up."""
    listed = platform.copies.registry.find(preview)
    if listed is None:
        raise NotThere(f"there is no preview {preview[:60]}", hint="wedsync recover preview --list")
    try:
        await platform.copies.open(listed.directory).wake()
    except (CopyFailed, Busy) as error:
        raise PreviewAway(
            f"preview {preview} does not come up",
            detail=error.in_one_line(),
            hint="come again if it is moving; else remove it and make another one",
        ) from error
