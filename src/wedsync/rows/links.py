"""Rows that cannot come back, or cannot go: what refers to what, and what must be unique.

Each check looks at the tables as they would be. A row that cannot is left as it is; then another may no longer
have what it refers to, so the checks are repeated until they find nothing new.
"""

from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from wedsync.rows.compare import Side
from wedsync.rows.mistakes import Decisions, decide
from wedsync.rows.reading import columns_of
from wedsync.rows.staged import Staged, any_row, effective, staged_of
from wedsync.rows.staging import Ground
from wedsync.rows.table import ForeignKey, Table, UniqueKey


async def mark_impossible(live: Side, ground: Ground, decisions: Decisions) -> None:
    """Mark every row that cannot be brought back as decided; rows in conflict count as if the past was chosen."""
    while True:
        found = 0
        for item in ground.staged:
            marked = await _mark(live, item, _checks(item, ground))
            if marked:
                await decide(live, item, decisions)
            found += marked
        if not found:
            return


async def _mark(live: Side, item: Staged, checks: Sequence[tuple[str, Composable, Composed]]) -> int:
    marked = 0
    for why, detail, condition in checks:
        cursor = await live.execute(
            SQL(
                "update {diff} d set ws_final = true, ws_decision = 'ask', ws_why = {why}, ws_detail = {detail}"
                " where {effective} and {condition}"
            ).format(
                diff=item.diff, why=Literal(why), detail=detail, effective=effective("d"), condition=condition
            )
        )
        marked += cursor.rowcount
    return marked


def _checks(item: Staged, ground: Ground) -> list[tuple[str, Composable, Composed]]:
    found: list[tuple[str, Composable, Composed]] = []
    names = set(item.pairing.names)
    for unique in item.pairing.table.unique_keys:
        if not unique.primary and set(unique.columns) <= names:
            detail = Literal(f"another row holds what {unique.name} wants to be unique")
            found.append(("value_taken", detail, _taken(item, unique)))
    for key in item.pairing.table.foreign_keys:
        if set(key.columns) <= names and key.table in ground.tables:
            detail = Literal(f"its row of {key.table} is not there ({key.name})")
            found.append(("parent_gone", detail, _orphaned(item, key, ground)))
    for child, key in references_to(item.name, ground.tables):
        detail = Literal(f"rows of {child.name} refer to it ({key.name})")
        found.append(("still_needed", detail, _needed(item, child, key, ground)))
    return found


def references_to(table: str, tables: dict[str, Table]) -> list[tuple[Table, ForeignKey]]:
    """Every foreign key that leads to a table."""
    return [(child, key) for child in tables.values() for key in child.foreign_keys if key.table == table]


def _taken(item: Staged, unique: UniqueKey) -> Composed:
    """That a row which stays has the unique value of the row `d`."""
    operators = unique.operators or ("is not distinct from" if unique.nulls_equal else "=",) * len(
        unique.expressions
    )
    alike = SQL(" and ").join(
        SQL("{} {} {}").format(Identifier("o", f"ws_{at}"), _as_written(text), Identifier("p", f"ws_{at}"))
        for at, text in enumerate(operators)
    )
    key = item.pairing.key
    side = SQL("(select {values}, {key} from {rows} as {alias} where {predicate})")
    parts = {
        "values": SQL(", ").join(
            SQL("{} as {}").format(_as_written(text), Identifier(f"ws_{at}"))
            for at, text in enumerate(unique.expressions)
        ),
        "key": columns_of(key),
        "alias": Identifier(item.pairing.table.relation),
        "predicate": SQL("true") if unique.predicate is None else _as_written(unique.predicate),
    }
    query = SQL(
        "from {past} p join {now} o on {alike} where {same} and ({o_key}) is distinct from ({p_key})"
        " and not {going}"
    ).format(
        past=side.format(rows=item.past, **parts),
        now=side.format(rows=item.table, **parts),
        alike=alike,
        same=item.same_key("d", "p"),
        o_key=columns_of(key, "o"),
        p_key=columns_of(key, "p"),
        going=_is_going(item, "o"),
    )
    return SQL("d.ws_kind <> 'vanishes' and {}").format(any_row(query))


def _orphaned(item: Staged, key: ForeignKey, ground: Ground) -> Composed:
    """That what the row `d` refers to would not be there."""
    query = SQL("from {past} c where {same} and {given} and not {there}").format(
        past=item.past,
        same=item.same_key("d", "c"),
        given=all_given("c", key.columns),
        there=_would_be(ground, key.table, key.referenced, linked(key, "c", "q")),
    )
    return SQL("d.ws_kind <> 'vanishes' and {}").format(any_row(query))


def _needed(item: Staged, child: Table, key: ForeignKey, ground: Ground) -> Composed:
    """That rows which would be there refer to what the row `d` is now, and would not be any more."""
    return SQL("{lost} and {children} and not {parent}").format(
        lost=loses(key),
        children=_would_be(ground, child.name, key.columns, old_values(item, key.columns, key.referenced, "q")),
        parent=_would_be(ground, item.name, key.referenced, old_values(item, key.referenced, key.referenced, "q")),
    )


def _would_be(ground: Ground, table: str, columns: Sequence[str], condition: Composable) -> Composed:
    """Whether a table would have a row `q` of which the condition holds: with what comes, without what goes."""
    item = staged_of(ground.staged, table)
    stays = SQL("from {} q where {}").format(ground.tables[table].identifier, condition)
    if item is None or not set(columns) <= set(item.pairing.names):
        return any_row(stays)
    comes = SQL(
        "from {past} q join {diff} x on {same} where {effective} and x.ws_kind <> 'vanishes' and {condition}"
    )
    return SQL("({} or {})").format(
        any_row(SQL("{} and not {}").format(stays, _is_going(item, "q"))),
        any_row(
            comes.format(
                past=item.past,
                diff=item.diff,
                same=item.same_key("x", "q"),
                effective=effective("x"),
                condition=condition,
            )
        ),
    )


def _is_going(item: Staged, alias: str) -> Composed:
    """Whether the row of `alias` would not stay as it is."""
    return any_row(
        SQL("from {} x where {} and {} and x.ws_kind <> 'returns'").format(
            item.diff, item.same_key("x", alias), effective("x")
        )
    )


def loses(key: ForeignKey) -> Composed:
    """That the row `d` may no longer be what a foreign key refers to."""
    return SQL("(d.ws_kind = 'vanishes' or d.ws_kind = 'changes' and d.ws_columns && {}::text[])").format(
        Literal(list(key.referenced))
    )


def all_given(alias: str, columns: Sequence[str]) -> Composed:
    """That none of the columns is NULL: only then a foreign key asks for a row."""
    return SQL(" and ").join(SQL("{} is not null").format(Identifier(alias, name)) for name in columns)


def linked(key: ForeignKey, child: str, parent: str) -> Composed:
    """That two rows belong together."""
    return SQL(" and ").join(
        SQL("{} = {}").format(Identifier(parent, there), Identifier(child, here))
        for here, there in zip(key.columns, key.referenced, strict=True)
    )


def old_values(item: Staged, columns: Sequence[str], of: Sequence[str], alias: str) -> Composed:
    """That columns of `alias` have the values that the row `d` has now."""
    return SQL(" and ").join(
        SQL("{} = {}").format(Identifier(alias, name), item.before(column))
        for name, column in zip(columns, of, strict=True)
    )


def _as_written(text: str) -> SQL:
    """What PostgreSQL itself wrote of an index: an expression, a condition, an operator."""
    return SQL(text)  # pyright: ignore[reportArgumentType]
