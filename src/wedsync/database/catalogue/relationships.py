"""Ways from table to table: foreign keys both ways, the same through views, junctions, functions of a row."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from wedsync.database.catalogue.model import Cardinality, Junction, Name, Relationship, Table
from wedsync.database.catalogue.rows import KeyRow, RowFunctionRow
from wedsync.database.catalogue.view_keys import ShownKeys

_INVERSE = {
    Cardinality.MANY_TO_ONE: Cardinality.ONE_TO_MANY,
    Cardinality.ONE_TO_ONE: Cardinality.ONE_TO_ONE,
}
_RANK = {
    Cardinality.ONE_TO_MANY: 0,
    Cardinality.MANY_TO_ONE: 1,
    Cardinality.ONE_TO_ONE: 2,
    Cardinality.MANY_TO_MANY: 3,
}


def relationships(
    keys: Iterable[KeyRow],
    shown: ShownKeys,
    *,
    tables: Mapping[Name, Table],
    views: Mapping[int, tuple[Name, Mapping[int, str]]],
    functions: Iterable[RowFunctionRow],
) -> dict[Name, tuple[Relationship, ...]]:
    """By source, all ways between exposed tables. `views` has name and column names (by number) of each view."""
    forward = [way for way in _forward(list(keys), shown, views) if way.source in tables and way.target in tables]
    computed = [way for way in map(_computed, functions) if way is not None and way.target in tables]
    replaced = {(way.source, way.function) for way in computed}
    found: dict[Name, list[Relationship]] = {}
    for way in (*forward, *map(_inverse, forward), *_through_junctions(forward, tables)):
        if (way.source, way.target) not in replaced:  # a function of the target's name stands in its place
            found.setdefault(way.source, []).append(way)
    for way in computed:
        found.setdefault(way.source, []).append(way)
    return {source: tuple(sorted(ways, key=_order)) for source, ways in found.items()}


def _forward(
    keys: list[KeyRow], shown: ShownKeys, views: Mapping[int, tuple[Name, Mapping[int, str]]]
) -> Iterator[Relationship]:
    """From where the foreign key is to what it references, tables and views on either side."""
    unique: dict[int, set[frozenset[int]]] = {}
    for key in keys:
        if key.kind in {"p", "u"}:
            unique.setdefault(key.relation, set()).add(frozenset(key.columns))
    for key in keys:
        if key.kind != "f" or key.other_schema is None or key.other_name is None:
            continue
        one = frozenset(key.columns) in unique.get(key.relation, set())
        source, target = (key.schema, key.table_name), (key.other_schema, key.other_name)
        sources = [(source, tuple(key.column_names))]
        targets = [(target, tuple(key.other_column_names))]
        for found, ends in ((shown.referencing, sources), (shown.referenced, targets)):
            for own in found.get(key.oid, ()):
                name, columns = views[own.view]
                ends += [(name, tuple(columns[number] for number in way)) for way in own.ways()]
        for from_name, from_columns in sources:
            for to_name, to_columns in targets:
                yield Relationship(
                    source=from_name,
                    target=to_name,
                    cardinality=Cardinality.ONE_TO_ONE if one else Cardinality.MANY_TO_ONE,
                    constraint=key.name,
                    columns=tuple(zip(from_columns, to_columns, strict=True)),
                    is_self=from_name == to_name,
                )


def _inverse(way: Relationship) -> Relationship:
    return replace(
        way,
        source=way.target,
        target=way.source,
        cardinality=_INVERSE[way.cardinality],
        columns=_swapped(way.columns),
        is_referenced=True,
    )


def _through_junctions(forward: Iterable[Relationship], tables: Mapping[Name, Table]) -> Iterator[Relationship]:
    """Many-to-many, where the primary key of the table between has the columns of both foreign keys."""
    by_source: dict[Name, list[Relationship]] = {}
    for way in forward:
        if way.cardinality is Cardinality.MANY_TO_ONE:
            by_source.setdefault(way.source, []).append(way)
    for junction, ways in by_source.items():
        key = set(tables[junction].primary_key)
        inside = [way for way in ways if key.issuperset(own for own, _ in way.columns)]
        for one in inside:
            for other in inside:
                if one.constraint != other.constraint:
                    yield Relationship(
                        source=one.target,
                        target=other.target,
                        cardinality=Cardinality.MANY_TO_MANY,
                        constraint="",
                        columns=(),
                        junction=Junction(
                            table=junction,
                            source_constraint=one.constraint,
                            target_constraint=other.constraint,
                            source_columns=_swapped(one.columns),
                            target_columns=other.columns,
                        ),
                        is_self=one.target == other.target,
                    )


def _computed(row: RowFunctionRow) -> Relationship | None:
    """A function that gives rows of a table; one row if it is no set, or is declared `rows 1`."""
    if row.target_schema is None or row.target_name is None:
        return None
    source, target = (row.table_schema, row.table_name), (row.target_schema, row.target_name)
    to_one = not row.returns_set or row.rows == 1
    return Relationship(
        source=source,
        target=target,
        cardinality=Cardinality.MANY_TO_ONE if to_one else Cardinality.ONE_TO_MANY,
        constraint=row.name,
        columns=(),
        function=(row.schema, row.name),
        is_self=source == target,
    )


def _swapped(columns: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((other, own) for own, other in columns)


def _order(way: Relationship) -> tuple[object, ...]:
    """As PostgREST lists candidates."""
    between = way.junction
    return (
        way.function is not None,
        way.target,
        way.is_self,
        _RANK[way.cardinality],
        way.constraint,
        (between.table, between.source_constraint, between.target_constraint) if between else (),
        way.columns,
        way.is_referenced,
    )
