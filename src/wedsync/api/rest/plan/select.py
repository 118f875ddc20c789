"""A tree of nodes as a `select`.

Embedded relations are subqueries in the select list, not joins: with `order … limit` PostgreSQL computes them
for the rows that remain, where a lateral join would compute them for all (20 of 100 000 rows with two relations:
65 ms instead of 170). Joined is what has to be, spreads and relations whose columns the rows are ordered by, and
a single row where nothing limits the rows: a join can hash (100 000 rows: 0.5 s instead of 1.8). `!inner` and
`relation=not.is.null` are semi-joins.
"""

from collections.abc import Iterable, Sequence

from wedsync.api.rest.errors import not_embedded, related_order_not_to_one
from wedsync.api.rest.plan.columns import expression
from wedsync.api.rest.plan.conditions import condition
from wedsync.api.rest.plan.node import Child, Node, Reading, row_of
from wedsync.api.rest.plan.outputs import (
    Output,
    aggregates_in,
    inner_name,
    own_outputs,
    to_many_spread,
    to_one_spread,
)
from wedsync.api.rest.plan.sql import NOTHING, Sql, clause, column, compose, identifier, joined, number, qualified
from wedsync.api.rest.plan.values import value_parameter
from wedsync.api.rest.query import Order, Value

_ROW, _VALUE = "row", "value"


