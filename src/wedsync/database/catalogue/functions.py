"""Functions that the data API calls, from the catalogue's rows."""

from collections.abc import Iterable, Sequence

from wedsync.database.catalogue.model import Function, Name, Parameter
from wedsync.database.catalogue.rows import FunctionRow, HandlerRow, RowFunctionRow

_BODY_TYPES = {"bytea", "json", "jsonb", "text", "xml"}
_HOISTED = {"statement_timeout", "default_transaction_isolation", "plan_filter.statement_cost_limit"}


def functions(rows: Iterable[FunctionRow]) -> dict[Name, tuple[Function, ...]]:
    """By name, overloads together: those whose arguments have names, or that take the whole body."""
    found: dict[Name, tuple[Function, ...]] = {}
    for row in rows:
        if all(row.names) or (len(row.names) == 1 and row.types[0] in _BODY_TYPES):
            name = row.schema, row.name
            found[name] = (*found.get(name, ()), _function(row))
    return found


def computed_fields(rows: Iterable[RowFunctionRow]) -> dict[Name, dict[str, Function]]:
    """By table: functions of its row that give a value, not rows of another table."""
    found: dict[Name, dict[str, Function]] = {}
    for row in rows:
        if row.target_name is None and not row.returns_set and row.return_type != "void":
            function = Function(
                schema=row.schema,
                name=row.name,
                parameters=(Parameter(name="", type=row.argument_type, required=True),),
                returns_set=False,
                returns_void=False,
                return_type=row.return_type,
                returns_table=None,
                returns_composite=row.returns_composite,
                single_row=row.returns_composite,
                volatility=row.volatility,
                description=row.description,
            )
            # the schemas come in the order of the search path: the first wins, as in PostgreSQL
            found.setdefault((row.table_schema, row.table_name), {}).setdefault(row.name, function)
    return found


def media_handlers(rows: Iterable[HandlerRow]) -> dict[Name, dict[str, Name]]:
    """By table (`ANY_ROW`: every one) or function: media type to aggregate, or to the function's domain."""
    found: dict[Name, dict[str, Name]] = {}
    for row in rows:
        target = row.target_schema, row.target_name
        found.setdefault(target, {})[row.media_type] = row.handler_schema, row.handler_name
    return found


def _function(row: FunctionRow) -> Function:
    required = len(row.names) - row.optional
    last = len(row.names) - 1
    parameters = tuple(
        Parameter(
            name=name,
            type=type_,
            required=place < required,
            variadic=row.variadic and place == last,
        )
        for place, (name, type_) in enumerate(zip(row.names, row.types, strict=True))
    )
    table = (row.table_schema, row.table_name) if row.table_schema and row.table_name else None
    return Function(
        schema=row.schema,
        name=row.name,
        parameters=parameters,
        returns_set=row.returns_set,
        returns_void=row.returns_void,
        return_type=row.return_type,
        returns_table=table,
        returns_composite=row.returns_composite,
        single_row=row.returns_composite and not row.returns_set,
        volatility=row.volatility,
        description=row.description,
        settings=_hoisted(row.settings or ()),
        oid=row.oid,
    )


def _hoisted(settings: Sequence[str]) -> dict[str, str] | None:
    """Those of `alter function … set` that must hold before the function is called."""
    pairs = (setting.partition("=") for setting in settings)
    return {name: value for name, _, value in pairs if name in _HOISTED} or None
