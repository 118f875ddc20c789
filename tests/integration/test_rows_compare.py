"""What differs between two databases: counted by table and tenant, and exact to the last byte."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from support.databases import fresh_database
from support.rows import moment
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.rows import RowKind, compare_tables, differing_rows

SCHEMA = """
create table stock (
    shop text not null, id int, weight numeric, ratio float8, packed bytea, tags text[], during tstzrange,
    extra jsonb, note text, doubled numeric generated always as (weight * 2) stored, primary key (shop, id));
insert into stock (shop, id, weight, ratio, packed, tags, during, extra, note)
select 'shop ' || n % 7, n, n + 0.50, case n % 3 when 0 then 'NaN'::float8 else n / 3.0 end,
       sha256(n::text::bytea), array['a', null, n::text], tstzrange('2026-01-01', null),
       '{"b": 1, "a": [1.0, null]}', case when n % 5 > 0 then 'x' end
  from generate_series(1, 20000) as n;
create table loose (line text);
"""
EXACT = [
    ("weight = 1.5", "weight"),
    ("ratio = '-0'", "ratio"),
    ("packed = packed || '\\x00'", "packed"),
    ("tags = array['a', 'null', '1']", "tags"),
    ("during = tstzrange('2026-01-01', null, '(]')", "during"),
    ('extra = \'{"b": 1, "a": [1, null]}\'', "extra"),
    ("note = ''", "note"),
]
"""Changes that a comparison by `=` or by a careless text does not see."""


@pytest.fixture
async def shops(cluster: Server) -> AsyncIterator[ConnectionTarget]:
    async with fresh_database(cluster) as target:
        async with await target.connect() as connection:
            await connection.execute(SCHEMA)  # pyright: ignore[reportArgumentType]
            await connection.execute("update stock set ratio = 0, note = null where id = 1")
        yield target


async def change(target: ConnectionTarget, statement: str) -> None:
    async with await replace(target, user="postgres").connect() as connection:
        await connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]


async def test_rows_are_counted_by_table_and_by_tenant(shops: ConnectionTarget) -> None:
    async with moment(shops) as past:
        await change(shops, "delete from stock where shop = 'shop 3' and id < 500")
        await change(shops, "update stock set weight = weight + 1 where shop = 'shop 4' and id % 100 = 0")
        await change(shops, "insert into stock (shop, id) values ('shop 9', 1)")
        found = {item.table: item for item in await compare_tables(past, shops, by={"public.stock": "shop"})}
        stock = found["public.stock"]
        assert (stock.past_rows, stock.returns, stock.changes, stock.vanishes) == (20000, 71, 29, 1)
        assert {item.owner: (item.returns, item.changes, item.vanishes) for item in stock.owners} == {
            "shop 3": (71, 0, 0),
            "shop 4": (0, 29, 0),
            "shop 9": (0, 0, 1),
        }
        assert "no primary key" in str(found["public.loose"].refused)
        without = await compare_tables(past, shops, ["public.stock"])
        assert [(item.returns, item.changes, item.vanishes) for item in without] == [(71, 29, 1)]


@pytest.mark.parametrize(("assignment", "column"), EXACT)
async def test_the_least_difference_is_one(shops: ConnectionTarget, assignment: str, column: str) -> None:
    async with moment(shops) as past:
        await change(shops, f"update stock set {assignment} where id = 1")
        rows = await differing_rows(past, shops, "public.stock", with_values=True)
        assert [(row.kind, row.key, row.columns) for row in rows] == [
            (RowKind.CHANGES, ("shop 1", "1"), (column,))
        ]
        assert rows[0].past is not None
        assert rows[0].now is not None
        assert rows[0].past[column] != rows[0].now[column]
        assert "packed" not in str(await differing_rows(past, shops, "public.stock", where={"shop": "shop 2"}))


async def test_equal_databases_do_not_differ(shops: ConnectionTarget) -> None:
    async with moment(shops) as past:
        found = await compare_tables(past, shops, ["public.stock"])
        assert [(item.past_rows, item.now_rows, item.differs) for item in found] == [(20000, 20000, False)]


async def test_columns_that_came_or_went_are_named_and_a_changed_type_is_refused(shops: ConnectionTarget) -> None:
    async with moment(shops) as past:
        await change(shops, "alter table stock add colour text default 'red', drop note, alter id type bigint")
        (found,) = await compare_tables(past, shops, ["public.stock"])
        assert not found.differs
        assert any("colour came since" in note for note in found.notes)
        assert any("note went since" in note for note in found.notes)
        await change(shops, "alter table stock alter ratio type float4")
        (found,) = await compare_tables(past, shops, ["public.stock"])
        assert found.refused == "public.stock.ratio was double precision and is real now"
