"""A field as an SQL expression."""

from wedsync.api.rest.plan.node import Node, Reading, computed_field, row_of
from wedsync.api.rest.plan.sql import Sql, column, compose, constant, identifier, qualified
from wedsync.api.rest.query import Field

_JSON = frozenset({"json", "jsonb"})
_SEARCHABLE_AS_TEXT = frozenset({"text", "character varying", "character", "citext", "name", "json", "jsonb"})


def expression(field: Field, node: Node, reading: Reading) -> Sql:
    """The field of the node's row; a name that is no column is left for PostgreSQL to refuse."""
    function = computed_field(node, reading, field.name)
    if function is not None and node.source.is_table and node.table is not None:
        value = compose("{}({})", qualified((function.schema, function.name)), row_of(node.alias, node.table.id))
    elif field.name == "*":
        return compose("{}.*", identifier(node.alias))
    else:
        value = column(node.alias, field.name)
    if not field.path:
        return value
    if type_of(field.name, node, reading) not in _JSON:
        value = compose("to_jsonb({})", value)
    for arrow, operand in field.path:
        step = compose("{}::int", constant(str(operand))) if isinstance(operand, int) else constant(operand)
        value = compose("{}->>{}" if arrow == "->>" else "{}->{}", value, step)
    return value


def type_of(name: str, node: Node, reading: Reading) -> str | None:
    """The base type of a column or computed field, if it is known."""
    if node.table is not None and name in node.table.columns:
        return node.table.columns[name].base_type
    function = computed_field(node, reading, name)
    return function.return_type if function else None


def is_searched_as_text(field: Field, node: Node, reading: Reading) -> bool:
    """Whether a full-text search has to make a `tsvector` of it first."""
    if field.path:
        return True
    kind = type_of(field.name, node, reading)
    return kind is not None and kind.partition("(")[0] in _SEARCHABLE_AS_TEXT


def last_name(field: Field) -> str:
    """The name of a field in the answer: the last key of its path, or the column."""
    keys = [operand for _, operand in field.path if isinstance(operand, str)]
    return keys[-1] if keys else field.name
