"""What bringing rows back would do, or did: the values that the command line and the API show."""

from datetime import datetime
from enum import StrEnum

import msgspec

from wedsync.rows.difference import RowKind


class Why(StrEnum):
    """Why a row is not simply brought back."""

    CHANGED_SINCE = "changed_since"
    """Somebody else than the mistake added or changed it since."""
    AUTHOR_UNKNOWN = "author_unknown"
    """It was added or changed since, and the history does not say by whom."""
    VALUE_TAKEN = "value_taken"
    """Another row holds what must be unique."""
    PARENT_GONE = "parent_gone"
    """A row that it refers to is gone, and does not come back with it."""
    STILL_NEEDED = "still_needed"
    """Rows that stay refer to it."""
    SOMEBODY_ELSES = "somebody_elses"
    """Its key belongs to somebody else's row, now or then."""


class Choice(StrEnum):
    """What becomes of a row in conflict."""

    KEEP = "keep"
    """It stays as it is today."""
    PAST = "past"
    """It becomes what it was."""


class OnConflict(StrEnum):
    """What becomes of all rows in conflict for which nothing else is chosen."""

    ASK = "ask"
    """Nothing is done; the conflicts are listed."""
    KEEP = "keep"
    PAST = "past"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a row, from the history."""

    at: datetime
    by: str
    transaction: str
    operation: str


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was changed by somebody else, or that cannot come back."""

    table: str
    key: tuple[str, ...]
    kind: RowKind
    why: Why
    detail: str
    columns: tuple[str, ...]
    """Which have other values."""
    changes: tuple[Change, ...]
    """By somebody else, newest first; the last few of them."""
    choices: tuple[Choice, ...]
    """What can be chosen."""
    choice: Choice | None
    """What was chosen; `None`: it is asked for."""
    past: dict[str, str | None] | None = None
    """Values then, where they were asked for."""
    now: dict[str, str | None] | None = None


class TableOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one table."""

    table: str
    put_back: int
    changed: int
    removed: int
    kept: int
    """Rows that differ and stay as they are today."""
    conflicts: int


class RowPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What would be done; nothing was."""

    scope: str
    restored_to: datetime | None
    tables: tuple[TableOutcome, ...]
    conflicts: tuple[Conflict, ...]
    """The first thousand; the tables say how many there are."""
    open_conflicts: int
    """How many wait for a choice."""
    notes: tuple[str, ...]
    fingerprint: str
    """Of every row that differs, as it was and as it is: the same only while nobody changes any of them."""

    @property
    def put_back(self) -> int:
        return sum(item.put_back for item in self.tables)

    @property
    def changed(self) -> int:
        return sum(item.changed for item in self.tables)

    @property
    def removed(self) -> int:
        return sum(item.removed for item in self.tables)

    @property
    def kept(self) -> int:
        return sum(item.kept for item in self.tables)

    @property
    def rows(self) -> int:
        """How many rows would be written or removed."""
        return self.put_back + self.changed + self.removed


class BroughtBack(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, committed."""

    recovery: str | None
    """Its id; `None` where nothing differed, so that nothing was done."""
    plan: RowPlan
    took_s: float
    undo_until: datetime | None
