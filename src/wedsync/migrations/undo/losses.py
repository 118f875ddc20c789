"""What undoing a migration would lose: tables and columns that go, rows that are deleted or overwritten.

Known from a rehearsal of the rollback in a shadow database, where drops show whatever way they are made (by
CASCADE, inside DO), and from the parsed statements for what changes rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class LossKind(StrEnum):
    """How rows, or values in them, are lost."""

    TABLE = "table"
    COLUMN = "column"
    TYPE = "type"
    DELETE = "delete"
    TRUNCATE = "truncate"
    UPDATE = "update"
    UNKNOWN = "unknown"
    """A statement that the parser does not see into writes to the table."""

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    LossKind.TABLE: "drops",
    LossKind.COLUMN: "drops the column",
    LossKind.TYPE: "changes the type of",
    LossKind.DELETE: "deletes from",
    LossKind.TRUNCATE: "empties",
    LossKind.UPDATE: "overwrites values in",
    LossKind.UNKNOWN: "may change rows of",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table, or the table itself where it has none."""

    table_oid: int
    number: int | None
    table_name: str
    """Qualified and quoted."""
    schema: str
    name: str
    """Of the table, bare."""
    column_name: str | None
    type: str | None
    parent_oid: int
    """Of a partition: what it is a part of; else 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threat:
    """Something that a rollback does to rows; how many there are is not known yet."""

    migration: str
    kind: LossKind
    schema: str
    table: str
    column: str | None = None
    where: str | None = None
    """The condition of a DELETE or UPDATE, if it can be counted by itself."""

    @property
    def target(self) -> str:
        name = f"{self.schema}.{self.table}"
        return name if self.column is None else f"{name}.{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A threat, and the rows in use that it is about."""

    threat: Threat
    rows: int

    def sentence(self) -> str:
        """`0009_wedding drops public.tasks: 1,204 rows`."""
        what = "values" if self.threat.kind in {LossKind.COLUMN, LossKind.TYPE} else "rows"
        return (
            f"{self.threat.migration} {self.threat.kind.words} {self.threat.target}: "
            f"{self.rows:,} {what if self.rows != 1 else what[:-1]}"
        )

    def to_json(self) -> dict[str, object]:
        return {
            "migration": self.threat.migration,
            "kind": self.threat.kind.value,
            "table": f"{self.threat.schema}.{self.threat.table}",
            "column": self.threat.column,
            "rows": self.rows,
        }


def dropped(migration: str, before: Sequence[Column], after: Sequence[Column]) -> list[Threat]:
    """Tables and columns that are there before and not after, and columns whose type is another one.

    Told apart by their numbers, not by name: a table that is dropped and made again has lost its rows.
    """
    left = {(it.table_oid, it.number): it.type for it in after}
    tables = {it.table_oid for it in after}
    gone = {it.table_oid for it in before} - tables
    threats = {
        it.table_oid: _threat(migration, LossKind.TABLE, it)
        for it in before
        if it.table_oid in gone and it.parent_oid not in gone
    }
    columns: list[Threat] = []
    for it in before:
        if it.table_oid in gone or it.number is None or it.parent_oid in tables:
            continue
        if (it.table_oid, it.number) not in left:
            columns.append(_threat(migration, LossKind.COLUMN, it, column=it.column_name))
        elif left[it.table_oid, it.number] != it.type:
            columns.append(_threat(migration, LossKind.TYPE, it, column=it.column_name))
    return [*threats.values(), *columns]


def _threat(migration: str, kind: LossKind, it: Column, *, column: str | None = None) -> Threat:
    return Threat(migration=migration, kind=kind, schema=it.schema, table=it.name, column=column)


def lost_rows(losses: Iterable[Loss]) -> int:
    """Rows and values that would be gone, all together."""
    return sum(loss.rows for loss in losses)
