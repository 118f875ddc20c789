"""The history of every table: who changed what, and what it was, on a real PostgreSQL.

Each test has a couple of its own in one database; what it changes is committed, as the history has to see it.
"""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from support.databases import migrated_database
from support.workers import held
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget


@pytest.fixture(scope="module")
def database(cluster: Server) -> Iterator[ConnectionTarget]:
    """The schema, for all tests of this file."""
    with held(migrated_database(cluster)) as target:
        yield target


@dataclass(frozen=True, slots=True, kw_only=True)
class Wedding:
    """A couple of one test, and the owner's connection to its database."""

    connection: AsyncConnection
    couple: str
    organization: str

    async def run(self, statement: str, **values: object) -> list[dict[str, object]]:
        given = {"couple": self.couple, "organization": self.organization, **values}
        async with self.connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement.encode(), given)
            return await cursor.fetchall() if cursor.description else []

    async def versions(self, table: str = "public.guests") -> list[dict[str, object]]:
        return await self.run(
            "select * from audit.record_version where couple_id = %(couple)s and table_name = %(table)s"
            " order by id",
            table=table,
        )

    async def guests(self) -> dict[str, object]:
        """The guests as they are now, as JSON by id."""
        rows = await self.run("select to_jsonb(g) as row from guests g where couple_id = %(couple)s")
        return {row["row"]["id"]: row["row"] for row in rows}  # type: ignore[index]

    async def guests_as_of(self, at: datetime) -> dict[str, object]:
        rows = await self.run("select to_jsonb(g) as row from audit.guests_as_of(%(couple)s, %(at)s) g", at=at)
        return {row["row"]["id"]: row["row"] for row in rows}  # type: ignore[index]

    async def moment(self) -> datetime:
        """The server's clock, at least a microsecond after all that is committed."""
        await self.run("select pg_sleep(0.002)")
        found = await self.run("select clock_timestamp() as at")
        await self.run("select pg_sleep(0.002)")
        assert isinstance(found[0]["at"], datetime)
        return found[0]["at"]

    async def invite(self, first_name: str = "Ada", **values: object) -> str:
        found = await self.run(
            "insert into guests (couple_id, first_name, last_name) values (%(couple)s, %(name)s, 'Byron')"
            " returning id::text",
            name=first_name,
            **values,
        )
        return str(found[0]["id"])


@asynccontextmanager
async def new_wedding(database: ConnectionTarget) -> AsyncIterator[Wedding]:
    couple, organization = str(uuid4()), str(uuid4())
    async with await database.connect() as connection:
        made = Wedding(connection=connection, couple=couple, organization=organization)
        await made.run(
            "insert into organizations (id, name, slug) values (%(organization)s, 'Fern', %(slug)s)",
            slug=f"fern-{uuid4().hex[:12]}",
        )
        await made.run(
            "insert into couples (id, organization_id, partner_one_name, partner_two_name, wedding_date,"
            " time_zone) values (%(couple)s, %(organization)s, 'Ada', 'Grace', '2026-06-13', 'Europe/London')"
        )
        yield made


@pytest.fixture
async def wedding(database: ConnectionTarget) -> AsyncIterator[Wedding]:
    async with new_wedding(database) as made:
        yield made


# Every table -----------------------------------------------------------------------------------------


async def test_every_table_is_watched_and_a_new_one_is_named_until_it_is(wedding: Wedding) -> None:
    assert await wedding.run("select * from audit.unwatched()") == []
    watched = await wedding.run("select table_name from audit.watched")
    tables = await wedding.run(
        "select schemaname || '.' || tablename as table_name from pg_tables"
        " where schemaname in ('public', 'auth', 'app')"
    )
    assert len(tables) > 35
    assert {row["table_name"] for row in tables} == {row["table_name"] for row in watched}
    async with wedding.connection.transaction(force_rollback=True):
        await wedding.run(
            "create table public.seats (couple_id uuid, number int, primary key (couple_id, number))"
        )
        unwatched = await wedding.run("select name::text from audit.unwatched() as name")
        assert [row["name"] for row in unwatched] == ["seats"]
        await wedding.run("select audit.watch('public.seats')")
        assert await wedding.run("select * from audit.unwatched()") == []
        await wedding.run("insert into seats values (%(couple)s, 1), (%(couple)s, 2)")
        await wedding.run("update seats set number = 3 where number = 2")
        found = await wedding.versions("public.seats")
        assert [(row["operation"], row["row_key"]) for row in found] == [
            ("insert", [wedding.couple, 1]),
            ("insert", [wedding.couple, 2]),
            ("delete", [wedding.couple, 2]),
            ("insert", [wedding.couple, 3]),
        ]
        await wedding.run("drop table public.seats")  # nothing of the history stands in the way


