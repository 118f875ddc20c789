"""From a query to a tree of nodes: relations are found, and levels put where they belong."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from wedsync.api.rest.errors import aggregates_not_allowed, not_embedded
from wedsync.api.rest.plan.node import Child, Names, Node, Reading, Source, table_source
from wedsync.api.rest.plan.ways import find_way
from wedsync.api.rest.query import Field, Level, Query, SelectField, SelectRelation
from wedsync.database.catalogue import Table

Selected = SelectField | SelectRelation
_COUNT = Field(name="count")
_ALL_FIELDS = (SelectField(field=Field(name="*")),)


def resolve(query: Query, source: Source, reading: Reading) -> Node:
    """The root of the tree. Raises `RestError` where something named is not there, or not allowed."""
    return _Resolving(reading).node(query.select, query.levels, source, source.alias, depth=1)


class _Resolving:
    """Makes nodes, with aliases that are unique among them."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._names = Names()

    def node(
        self, select: Sequence[Selected], levels: Iterable[Level], source: Source, alias: str, *, depth: int
    ) -> Node:
        alias = self._names.unique(alias)
        fields = tuple(item for item in select if isinstance(item, SelectField))
        relations = [item for item in select if isinstance(item, SelectRelation)]
        if not self._reading.aggregates and any(item.aggregate for item in fields):
            raise aggregates_not_allowed()
        fields = tuple(_count_of_rows(item, source, self._reading) for item in fields)
        own, inside, old_names = _distributed(levels, relations)
        return Node(
            source=source,
            alias=alias,
            fields=_ALL_FIELDS if depth == 1 and not select else fields,
            where=tuple(condition for level in own for condition in level.where),
            order=next((level.order for level in own if level.order), ()),
            limit=next((level.limit for level in own if level.limit is not None), None),
            offset=next((level.offset for level in own if level.offset is not None), None),
            children=tuple(
                replace(
                    self._child(relation, below, source, alias, depth), is_called_by_target=number in old_names
                )
                for number, (relation, below) in enumerate(zip(relations, inside, strict=True))
            ),
        )

    def _child(
        self, relation: SelectRelation, levels: Iterable[Level], parent: Source, parent_alias: str, depth: int
    ) -> Child:
        origin = parent.table.id if parent.table else (self._reading.schema, parent.alias)
        way = find_way(self._reading.catalogue, origin, relation.target, relation.hint)
        target = self._reading.catalogue.tables[way.target]
        node = self.node(relation.select, levels, table_source(target), f"{target.name}_{depth}", depth=depth + 1)
        return Child(
            key=relation.key,
            target=relation.target,
            node=_spread_node(node, target) if relation.spread else node,
            way=way,
            inner=relation.inner,
            spread=relation.spread,
            parent_alias=parent_alias,
            parent_table=origin,
            junction_alias=self._names.unique(f"{way.junction.table[1]}_{depth}") if way.junction else "",
            join_alias=self._names.unique(f"{origin[1]}_{relation.key}_{depth}"),
        )


def _count_of_rows(item: SelectField, source: Source, reading: Reading) -> SelectField:
    """`guests(count)`: written so where there is no such column, it counts rows, allowed or not.

    PostgreSQL takes `guests.count` for `count(guests)`, and clients rely on it.
    """
    table = source.table
    if item.field != _COUNT or item.aggregate is not None or table is None or "count" in table.columns:
        return item
    if "count" in reading.catalogue.computed_fields.get(table.id, {}):
        return item
    return replace(item, field=Field(name="*"), aggregate="count", aggregate_cast=item.cast, cast=None)


def _spread_node(node: Node, table: Table) -> Node:
    """With the columns instead of `*`: each becomes a member of the object around, by name."""
    return replace(node, fields=tuple(_without_star(node.fields, table)))


def _without_star(fields: Iterable[SelectField], table: Table) -> Iterator[SelectField]:
    for item in fields:
        if item.field.name == "*" and item.aggregate is None:
            for name in table.columns:
                yield replace(item, field=replace(item.field, name=name))
        else:
            yield item


def _distributed(
    levels: Iterable[Level], relations: Sequence[SelectRelation]
) -> tuple[list[Level], list[list[Level]], set[int]]:
    """The levels of this node, of each relation below it, and which relations are called by an old name.

    Raises PGRST108 for one that is not embedded.
    """
    own: list[Level] = []
    old_names: set[int] = set()
    inside: list[list[Level]] = [[] for _ in relations]
    for level in levels:
        if not level.path:
            own.append(level)
            continue
        first, *rest = level.path
        number = _position(first, relations)
        if number is None:
            raise not_embedded(first)
        inside[number].append(replace(level, path=tuple(rest)))
        if relations[number].key != first:
            old_names.add(number)
    return own, inside, old_names


def _position(name: str, relations: Sequence[SelectRelation]) -> int | None:
    """Which relation is meant: by the name in the answer, or, as of old, by its own name."""
    by_key = next((number for number, relation in enumerate(relations) if relation.key == name), None)
    if by_key is not None:
        return by_key
    return next((number for number, relation in enumerate(relations) if relation.target == name), None)
