"""One couple's rows brought back on the real schema: exactly they, to the byte, and nobody else's."""

from collections.abc import AsyncGenerator
from uuid import UUID

import pytest

from support.isolation import TwoTenants
from support.rows import TwoTimes, contents, two_times
from wedsync.errors import RowConflicts, RowRecoveryUnknown
from wedsync.rows import Choice, Decisions, Mistake, OnConflict, RowKind, Why

WHOLE = (("payments", "couple_id"), ("invoices", "couple_id"), ("couples", "id"))
"""Deletes that take everything of a couple; the rest goes with it."""


@pytest.fixture
async def times(two_tenants: TwoTenants) -> AsyncGenerator[TwoTimes]:
    async with two_times(two_tenants.target, two_tenants.ours.couple) as made:
        yield made


@pytest.fixture
def couple(two_tenants: TwoTenants) -> str:
    return two_tenants.ours.couple


async def delete_all(times: TwoTimes, couple: str) -> None:
    await times.run(*(f"delete from public.{table} where {column} = '{couple}'" for table, column in WHOLE))


async def test_a_deleted_couple_comes_back_whole_and_nobody_else_is_touched(times: TwoTimes, couple: str) -> None:
    await delete_all(times, couple)
    damaged = await contents(times.now)
    plan = await times.plan(couple)
    assert plan.rows > 40
    assert not plan.conflicts
    assert await contents(times.now) == damaged, "a plan changes nothing"
    done = await times.bring_back(couple)
    assert (done.plan.put_back, done.plan.fingerprint) == (plan.put_back, plan.fingerprint)
    after = await contents(times.now)
    assert await contents(times.now, system_columns=False) == await contents(times.past, system_columns=False)
    for table, rows in damaged.items():
        assert set(rows) <= set(after[table]), f"a row of somebody else was written in {table}"
    (counted,) = await times.run("select (ops.photo_group_drift()).*")
    assert (counted["groups"], counted["scheduled"]) == (0, 0), "the counters of photo groups saw the rows"


async def test_the_history_says_who_brought_it_back_and_under_which_recovery(times: TwoTimes, couple: str) -> None:
    await delete_all(times, couple)
    done = await times.bring_back(couple)
    versions = await times.run(
        f"select * from audit.record_version where couple_id = '{couple}'"
        f" and request_id = 'recovery:{done.recovery}'"
    )
    named = [version for version in versions if version["table_name"] == "public.guests"]
    assert len(named) == 2
    assert {(version["operation"], version["role_name"], version["application_name"]) for version in named} == {
        ("insert", "wedsync_owner", "wedsync recover: tester")
    }
    (kept,) = await times.run("select * from ops.row_recoveries")
    assert (str(kept["id"]), kept["by"], kept["reason"]) == (done.recovery, "tester", "a test")
    assert kept["put_back"] == done.plan.put_back


async def test_the_same_again_finds_nothing_to_do(times: TwoTimes, couple: str) -> None:
    await delete_all(times, couple)
    await times.bring_back(couple)
    again = await times.bring_back(couple)
    assert (again.recovery, again.plan.rows) == (None, 0)


async def test_who_changed_a_row_since_is_asked_about_and_nothing_is_done(times: TwoTimes, couple: str) -> None:
    await times.run(f"delete from public.photo_group_members where couple_id = '{couple}'")
    await times.run(f"update public.couples set venue_name = 'The new barn' where id = '{couple}'")
    await times.run(f"insert into public.households (couple_id, name) values ('{couple}', 'The Newcomers')")
    before = await contents(times.now)
    with pytest.raises(RowConflicts, match="2 rows"):
        await times.bring_back(couple)
    assert await contents(times.now) == before
    plan = await times.plan(couple)
    found = {conflict.table: conflict for conflict in plan.conflicts}
    assert {(c.table, c.kind, c.why) for c in plan.conflicts} == {
        ("public.couples", RowKind.CHANGES, Why.CHANGED_SINCE),
        ("public.households", RowKind.VANISHES, Why.CHANGED_SINCE),
    }
    assert "venue_name" in found["public.couples"].columns
    assert [change.by for change in found["public.couples"].changes] == ["postgres"]
    assert "barn" not in str(plan), "values are personal"
    shown = await times.plan(couple, with_values=True)
    assert "The new barn" in str(shown.conflicts)