async def test_partitions_are_watched_and_written_to_once(wedding: Wedding) -> None:
    async with wedding.connection.transaction(force_rollback=True):
        await wedding.run("create table public.pings (id int primary key, couple_id uuid) partition by range (id)")
        await wedding.run("create table public.pings_1 partition of pings for values from (1) to (100)")
        await wedding.run("select audit.watch('public.pings')")
        assert await wedding.run("select * from audit.unwatched()") == []
        await wedding.run("insert into pings values (1, %(couple)s)")
        await wedding.run("insert into pings_1 values (2, %(couple)s)")
        assert len(await wedding.versions("public.pings")) == 1
        assert len(await wedding.versions("public.pings_1")) == 1


async def test_a_table_without_a_key_is_refused(wedding: Wedding) -> None:
    async with wedding.connection.transaction(force_rollback=True):
        await wedding.run("create table public.keyless (couple_id uuid)")
        with pytest.raises(psycopg.errors.InvalidTableDefinition, match="no primary key"):
            await wedding.run("select audit.watch('public.keyless')")


async def test_secret_columns_are_left_out_by_their_names(wedding: Wedding) -> None:
    user = str(uuid4())
    await wedding.run(
        "insert into auth.users (id, email, encrypted_password)"
        " values (%(user)s, %(email)s, 'scrypt$aaaaaaaaaaaaaaaaaaaaaaaa')",
        user=user,
        email=f"{user}@example.com",
    )
    await wedding.run(
        "update auth.users set encrypted_password = 'scrypt$bbbbbbbbbbbbbbbbbbbbbbbb' where id = %(user)s",
        user=user,
    )
    found = await wedding.run(
        "select * from audit.record_version where table_name = 'auth.users' and row_key = %(key)s order by id",
        key=Jsonb([user]),
    )
    assert [row["operation"] for row in found] == ["insert", "update"]
    assert "encrypted_password" not in str(found)
    assert "scrypt" not in str(found)
    left_out = await wedding.run("select table_name, left_out from audit.watched where left_out <> '{}'")
    assert {row["table_name"] for row in left_out} >= {"auth.users", "public.api_keys", "public.invitations"}


# Who, when, from where -------------------------------------------------------------------------------


async def test_a_version_says_who_when_and_from_where(database: ConnectionTarget, wedding: Wedding) -> None:
    user = str(uuid4())
    await wedding.run("insert into auth.users (id) values (%(user)s)", user=user)
    await wedding.run(
        "insert into couple_members (couple_id, user_id, role) values (%(couple)s, %(user)s, 'partner')", user=user
    )
    gateway = replace(database, user="postgres", application_name="the gateway")
    async with await gateway.connect() as other, other.transaction():
        await other.execute(
            "select set_config('request.jwt.claims', %s, true), set_config('request.id', 'r-17', true),"
            " set_config('request.forwarded_for', '203.0.113.9', true)",
            (msgspec.json.encode({"sub": user, "role": "authenticated"}).decode(),),
        )
        await other.execute("set local role authenticated")
        await other.execute(
            "insert into guests (couple_id, first_name, last_name) values (%s, 'Ada', 'Byron')",
            (wedding.couple,),
        )
        row = await (await other.execute("select now(), pg_current_xact_id()::text")).fetchone()
    assert row is not None
    [found] = await wedding.versions()
    assert str(found["user_id"]) == user
    assert (found["role_name"], found["session_name"]) == ("authenticated", "postgres")
    assert (found["application_name"], found["request_id"]) == ("the gateway", "r-17")
    assert found["forwarded_for"] == "203.0.113.9"
    assert found["transaction_id"] == row[1]
    assert found["changed_at"] >= row[0]  # type: ignore[operator]
    assert found["old_row"] is None
    assert found["new_row"]["first_name"] == "Ada"  # type: ignore[index]


