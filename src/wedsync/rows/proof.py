"""What must hold before the commit: every row is exactly as planned, and nothing refers to what is not there.

Foreign keys and deferrable unique keys are not checked by the database while triggers are off, so they are checked
here, with the locks on parents that the database would have taken.
"""

from psycopg.sql import SQL, Composed, Identifier

from wedsync.errors import RowsNotExact
from wedsync.rows.compare import Side
from wedsync.rows.links import all_given, linked, loses, old_values, references_to
from wedsync.rows.reading import columns_of
from wedsync.rows.staged import Staged, any_row
from wedsync.rows.staging import Ground
from wedsync.rows.table import ForeignKey, Table


async def require_exact(live: Side, ground: Ground) -> None:
    """Raise `RowsNotExact` unless each written row is the past one to the byte, and each removed one is gone."""
    for item in ground.staged:
        wrong = await _count(live, _not_as_planned(item))
        if wrong:
            raise RowsNotExact(
                f"{wrong} rows of {item.name} did not become what they were",
                detail="a trigger or a rule of the table altered them",
                hint="triggers that are ENABLE ALWAYS or REPLICA fire here, too: see docs/explanation/rows.md",
            )


async def require_whole(live: Side, ground: Ground) -> None:
    """Raise `RowsNotExact` if a foreign key or a deferrable unique key does not hold for what was written."""
    for item in ground.staged:
        for key in item.pairing.table.foreign_keys:
            parent = ground.tables[key.table]
            await live.execute(_lock_parents(item, key, parent))
            await _require_none(live, _without_parent(item, key, parent), f"{item.name}: {key.name}")
        for child, key in references_to(item.name, ground.tables):
            await _require_none(live, _with_old_parent(item, child, key), f"{child.name}: {key.name}")
        for unique in item.pairing.table.unique_keys:
            if unique.deferrable and unique.operators is None:
                await _require_none(live, _twice(item, unique.columns), f"{item.name}: {unique.name}")


async def _require_none(live: Side, query: Composed, what: str) -> None:
    found = await _count(live, query)
    if found:
        raise RowsNotExact(
            f"{found} rows would break {what}",
            detail="somebody changed a row that they refer to, or that refers to them, meanwhile",
            hint="nothing was done; plan again",
        )


async def _count(live: Side, query: Composed) -> int:
    row = await (await live.execute(query)).fetchone()
    return 0 if row is None else int(row[0])


def _not_as_planned(item: Staged) -> Composed:
    first = Identifier(item.pairing.key[0])
    return SQL(
        "select count(*) from {diff} d left join {past} p on {same_past} left join {table} t on {same}"
        " where d.ws_decision = 'past' and case when d.ws_kind = 'vanishes' then t.{first} is not null"
        "   else t.{first} is null or row({now})::record *<> row({then})::record end"
    ).format(
        diff=item.diff,
        past=item.past,
        same_past=item.same_key("d", "p"),
        table=item.table,
        same=item.same_key("d", "t"),
        first=first,
        now=columns_of(item.pairing.names, "t"),
        then=columns_of(item.pairing.names, "p"),
    )


def _lock_parents(item: Staged, key: ForeignKey, parent: Table) -> Composed:
    return SQL(
        "select from {parent} q where ({there}) in (select {here} from {table} c join {diff} d on {same}"
        " where d.ws_decision = 'past' and d.ws_kind <> 'vanishes') for key share of q"
    ).format(
        parent=parent.identifier,
        there=columns_of(key.referenced, "q"),
        here=columns_of(key.columns, "c"),
        table=item.table,
        diff=item.diff,
        same=item.same_key("d", "c"),
    )


def _without_parent(item: Staged, key: ForeignKey, parent: Table) -> Composed:
    return SQL(
        "select count(*) from {table} c join {diff} d on {same}"
        " where d.ws_decision = 'past' and d.ws_kind <> 'vanishes' and {given} and not {there}"
    ).format(
        table=item.table,
        diff=item.diff,
        same=item.same_key("d", "c"),
        given=all_given("c", key.columns),
        there=any_row(SQL("from {} q where {}").format(parent.identifier, linked(key, "c", "q"))),
    )


def _with_old_parent(item: Staged, child: Table, key: ForeignKey) -> Composed:
    children = old_values(item, key.columns, key.referenced, "c")
    parents = old_values(item, key.referenced, key.referenced, "q")
    return SQL(
        "select count(*) from {diff} d where d.ws_decision = 'past' and {lost} and {children} and not {parents}"
    ).format(
        diff=item.diff,
        lost=loses(key),
        children=any_row(SQL("from {} c where {}").format(child.identifier, children)),
        parents=any_row(SQL("from {} q where {}").format(item.table, parents)),
    )


def _twice(item: Staged, columns: tuple[str, ...]) -> Composed:
    return SQL(
        "select count(*) from (select from {table} t where ({columns}) in (select {written} from {table} w"
        " join {diff} d on {same} where d.ws_decision = 'past' and d.ws_kind <> 'vanishes')"
        " group by {columns} having count(*) > 1) as twice"
    ).format(
        table=item.table,
        columns=columns_of(columns, "t"),
        written=columns_of(columns, "w"),
        diff=item.diff,
        same=item.same_key("d", "w"),
    )
