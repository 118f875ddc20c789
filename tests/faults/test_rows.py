"""Rows are brought back while things go wrong: all of it is done, or nothing."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from psycopg import AsyncConnection

from support.events import eventually
from support.isolation import TwoTenants
from support.rows import TwoTimes, contents, two_times
from wedsync.clock import SystemClock
from wedsync.database import ConnectionTarget
from wedsync.errors import (
    ErasedForGood,
    RowConflicts,
    RowsChangedSince,
    RowsInterrupted,
    RowsLocked,
    RowsRefused,
)
from wedsync.rows import OnConflict, RowRecoverer, Why
from wedsync.tenants import AuditHistory, Subject, SubjectKind
from wedsync.tenants.erasures import Erasure


@pytest.fixture
async def times(two_tenants: TwoTenants) -> AsyncGenerator[TwoTimes]:
    async with two_times(two_tenants.target, two_tenants.ours.couple) as made:
        yield made


@pytest.fixture
def couple(two_tenants: TwoTenants) -> str:
    return two_tenants.ours.couple


async def lose_guests(times: TwoTimes, couple: str) -> None:
    await times.run(f"delete from public.guests where couple_id = '{couple}'")


async def test_a_row_that_another_holds_stops_it_in_seconds(times: TwoTimes, couple: str) -> None:
    """A transaction holds a row that is to be taken back, for longer than is waited.

    Lost: nothing.
    Seen: WS433, somebody else holds a row; nothing was done, and the same command works when it is free.
    """
    await times.run(f"update public.couples set status = 'cancelled' where id = '{couple}'")
    before = await contents(times.now, system_columns=False)
    quick = replace(
        times,
        recoverer=RowRecoverer(
            times.now,
            owner="wedsync_owner",
            history=AuditHistory(),
            lock_timeout=timedelta(milliseconds=300),
        ),
    )
    async with await times.now.connect(autocommit=False) as holder:
        await holder.execute(f"select from public.couples where id = '{couple}' for update")  # type: ignore[arg-type]
        with pytest.raises(RowsLocked):
            await quick.bring_back(couple, on_conflict=OnConflict.PAST)
        assert await contents(times.now, system_columns=False) == before
    await quick.bring_back(couple, on_conflict=OnConflict.PAST)
    assert await contents(times.now, system_columns=False) == await contents(times.past, system_columns=False)


async def test_a_writer_between_plan_and_execution_stops_it(times: TwoTimes, couple: str) -> None:
    """Somebody writes to one of the rows after the operator agreed to the plan.

    Lost: nothing, also not what was written meanwhile.
    Seen: WS432, rows changed since the plan was made; exit code 3 and the plan as it is now.
    """
    await times.run(f"update public.couples set status = 'cancelled' where id = '{couple}'")
    order = await times.order(couple, on_conflict=OnConflict.PAST)
    plan = await times.recoverer.plan(times.past, order)
    await times.run(f"update public.couples set venue_name = 'Written meanwhile' where id = '{couple}'")
    before = await contents(times.now)
    with pytest.raises(RowsChangedSince):
        await times.recoverer.bring_back(times.past, order, expected=plan.fingerprint)
    assert await contents(times.now) == before


async def test_a_value_that_was_taken_meanwhile_is_a_conflict_and_keeps_what_refers_to_it(
    times: TwoTimes, couple: str, two_tenants: TwoTenants
) -> None:
    """A new row of another wedding holds the number of an invoice that is to come back.

    Lost: nothing; the invoice and its payments stay away until somebody decides.
    Seen: WS431 with the table, the key and the constraint by name.
    """
    (invoice,) = await times.run(
        f"select organization_id, number from public.invoices where couple_id = '{couple}' limit 1"
    )
    await times.run(
        f"delete from public.payments where couple_id = '{couple}'",
        f"delete from public.invoices where couple_id = '{couple}'",
    )
    await times.run(
        "insert into public.invoices (couple_id, organization_id, number, currency, status, lines, subtotal_minor,"
        f" total_minor) values ('{two_tenants.theirs.couple}', '{invoice['organization_id']}',"
        f" '{invoice['number']}', 'GBP', 'draft',"
        """ '[{"description": "x", "quantity": 1, "unit_minor": 90000}]', 90000, 90000)"""
    )
    before = await contents(times.now)
    with pytest.raises(RowConflicts):
        await times.bring_back(couple, on_conflict=OnConflict.PAST)
    assert await contents(times.now) == before
    plan = await times.plan(couple)
    assert {(c.table, c.why) for c in plan.conflicts} >= {("public.invoices", Why.VALUE_TAKEN)}
    done = await times.bring_back(couple, on_conflict=OnConflict.KEEP)
    assert done.plan.kept >= 1
    (count,) = await times.run(f"select count(*) from public.invoices where couple_id = '{couple}'")
    assert count["count"] == 1, "the other invoice came back"


async def test_a_parent_that_is_gone_is_a_conflict(times: TwoTimes, couple: str) -> None:
    """The account of a member was deleted since: the membership has nobody to belong to.

    Lost: nothing that can come back; the membership stays away, by choice.
    Seen: WS431, its row of auth.users is not there, with the foreign key's name.
    """
    (member,) = await times.run(f"select user_id from public.couple_members where couple_id = '{couple}' limit 1")
    await times.run(f"delete from auth.users where id = '{member['user_id']}'")
    plan = await times.plan(couple)
    found = [c for c in plan.conflicts if c.table == "public.couple_members"]
    assert [(c.why, "auth.users" in c.detail) for c in found] == [(Why.PARENT_GONE, True)]
    with pytest.raises(RowConflicts):
        await times.bring_back(couple)
    await times.bring_back(couple, on_conflict=OnConflict.KEEP)
    assert not await times.run(f"select from public.couple_members where user_id = '{member['user_id']}'")


async def test_a_column_that_came_since_keeps_its_value_and_a_changed_type_refuses(
    times: TwoTimes, couple: str
) -> None:
    """A migration ran between the moment and now.

    Lost: nothing; a column that was dropped since is named as not restorable.
    Seen: notes in the plan; WS430 with table, column and both types where values would have to be guessed.
    """
    await times.run(
        "alter table public.guests add shoe_size int default 42", "alter table public.guests drop phone"
    )
    await times.run(f"update public.guests set shoe_size = 39, rsvp_status = 'maybe' where couple_id = '{couple}'")
    done = await times.bring_back(couple, on_conflict=OnConflict.PAST)
    assert any("shoe_size came since" in note for note in done.plan.notes)
    assert any("phone went since" in note for note in done.plan.notes)
    rows = await times.run(f"select shoe_size, rsvp_status from public.guests where couple_id = '{couple}'")
    assert rows
    assert {(row["shoe_size"], row["rsvp_status"] == "maybe") for row in rows} == {(39, False)}
    await times.run("alter table public.guests alter table_number type numeric")
    with pytest.raises(RowsRefused, match=r"guests\.table_number was smallint and is numeric now"):
        await times.plan(couple)


async def test_the_server_killed_in_the_middle_leaves_nothing_half_done(times: TwoTimes, couple: str) -> None:
    """The server process of the recovery is killed after it wrote and before it committed.

    Lost: nothing: the transaction is undone by the server.
    Seen: WS438, the server ended the work; the same command does all of it.
    """
    await lose_guests(times, couple)
    before = await contents(times.now, system_columns=False)
    # Rows are written down last of all: there it waits for us.
    async with await times.now.connect(autocommit=False) as holder:
        await holder.execute("lock table ops.row_recoveries in access exclusive mode")
        slow = replace(
            times,
            recoverer=RowRecoverer(
                times.now,
                owner="wedsync_owner",
                history=AuditHistory(),
                lock_timeout=timedelta(minutes=1),
            ),
        )
        work = asyncio.create_task(slow.bring_back(couple))
        await eventually(lambda: killed(times), what="the recovery waits for the lock")
        with pytest.raises(RowsInterrupted):
            await work
    assert await contents(times.now, system_columns=False) == before
    await times.bring_back(couple)
    assert await contents(times.now, system_columns=False) == await contents(times.past, system_columns=False)


async def test_a_couple_that_was_erased_since_does_not_come_back(times: TwoTimes, couple: str) -> None:
    """The couple asked to be forgotten after the moment.

    Lost: what was to be lost: its rows stay erased.
    Seen: WS435 with the erasure's id, when and by whom it was asked for.
    """
    with pytest.raises(ErasedForGood, match="erased for good"):
        await times.plan(couple, erasures=[erasure(SubjectKind.COUPLE, couple)])


async def test_a_person_who_was_erased_since_does_not_come_back_with_the_rows(
    times: TwoTimes, couple: str, two_tenants: TwoTenants
) -> None:
    """A sender of messages was erased after the moment; then the messages were deleted by mistake.

    Lost: nothing but the name and the id, which stay erased.
    Seen: the messages come back with `(erased)` as their sender.
    """
    person = two_tenants.ours.people["partner"]
    async with await times.past.connect() as past:
        await past.execute("set session_replication_role = replica")
        await past.execute(
            f"update public.messages set sender_id = '{person}', sender_name = 'Ada' where couple_id = '{couple}'"  # type: ignore[arg-type]
        )
    await times.run(f"delete from public.messages where couple_id = '{couple}'")
    await times.bring_back(couple, on_conflict=OnConflict.KEEP, erasures=[erasure(SubjectKind.USER, person)])
    rows = await times.run(f"select sender_id, sender_name from public.messages where couple_id = '{couple}'")
    assert {(row["sender_id"], row["sender_name"]) for row in rows} == {(None, "(erased)")}


async def test_an_answer_to_a_commit_that_goes_on_is_waited_for(times: TwoTimes, couple: str) -> None:
    """The connection is cut while the server is at the commit, which then goes on.

    Lost: nothing.
    Seen: that it was done, with its id: the end of the commit is waited for, and never called undone.
    """
    await lose_guests(times, couple)
    await times.run(
        f"alter database {times.now.dbname} set client_connection_check_interval = 0",
        "create function ops.wait() returns trigger language plpgsql as"
        " 'begin perform pg_advisory_xact_lock(4711); return null; end'",
        "create constraint trigger waits after insert on ops.row_recoveries deferrable initially deferred"
        " for each row execute function ops.wait()",
        "alter table ops.row_recoveries enable always trigger waits",
    )
    remembered = Remembering(**{name: getattr(times.now, name) for name in times.now.__dataclass_fields__})
    recoverer = RowRecoverer(
        remembered, owner="wedsync_owner", history=AuditHistory(), lock_timeout=timedelta(minutes=1)
    )
    async with await times.now.connect(autocommit=False) as holder:
        await holder.execute("select pg_advisory_xact_lock(4711)")
        work = asyncio.create_task(replace(times, recoverer=recoverer).bring_back(couple))
        await eventually(lambda: work.done() or waits(times), within_s=20, what="the commit waits for the lock")
        assert not work.done(), work.exception()
        with socket.socket(fileno=os.dup(remembered.made[-1].fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)
        ended, _ = await asyncio.wait([work], timeout=1)
        assert not ended, work.exception()
    done = await work
    assert done.recovery is not None
    (kept,) = await times.run("select id::text from ops.row_recoveries")
    assert kept["id"] == done.recovery
    assert await contents(times.now, system_columns=False) == await contents(times.past, system_columns=False)


class Remembering(ConnectionTarget):
    """A database, and the connections that were made to it."""

    made: ClassVar[list[AsyncConnection[Any]]] = []

    async def connect(self, **options: Any) -> AsyncConnection[Any]:
        connection = await super().connect(**options)
        self.made.append(connection)
        return connection


async def waits(times: TwoTimes) -> bool:
    """Whether the server process of a recovery waits for a lock."""
    return bool(
        await times.run(
            "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            " and application_name like 'wedsync recover:%'"
        )
    )


async def killed(times: TwoTimes) -> bool:
    """Whether the server process of a recovery that waits was ended."""
    async with await times.now.connect() as other:
        cursor = await other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and application_name like 'wedsync recover:%' and wait_event_type = 'Lock'"
        )
        return await cursor.fetchone() is not None


def erasure(kind: SubjectKind, id_: str) -> Erasure:
    now = SystemClock().now()
    return Erasure(
        id=uuid4(),
        subject=Subject.parse(kind, id_),
        asked_at=now,
        asked_by="tester",
        erased_at=now,
        gone_from_backups_at=None,
    )