async def test_an_update_keeps_the_row_before_and_after(wedding: Wedding) -> None:
    guest = await wedding.invite()
    await wedding.run("update guests set table_number = 4 where id = %(id)s", id=guest)
    insert, update = await wedding.versions()
    assert update["old_row"] == insert["new_row"]
    assert list((await wedding.guests()).values()) == [update["new_row"]]
    assert update["new_row"]["table_number"] == 4  # type: ignore[index]


async def test_upserts_cascades_and_truncates_are_recorded_row_by_row(wedding: Wedding) -> None:
    guest = await wedding.invite()
    await wedding.run(
        "insert into guests (couple_id, id, first_name, last_name) values (%(couple)s, %(id)s, 'A', 'B'),"
        " (%(couple)s, app.uuid_v7(), 'C', 'D') on conflict (couple_id, id) do update set first_name = 'E'",
        id=guest,
    )
    async with wedding.connection.transaction(force_rollback=True):
        await wedding.run("truncate guests cascade")
        found = await wedding.versions()
        assert [row["statement"] for row in found].count("TRUNCATE") == 2
    await wedding.run("delete from couples where id = %(couple)s")
    found = await wedding.versions()
    assert sorted(str(row["operation"]) for row in found) == ["delete", "delete", "insert", "insert", "update"]
    assert [row["operation"] for row in await wedding.versions("public.couples")] == ["insert", "delete"]


async def test_what_is_rolled_back_was_never_changed(wedding: Wedding) -> None:
    async with wedding.connection.transaction(force_rollback=True):
        await wedding.invite()
    assert await wedding.versions() == []


async def test_old_and_new_stay_together_in_a_statement_of_many_rows(wedding: Wedding) -> None:
    await wedding.run(
        "insert into guests (couple_id, first_name, last_name, table_number)"
        " select %(couple)s, 'n' || n, 'x', n %% 500 + 1 from generate_series(1, 3000) n"
    )
    await wedding.run("update guests set last_name = first_name where couple_id = %(couple)s")
    updates = [row for row in await wedding.versions() if row["operation"] == "update"]
    assert len(updates) == 3000
    for row in updates:
        assert row["old_row"]["first_name"] == row["new_row"]["last_name"]  # type: ignore[index]
        assert row["row_key"] == [wedding.couple, row["old_row"]["id"]]  # type: ignore[index]


# As it was -------------------------------------------------------------------------------------------


async def test_as_of_equals_snapshots_taken_between_random_edits(
    database: ConnectionTarget, wedding: Wedding
) -> None:
    chance = random.Random(20260613)
    taken: list[tuple[datetime, dict[str, object]]] = []

    async def edit() -> None:
        ids = [*await wedding.guests()]
        some = chance.choice(ids) if ids else None
        match chance.choice(["invite", "many", "change", "rename", "remove", "remove household", "again", "undo"]):
            case "change" if some:
                await wedding.run(
                    "update guests set table_number = %(n)s where id = %(id)s", n=chance.randint(1, 99), id=some
                )
            case "rename" if some:  # its key changes
                await wedding.run("update guests set id = app.uuid_v7() where id = %(id)s", id=some)
            case "remove" if some:
                await wedding.run("delete from guests where id = %(id)s", id=some)
            case "remove household":
                await wedding.run("delete from households where couple_id = %(couple)s")
            case "again" if some:  # the same key once more
                await wedding.run("delete from guests where id = %(id)s", id=some)
                await wedding.run(
                    "insert into guests (couple_id, id, first_name, last_name)"
                    " values (%(couple)s, %(id)s, 'Back', 'x')",
                    id=some,
                )
            case "many":
                await wedding.run(
                    "with h as (insert into households (couple_id, name) values (%(couple)s, 'H') returning id)"
                    " insert into guests (couple_id, first_name, last_name, household_id)"
                    " select %(couple)s, 'n' || n, 'x', h.id from h, generate_series(1, 4) n"
                )
            case "undo":
                async with wedding.connection.transaction(force_rollback=True):
                    await wedding.run("delete from guests where couple_id = %(couple)s")
            case _:
                await wedding.invite()

    for _ in range(40):
        async with wedding.connection.transaction():
            for _ in range(chance.randint(1, 4)):
                await edit()
        if chance.random() < 0.5:
            taken.append((await wedding.moment(), await wedding.guests()))
    async with new_wedding(database) as other:  # the neighbours' edits are not seen
        await other.invite()
    assert len(taken) > 10
    assert any(snapshot != taken[-1][1] for _, snapshot in taken)
    for at, snapshot in taken:
        assert await wedding.guests_as_of(at) == snapshot


