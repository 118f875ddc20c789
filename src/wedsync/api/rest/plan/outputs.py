"""What a node gives: its columns in the answer, where aggregates are computed, and by what is grouped.

An aggregate inside a to-one spread belongs to the level that it is spread into: `...budget(amount.sum())` sums
over the rows of the parent. So a spread gives the plain value under a name of its own, and the first level
that is not itself spread aggregates it.
"""

from dataclasses import dataclass, replace

from wedsync.api.rest.errors import not_implemented
from wedsync.api.rest.plan.columns import expression, last_name
from wedsync.api.rest.plan.node import Child, Node, Reading, computed_field
from wedsync.api.rest.plan.sql import Sql, column, compose, type_name
from wedsync.api.rest.query import SelectField

_FUNCTIONS = {
    "sum": compose("sum"),
    "avg": compose("avg"),
    "count": compose("count"),
    "max": compose("max"),
    "min": compose("min"),
}
STAR = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A column that a node gives; `*` as its name means all columns of the row."""

    name: str
    value: Sql
    is_plain: bool = False
    """Whether PostgreSQL calls it so by itself."""
    aggregate: str | None = None
    cast: str | None = None

    def as_sql(self) -> Sql:
        """With the aggregate and its cast."""
        if self.aggregate is None:
            return self.value
        return cast_to(compose("{}({})", _FUNCTIONS[self.aggregate], self.value), self.cast)


def own_outputs(node: Node, reading: Reading, *, hoisting: bool) -> list[Output]:
    """Of the node's fields; `hoisting` where it is spread into the level around, which aggregates."""
    expand = hoisting or aggregates_in(node)
    outputs: list[Output] = []
    for item in node.fields:
        if item.field.name == STAR and item.aggregate is None and expand and node.table is not None:
            outputs += [
                Output(name=name, value=column(node.alias, name), is_plain=True) for name in node.table.columns
            ]
        else:
            outputs.append(_output(item, node, reading, hoisting=hoisting))
    return outputs


def _output(item: SelectField, node: Node, reading: Reading, *, hoisting: bool) -> Output:
    if item.field.name == STAR and item.aggregate is None:
        return Output(name=STAR, value=expression(item.field, node, reading), is_plain=True)
    name = item.alias or item.aggregate or last_name(item.field)
    if item.field.name == STAR:
        value = compose("true") if hoisting else compose("*")
    else:
        value = cast_to(expression(item.field, node, reading), item.cast)
    by_itself = name == item.field.name and item.aggregate is None and not item.field.path
    plain = by_itself and item.cast is None and computed_field(node, reading, name) is None
    return Output(name=name, value=value, is_plain=plain, aggregate=item.aggregate, cast=item.aggregate_cast)


def to_one_spread(child: Child, inside: list[Output]) -> list[Output]:
    """What a to-one spread gives to the level around: the same, aggregated there."""
    return [
        replace(
            output,
            value=column(child.join_alias, inner_name(output, position)),
            is_plain=output.aggregate is None,
        )
        for position, output in enumerate(inside)
    ]


def to_many_spread(child: Child, inside: list[Output]) -> list[Output]:
    """What a to-many spread gives to the level around: arrays. Raises PGRST127 for aggregates in it."""
    if aggregates_in(child.node):
        raise not_implemented("Aggregates are not implemented for one-to-many or many-to-many spreads.")
    return [
        Output(name=output.name, value=column(child.join_alias, output.name), is_plain=True) for output in inside
    ]


def inner_name(output: Output, number: int) -> str:
    """The name by which a spread gives it: values to aggregate need one that no column has."""
    return f"{output.name}.{number}" if output.aggregate else output.name


def cast_to(value: Sql, kind: str | None) -> Sql:
    """The value as another type."""
    return compose("cast({} as {})", value, type_name(kind)) if kind else value


def aggregates_in(node: Node) -> bool:
    """Whether rows of the node are aggregated, also by what is spread into it."""
    return any(item.aggregate for item in node.fields) or any(
        aggregates_in(child.node) for child in node.children if child.spread and child.way.is_to_one
    )
