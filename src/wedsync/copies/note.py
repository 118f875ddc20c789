"""What is written into a copy's directory about it, so that another process can take it up again."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from wedsync.backup import RestoreTarget
from wedsync.cluster import write_private
from wedsync.copies.effort import Effort
from wedsync.copies.plan import CopyPlan, Place
from wedsync.errors import CopyUnknown

_NAME = "copy.json"


class Purpose(StrEnum):
    """For whom a copy is made: a preview stays until it is idle, the others go with the process that made them."""

    PREVIEW = "preview"
    DRILL = "drill"
    KEPT_DRILL = "kept-drill"
    """A drill's until that is over, then a preview: it takes the place of one from the beginning."""
    ROWS = "rows"

    @property
    def like(self) -> "Collection[Purpose]":
        """The purposes whose copies are counted together."""
        previews = (Purpose.PREVIEW, Purpose.KEPT_DRILL)
        return previews if self in previews else (self,)


class Stage(StrEnum):
    """How far a copy is."""

    MAKING = "making"
    READY = "ready"
    MOVING = "moving"
    """On its way to a later moment, or left there by a mover that was killed: nobody reads it."""
    PROMOTED = "promoted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """All that is known of a copy."""

    id: str
    purpose: Purpose
    stage: Stage
    plan: CopyPlan
    effort: Effort
    target: RestoreTarget
    """Where replay stops now: the plan's, or a later one that the copy moved on to."""
    target_at: datetime | None
    ends_at: datetime | None = None
    """Time of the commit that replay ends with, where the target is that commit."""
    place: Place | None = None
    """Where replay stood when it last reached its target; `None`: it has not yet."""
    made_at: datetime
    phases_s: dict[str, float]
    files: int = 0
    """Restored by pgBackRest, each with the checksum that its backup noted."""
    boot: str = ""
    """The run of the machine in which it was made: nothing of a copy is flushed to disk, so that it may be torn
    after another start of the machine."""

    @property
    def is_of_this_boot(self) -> bool:
        """Whether the machine was not started anew since it was made."""
        return self.boot == this_boot()

    def write(self, directory: Path) -> None:
        """Write it into the copy's directory."""
        write_private(directory / _NAME, msgspec.json.encode(self, enc_hook=_encode), replace=True)


def this_boot() -> str:
    """The run of this machine, from its start to its end (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read_note(directory: Path) -> Note:
    """The note in a copy's directory. Raises `CopyUnknown` if there is none, or only part of one."""
    try:
        return msgspec.json.decode((directory / _NAME).read_bytes(), type=Note, dec_hook=_decode)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError) as error:
        raise CopyUnknown(
            f"there is no copy {directory.name}",
            detail=str(error),
            hint="wedsync recover preview --list",
        ) from error


def _encode(value: object) -> Any:
    if isinstance(value, Path):
        return os.fspath(value)
    raise NotImplementedError(type(value))


def _decode(kind: type[object], value: Any) -> Any:
    if issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError(kind)
