"""Calling a function: one statement, in which the function runs once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wedsync.api.rest.plan.columns import expression
from wedsync.api.rest.plan.guards import ANY_NUMBER
from wedsync.api.rest.plan.model import Plan
from wedsync.api.rest.plan.node import Node, Reading, Source, part_source
from wedsync.api.rest.plan.read import NO_BODY, RESPONSE, ROWS, Count, select_from, total
from wedsync.api.rest.plan.records import BODY, GIVEN, Member, records
from wedsync.api.rest.plan.sql import (
    NOTHING,
    Sql,
    column,
    compose,
    identifier,
    joined,
    known_type,
    parameter,
    qualified,
    rendered,
)
from wedsync.api.rest.plan.values import value_parameter
from wedsync.api.rest.query import Field, Filter, Logic, Query, SelectField, Value
from wedsync.database.catalogue import Function, Parameter, Table

SCALAR = "pgrst_scalar"
"""The column of a result that has none."""
_CALLED = "wedsync_called"
_CALL = "wedsync_call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """How the arguments of a call are handed over."""

    names: tuple[str, ...] = ()
    """Those that are given."""
    values: tuple[tuple[str, Value], ...] | None = None
    """One by one, in their order, by a query string; `None`: by the body, in JSON."""
    is_object: bool = True
    """The body is one object, not a list whose first one counts."""
    whole_body: bool = False
    """The body is the one argument."""


def plan_call(
    query: Query,
    function: Function,
    reading: Reading,
    arguments: Arguments,
    *,
    body: Sql | None,
    read_only: bool,
    guard: Sql = ANY_NUMBER,
    count: Count | None = None,
    media_type: str = "application/json",
) -> Plan:
    """The plan of a call. Raises `RestError`. `body` makes the answer of the rows, called `ROWS`.

    Without a body PostgreSQL would leave out a function whose result nobody reads, if it were not `materialized`.

    An estimated total is counted, and a planned one not told: the planner knows nothing of what a function gives.
    """
    table = reading.catalogue.tables.get(function.returns_table) if function.returns_table else None
    selection = select_from(query, part_source(_CALLED, table, function.name), reading)
    counted = None if count is None or count is Count.PLANNED else Count.EXACT
    sql, slots = rendered(
        compose(
            "with {} as {}({}) select {} as body, {} as page_total, {} as total, {} from ({}) as {}",
            identifier(_CALLED),
            compose("materialized ") if body is None else NOTHING,
            _called(function, reading, arguments, table, query),
            NO_BODY if body is None else body,
            guard,
            total(selection, reading, counted),
            RESPONSE,
            selection.rows,
            identifier(ROWS),
        )
    )
    return Plan(sql=sql, slots=slots, read_only=read_only, media_type=media_type)


def _called(function: Function, reading: Reading, arguments: Arguments, table: Table | None, query: Query) -> Sql:
    source, given = _arguments(function, arguments)
    name = qualified((function.schema, function.name))
    if function.returns_composite:
        call = compose("{}({}) as {}", name, given, identifier(_CALL))
        shown = _columns(query, reading, table)
    else:
        call = compose("(select {}({}) as {}) as {}", name, given, identifier(SCALAR), identifier(_CALL))
        shown = column(_CALL, SCALAR)
    if source:
        return compose("select {} from {}, lateral {}", shown, source, call)
    return compose("select {} from {}", shown, call)


def _columns(query: Query, reading: Reading, table: Table | None) -> Sql:
    """All columns of the result, and what is computed of its rows by functions, as far as it is asked for."""
    every = compose("{}.*", identifier(_CALL))
    if table is None:
        return every
    computed = reading.catalogue.computed_fields.get(table.id, {})
    names = dict.fromkeys(name for name in _names(query) if name in computed and name not in table.columns)
    call = Source(sql=NOTHING, table=table, alias=_CALL, is_table=True)
    node = Node(source=call, alias=_CALL, fields=())
    return joined(
        ", ",
        [
            every,
            *(
                compose("{} as {}", expression(Field(name=name), node, reading), identifier(name))
                for name in names
            ),
        ],
    )


def _names(query: Query) -> Iterable[str]:
    """The names of the root's fields, wherever the query says them."""
    for item in query.select:
        if isinstance(item, SelectField):
            yield item.field.name
    for level in query.levels:
        if not level.path:
            yield from (term.field.name for term in level.order if term.relation is None)
            for each in level.where:
                yield from _filtered(each)


def _filtered(tree: Filter | Logic) -> Iterable[str]:
    if isinstance(tree, Filter):
        yield tree.field.name
    else:
        for part in tree.parts:
            yield from _filtered(part)


def _arguments(function: Function, arguments: Arguments) -> tuple[Sql, Sql]:
    """Where the arguments come from, if that is a row, and the list of them."""
    if arguments.whole_body:
        return NOTHING, compose("{}::{}", parameter(BODY), known_type(function.parameters[0].type))
    given = [each for each in function.parameters if each.name in arguments.names]
    if not given:
        return NOTHING, NOTHING
    if arguments.values is not None:
        values = [
            _direct(each, [value for name, value in arguments.values if name == each.name]) for each in given
        ]
        return NOTHING, joined(", ", values)
    members = [Member(name=each.name, type=each.cast_type) for each in given]
    passed = [_passed(each, column(GIVEN, each.name)) for each in given]
    return records(members, is_object=arguments.is_object, one=True), joined(", ", passed)


def _direct(one: Parameter, values: Sequence[Value]) -> Sql:
    if one.variadic:
        elements = joined(", ", [compose("{}::text", value_parameter(value)) for value in values])
        value = compose("array[{}]::text[]::{}", elements, known_type(one.type))
    else:
        value = compose("{}::{}", value_parameter(values[-1]), known_type(one.cast_type))
    return _passed(one, value)


def _passed(one: Parameter, value: Sql) -> Sql:
    return compose("variadic {} := {}" if one.variadic else "{} := {}", identifier(one.name), value)
