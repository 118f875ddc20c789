"""The answer to a write, made of the rows that were written, in the same statement."""

from dataclasses import dataclass, replace
from typing import LiteralString

from wedsync.api.rest.plan.columns import expression
from wedsync.api.rest.plan.conditions import condition
from wedsync.api.rest.plan.guards import ANY_NUMBER
from wedsync.api.rest.plan.model import Plan
from wedsync.api.rest.plan.node import Child, Node, Reading, part_source, table_source
from wedsync.api.rest.plan.read import NO_BODY, RESPONSE, ROWS, Selection, select_from
from wedsync.api.rest.plan.sql import NOTHING, Sql, compose, identifier, joined, rendered
from wedsync.api.rest.query import Field, Level, Query, SelectField
from wedsync.database.catalogue import Table

WRITTEN = "wedsync_written"
"""The rows that were written, as a part of the statement."""
UNKNOWN = compose("null::bigint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What of the written rows is answered."""

    body: Sql | None = None
    """Makes the body of the rows; `None`: no rows are wanted."""
    location: bool = False
    """Tell the key of the one row."""
    guard: Sql = ANY_NUMBER
    """Counts the rows, and refuses numbers that may not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """A write: of which table, which rows, and what of them is answered."""

    query: Query
    table: Table
    reading: Reading
    answering: Answering

    @property
    def target(self) -> Node:
        """The table, with the filters that say which of its rows are meant."""
        root = next((level for level in self.query.levels if not level.path), Level())
        return Node(source=table_source(self.table), alias=self.table.name, fields=(), where=root.where)

    def conditions(self, node: Node) -> list[Sql]:
        """The filters of a node, which embeds nothing."""
        return [condition(each, node, self.reading, _nothing_embedded) for each in node.where]

    def plan(self, write: Sql, *, inserted: Sql = UNKNOWN) -> Plan:
        """The plan of an `insert`, `update` or `delete`, to which `returning` is added."""
        return self.plan_of_rows(compose("{} returning {}", write, self.returned()), inserted=inserted)

    def plan_of_rows(self, write: Sql, *, inserted: Sql = UNKNOWN, before: Sql = NOTHING) -> Plan:
        """The plan of what gives the written rows itself; `before` are other parts of the statement."""
        answering = self.answering
        rows = compose("select * from {}", identifier(WRITTEN)) if answering.body is None else self._shown().rows
        sql, slots = rendered(
            compose(
                "with {}{} as ({}) select {} as body, {} as page_total, null::bigint as total, {}, "
                "{} as location, {} as inserted from ({}) as {}",
                before,
                identifier(WRITTEN),
                write,
                answering.body or NO_BODY,
                answering.guard,
                RESPONSE,
                _LOCATION if answering.location and self.table.primary_key else compose("null::json"),
                inserted,
                rows,
                identifier(ROWS),
            )
        )
        return Plan(sql=sql, slots=slots, read_only=False, media_type="application/json", writes=True)

    def returned(self) -> Sql:
        """Only the columns that the answer needs: the caller may not be allowed to see the others."""
        names = self._names()
        target = self.target
        columns = [
            compose("{}.*", identifier(target.alias))
            if name == "*"
            else compose("{} as {}", expression(Field(name=name), target, self.reading), identifier(name))
            for name in names
        ]
        return joined(", ", columns) if columns else compose("1 as written")

    def _names(self) -> list[str]:
        if self.answering.body is None:
            return list(self.table.primary_key) if self.answering.location else []
        needs = self._shown().needs
        if needs is not None:
            return sorted(needs)
        selected = [item.field.name for item in self.query.select if isinstance(item, SelectField)]
        computed = self.reading.catalogue.computed_fields.get(self.table.id, {})
        return [
            "*",
            *(name for name in dict.fromkeys(selected) if name in computed and name not in self.table.columns),
        ]

    def _shown(self) -> Selection:
        """What is selected of the written rows: filters and limits of the root are not about that."""
        levels = tuple(
            replace(level, limit=None, offset=None, where=level.where if level.path else ())
            for level in self.query.levels
        )
        source = part_source(WRITTEN, self.table, self.table.name)
        return select_from(replace(self.query, levels=levels), source, self.reading)


def where(conditions: list[Sql]) -> Sql:
    """` where …`, if there is any condition."""
    template: LiteralString = " where {}"
    return compose(template, joined(" and ", conditions)) if conditions else NOTHING


_LOCATION = compose(
    "case when count(*) = 1 then (select json_agg(json_build_array(each.key, each.value)) "
    "from json_each_text(json_agg({})->0) as each) end",
    identifier(ROWS),
)


def _nothing_embedded(child: Child) -> Sql:
    raise AssertionError(f"a write embeds nothing, {child.key!r} neither")
