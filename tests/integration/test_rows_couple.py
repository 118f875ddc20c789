"""One couple's rows brought back on the real schema: exactly they, to the byte, and nobody else's."""

from collections.abc import AsyncGenerator

import pytest

from support.databases import fresh_database
from support.isolation import TwoTenants, make_two_tenants
from support.rows import TwoTimes, contents, moment, two_times
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.errors import RowConflicts
from wedsync.rows import OnConflict, Why


WHOLE = (("payments", "couple_id"), ("invoices", "couple_id"), ("couples", "id"))
"""Deletes that take everything of a couple; the rest goes with it."""


@pytest.fixture
async def tenants(two_tenants: TwoTenants) -> TwoTenants:
    return two_tenants


@pytest.fixture
async def times(tenants: TwoTenants) -> AsyncGenerator[TwoTimes]:
    async with two_times(tenants.target, tenants.ours.couple) as made:
        yield made


async def test_a_deleted_couple_comes_back_whole(times: TwoTimes, tenants: TwoTenants) -> None:
    couple = tenants.ours.couple
    before = await contents(times.now)
    await times.run(*(f"delete from public.{table} where {column} = '{couple}'" for table, column in WHOLE))
    damaged = await contents(times.now)
    plan = await times.plan(couple)
    print(plan)
    done = await times.bring_back(couple)
    assert done.recovery is not None
    after = await contents(times.now)
    values = await contents(times.now, system_columns=False)
    then = await contents(times.past, system_columns=False)
    assert values == then
    for table, rows in damaged.items():
        assert set(rows) <= set(after[table]), table
