"""Days on which the schema does not change, with the real calendar on real weddings."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.migrations import ask, tell, write
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.errors import CalendarUnreadable, ConfigProblem, MigrationsFrozen, UsageProblem
from wedsync.migrations import Conditions, status, up
from wedsync.tenants import WeddingCalendar

FRIDAY = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SATURDAY = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WEDNESDAY = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

WEDDINGS = """
insert into public.organizations (id, name, slug) values ('00000000-0000-7000-8000-000000000001', 'O', 'o');
insert into public.couples (id, organization_id, partner_one_name, partner_two_name, wedding_date,
    time_zone, status)
values
    ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-000000000001', 'A', 'B', '2026-11-25',
     'Europe/Rome', 'booked'),
    ('00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-000000000001', 'A', 'B', '2026-11-29',
     'Pacific/Kiritimati', 'booked'),
    ('00000000-0000-7000-8000-00000000000c', '00000000-0000-7000-8000-000000000001', 'A', 'B', '2026-12-02',
     'Europe/Rome', 'cancelled');
"""


class Day:
    """A clock that stands still."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    async def sleep(self, pause: timedelta) -> None:
        raise AssertionError(f"nobody waits {pause} for a calendar")


def calendar(database: ConnectionTarget, now: datetime, zone: str = "Europe/London") -> WeddingCalendar:
    return WeddingCalendar(database, clock=Day(now), time_zone=zone)


def on(database: ConnectionTarget, now: datetime, override: str | None = None) -> Conditions:
    return Conditions(by="alice", key=b"k", freeze=calendar(database, now), override=override)


@pytest.fixture
async def weddings(database: ConnectionTarget) -> ConnectionTarget:
    await up(database, conditions=Conditions(key=b"k"))
    await tell(database, WEDDINGS)
    return database


@pytest.fixture
def one_more(tmp_path: Path) -> Path:
    """The platform's own files and one that is pending."""
    from wedsync.migrations import SHIPPED  # noqa: PLC0415 - where it is needed

    for path in SHIPPED.glob("*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write(tmp_path, "9999_more", "create table public.more ();")
    return tmp_path


async def test_an_empty_database_is_never_frozen(database: ConnectionTarget) -> None:
    assert await calendar(database, SATURDAY).reasons() == ()
    run = await up(database, conditions=on(database, SATURDAY))
    assert run.applied
    assert await calendar(database, SATURDAY).reasons() == ()  # tables, but no wedding yet


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (FRIDAY, []),
        (SATURDAY, ["it is Saturday, 2026-11-21, in Europe/London"]),
        (datetime(2026, 11, 23, 22, 59, tzinfo=UTC), []),  # 23:59 on Monday in Rome
        (datetime(2026, 11, 23, 23, 1, tzinfo=UTC), ["0a is tomorrow: 2026-11-25, Europe/Rome"]),
        (WEDNESDAY, ["0a is today: 2026-11-25, Europe/Rome"]),
        (datetime(2026, 11, 25, 23, 1, tzinfo=UTC), []),  # over, in Rome
        (datetime(2026, 11, 27, 9, 59, tzinfo=UTC), []),
        (datetime(2026, 11, 27, 10, 1, tzinfo=UTC), ["0b is tomorrow: 2026-11-29, Pacific/Kiritimati"]),
        (datetime(2026, 12, 2, 12, 0, tzinfo=UTC), []),  # cancelled
    ],
)
async def test_a_day_is_frozen_by_the_clocks_of_each_wedding(
    weddings: ConnectionTarget, now: datetime, said: list[str]
) -> None:
    reasons = await calendar(weddings, now).reasons()
    assert len(reasons) == len(said)
    for reason, words in zip(reasons, said, strict=True):
        assert reason.endswith(words)


async def test_a_wedding_in_an_unknown_zone_is_said_and_stops(database: ConnectionTarget) -> None:
    """As after a newer PostgreSQL's names were restored on an older one."""
    await up(database)
    await tell(database, "alter table public.couples drop constraint couples_time_zone_check")
    await tell(database, WEDDINGS.replace("Pacific/Kiritimati", "Pacific/Atlantis"))
    with pytest.raises(CalendarUnreadable, match="in a time zone"):
        await calendar(database, datetime(2026, 11, 28, 12, 0, tzinfo=UTC)).reasons()


async def test_where_it_is_saturday_is_a_setting(weddings: ConnectionTarget) -> None:
    late_friday = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    assert await calendar(weddings, late_friday).reasons() == ()
    assert len(await calendar(weddings, late_friday, "Asia/Tokyo").reasons()) == 1
    with pytest.raises(ConfigProblem, match="Atlantis"):
        await calendar(weddings, late_friday, "Europe/Atlantis").reasons()


async def test_on_a_frozen_day_nothing_runs_and_the_weddings_are_listed(
    weddings: ConnectionTarget, one_more: Path
) -> None:
    with pytest.raises(MigrationsFrozen) as raised:
        await up(weddings, directory=one_more, conditions=on(weddings, WEDNESDAY))
    assert raised.value.exit_code == 78
    assert "00000000-0000-7000-8000-00000000000a" in str(raised.value.detail)
    assert await ask(weddings, "select to_regclass('public.more')::text") is None


async def test_what_only_reads_and_what_has_nothing_to_do_is_never_refused(
    weddings: ConnectionTarget, one_more: Path
) -> None:
    assert (await up(weddings, conditions=on(weddings, SATURDAY))).applied == ()
    assert len((await status(weddings, directory=one_more, key=b"k")).pending) == 1
    dry = await up(weddings, directory=one_more, dry_run=True, conditions=on(weddings, SATURDAY))
    assert len(dry.would_apply) == 1


async def test_an_override_needs_words_and_is_written_into_the_ledger(
    weddings: ConnectionTarget, one_more: Path
) -> None:
    with pytest.raises(UsageProblem):
        await up(weddings, directory=one_more, conditions=on(weddings, SATURDAY, override="  "))
    run = await up(weddings, directory=one_more, conditions=on(weddings, SATURDAY, override="payments are down"))
    assert [row.id for row in run.applied] == ["9999_more"]
    assert run.overridden == ("it is Saturday, 2026-11-21, in Europe/London",)
    assert await ask(weddings, "select reason from ops.migrations where kind = 'override'") == "payments are down"
    assert (await status(weddings, directory=one_more, key=b"k")).is_current


async def test_a_role_that_does_not_see_every_wedding_is_told_so(
    weddings: ConnectionTarget, cluster: Server
) -> None:
    blind = cluster.target("wedsync_monitor", weddings.dbname)
    async with await cluster.target("postgres", weddings.dbname).connect() as admin:
        await admin.execute("grant select on public.couples to wedsync_monitor")
    with pytest.raises(CalendarUnreadable, match="cannot be seen"):
        await calendar(blind, WEDNESDAY).reasons()
