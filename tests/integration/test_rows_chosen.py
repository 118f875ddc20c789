"""`--where` chooses rows, and does nothing else, whatever it says."""

from collections.abc import AsyncGenerator

import pytest

from support.isolation import TwoTenants
from support.rows import TwoTimes, contents, two_times
from wedsync.errors import UsageProblem
from wedsync.rows import Mistake, RowOrder, RowPlan, choose_rows

WRITER = """
create function public.do_harm() returns boolean language plpgsql {} as
'begin delete from public.guests; return true; end'
"""


@pytest.fixture
async def times(two_tenants: TwoTenants) -> AsyncGenerator[TwoTimes]:
    async with two_times(two_tenants.target, None) as made:
        yield made


async def plan(times: TwoTimes, table: str, where: str, *, mistake_by: tuple[str, ...] = ()) -> RowPlan:
    """What `recover rows --table TABLE --where WHERE` would do."""
    order = RowOrder(
        words=f"{table}, chosen rows",
        scopes=(await choose_rows(times.past, times.now, table, where),),
        restored_to=times.at,
        since=times.at,
        by="tester",
        mistake=Mistake(by=mistake_by),
    )
    return await times.recoverer.plan(times.past, order)


async def test_rows_are_chosen_that_match_then_or_now(times: TwoTimes, two_tenants: TwoTenants) -> None:
    couple = two_tenants.ours.couple
    where = f"couple_id = '{couple}' and rsvp_status = 'declined' -- those who do not come"
    assert (await plan(times, "public.guests", where)).rows == 0
    await times.run(f"update public.guests set rsvp_status = 'declined' where couple_id = '{couple}'")
    (guests,) = await times.run(f"select count(*) from public.guests where couple_id = '{couple}'")
    found = await plan(times, "public.guests", where, mistake_by=("postgres",))
    assert found.changed == guests["count"] > 0
    await times.run(f"delete from public.guests where couple_id = '{couple}'")
    found = await plan(times, "public.guests", f"couple_id = '{couple}'", mistake_by=("postgres",))
    assert found.put_back == guests["count"]


async def test_a_subquery_sees_the_past_in_the_past(times: TwoTimes, two_tenants: TwoTenants) -> None:
    couple = two_tenants.ours.couple
    where = f"couple_id in (select id from public.couples where id = '{couple}' and lower(status) <> 'gone')"
    await times.run(f"delete from public.guests where couple_id = '{couple}'")
    assert (await plan(times, "public.guests", where)).put_back > 0


@pytest.mark.parametrize(
    "where",
    [
        "",
        "true; delete from public.guests",
        "true) or (true",
        "true order by 1",
        "true limit 1",
        "true union select",
        "true for update",
        "true /* not closed",
        "exists (select from public.guests for update)",
        "exists (with gone as (delete from public.guests returning 1) select from gone)",
        "id = $1",
        "id = 'not closed",
        "pg_terminate_backend(1)",
        "set_config('role', 'postgres', false) is not null",
        "pg_catalog.set_config('transaction_read_only', 'off', false) is not null",
        "exists (select query_to_xml('delete from public.guests', true, true, ''))",
        "lo_create(0) > 0",
        "nextval('public.nothing') > 0",
        "pg_sleep(60) is null",
        "pg_notify('a', 'b') is null",
        "public.do_harm()",
        "public.do_quiet_harm()",
        "public.do_harm_by_owner()",
        "no_such_column = 1",
        "count(*) > 1",
        "first_name",
    ],
)
async def test_what_is_more_than_a_condition_is_refused_and_changes_nothing(times: TwoTimes, where: str) -> None:
    quiet = WRITER.format("stable").replace("do_harm", "do_quiet_harm")
    by_owner = WRITER.format("stable security definer").replace("do_harm", "do_harm_by_owner")
    await times.run(WRITER.format("volatile"), quiet, by_owner)
    before = await contents(times.now)
    assert before["guests"]
    with pytest.raises(UsageProblem, match="--where"):
        await choose_rows(times.past, times.now, "public.guests", where)
    assert await contents(times.now) == before