async def test_what_others_changed_is_kept_or_taken_back_as_chosen(times: TwoTimes, couple: str) -> None:
    await times.run(f"delete from public.photo_group_members where couple_id = '{couple}'")
    await times.run(f"update public.couples set venue_name = 'The new barn' where id = '{couple}'")
    await times.run(f"insert into public.households (couple_id, name) values ('{couple}', 'The Newcomers')")
    choices = Decisions(choices=(("public.couples", (couple,), Choice.KEEP),), on_conflict=OnConflict.PAST)
    done = await times.bring_back(couple, decisions=choices)
    assert (done.plan.removed, done.plan.changed, done.plan.kept) == (1, 0, 1)
    (row,) = await times.run(f"select venue_name from public.couples where id = '{couple}'")
    assert row["venue_name"] == "The new barn"
    assert not await times.run("select from public.households where name = 'The Newcomers'")
    await times.bring_back(couple, on_conflict=OnConflict.PAST)
    assert await contents(times.now, system_columns=False) == await contents(times.past, system_columns=False)


async def test_changes_of_a_named_transaction_are_the_mistake(times: TwoTimes, couple: str) -> None:
    await times.run(f"update public.guests set rsvp_status = 'declined' where couple_id = '{couple}'")
    (xact,) = await times.run(
        f"select distinct transaction_id::text as id from audit.record_version where couple_id = '{couple}'"
        f" and operation = 'update' and changed_at >= '{times.at}'"
    )
    with pytest.raises(RowConflicts):
        await times.bring_back(couple)
    done = await times.bring_back(couple, mistake=Mistake(transactions=(xact["id"],)))
    assert done.plan.changed == 2
    assert await contents(times.now, system_columns=False) == await contents(times.past, system_columns=False)


def as_person(person: str) -> str:
    """What makes the rest of a transaction somebody's, in the history."""
    return f"""select set_config('request.jwt.claims', '{{"sub": "{person}"}}', true)"""


async def test_of_several_who_deleted_nobody_loses_what_they_changed_besides(
    times: TwoTimes, two_tenants: TwoTenants, couple: str
) -> None:
    people = two_tenants.ours.people
    await times.run(
        as_person(people["partner"]),
        f"delete from public.photo_group_members where couple_id = '{couple}'",
        f"update public.couples set venue_name = 'The new barn' where id = '{couple}'",
    )
    alone = await times.plan(couple)
    assert not alone.conflicts, "one actor, one mistake"
    await times.run(as_person(people["boss"]), f"delete from public.timeline_events where couple_id = '{couple}'")
    plan = await times.plan(couple)
    assert {(c.table, c.why) for c in plan.conflicts} == {("public.couples", Why.CHANGED_SINCE)}
    assert plan.put_back > alone.put_back, "what was deleted comes back without a question"


async def test_a_row_that_was_changed_before_it_was_deleted_is_asked_about(times: TwoTimes, couple: str) -> None:
    await times.run(f"update public.guests set dietary_notes = 'none' where couple_id = '{couple}'")
    await times.run(f"delete from public.guests where couple_id = '{couple}'")
    plan = await times.plan(couple)
    asked = [c for c in plan.conflicts if c.table == "public.guests"]
    assert [(c.kind, c.detail) for c in asked] == [(RowKind.RETURNS, "changed before it was deleted")] * 2


async def test_undo_puts_back_what_was_and_can_be_undone(times: TwoTimes, couple: str) -> None:
    await delete_all(times, couple)
    damaged = await contents(times.now, system_columns=False)
    done = await times.bring_back(couple)
    assert done.recovery is not None
    order = await times.recoverer.undo_order(UUID(done.recovery), by="tester", reason=None, decisions=Decisions())
    undone = await times.recoverer.undo(order)
    assert undone.plan.removed == done.plan.put_back
    assert await contents(times.now, system_columns=False) == damaged
    with pytest.raises(RowRecoveryUnknown, match="was undone"):
        await times.recoverer.undo_order(UUID(done.recovery), by="tester", reason=None, decisions=Decisions())
    assert undone.recovery is not None
    again = await times.recoverer.undo_order(
        UUID(undone.recovery), by="tester", reason=None, decisions=Decisions()
    )
    await times.recoverer.undo(again)
    assert await contents(times.now, system_columns=False) == await contents(times.past, system_columns=False)


