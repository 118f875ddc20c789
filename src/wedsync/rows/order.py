"""The order of tables: those that others refer to come first."""

from collections.abc import Mapping, Sequence

from wedsync.rows.staged import Scope
from wedsync.rows.table import Table


def parents_first(scopes: Sequence[Scope], tables: Mapping[str, Table]) -> list[Scope]:
    """The scopes in an order for inserts; backwards it is one for deletes.

    Of tables that refer to each other in a circle, the first by name goes first: foreign keys are checked when all
    is written, so a circle does not stand in the way.
    """
    waiting = {scope.table: scope for scope in sorted(scopes, key=lambda scope: scope.table)}
    ordered: list[Scope] = []
    while waiting:
        free = [name for name in waiting if not _parents(tables[name]) & waiting.keys()] or [next(iter(waiting))]
        ordered += [waiting.pop(name) for name in free]
    return ordered


def _parents(table: Table) -> set[str]:
    return {key.table for key in table.foreign_keys} - {table.name}
