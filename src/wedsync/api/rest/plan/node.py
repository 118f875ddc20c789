"""A query whose names are resolved: a tree of tables, with what concerns each of them."""

from dataclasses import dataclass, field

from wedsync.api.rest.plan.sql import Sql, compose, identifier, qualified
from wedsync.api.rest.query import Filter, Logic, Order, SelectField, Value
from wedsync.database.catalogue import Catalogue, Function, Name, Relationship, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What reading depends on besides the query: the catalogue, and settings."""

    catalogue: Catalogue
    schema: str
    """The exposed schema that the request means."""
    max_rows: int | None = None
    """No list is longer, at any level."""
    aggregates: bool = True
    """Whether `sum()` and the like are allowed."""
    estimate_above: int = 1_000
    """With `count=estimated` and no `max_rows`: totals up to here are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the rows of the root are from: a table, or a part of the statement (`with … as`)."""

    sql: Sql
    """As it stands in `from`, without alias."""
    table: Table | None
    """Whose rows they are: columns and relationships are looked up there."""
    alias: str
    """The name of its columns' owner: error messages of PostgreSQL say it."""
    is_table: bool
    """Whether functions of a row (computed fields) can be called with it."""


def table_source(table: Table) -> Source:
    """The table itself."""
    return Source(sql=qualified(table.id), table=table, alias=table.name, is_table=True)


def part_source(name: str, table: Table | None, alias: str) -> Source:
    """A part of the statement with rows of a table, or of none that is known."""
    return Source(sql=identifier(name), table=table, alias=alias, is_table=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One level: the root, or an embedded relation."""

    source: Source
    alias: str
    """Unique in the statement."""
    fields: tuple[SelectField, ...]
    where: tuple[Filter | Logic, ...] = ()
    order: tuple[Order, ...] = ()
    limit: Value | None = None
    offset: Value | None = None
    children: tuple["Child", ...] = ()

    @property
    def table(self) -> Table | None:
        """Whose rows they are."""
        return self.source.table


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """An embedded relation, seen from the level above."""

    key: str
    target: str
    node: Node
    way: Relationship
    inner: bool
    spread: bool
    parent_alias: str
    parent_table: Name
    junction_alias: str
    join_alias: str
    """What a joined relation is called."""
    is_called_by_target: bool = False
    """Whether a filter, order or limit calls it by its own name despite its alias."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is selected: it filters, and is not shown."""
        return not self.node.fields and all(child.is_empty for child in self.node.children)


@dataclass(slots=True)
class Names:
    """Aliases that are in use."""

    used: set[str] = field(default_factory=set[str])

    def unique(self, wanted: str) -> str:
        """The name, shortened to what PostgreSQL keeps, with a number if it is taken."""
        short = wanted.encode()[:50].decode(errors="ignore")
        name, number = short, 1
        while name in self.used:
            number += 1
            name = f"{short}_{number}"
        self.used.add(name)
        return name


def computed_field(node: Node, reading: Reading, name: str) -> Function | None:
    """The function that is shown as a column of the node's rows."""
    if node.table is None or name in node.table.columns:
        return None
    return reading.catalogue.computed_fields.get(node.table.id, {}).get(name)


def row_of(alias: str, table: Name) -> Sql:
    """A whole row, as an argument of a function that takes a row of the table."""
    return compose("{}::{}", identifier(alias), qualified(table))
