"""A field as an SQL expression."""

from difflib import get_close_matches

from wedsync.api.rest.errors import Problem, RestError
from wedsync.api.rest.plan.node import Node, Reading, computed_field, row_of
from wedsync.api.rest.plan.sql import Sql, column, compose, constant, identifier, qualified
from wedsync.api.rest.query import Field

_SYSTEM = frozenset({"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"})
_JSON = frozenset({"json", "jsonb"})
_SEARCHABLE_AS_TEXT = frozenset({"text", "character varying", "character", "citext", "name", "json", "jsonb"})


def expression(field: Field, node: Node, reading: Reading) -> Sql:
    """The field of the node's row. Raises `RestError` (42703) for a name that is none of its columns.

    PostgreSQL would take such a name for a function of the row, if there is one: `order=count`.
    """
    function = computed_field(node, reading, field.name)
    if function is not None and node.source.is_table and node.table is not None:
        value = compose("{}({})", qualified((function.schema, function.name)), row_of(node.alias, node.table.id))
    elif field.name == "*":
        return compose("{}.*", identifier(node.alias))
    else:
        if function is None:
            _check(field.name, node)
        value = column(node.alias, field.name)
    if not field.path:
        return value
    if type_of(field.name, node, reading) not in _JSON:
        value = compose("to_jsonb({})", value)
    for arrow, operand in field.path:
        step = compose("{}::int", constant(str(operand))) if isinstance(operand, int) else constant(operand)
        value = compose("{}->>{}" if arrow == "->>" else "{}->{}", value, step)
    return value


def _check(name: str, node: Node) -> None:
    if node.table is None or name in node.table.columns or name in _SYSTEM:
        return
    near = get_close_matches(name, node.table.columns, n=1, cutoff=0.7)
    raise RestError(
        Problem(
            status=400,
            code="42703",
            message=f"column {node.alias}.{name} does not exist",
            hint=f'Perhaps you meant to reference the column "{node.alias}.{near[0]}".' if near else None,
        )
    )


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
