"""`execute_migration`, from the call to the ledger: the keeper looks the text over and runs it as a migration."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from support.clusters import role_passwords
from wedsync.app import Platform
from wedsync.app.queued_change import QueuedChange
from wedsync.cluster import Server
from wedsync.config import Home
from wedsync.maintenance import JobState, Outcome
from wedsync.migrations import up

WEDNESDAY, SATURDAY, MONDAY = (datetime(2026, 6, day, 12, tzinfo=UTC) for day in (10, 13, 15))


@dataclass
class SetClock:
    """A clock that stands where it is put."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    async def sleep(self, pause: timedelta) -> None:
        raise AssertionError(f"nothing here waits, not even {pause}")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A caller, and the platform whose keeper works."""

    platform: Platform
    clock: SetClock
    connection: AsyncConnection[Any]

    async def ask(self, call: str, *values: object) -> Any:
        row = await (await self.connection.execute(f"select {call}", values)).fetchone()
        assert row is not None
        return row[0]

    async def run(self, sql: str, name: str) -> tuple[Outcome, dict[str, Any]]:
        """Queue a text, work once; the outcome and what `get_job` says."""
        asked = await self.ask("execute_migration(%s, %s)", sql, name)
        service = self.platform.job_service(migrate=QueuedChange(self.platform))
        outcome = await service.step(self.connection)
        assert outcome is not None
        return outcome, await self.ask("get_job(%s)", asked["id"])


@pytest.fixture
async def desk(own_cluster: Server, home: Home) -> AsyncIterator[Desk]:
    role_passwords(home)
    home.config_file.write_text(f"[cluster]\nport = {own_cluster.config.cluster.port}\n")
    platform = Platform(home, {})
    clock = SetClock(MONDAY)
    platform.clock = clock
    await up(platform.owner_target, conditions=platform.migration_conditions(restore_point=False))
    async with await platform.owner_target.connect() as connection:
        yield Desk(platform=platform, clock=clock, connection=connection)


SEATS = """
create table public.seats (
    couple_id uuid not null references public.couples on delete cascade,
    id uuid not null default app.uuid_v7(),
    primary key (couple_id, id)
);
comment on table public.seats is 'Where a guest sits.';
alter table public.seats enable row level security;
alter table public.seats force row level security;
create policy tenant on public.seats as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy service on public.seats to service_role using (true) with check (true);
select audit.watch('public.seats');
"""


async def test_a_queued_change_runs_once_and_is_in_the_ledger(desk: Desk) -> None:
    outcome, job = await desk.run(SEATS, "add_seats")
    assert outcome.state is JobState.DONE, outcome
    assert job["result"]["name"] == "add_seats"
    assert job["result"]["already"] is False
    asked = await desk.ask("execute_migration(%s, 'add_seats')", SEATS)
    assert job["result"]["checksum"] == asked["checksum"], "the caller was told the checksum of the ledger"
    assert await desk.ask("to_regclass('public.seats')::text") == "seats"
    by = await desk.ask("by from ops.migrations where name = 'add_seats'")
    assert "execute_migration" in by
    again = await desk.platform.job_service(migrate=QueuedChange(desk.platform)).step(desk.connection)
    assert again is not None
    assert again.state is JobState.DONE
    assert again.result is not None
    assert again.result["already"] is True


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("delete from public.guests;", "DELETE"),
        ("create table public.naked (couple_id uuid);", "row"),
        ("selct 1;", "syntax error"),
        ("begin; drop table public.guests; commit;", "does not begin or end transactions"),
    ],
)
async def test_a_text_that_lint_forbids_is_refused_and_changes_nothing(desk: Desk, sql: str, said: str) -> None:
    outcome, job = await desk.run(sql, "no_good")
    assert outcome.state is JobState.REFUSED, outcome
    assert job["status"] == "refused"
    assert said in job["error"]
    assert await desk.ask("to_regclass('public.naked')") is None
    assert await desk.ask("to_regclass('public.guests')::text") == "guests"


async def test_nothing_changes_on_a_saturday_or_near_a_wedding(desk: Desk) -> None:
    add_wedding = (
        "with o as (insert into organizations (name, slug) values ('Fern', %s) returning id)"
        " insert into couples (organization_id, partner_one_name, partner_two_name, wedding_date, time_zone)"
        " select id, 'Ada', 'Grace', %s, 'Europe/London' from o"
    )
    await desk.connection.execute(add_wedding, ("fern", date(2027, 6, 11)))
    desk.clock.at = SATURDAY
    outcome, job = await desk.run(SEATS, "add_seats")
    assert outcome.state is JobState.REFUSED
    assert "Saturday" in job["error"]
    desk.clock.at = WEDNESDAY
    await desk.connection.execute(add_wedding, ("moss", WEDNESDAY.date() + timedelta(days=1)))
    outcome, job = await desk.run(SEATS + "\n-- on a wednesday", "add_seats")
    assert outcome.state is JobState.REFUSED
    assert "wedding" in job["error"]
    assert await desk.ask("to_regclass('public.seats')") is None


async def test_an_error_of_the_text_fails_the_job_and_keeps_nothing(desk: Desk) -> None:
    outcome, job = await desk.run(SEATS + "select 1/0;", "divide")
    assert outcome.state is JobState.FAILED
    assert "division by zero" in job["error"]
    assert await desk.ask("to_regclass('public.seats')") is None
