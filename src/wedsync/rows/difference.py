"""What differs between a moment of the past and now: the values that callers and pages see."""

from datetime import datetime
from enum import StrEnum

import msgspec


class RowKind(StrEnum):
    """What bringing the past back would do to a row."""

    RETURNS = "returns"
    """It was there, and is not now."""
    CHANGES = "changes"
    """It was there with other values."""
    VANISHES = "vanishes"
    """It is there now, and was not."""


class OwnerDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one tenant in one table that differ."""

    owner: str | None
    """The value of the column that says whose a row is."""
    returns: int
    changes: int
    vanishes: int


class TableDifference(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of a table differ; all of them are compared, whole."""

    table: str
    past_rows: int
    now_rows: int
    returns: int
    changes: int
    vanishes: int
    owners: tuple[OwnerDifference, ...] = ()
    """By tenant, where a column was named; only those with a difference, the largest first."""
    notes: tuple[str, ...] = ()
    """Columns that came or went in between."""
    refused: str | None = None
    """Why it could not be compared; then all numbers are 0."""

    @property
    def differs(self) -> bool:
        return bool(self.returns or self.changes or self.vanishes)


class RowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One row that differs."""

    table: str
    kind: RowKind
    key: tuple[str, ...]
    """Values of the primary key, as text."""
    columns: tuple[str, ...] = ()
    """Of a row that changes: which columns have other values."""
    past: dict[str, str | None] | None = None
    """Values then, where they were asked for."""
    now: dict[str, str | None] | None = None


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """Every table that was compared."""

    past_at: datetime
    now_at: datetime
    tables: tuple[TableDifference, ...]
    took_s: float