async def test_a_transaction_counts_from_its_commit(database: ConnectionTarget, wedding: Wedding) -> None:
    guest = await wedding.invite()
    async with await database.connect() as other, other.transaction():
        await other.execute("update guests set first_name = 'Late' where id = %s", (guest,))
        between = await wedding.moment()
    after = await wedding.moment()
    [then] = (await wedding.guests_as_of(between)).values()
    [now] = (await wedding.guests_as_of(after)).values()
    assert then["first_name"] == "Ada"  # type: ignore[index]
    assert now["first_name"] == "Late"  # type: ignore[index]


async def test_rows_from_before_the_history_are_known_by_their_later_changes(wedding: Wedding) -> None:
    async with wedding.connection.transaction(force_rollback=True):
        await wedding.run("create table public.old (couple_id uuid, n int, word text, primary key (couple_id, n))")
        await wedding.run("insert into old select %(couple)s, n, 'before' from generate_series(1, 3) n")
        await wedding.run("select audit.watch('public.old')")
        await wedding.run("update audit.watched set watched_since = '2026-01-01' where table_name = 'public.old'")
        await wedding.run("update old set word = 'changed' where n = 1")
        await wedding.run("delete from old where n = 2")
        rows = await wedding.run(
            "select r from audit.rows_as_of('public.old', %(couple)s, greatest(now() - interval '1 ms',"
            " audit.history_begins('public.old'))) r"
        )
        assert sorted((row["r"]["n"], row["r"]["word"]) for row in rows) == [(n, "before") for n in (1, 2, 3)]  # type: ignore[index]


async def test_a_moment_before_the_history_is_refused(wedding: Wedding) -> None:
    with pytest.raises(psycopg.errors.DatetimeFieldOverflow, match="history of public\\.guests begins at"):
        await wedding.guests_as_of(datetime(2001, 1, 1, tzinfo=UTC))


async def test_a_column_added_later_is_empty_then(wedding: Wedding) -> None:
    guest = await wedding.invite()
    at = await wedding.moment()
    async with wedding.connection.transaction(force_rollback=True):
        await wedding.run("alter table guests add column hat text default 'none'")
        await wedding.run("update guests set hat = 'top' where id = %(id)s", id=guest)
        [row] = (await wedding.guests_as_of(at)).values()
        assert row["first_name"] == "Ada"  # type: ignore[index]


# Loads -----------------------------------------------------------------------------------------------


