"""Keys that a view shows whole: primary keys, and both ends of foreign keys."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from wedsync.database.catalogue.rows import KeyRow
from wedsync.database.catalogue.view_columns import Origin


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key of a table below a view, with the columns of the view that show it.

    Each column of the key has those that show it, in the key's order: a view may show one twice.
    """

    view: int
    columns: tuple[tuple[int, ...], ...]

    def ways(self) -> list[tuple[int, ...]]:
        """Each choice of one column of the view for each column of the key."""
        return list(product(*self.columns))


@dataclass(frozen=True, slots=True)
class ShownKeys:
    """What the exposed views show, by the oid of the key."""

    primary: Mapping[int, tuple[int, ...]]
    """By view, not by key: the column numbers of the view that identify its rows."""
    referencing: Mapping[int, list[ShownKey]]
    referenced: Mapping[int, list[ShownKey]]


def shown_keys(shown: Mapping[int, Mapping[Origin, list[int]]], keys: Iterable[KeyRow]) -> ShownKeys:
    """Which keys each view shows with all their columns."""
    views_of: dict[int, list[int]] = {}
    for view, origins in shown.items():
        for relation in {relation for relation, _ in origins}:
            views_of.setdefault(relation, []).append(view)
    primary: dict[int, tuple[int, ...]] = {}
    referencing: dict[int, list[ShownKey]] = {}
    referenced: dict[int, list[ShownKey]] = {}

    def whole(view: int, relation: int, columns: list[int]) -> ShownKey | None:
        origins = shown[view]
        found = tuple(tuple(origins.get((relation, column), ())) for column in columns)
        return ShownKey(view, found) if all(found) else None

    for key in keys:
        for view in views_of.get(key.relation, ()) if key.kind != "u" else ():
            own = whole(view, key.relation, key.columns)
            if own is None:
                continue
            if key.kind == "p":
                # a view of two tables has the columns of both keys, as PostgREST has it
                primary[view] = (*primary.get(view, ()), *(shown_by[0] for shown_by in own.columns))
            else:
                referencing.setdefault(key.oid, []).append(own)
        if key.kind == "f":
            for view in views_of.get(key.other, ()):
                other = whole(view, key.other, key.other_columns)
                if other is not None:
                    referenced.setdefault(key.oid, []).append(other)
    return ShownKeys(primary, referencing, referenced)
