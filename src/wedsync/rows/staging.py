"""Lay the rows of the past beside those of now, and find out which differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Identifier, Literal

from wedsync.errors import RowsRefused
from wedsync.rows.compare import Side
from wedsync.rows.order import parents_first
from wedsync.rows.reading import columns_of
from wedsync.rows.sources import Source
from wedsync.rows.staged import Scope, Staged
from wedsync.rows.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The tables that differ, those that others refer to first, and every table there is."""

    staged: tuple[Staged, ...]
    tables: dict[str, Table]
    notes: tuple[str, ...]


async def lay_out(live: Side, source: Source, scopes: Sequence[Scope], tables: dict[str, Table]) -> Ground:
    """Stage every table of the scopes that differs. Raises `RowsRefused` for one that cannot be compared."""
    ordered = parents_first(scopes, tables)
    pairings = await source.pairings(live, ordered, tables)
    refused = [pairing.refused for pairing in pairings if pairing.refused is not None]
    if refused:
        raise RowsRefused(
            f"cannot be brought back: {'; '.join(refused)}",
            hint="bring the other tables back one by one: wedsync recover rows --table NAME",
        )
    staged: list[Staged] = []
    for number, (scope, pairing) in enumerate(zip(ordered, pairings, strict=True)):
        item = Staged(pairing=pairing, number=number, scope=scope)
        condition = await source.stage(live, item)
        if condition is not None and await _find_differences(live, item, condition):
            staged.append(item)
    for item in staged:
        await _mark_elsewhere(live, source, item)
    notes = tuple(note for item in staged for note in item.pairing.notes())
    return Ground(staged=tuple(staged), tables=tables, notes=notes)


async def _find_differences(live: Side, item: Staged, condition: Composable) -> int:
    """Fill `diff`: bytes are compared, so 1.0 is not 1.00. Gives how many rows differ."""
    pairing = item.pairing
    first = Identifier(pairing.key[0])
    changed = SQL(", ").join(
        SQL("case when row({})::record *<> row({})::record then {} end").format(
            Identifier("p", name), Identifier("n", name), Literal(name)
        )
        for name in pairing.others
    )
    await live.execute(
        SQL(
            "create temporary table {diff} on commit drop as"
            " select case when n.{first} is null then 'returns' when p.{first} is null then 'vanishes'"
            "             else 'changes' end as ws_kind,"
            "        jsonb_build_array({keys}) as ws_key,"
            "        case when p.{first} is not null"
            "             then hashtextextended(row({past})::text, 0) end as ws_past_hash,"
            "        case when n.{first} is not null"
            "             then hashtextextended(row({now})::text, 0) end as ws_now_hash,"
            "        case when p.{first} is not null and n.{first} is not null"
            "             then array_remove(array[{changed}]::text[], null) else '{{}}' end as ws_columns,"
            "        n.ws_before, 'past'::text as ws_decision, false as ws_final, null::text as ws_why,"
            "        null::text as ws_detail, {key_columns}"
            "   from {past_rows} p"
            "   full join (select {columns}, array[{texts}] as ws_before"
            "                from {table} where {condition}) n on {same}"
            "  where p.{first} is null or n.{first} is null or row({past})::record *<> row({now})::record"
        ).format(
            diff=item.diff,
            first=first,
            keys=SQL(", ").join(_either(name) for name in pairing.key),
            past=columns_of(pairing.names, "p"),
            now=columns_of(pairing.names, "n"),
            changed=changed,
            key_columns=SQL(", ").join(
                SQL("{} as {}").format(_either(name), Identifier(name)) for name in pairing.key
            ),
            past_rows=item.past,
            columns=columns_of(pairing.names),
            texts=SQL(", ").join(SQL("{}::text").format(Identifier(name)) for name in item.written),
            table=item.table,
            condition=condition,
            same=item.same_key("p", "n"),
        )
    )
    cursor = await live.execute(SQL("select count(*) from {}").format(item.diff))
    row = await cursor.fetchone()
    count = 0 if row is None else int(row[0])
    if count:
        await live.execute(SQL("create index on {} ({})").format(item.diff, columns_of(pairing.key)))
        await live.execute(SQL("create index on {} ({})").format(item.past, columns_of(pairing.key)))
        await live.execute(SQL("analyze {}").format(item.diff))
        await live.execute(SQL("analyze {}").format(item.past))
    return count


async def _mark_elsewhere(live: Side, source: Source, item: Staged) -> None:
    """Rows whose key stands outside the scope: somebody else's now, or then."""
    if item.scope.whole:
        return
    cursor = await live.execute(SQL("select ws_key::text from {} where ws_kind = 'vanishes'").format(item.diff))
    keys = [str(row[0]) for row in await cursor.fetchall()]
    elsewhere = list(await source.keys_elsewhere(item, keys))
    if elsewhere:
        await live.execute(
            SQL(
                "update {} set ws_final = true, ws_decision = 'ask', ws_why = 'somebody_elses',"
                " ws_detail = 'it was somebody else''s row then'"
                " where ws_key = any ({}::jsonb[])"
            ).format(item.diff, Literal(elsewhere))
        )
    await live.execute(
        SQL(
            "update {diff} d set ws_final = true, ws_decision = 'ask', ws_why = 'somebody_elses',"
            " ws_detail = 'its key is that of a row outside what is brought back'"
            " where d.ws_kind = 'returns' and exists (select from {table} t where {same})"
        ).format(diff=item.diff, table=item.table, same=item.same_key("t", "d"))
    )


def _either(name: str) -> Composable:
    return SQL("coalesce({}, {})").format(Identifier("p", name), Identifier("n", name))
