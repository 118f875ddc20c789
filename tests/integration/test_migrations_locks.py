"""The table of locks against a real server: what the plan says is what pg_locks shows."""

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from support.databases import fresh_database
from wedsync.cluster import Server
from wedsync.migrations.files.parsing import parse_statements
from wedsync.migrations.plan.locks import LockMode, locks_of

OBJECTS = """
create table public.a (id int primary key, b int, c text, d varchar(5));
create table public.other (id int primary key);
create table public.part (id int, b int) partition by list (b);
create table public.part_1 partition of public.part for values in (1);
create table public.loose (id int, b int);
create index a_b on public.a (b);
create unique index a_c on public.a (c);
create view public.v as select id from public.a;
create materialized view public.m as select id from public.a;
create unique index m_id on public.m (id);
create function public.f() returns trigger language plpgsql as 'begin return new; end';
create trigger touch before update on public.a for each row execute function public.f();
alter table public.a add constraint later check (b > 0) not valid;
create policy p on public.a using (true);
"""
SAMPLES = """
insert into public.a (id) values (1)
update public.a set b = 1 where id = 1
delete from public.a where id = 1
alter table public.a add column e int
alter table public.a add column e int references public.other
alter table public.a add column e int, validate constraint later
alter table public.a validate constraint later
alter table public.a add constraint more check (b > 1) not valid
alter table public.a add constraint fk foreign key (b) references public.other not valid
alter table public.a alter column b set statistics 10
alter table public.a alter column b set (n_distinct = 5)
alter table public.a alter column b set not null
alter table public.a alter column b set default 3
alter table public.a alter column b type bigint
alter table public.a drop column b
alter table public.a set (fillfactor = 50)
alter table public.a set (autovacuum_enabled = false)
alter table public.a reset (fillfactor)
alter table public.a set (user_catalog_table = true)
alter table public.a disable trigger touch
alter table public.a enable row level security
alter table public.a force row level security
alter table public.a replica identity using index a_pkey
alter table public.a cluster on a_pkey
alter table public.a owner to current_user
alter table public.a rename to z
alter table public.a rename column b to z
alter table public.part attach partition public.loose for values in (2)
alter table public.part detach partition public.part_1
alter index public.a_b rename to z
create table public.n (id int references public.other)
create table public.n partition of public.part for values in (3)
create table public.n (e int) inherits (public.a)
create index i on public.a (b)
create trigger t before update on public.a for each row execute function public.f()
create policy q on public.a using (true)
alter policy p on public.a using (false)
drop policy p on public.a
drop trigger touch on public.a
drop table public.loose
drop view public.v
drop materialized view public.m
truncate public.loose
refresh materialized view public.m
refresh materialized view concurrently public.m
cluster public.a using a_pkey
analyze public.a
reindex table public.a
comment on table public.a is 'x'
comment on column public.a.b is 'x'
comment on trigger touch on public.a is 'x'
comment on policy p on public.a is 'x'
comment on constraint later on public.a is 'x'
create rule r as on insert to public.a do also select 1
"""
TABLES = ("a", "other", "part", "part_1", "loose", "v", "m")
HELD = r"""
select relation, upper(regexp_replace(replace(mode, 'Lock', ''), '([a-z])([A-Z])', '\1 \2', 'g'))
  from pg_locks
 where pid = pg_backend_pid() and relation = any (%s)
"""


@pytest.fixture(scope="module")
def samples() -> list[str]:
    found = [line for line in SAMPLES.splitlines() if line]
    assert len(found) > 40
    return found


@pytest.fixture
async def connection(cluster: Server) -> AsyncIterator[AsyncConnection]:
    async with fresh_database(cluster) as target, await target.connect() as opened:
        await opened.execute(OBJECTS)  # type: ignore[arg-type]
        yield opened


async def test_the_plan_names_the_locks_that_the_server_takes(
    connection: AsyncConnection, samples: list[str]
) -> None:
    rows = await connection.execute(
        "select oid, 'public.' || relname from pg_class where relname = any (%s)", (list(TABLES),)
    )
    names: dict[int, str] = dict(await rows.fetchall())  # a dropped or renamed one keeps its oid
    wrong: list[str] = []
    for sql in samples:
        (statement,) = parse_statements(sql)
        planned = {lock.table: lock.mode for lock in locks_of(statement.node) if lock.table in names.values()}
        seen: dict[str, LockMode] = {}
        async with connection.transaction(force_rollback=True):
            await connection.execute(sql)  # type: ignore[arg-type]
            for oid, mode in await (await connection.execute(HELD, (list(names),))).fetchall():
                if mode in set(LockMode) and LockMode(mode).strength >= strength_of(seen.get(names[oid])):
                    seen[names[oid]] = LockMode(mode)
        # What reads a table only, or writes it by the way, is told by the dry run.
        told = {t: m for t, m in seen.items() if t in planned or m is not LockMode.ROW_EXCLUSIVE}
        if told != planned:
            wrong.append(f"{sql}: planned {planned}, the server took {told}")
    assert wrong == []


def strength_of(mode: LockMode | None) -> int:
    return -1 if mode is None else mode.strength
