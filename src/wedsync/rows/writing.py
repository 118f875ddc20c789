"""Write the rows back. Called inside the transaction, with triggers off that would alter what is written."""

from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Identifier, Literal

from wedsync.rows.compare import Side
from wedsync.rows.reading import columns_of
from wedsync.rows.staged import Staged


async def lock_rows(live: Side, item: Staged) -> int:
    """Lock the present rows that differ, by their keys; gives how many are no longer as they were seen."""
    await live.execute(
        SQL(
            "select from {table} t join {diff} d on {same} where d.ws_kind <> 'returns'"
            " order by {key} for update of t"
        ).format(
            table=item.table, diff=item.diff, same=item.same_key("t", "d"), key=columns_of(item.pairing.key, "d")
        )
    )
    cursor = await live.execute(
        SQL(
            "select count(*) from {diff} d left join {table} t on {same}"
            " where case when t.{first} is null then d.ws_kind <> 'returns'"
            "            when d.ws_kind = 'returns' then not d.ws_final"
            "            else hashtextextended(row({columns})::text, 0) <> d.ws_now_hash end"
        ).format(
            diff=item.diff,
            table=item.table,
            same=item.same_key("t", "d"),
            first=Identifier(item.pairing.key[0]),
            columns=columns_of(item.pairing.names, "t"),
        )
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


async def write_rows(live: Side, staged: Sequence[Staged]) -> None:
    """Deletes, children first; then changes and inserts, parents first."""
    again = {item.number: await _written_anew(live, item) for item in staged}
    for item in reversed(staged):
        await live.execute(
            SQL(
                "delete from {table} t using {diff} d where {same} and d.ws_decision = 'past'"
                " and (d.ws_kind = 'vanishes' or d.ws_kind = 'changes' and {again})"
            ).format(
                table=item.table, diff=item.diff, same=item.same_key("t", "d"), again=Literal(again[item.number])
            )
        )
    for item in staged:
        if again[item.number]:
            await _insert(live, item, "changes", item.written)
        elif item.pairing.others:
            await _update(live, item)
        await _insert(live, item, "returns", item.pairing.names)


async def _written_anew(live: Side, item: Staged) -> bool:
    """Whether changed rows are removed and added: where they may hold each other's unique values.

    Columns that came since keep what the row has today.
    """
    sensitive = {name for key in item.pairing.table.unique_keys if not key.primary for name in key.columns}
    sensitive |= {column.name for column in item.pairing.columns if column.identity}
    cursor = await live.execute(
        SQL(
            "select exists (select from {} d where d.ws_decision = 'past' and d.ws_kind = 'changes'"
            " and d.ws_columns && {}::text[])"
        ).format(item.diff, Literal(sorted(sensitive)))
    )
    row = await cursor.fetchone()
    needed = row is not None and bool(row[0])
    if needed and item.pairing.added:
        values: list[Composable] = [
            SQL("{} = {}").format(Identifier(name), Identifier("t", name)) for name in item.pairing.added
        ]
        await live.execute(
            SQL("update {past} p set {values} from {table} t where {same}").format(
                past=item.past, values=SQL(", ").join(values), table=item.table, same=item.same_key("t", "p")
            )
        )
    return needed


async def _update(live: Side, item: Staged) -> None:
    writable = [column.name for column in item.pairing.columns if not column.identity]
    values = SQL(", ").join(
        SQL("{} = {}").format(Identifier(name), Identifier("p", name))
        for name in writable
        if name not in item.pairing.key
    )
    await live.execute(
        SQL(
            "update {table} t set {values} from {past} p join {diff} d on {same_past}"
            " where {same} and d.ws_decision = 'past' and d.ws_kind = 'changes'"
        ).format(
            table=item.table,
            values=values,
            past=item.past,
            diff=item.diff,
            same_past=item.same_key("d", "p"),
            same=item.same_key("t", "d"),
        )
    )


async def _insert(live: Side, item: Staged, kind: str, columns: Sequence[str]) -> None:
    await live.execute(
        SQL(
            "insert into {table} ({columns}) overriding system value"
            " select {values} from {past} p join {diff} d on {same}"
            " where d.ws_decision = 'past' and d.ws_kind = {kind} order by {key}"
        ).format(
            table=item.table,
            columns=columns_of(columns),
            values=columns_of(columns, "p"),
            past=item.past,
            diff=item.diff,
            same=item.same_key("d", "p"),
            kind=Literal(kind),
            key=columns_of(item.pairing.key, "d"),
        )
    )