async def test_a_load_is_one_record_and_nothing_was_there_before_it(wedding: Wedding) -> None:
    await wedding.run("create table public.loaded (couple_id uuid, n int, word text, primary key (couple_id, n))")
    try:
        await wedding.run("select audit.watch('public.loaded')")
        before = await wedding.moment()
        async with wedding.connection.transaction():
            await wedding.run("select audit.begin_load('{public.loaded}')")
            await wedding.run("insert into loaded select %(couple)s, n, 'loaded' from generate_series(1, 5) n")
            await wedding.run("select audit.end_load('{public.loaded}')")
        loaded = await wedding.moment()
        await wedding.run("update loaded set word = 'changed' where n = 1")
        await wedding.run("delete from loaded where n = 2")
        assert len(await wedding.versions("public.loaded")) == 2

        async def as_of(at: datetime) -> list[tuple[object, object]]:
            rows = await wedding.run(
                "select r from audit.rows_as_of('public.loaded', %(couple)s, %(at)s) r", at=at
            )
            return sorted((row["r"]["n"], row["r"]["word"]) for row in rows)  # type: ignore[index]

        assert await as_of(before) == []
        assert await as_of(loaded) == [(n, "loaded") for n in range(1, 6)]
        assert len(await as_of(await wedding.moment())) == 4
        [record] = await wedding.run("select * from audit.loads where table_name = 'public.loaded'")
        assert (record["row_count"], record["session_name"]) == (5, "wedsync_owner")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="not empty"):
            await wedding.run("select audit.begin_load('{public.loaded}')")
    finally:
        await wedding.run("drop table public.loaded; delete from audit.watched where table_name = 'public.loaded'")


async def test_a_load_that_does_not_end_is_not_committed(wedding: Wedding) -> None:
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="did not end"):
        async with wedding.connection.transaction():
            await wedding.run("delete from public.task_evidence")
            await wedding.run("select audit.begin_load('{public.task_evidence}')")
    assert await wedding.run("select * from audit.unwatched()") == []


# Append-only -----------------------------------------------------------------------------------------

CHANGES = (
    "update audit.{table} set table_name = 'x'",
    "update audit.{table} set old_row = null, new_row = null, row_key = null",
    "delete from audit.{table}",
    "truncate audit.{table}",
)


@pytest.mark.parametrize("role", ["wedsync_owner", "service_role", "authenticated", "anon", "wedsync_backup"])
async def test_nobody_changes_the_history(database: ConnectionTarget, wedding: Wedding, role: str) -> None:
    await wedding.invite()
    month = f"record_version_{datetime.now(UTC):%Y_%m}"
    async with await replace(database, user="postgres").connect(autocommit=False) as other:
        for table in ("record_version", month):
            for change in CHANGES:
                await other.execute(SQL("set local role {}").format(Identifier(role)))
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await other.execute(change.format(table=table).encode())
                await other.rollback()
    assert len(await wedding.versions()) == 1


async def test_erasures_and_loads_are_append_only_too(wedding: Wedding) -> None:
    async with wedding.connection.transaction(force_rollback=True):
        await wedding.run(
            "insert into audit.erasures (id, transaction_id, subject_kind, subject_id, by, versions)"
            " values (gen_random_uuid(), '1', 'user', gen_random_uuid(), 'x', 0)"
        )
        for statement in (
            "update audit.erasures set versions = 7",
            "delete from audit.erasures",
            "truncate audit.loads",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only added to"):
                async with wedding.connection.transaction():
                    await wedding.run(statement)


async def test_values_go_only_with_an_erasure_that_is_written_down(wedding: Wedding) -> None:
    await wedding.invite()
    erasure = str(uuid4())
    async with wedding.connection.transaction():
        await wedding.run(
            "insert into audit.erasures (id, subject_kind, subject_id, by, versions)"
            " values (%(id)s, 'couple', %(couple)s, 'a test', 0)",
            id=erasure,
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):  # another value instead of none
            async with wedding.connection.transaction():
                await wedding.run(
                    "update audit.record_version set new_row = '{}', erasure_id = %(id)s"
                    " where couple_id = %(couple)s",
                    id=erasure,
                )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):  # somebody else's name on it
            async with wedding.connection.transaction():
                await wedding.run(
                    "update audit.record_version set new_row = null, role_name = 'nobody', erasure_id = %(id)s"
                    " where couple_id = %(couple)s",
                    id=erasure,
                )
        await wedding.run(
            "update audit.record_version set new_row = null, erasure_id = %(id)s where couple_id = %(couple)s",
            id=erasure,
        )
    [found] = await wedding.versions()
    assert found["new_row"] is None
    assert found["operation"] == "insert"


