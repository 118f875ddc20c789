"""What makes the body of an answer of its rows, in each media type: SQL, so that PostgreSQL makes it."""

from dataclasses import dataclass

from wedsync.api.rest.media import Kind, Negotiated
from wedsync.api.rest.plan import ROW, ROWS
from wedsync.api.rest.plan.call import SCALAR
from wedsync.api.rest.plan.sql import Sql, column, compose, qualified
from wedsync.database.catalogue import ANY_ROW, Function, Name

_ROWS = ROW


@dataclass(frozen=True, slots=True)
class Result:
    """What the rows of an answer are."""

    is_scalar: bool = False
    """Values in the one column `SCALAR`, not objects."""
    is_one: bool = False
    """One value or object, not a list."""

    @classmethod
    def of(cls, function: Function) -> "Result":
        """The result of a function."""
        return cls(is_scalar=not function.returns_composite, is_one=not function.returns_set)


TABLE = Result()


def body_of(negotiated: Negotiated, result: Result = TABLE) -> Sql:
    """The SQL that makes the body."""
    media = negotiated.media
    if media.kind is Kind.PLAN and media.of is not None:
        return body_of(Negotiated(media.of, negotiated.handler, negotiated.handler_of), result)
    if negotiated.handler is not None:
        return _handled(negotiated.handler, negotiated.handler_of, result)
    match media.kind:
        case Kind.CSV:
            return _csv()
        case Kind.GEOJSON:
            return compose(
                "json_build_object('type', 'FeatureCollection', 'features', "
                "coalesce(json_agg(st_asgeojson({})::json), '[]'))",
                _ROWS,
            )
        case Kind.OBJECT:
            return _json(result, one=True, stripped=media.nulls_stripped)
        case Kind.JSON | Kind.ARRAY | Kind.PLAN | Kind.ANY | Kind.OTHER:
            return _json(result, one=result.is_one, stripped=media.nulls_stripped)


def _json(result: Result, *, one: bool, stripped: bool) -> Sql:
    if one and not result.is_scalar:  # of more rows than one this is no JSON, and the answer is a 406
        row = compose("json_strip_nulls(row_to_json({}))" if stripped else "row_to_json({})", _ROWS)
        return compose("coalesce(string_agg({}::text, ','), 'null')", row)
    value = column(ROWS, SCALAR) if result.is_scalar else _ROWS
    made = compose("json_agg({})", value)
    if stripped:
        made = compose("json_strip_nulls({})", made)
    return compose("coalesce({}->0, 'null')" if one else "coalesce({}, '[]')", made)


def _csv() -> Sql:
    names = compose(
        "(select coalesce(string_agg(k, ','), '') from json_object_keys(json_agg({})->0) as k)",
        _ROWS,
    )
    lines = compose("coalesce(string_agg(substring({}::text, 2, length({}::text) - 2), e'\\n'), '')", _ROWS, _ROWS)
    return compose("{} || e'\\n' || {}", names, lines)


def _handled(handler: Name, of: Name | None, result: Result) -> Sql:
    """Marked, so that bytes and text can be told apart afterwards."""
    if result.is_scalar and of != ANY_ROW:
        made = compose("{}({})", qualified(handler), column(ROWS, SCALAR))
        if result.is_one:  # among aggregates: of the one row
            made = compose("(array_agg({}))[1]", made)
    elif of is None or of == ANY_ROW:
        made = compose("{}({})", qualified(handler), _ROWS)
    else:
        made = compose("{}({}::{})", qualified(handler), _ROWS, qualified(of))
    return compose(
        "(select case when t.typbasetype = 'pg_catalog.bytea'::regtype then 'b' || substr(m.made::text, 3) "
        "else 't' || m.made::text end from (select {} as made) as m "
        "left join pg_catalog.pg_type t on t.oid = pg_typeof(m.made))",
        made,
    )
