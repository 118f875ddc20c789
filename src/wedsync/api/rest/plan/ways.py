"""Which way an embedded relation is reached: by names, hints and columns, as PostgREST decides."""

from collections.abc import Iterable
from difflib import get_close_matches

from wedsync.api.rest.errors import Problem, RestError
from wedsync.database.catalogue import Cardinality, Catalogue, Name, Relationship


def find_way(catalogue: Catalogue, origin: Name, target: str, hint: str | None) -> Relationship:
    """The one relationship that is meant. Raises `RestError` PGRST200 if there is none, PGRST201 if several."""
    found = [way for way in catalogue.relationships.get(origin, ()) if _is_meant(catalogue, way, target, hint)]
    if not found:
        raise _none(catalogue, origin, target, hint)
    if len(found) > 1:
        raise _several(origin, target, found)
    return found[0]


def _is_meant(catalogue: Catalogue, way: Relationship, target: str, hint: str | None) -> bool:
    if way.function is not None:
        return target == way.function[1]
    if way.target[0] != way.source[0]:
        return False
    if way.is_self:
        return _is_meant_self(way, target, hint)
    if target == way.target[1]:
        between = way.junction.table[1] if way.junction else None
        return hint is None or hint in {way.constraint or None, _single(way, 0), _single(way, 1), between}
    table = catalogue.tables.get(way.target)
    by_key = target in {way.constraint or None, _single(way, 0)}
    return hint is None and by_key and (table is None or not table.is_view)


def _is_meant_self(way: Relationship, target: str, hint: str | None) -> bool:
    """Of a table to itself: its name means those that refer to the row, the column the row that is referred to."""
    if way.cardinality is Cardinality.MANY_TO_ONE:
        return hint is None and target == _single(way, 0)
    to_many = target == way.target[1] and way.cardinality is Cardinality.ONE_TO_MANY
    return to_many and hint in {None, _single(way, 1)}


def _single(way: Relationship, side: int) -> str | None:
    """The column of that side, where there is one only."""
    return way.columns[0][side] if len(way.columns) == 1 else None


def _none(catalogue: Catalogue, origin: Name, target: str, hint: str | None) -> RestError:
    schema, name = origin
    using = f"' using the hint '{hint}" if hint else ""
    return RestError(
        Problem(
            status=400,
            code="PGRST200",
            message=f"Could not find a relationship between '{name}' and '{target}' in the schema cache",
            details=f"Searched for a foreign key relationship between '{name}' and '{target}{using}' "
            f"in the schema '{schema}', but no matches were found.",
            hint=_nearest(catalogue, origin, target),
        )
    )


def _nearest(catalogue: Catalogue, origin: Name, target: str) -> str | None:
    schema, name = origin
    ways = catalogue.relationships.get(origin)
    if ways is None:
        sources = [source for in_schema, source in catalogue.relationships if in_schema == schema]
        near = get_close_matches(name, sources, n=1)
        return f"Perhaps you meant '{near[0]}' instead of '{name}'." if near else None
    targets = {way.target[1] for way in ways}
    near = get_close_matches(target, targets - {target}, n=1)
    return f"Perhaps you meant '{near[0]}' instead of '{target}'." if near and target not in targets else None


def _several(origin: Name, target: str, found: list[Relationship]) -> RestError:
    ways = ", ".join(
        f"'{way.target[1]}!{way.junction.table[1] if way.junction else way.constraint}'" for way in found
    )
    return RestError(
        Problem(
            status=300,
            code="PGRST201",
            message="Could not embed because more than one relationship was found for "
            f"'{origin[1]}' and '{target}'",
            details=[_described(way) for way in found],
            hint=f"Try changing '{target}' to one of the following: {ways}. "
            "Find the desired relationship in the 'details' key.",
        )
    )


def _described(way: Relationship) -> dict[str, str]:
    source, target = way.source[1], way.target[1]
    if way.junction is not None:
        between = way.junction
        relationship = (
            f"{between.table[1]} using {between.source_constraint}{_list(b for _, b in between.source_columns)}"
            f" and {between.target_constraint}{_list(a for a, _ in between.target_columns)}"
        )
    else:
        relationship = (
            f"{way.constraint} using {source}{_list(own for own, _ in way.columns)}"
            f" and {target}{_list(other for _, other in way.columns)}"
        )
    return {
        "cardinality": way.cardinality.value,
        "embedding": f"{source} with {target}",
        "relationship": relationship,
    }


def _list(columns: Iterable[str]) -> str:
    return f"({', '.join(columns)})"
