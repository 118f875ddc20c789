"""What counting photo groups costs their writers: no trigger, ours, a common row, counting the whole table.

    python bench/photo_group_counter.py DSN [ROUNDS]

DSN is a database, as a role that may create schemas there; some are made and dropped again. For each size of the
table, one writer and eight at once insert row by row, three to a transaction. The ways take turns, a third of a
second each, in another order each round (default 12); what counts is the median of a way's rate against the rate
without a trigger in the same round. Nobody waits for the disk (`synchronous_commit = off`): its share would hide
what a trigger costs.
"""

import asyncio
import random
import sys
from statistics import median
from time import perf_counter

from psycopg import AsyncConnection

SLICE_S = 0.35
SIZES = (1_000, 100_000)
WRITERS = (1, 8)

TABLE = """
drop schema if exists {s} cascade; create schema {s};
create table {s}.groups (
    couple_id uuid not null, id uuid not null default gen_random_uuid(), name text not null,
    scheduled_start timestamptz, primary key (couple_id, id));
insert into {s}.groups (couple_id, name) select gen_random_uuid(), n::text from generate_series(1, {n}) n;
analyze {s}.groups;
"""

DELTAS = """
create table {s}.changes (
    id bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(),
    groups integer not null, scheduled integer not null);
create function {s}.count_added() returns trigger language plpgsql as $$
begin
    insert into {s}.changes (groups, scheduled)
    select count(*), count(scheduled_start) from added having count(*) > 0;
    return null;
end $$;
create trigger count_added after insert on {s}.groups
    referencing new table as added for each statement execute function {s}.count_added();
"""

ONE_ROW = """
create table {s}.total (id integer primary key, groups bigint not null, scheduled bigint not null);
insert into {s}.total values (1, 0, 0);
create function {s}.count_added() returns trigger language plpgsql as $$
begin
    update {s}.total t set groups = t.groups + a.n, scheduled = t.scheduled + a.m
      from (select count(*) as n, count(scheduled_start) as m from added) a where t.id = 1;
    return null;
end $$;
create trigger count_added after insert on {s}.groups
    referencing new table as added for each statement execute function {s}.count_added();
"""

WHOLE_TABLE = """
create function {s}.count_all() returns trigger language plpgsql as $$
begin
    if (select count(*) from {s}.groups) % 100 = 0 then
        perform count(*), count(scheduled_start) from {s}.groups;
    end if;
    return null;
end $$;
create trigger count_all after insert on {s}.groups for each statement execute function {s}.count_all();
"""

WAYS = {"no trigger": "", "a row a statement (ours)": DELTAS, "one common row": ONE_ROW, "count(*)": WHOLE_TABLE}
SCHEMAS = {way: f"bench_counter_{number}" for number, way in enumerate(WAYS)}


async def write(dsn: str, schema: str, until: float) -> int:
    """Statements of one writer, three to a transaction, until the time is over."""
    insert = f"insert into {schema}.groups (couple_id, name) values (gen_random_uuid(), 'x')"
    done = 0
    async with await AsyncConnection.connect(dsn) as connection:
        await connection.execute("set synchronous_commit = off")
        while perf_counter() < until:
            for _ in range(3):
                await connection.execute(insert)  # type: ignore[arg-type]
            await connection.commit()
            done += 3
    return done


async def rate(dsn: str, schema: str, writers: int) -> float:
    """Statements a second of all writers together."""
    began = perf_counter()
    counts = await asyncio.gather(*(write(dsn, schema, began + SLICE_S) for _ in range(writers)))
    return sum(counts) / (perf_counter() - began)


async def compare(dsn: str, size: int, writers: int, rounds: int) -> None:
    """Print one line for each way."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        for way, setup in WAYS.items():
            for script in (TABLE, setup):
                if script:
                    await connection.execute(script.format(s=SCHEMAS[way], n=size))  # type: ignore[arg-type]
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in random.sample(list(WAYS), k=len(WAYS)):
            rates[way].append(await rate(dsn, SCHEMAS[way], writers))
    for way, seen in rates.items():
        ratio = median(own / base for own, base in zip(seen, rates["no trigger"], strict=True))
        print(f"| {size:,} | {writers} | {way} | {median(seen):,.0f} | {ratio:.2f} × |", flush=True)


async def main(dsn: str, rounds: int) -> None:
    print("| rows | writers | way to count | statements a second | against no trigger |\n|--:|--:|---|--:|--:|")
    try:
        for size in SIZES:
            for writers in WRITERS:
                await compare(dsn, size, writers, rounds)
    finally:
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            for schema in SCHEMAS.values():
                await connection.execute(f"drop schema if exists {schema} cascade")  # type: ignore[arg-type]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 12))
