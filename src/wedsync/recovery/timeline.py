"""What happened when, as far as it matters to somebody who looks for the moment to go back to."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from wedsync.backup import BackupInWindow, RecoveryWindows, ShownGap, ShownMoment, ShownProblem, ShownWindow

_LEAST_STEP = timedelta(microseconds=1)
"""PostgreSQL knows the time of a commit to the microsecond, and stops behind the last one that is not later."""


class HappeningKind(StrEnum):
    """What happened."""

    ROWS_CHANGED = "rows_changed"
    """One transaction deleted or changed many rows."""
    LOADED = "loaded"
    """Empty tables were filled in bulk."""
    SCHEMA_CHANGED = "schema_changed"
    NAMED_POINT = "named_point"
    """A place in the WAL was given a name."""
    RECOVERED = "recovered"
    """The whole database was taken back to an earlier state."""
    ERASED = "erased"
    """A tenant's or a person's values were erased for good."""
    DRILL = "drill"
    """A restore was tried."""


class ChangedTable(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction did to the rows of a table."""

    table: str
    deleted: int
    changed: int


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened.

    With `before` as its moment, a recovery or a preview ends right before it; with `at`, right behind it.
    """

    at: datetime
    """When others could see it: the commit where `exact`, else the clock while it was under way."""
    kind: HappeningKind
    words: str
    by: str | None = None
    before: datetime | None = None
    exact: bool = False
    """Whether the time of its commit is known: nothing of it is there at `before`, all of it at `at`."""
    restorable: bool | None = None
    """Whether `before` can be restored; `null` where there is none, or no repository could be read."""
    tables: Sequence[ChangedTable] = ()
    couple: str | None = None
    """The one wedding whose rows it was about."""
    detail: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be found out, and why."""

    what: str
    why: str


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What can be restored, and what happened between two moments, oldest first."""

    from_at: datetime = msgspec.field(name="from")
    to_at: datetime = msgspec.field(name="to")
    windows: Sequence[ShownWindow]
    moments: Sequence[ShownMoment]
    gaps: Sequence[ShownGap]
    backups: Sequence[BackupInWindow]
    problems: Sequence[ShownProblem]
    happenings: Sequence[Happening]
    unknown: Sequence[Unknown]


def right_before(committed_at: datetime) -> datetime:
    """The last moment at which what was committed then is not there."""
    return committed_at - _LEAST_STEP


def judged(happening: Happening, windows: RecoveryWindows | None) -> Happening:
    """The same with `restorable`: said of its moment before."""
    if windows is None or happening.before is None:
        return happening
    return msgspec.structs.replace(happening, restorable=can_restore(happening.before, windows))


def can_restore(moment: datetime, windows: RecoveryWindows) -> bool:
    """Whether a moment lies in a window; what is later than the last one is as soon as its WAL is archived."""
    if not windows.windows:
        return False
    newest = max(window.to_at for window in windows.windows)
    broken = any(gap.to_at is None and not gap.covered_by for gap in windows.gaps)
    return (moment > newest and not broken) or any(
        window.from_at <= moment <= window.to_at for window in windows.windows
    )