# Months ----------------------------------------------------------------------------------------------


async def test_months_are_made_ahead_and_once(wedding: Wedding) -> None:
    async with wedding.connection.transaction(force_rollback=True):
        [ahead] = await wedding.run("select audit.ensure_partitions(3) as made")
        assert ahead["made"] == 0
        [more] = await wedding.run("select audit.ensure_partitions(5) as made")
        assert more["made"] == 2


async def test_a_missing_month_stops_nobody_and_is_made_afterwards(wedding: Wedding) -> None:
    month = f"record_version_{datetime.now(UTC):%Y_%m}"
    async with wedding.connection.transaction(force_rollback=True):
        await wedding.run(f"drop table audit.{month}")
        await wedding.invite()
        [waiting] = await wedding.run("select count(*) as n from audit.record_version_default")
        assert waiting["n"] == 1
        await wedding.run("select audit.ensure_partitions(3)")
        assert len(await wedding.versions()) == 1
        [inside] = await wedding.run(f"select count(*) as n from audit.{month}")
        assert inside["n"] == 1
        [left] = await wedding.run("select count(*) as n from audit.record_version_default")
        assert left["n"] == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with wedding.connection.transaction():
                await wedding.run("truncate audit.record_version_default")


async def test_old_months_go_by_retention_and_the_history_begins_later(wedding: Wedding) -> None:
    async with wedding.connection.transaction(force_rollback=True):
        await wedding.run(
            "select audit.add_partition('record_version_2020_01',"
            " 'for values from (''2020-01-01+00'') to (''2020-02-01+00'')')"
        )
        gone = await wedding.run("select audit.drop_partitions('1 year') as names")
        assert gone[0]["names"] == ["record_version_2020_01"]
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="too little"):
            async with wedding.connection.transaction():
                await wedding.run("select audit.drop_partitions('1 day')")


# What clients see ------------------------------------------------------------------------------------


async def test_partners_see_their_history_and_strangers_do_not(
    database: ConnectionTarget, wedding: Wedding
) -> None:
    partner, stranger = str(uuid4()), str(uuid4())
    await wedding.run("insert into auth.users (id) values (%(a)s), (%(b)s)", a=partner, b=stranger)
    await wedding.run(
        "insert into couple_members (couple_id, user_id, role) values (%(couple)s, %(user)s, 'partner')",
        user=partner,
    )
    await wedding.run(
        "insert into clients (organization_id, couple_id, name)"
        " values (%(organization)s, %(couple)s, 'the business''s own')"
    )
    await wedding.run(
        "insert into notifications (user_id, couple_id, kind, title)"
        " values (%(b)s, %(couple)s, 'told', 'not the partner''s'), (%(a)s, %(couple)s, 'told', 'the partner''s')",
        a=partner,
        b=stranger,
    )
    await wedding.invite()
    at = await wedding.moment()
    await wedding.run("delete from guests where couple_id = %(couple)s")
    async with await replace(database, user="postgres").connect(autocommit=False) as other:
        for user, sees in ((partner, True), (stranger, False)):
            claims = msgspec.json.encode({"sub": user, "role": "authenticated"}).decode()
            await other.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
            await other.execute("set local role authenticated")
            history = await (
                await other.execute("select table_name from get_couple_history(%s)", (wedding.couple,))
            ).fetchall()
            told = (
                "select new_row ->> 'title' from get_couple_history(%s) where table_name = 'public.notifications'"
            )
            titles = await (await other.execute(told, (wedding.couple,))).fetchall()
            assert titles == ([("the partner's",)] if sees else [])
            guests = await (
                await other.execute("select first_name from get_guests_as_of(%s, %s)", (wedding.couple, at))
            ).fetchall()
            assert bool(history) == sees
            assert guests == ([("Ada",)] if sees else [])
            assert ("public.clients",) not in history
            for table in ("record_version", "erasures", "loads"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    async with other.transaction():
                        await other.execute(f"select from audit.{table}".encode())
            await other.rollback()
