"""Which columns of a table can be compared and brought back, when its definition may have changed in between."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wedsync.rows.table import Column, Table

_WIDER: Final[Mapping[str, frozenset[str]]] = {
    "smallint": frozenset({"integer", "bigint"}),
    "integer": frozenset({"bigint"}),
}
_TEXTS: Final = ("text", "character varying")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """One table then and now."""

    table: Table
    """As it is now."""
    columns: tuple[Column, ...]
    """What both have, by the order of now; without generated columns."""
    added: tuple[str, ...]
    """There now and not then: they keep their present value, and a row that returns gets the default."""
    dropped: tuple[str, ...]
    """There then and not now: their values are not restorable."""
    refused: str | None
    """Why its rows can be neither compared nor brought back."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def key(self) -> tuple[str, ...]:
        return self.table.key

    @property
    def others(self) -> tuple[str, ...]:
        """The columns outside the key."""
        return tuple(name for name in self.names if name not in self.key)

    def notes(self) -> tuple[str, ...]:
        """What an operator has to know of it, in words."""
        found: list[str] = []
        if self.added:
            found.append(
                f"{self.table.name}: {', '.join(self.added)} came since: stays; rows that return get the default"
            )
        if self.dropped:
            found.append(f"{self.table.name}: {', '.join(self.dropped)} went since: not restorable")
        return tuple(found)


def pair(past: Table | None, now: Table) -> Pairing:
    """How a table of the past is compared with the present one."""
    if past is None:
        return _refused(now, f"{now.name} was not there yet")
    if not now.key:
        return _refused(now, f"{now.name} has no primary key: its rows cannot be told apart")
    if past.key != now.key:
        return _refused(now, f"{now.name} had another primary key: ({', '.join(past.key)})")
    then = {column.name: column for column in past.columns if not column.generated}
    common: list[Column] = []
    added: list[str] = []
    for column in now.columns:
        if column.generated:
            continue
        before = then.get(column.name)
        if before is None:
            added.append(column.name)
        elif not reads_the_same(before.type, column.type):
            return _refused(now, f"{now.name}.{column.name} was {before.type} and is {column.type} now")
        else:
            common.append(column)
    present = {column.name for column in now.columns}
    return Pairing(
        table=now,
        columns=tuple(common),
        added=tuple(added),
        dropped=tuple(name for name in then if name not in present),
        refused=None,
    )


def reads_the_same(before: str, after: str) -> bool:
    """Whether each value of one type, written down, is the same value of the other, and reads so again.

    A text that does not fit its narrower column fails when it is read: nothing is cut.
    """
    return before == after or after in _WIDER.get(before, ()) or (_is_text(before) and _is_text(after))


def _is_text(name: str) -> bool:
    return name.partition("(")[0] in _TEXTS and not name.endswith("[]")


def _refused(table: Table, why: str) -> Pairing:
    return Pairing(table=table, columns=(), added=(), dropped=(), refused=why)