async def test_undo_asks_about_rows_that_were_changed_after_the_recovery(times: TwoTimes, couple: str) -> None:
    await delete_all(times, couple)
    done = await times.bring_back(couple)
    await times.run(f"update public.couples set venue_name = 'Elsewhere' where id = '{couple}'")
    assert done.recovery is not None
    order = await times.recoverer.undo_order(UUID(done.recovery), by="tester", reason=None, decisions=Decisions())
    plan = await times.recoverer.plan_undo(order)
    assert [(c.table, c.why) for c in plan.conflicts if c.why is Why.CHANGED_SINCE] == [
        ("public.couples", Why.CHANGED_SINCE)
    ]
    with pytest.raises(RowConflicts):
        await times.recoverer.undo(order)


async def test_what_a_recovery_wrote_is_nobodys_own_change(times: TwoTimes, couple: str) -> None:
    await times.run(f"delete from public.guests where couple_id = '{couple}'")
    await times.bring_back(couple)
    await times.run(f"delete from public.guests where couple_id = '{couple}'")
    done = await times.bring_back(couple)
    assert done.plan.put_back > 2
    assert await contents(times.now, system_columns=False) == await contents(times.past, system_columns=False)


async def test_an_erasure_reaches_what_undo_keeps(times: TwoTimes, couple: str, two_tenants: TwoTenants) -> None:
    person = two_tenants.ours.people["partner"]
    await times.run(f"update public.couples set status = 'cancelled' where id = '{couple}'")
    await times.bring_back(couple, on_conflict=OnConflict.PAST)
    await times.run(f"delete from public.couple_members where couple_id = '{couple}'")
    await times.bring_back(couple, on_conflict=OnConflict.PAST)
    (kept,) = await times.run("select count(*) from ops.row_recovery_rows")
    assert kept["count"] >= 3
    await times.run(f"select ops.erase_row_recoveries('user_id', '{person}', '')")
    assert not await times.run(
        f"select from ops.row_recovery_rows where row_key ? '{person}' or belongs_to ->> 'user_id' = '{person}'"
    )
    await times.run(f"select ops.erase_row_recoveries('couple_id', '{couple}', '')")
    (kept,) = await times.run("select count(*) from ops.row_recovery_rows")
    assert kept["count"] == 0


async def test_undo_never_touches_a_row_that_became_somebody_elses(
    times: TwoTimes, two_tenants: TwoTenants, couple: str
) -> None:
    theirs = two_tenants.theirs.couple
    await times.run(f"delete from public.files where couple_id = '{couple}'")
    done = await times.bring_back(couple)
    assert done.recovery is not None
    moved = await times.run(
        "set session_replication_role = replica",
        f"update public.files set couple_id = '{theirs}' where couple_id = '{couple}' returning id",
    )
    assert moved
    before = await contents(times.now)
    order = await times.recoverer.undo_order(
        UUID(done.recovery), by="tester", reason=None, decisions=Decisions(on_conflict=OnConflict.PAST)
    )
    plan = await times.recoverer.plan_undo(order)
    asked = [c for c in plan.conflicts if c.table == "public.files"]
    assert [(c.why, c.choices) for c in asked] == [(Why.SOMEBODY_ELSES, (Choice.KEEP,))] * len(moved)
    with pytest.raises(RowConflicts):
        await times.recoverer.undo(order)
    assert await contents(times.now) == before
    keep = Decisions(on_conflict=OnConflict.KEEP)
    await times.recoverer.undo(
        await times.recoverer.undo_order(UUID(done.recovery), by="tester", reason=None, decisions=keep)
    )
    after = await contents(times.now)
    assert after["files"] == before["files"]
