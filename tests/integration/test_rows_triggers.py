"""Rows come back as they were: which triggers see it, and who hears of it."""

from collections.abc import AsyncGenerator

import pytest

from support.isolation import TwoTenants
from support.rows import TwoTimes, contents, two_times
from wedsync.errors import RowsNotExact

TOLD = """
create table ops.told (words text primary key);
alter table ops.told owner to wedsync_owner;
create function ops.tell() returns trigger language plpgsql as
$$ begin insert into ops.told values (tg_argv[0]) on conflict do nothing; return null; end $$;
create function ops.shout() returns trigger language plpgsql as
$$ begin new.name := upper(new.name); return new; end $$;
"""


@pytest.fixture
async def times(two_tenants: TwoTenants) -> AsyncGenerator[TwoTimes]:
    async with two_times(two_tenants.target, two_tenants.ours.couple) as made:
        yield made


async def lose_timeline(times: TwoTimes, couple: str) -> None:
    await times.run(f"delete from public.timeline_events where couple_id = '{couple}'", TOLD)


def told_by(name: str) -> str:
    return (
        f"create trigger {name} after insert on public.timeline_events"
        f" for each statement execute function ops.tell('{name}')"
    )


async def test_only_triggers_that_fire_always_see_rows_come_back(times: TwoTimes, two_tenants: TwoTenants) -> None:
    couple = two_tenants.ours.couple
    await lose_timeline(times, couple)
    await times.run(told_by("plain"), told_by("always"), told_by("as_replica"))
    await times.run(
        "alter table public.timeline_events enable always trigger always",
        "alter table public.timeline_events enable replica trigger as_replica",
    )
    done = await times.bring_back(couple)
    assert done.plan.put_back
    assert [row["words"] for row in await times.run("select words from ops.told order by 1")] == [
        "always",
        "as_replica",
    ]
    versions = await times.run(
        f"select from audit.record_version where request_id = 'recovery:{done.recovery}'"
        " and table_name = 'public.timeline_events'"
    )
    assert versions, "the history is written by a trigger that fires always"


async def test_a_trigger_that_alters_what_comes_back_stops_it(times: TwoTimes, two_tenants: TwoTenants) -> None:
    couple = two_tenants.ours.couple
    await times.run(TOLD)
    await times.run(f"delete from public.households where couple_id = '{couple}'")
    await times.run(
        "create trigger shouts before insert on public.households for each row execute function ops.shout()",
        "alter table public.households enable always trigger shouts",
    )
    before = await contents(times.now)
    with pytest.raises(RowsNotExact, match="households did not become what they were"):
        await times.bring_back(couple)
    assert await contents(times.now) == before
    await times.run("alter table public.households disable trigger shouts")
    await times.bring_back(couple)
    now, then = await contents(times.now, system_columns=False), await contents(times.past, system_columns=False)
    assert now["households"] == then["households"]


async def test_whoever_follows_the_wal_hears_of_rows_that_come_back(
    times: TwoTimes, two_tenants: TwoTenants
) -> None:
    couple = two_tenants.ours.couple
    await lose_timeline(times, couple)
    slot = f"told_{times.now.dbname}"[:60]
    await times.run(f"select pg_create_logical_replication_slot('{slot}', 'test_decoding')", one_transaction=False)
    try:
        done = await times.bring_back(couple)
        heard = await times.run(f"select data from pg_logical_slot_get_changes('{slot}', null, null)")
    finally:
        await times.run(f"select pg_drop_replication_slot('{slot}')", one_transaction=False)
    lines = [row["data"] for row in heard if row["data"].startswith("table public.timeline_events: INSERT")]
    assert len(lines) == sum(t.put_back for t in done.plan.tables if t.table == "public.timeline_events") > 0