class Selecting:
    """Makes the SQL of a tree."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def rows(self, node: Node) -> Sql:
        """`select … from … where … order by … limit …`: the rows of the answer, one column a member."""
        return self._select(node, self._from(node.source.sql, node.alias), (), hoisting=False, is_list=True)

    def count(self, node: Node) -> Sql:
        """`select from … where …`: a row for each that there would be without limit and offset."""
        return _bare(self._from(node.source.sql, node.alias), self._conditions(node, ()))

    def _select(self, node: Node, source: Sql, links: Sequence[Sql], *, hoisting: bool, is_list: bool) -> Sql:
        """`hoisting`: of what is spread into the level around, which aggregates."""
        outputs = self._outputs(node, hoisting=hoisting)
        ordering, joins = self._order(node)
        return compose(
            "select {} from {}{}{}{}{}{}",
            joined(", ", [_named(output, number, hoisting=hoisting) for number, output in enumerate(outputs)]),
            source,
            joined("", [*(self._join(child) for child in node.children if self._is_joined(child, node)), *joins]),
            clause(" where {}", self._conditions(node, links), " and "),
            NOTHING if hoisting else _grouping(node, outputs),
            ordering,
            self._range(node, is_list=is_list),
        )

    # what a node gives

    def _outputs(self, node: Node, *, hoisting: bool) -> list[Output]:
        outputs = own_outputs(node, self._reading, hoisting=hoisting)
        for child in node.children:
            if child.spread:
                inside = self._outputs(child.node, hoisting=True)
                outputs += to_one_spread(child, inside) if child.way.is_to_one else to_many_spread(child, inside)
            elif not child.is_empty:
                value = _row_of_join(child) if self._is_joined(child, node) else self._embedded(child)
                if aggregates_in(node):  # json has no equality to group by
                    value = compose("{}::jsonb", value)
                outputs.append(Output(name=child.key, value=value))
        return outputs

    def _embedded(self, child: Child) -> Sql:
        """A subquery that gives the relation as one JSON value."""
        rows, row = self._child_rows(child, hoisting=False), identifier(_ROW)
        if child.way.is_to_one:
            return compose("(select row_to_json({}.*) from ({}) {} limit 1)", row, rows, row)
        return compose("(select coalesce(json_agg({}.*), '[]') from ({}) {})", row, rows, row)

    def _is_joined(self, child: Child, node: Node) -> bool:
        """Whether it is a join: as a spread, or as one row of a table below rows that nothing limits."""
        if child.spread:
            return True
        is_limited = node.limit is not None or self._reading.max_rows is not None
        is_one = child.way.is_to_one and child.way.function is None and child.node.limit is None
        is_table = child.node.table is not None and not child.node.table.is_view
        return is_one and is_table and not is_limited and not child.is_empty and not aggregates_in(node)

    def _join(self, child: Child) -> Sql:
        """A join: the row itself, or of a spread of many an array for each of its columns."""
        rows, alias = self._child_rows(child, hoisting=child.spread), identifier(child.join_alias)
        if child.way.is_to_one:
            return compose(" left join lateral ({}) as {} on true", rows, alias)
        arrays = [
            compose("coalesce(json_agg({}), '[]') as {}", column(_ROW, output.name), identifier(output.name))
            for output in self._outputs(child.node, hoisting=True)
        ]
        return compose(
            " cross join lateral (select {} from ({}) as {}) as {}",
            joined(", ", arrays),
            rows,
            identifier(_ROW),
            alias,
        )

    # a relation below a node

    def _child_rows(self, child: Child, *, hoisting: bool) -> Sql:
        source, links = self._linked(child)
        return self._select(child.node, source, links, hoisting=hoisting, is_list=not child.way.is_to_one)

    def _linked(self, child: Child) -> tuple[Sql, list[Sql]]:
        """What the rows of a relation are from, and what connects them to the row above."""
        node, way = child.node, child.way
        if way.function is not None:
            call = compose("{}({})", qualified(way.function), row_of(child.parent_alias, child.parent_table))
            return self._from(call, node.alias), []
        if way.junction is not None:
            between = child.junction_alias
            source = compose(
                "{} join {} on {}",
                self._from(qualified(way.junction.table), between),
                self._from(node.source.sql, node.alias),
                _equal(
                    (column(between, own), column(node.alias, other)) for own, other in way.junction.target_columns
                ),
            )
            pairs = [
                (column(between, own), column(child.parent_alias, above))
                for above, own in way.junction.source_columns
            ]
        else:
            source = self._from(node.source.sql, node.alias)
            pairs = [(column(node.alias, own), column(child.parent_alias, above)) for above, own in way.columns]
        return source, [_equal(pairs)]

    def _exists(self, child: Child) -> Sql:
        source, links = self._linked(child)
        rows = _bare(source, self._conditions(child.node, links))
        return compose("exists ({}{})", rows, self._range(child.node, is_list=False))

    # the clauses

    def _conditions(self, node: Node, links: Sequence[Sql]) -> list[Sql]:
        """What rows have to meet: the link to the row above, the filters, and relations that have to be there."""
        return [
            *links,
            *(condition(tree, node, self._reading, self._exists) for tree in node.where),
            *(self._exists(child) for child in node.children if child.inner),
        ]

    def _order(self, node: Node) -> tuple[Sql, list[Sql]]:
        """`order by`, and the joins of the relations that are in it."""
        terms: list[Sql] = []
        joins: list[Sql] = []
        for position, term in enumerate(node.order):
            if term.relation is None:
                value = expression(term.field, node, self._reading)
            else:
                child = _to_one(node, term.relation)
                alias = f"{child.join_alias}.{position}"
                joins.append(self._join_for_order(child, term, alias))
                value = column(alias, _VALUE)
            terms.append(_directed(term, value))
        return clause(" order by {}", terms, ", "), joins

    def _join_for_order(self, child: Child, term: Order, alias: str) -> Sql:
        source, links = self._linked(child)
        return compose(
            " left join lateral (select {} as {} from {}{}) as {} on true",
            expression(term.field, child.node, self._reading),
            identifier(_VALUE),
            source,
            clause(" where {}", self._conditions(child.node, links), " and "),
            identifier(alias),
        )

    def _range(self, node: Node, *, is_list: bool) -> Sql:
        """`limit` and `offset`; no list is longer than the setting says."""
        most = self._reading.max_rows if is_list else None
        offset = compose(" offset {}", value_parameter(node.offset)) if node.offset is not None else NOTHING
        return _limit(node.limit, most) + offset

    @staticmethod
    def _from(source: Sql, alias: str) -> Sql:
        return compose("{} as {}", source, identifier(alias))


def _row_of_join(child: Child) -> Sql:
    return compose("row_to_json({}.*)", identifier(child.join_alias))


def _limit(limit: Value | None, most: int | None) -> Sql:
    if limit is None:
        return NOTHING if most is None else compose(" limit {}", number(most))
    if isinstance(limit, str):
        return compose(" limit {}", number(int(limit) if most is None else min(int(limit), most)))
    if most is None:
        return compose(" limit {}", value_parameter(limit))
    return compose(" limit {}", value_parameter(limit, lambda text: str(min(int(text), most))))


def _named(output: Output, position: int, *, hoisting: bool) -> Sql:
    if hoisting and output.aggregate:
        return compose("{} as {}", output.value, identifier(inner_name(output, position)))
    return output.as_sql() if output.is_plain else compose("{} as {}", output.as_sql(), identifier(output.name))


def _grouping(node: Node, outputs: Sequence[Output]) -> Sql:
    """By all that is not aggregated, by position: a name could be a column's, too."""
    if not aggregates_in(node):
        return NOTHING
    plain = [number(position) for position, output in enumerate(outputs, 1) if output.aggregate is None]
    return clause(" group by {}", plain, ", ")


def _to_one(node: Node, relation: str) -> Child:
    child = next((child for child in node.children if child.key == relation), None)
    if child is None:
        raise not_embedded(relation)
    if not child.way.is_to_one:
        raise related_order_not_to_one(child.parent_table[1], relation)
    return child


def _directed(term: Order, value: Sql) -> Sql:
    direction = {None: NOTHING, True: compose(" desc"), False: compose(" asc")}[term.descending]
    nulls = {None: NOTHING, True: compose(" nulls first"), False: compose(" nulls last")}[term.nulls_first]
    return compose("{}{}{}", value, direction, nulls)


def _equal(pairs: Iterable[tuple[Sql, Sql]]) -> Sql:
    return joined(" and ", [compose("{} = {}", one, other) for one, other in pairs])


def _bare(source: Sql, where: Sequence[Sql]) -> Sql:
    """Rows without columns."""
    return compose("select from {}{}", source, clause(" where {}", where, " and "))
