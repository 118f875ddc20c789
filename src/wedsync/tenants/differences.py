"""What differs between a moment of the past and now, told by wedding."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from wedsync.rows import RowDifference, TableDifference


class CoupleInTable(msgspec.Struct, frozen=True, kw_only=True):
    """A couple's rows of one table that differ."""

    table: str
    returns: int
    changes: int
    vanishes: int


class CoupleDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What would be different for one couple."""

    couple: str
    name: str | None
    """What the couple is called now, or was then."""
    returns: int
    changes: int
    vanishes: int
    tables: Sequence[CoupleInTable]
    """The largest difference first."""

    words: str
    """What going back means for them."""

    @property
    def rows(self) -> int:
        """How many rows differ."""
        return self.returns + self.changes + self.vanishes


class ComparedTable(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of a table would return, get their earlier values, or vanish."""

    table: str
    past_rows: int
    now_rows: int
    returns: int
    changes: int
    vanishes: int
    notes: Sequence[str]
    """Columns that came or went in between."""
    refused: str | None
    """Why it could not be compared; then all numbers are 0."""

    @property
    def differs(self) -> bool:
        return bool(self.returns or self.changes or self.vanishes)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Every table that was compared, whole."""

    past_at: datetime | None
    """The last commit that the past has."""
    now_at: datetime
    tables: Sequence[ComparedTable]
    couples: Sequence[CoupleDifference]
    """Those with the most rows that differ first."""
    couples_in_all: int
    took_s: float
    rows: Sequence[RowDifference] | None = None
    """Of one table, where it was named: by key."""
    next: str | None = None
    """Where the rows behind these are; `null` at the end."""


def by_couple(tables: Iterable[TableDifference], *, only: str | None = None) -> list[CoupleDifference]:
    """Differences of all tables, put together by couple (without names), the largest first.

    Rows of tables that are counted by couple and belong to none are left out.
    """
    found: dict[str, list[CoupleInTable]] = {}
    for table in tables:
        for part in table.owners:
            if part.owner is None or only not in {None, part.owner}:
                continue
            found.setdefault(part.owner, []).append(
                CoupleInTable(
                    table=table.table, returns=part.returns, changes=part.changes, vanishes=part.vanishes
                )
            )
    made = [_couple(couple, parts) for couple, parts in found.items()]
    return sorted(made, key=lambda each: (-each.rows, each.couple))


def named(couples: Sequence[CoupleDifference], names: Mapping[str, str]) -> list[CoupleDifference]:
    """The same with the couples' names."""
    return [msgspec.structs.replace(each, name=names.get(each.couple)) for each in couples]


def compared(table: TableDifference, *, couple: str | None = None) -> ComparedTable:
    """A table as it is shown; of one couple's rows alone where one is named."""
    counted = table if couple is None else next((part for part in table.owners if part.owner == couple), None)
    return ComparedTable(
        table=table.table,
        past_rows=table.past_rows,
        now_rows=table.now_rows,
        returns=counted.returns if counted else 0,
        changes=counted.changes if counted else 0,
        vanishes=counted.vanishes if counted else 0,
        notes=table.notes,
        refused=table.refused,
    )


def difference_words(parts: Sequence[CoupleInTable]) -> str:
    """What going back means: `129 guests come back; 14 guests lose later changes; 2 tasks that are newer go`."""
    said = [
        _counted([(part.returns, part.table) for part in parts], "comes back", "come back"),
        _counted([(part.changes, part.table) for part in parts], "loses later changes", "lose later changes"),
        _counted([(part.vanishes, part.table) for part in parts], "that is newer goes", "that are newer go"),
    ]
    return "; ".join(words for words in said if words)


_LISTED = 3


def _counted(counts: Sequence[tuple[int, str]], one: str, many: str) -> str:
    some = sorted((each for each in counts if each[0]), key=lambda each: (-each[0], each[1]))
    if not some:
        return ""
    shown = ", ".join(f"{count} {table.removeprefix('public.')}" for count, table in some[:_LISTED])
    rest = some[_LISTED:]
    if rest:
        shown += f" and {sum(count for count, _ in rest)} rows of {len(rest)} more tables"
    return f"{shown} {one if sum(count for count, _ in some) == 1 else many}"


def _couple(couple: str, parts: Sequence[CoupleInTable]) -> CoupleDifference:
    return CoupleDifference(
        couple=couple,
        name=None,
        returns=sum(part.returns for part in parts),
        changes=sum(part.changes for part in parts),
        vanishes=sum(part.vanishes for part in parts),
        tables=sorted(parts, key=lambda part: (-(part.returns + part.changes + part.vanishes), part.table)),
        words=difference_words(parts),
    )
