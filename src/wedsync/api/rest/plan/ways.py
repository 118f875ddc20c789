"""Which way an embedded relation is reached: by names, hints and columns, as PostgREST decides."""

from wedsync.api.rest.errors import relationship_ambiguous, relationship_not_found
from wedsync.database.catalogue import Cardinality, Catalogue, Name, Relationship


def find_way(catalogue: Catalogue, origin: Name, target: str, hint: str | None) -> Relationship:
    """The one relationship that is meant. Raises `RestError` PGRST200 if there is none, PGRST201 if several."""
    found = [way for way in catalogue.relationships.get(origin, ()) if _is_meant(catalogue, way, target, hint)]
    if not found:
        raise relationship_not_found(catalogue, origin[0], origin[1], target, hint=hint)
    if len(found) > 1:
        raise relationship_ambiguous(origin[1], target, found)
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
