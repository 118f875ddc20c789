"""Export and erasure of a tenant with rows in every table, beside another one that must not be touched."""

import asyncio
import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier, Literal

from support.databases import migrated_database
from support.tenants import SIGN_IN, Schema, World, fill_world, read_schema
from support.workers import held
from wedsync.clock import Clock, SystemClock
from wedsync.cluster import Secrets, Server
from wedsync.config import Home
from wedsync.database import ConnectionTarget
from wedsync.errors import (
    ErasureRefused,
    ExportFailed,
    HistoryUnknown,
    SecretProblem,
    TablesUnplaced,
    TenantUnknown,
)
from wedsync.state import StateStore, open_state
from wedsync.tenants import (
    Eraser,
    IntegrationSecrets,
    Subject,
    SubjectKind,
    changes,
    export_tenant,
    rows_as_of,
)
from wedsync.tenants.erasures import ErasureBook
from wedsync.tenants.reach import SHARED, author_columns, find_reach, require_placed
from wedsync.tenants.tables import Table, read_tables

NOT_OF_COUPLES = {
    *("api_keys", "availability", "devices", "forms", "form_fields", "journeys", "journey_steps"),
    *("organization_members", "organizations", "services", "suppliers", "core_field_definitions"),
    *SIGN_IN,
}
"""Tables whose rows are a business's or a person's alone."""


@pytest.fixture
def database(cluster: Server) -> Iterator[ConnectionTarget]:
    """The schema, in a database of this test's own."""
    with held(migrated_database(cluster)) as target:
        yield target


@pytest.fixture
def worlds(database: ConnectionTarget) -> tuple[Schema, World, World]:
    """Two tenants of each kind, with rows in every table."""

    async def fill() -> tuple[Schema, World, World]:
        async with await database.connect() as connection:
            schema = await read_schema(connection)
            made = [await fill_world(connection, schema) for _ in range(2)]
            for world in made:
                await link_to_couple(connection, schema, world)
            return schema, made[0], made[1]

    return asyncio.run(fill())


async def link_to_couple(connection: AsyncConnection[Any], schema: Schema, world: World) -> None:
    """Give rows that may belong to a couple or not to the couple."""
    linked: dict[str, dict[str, str]] = {"clients": {}, "notifications": {}, "invitations": {"role": "helper"}}
    for name, further in linked.items():
        table = schema[name]
        for row in world.rows[name]:
            if row["couple_id"] is None:
                changes = {"couple_id": world.couple} | further
                await connection.execute(
                    SQL("update {} set {} where id = {}").format(
                        table.identifier,
                        SQL(", ").join(
                            SQL("{} = {}").format(Identifier(name), Literal(value))
                            for name, value in changes.items()
                        ),
                        Literal(row["id"]),
                    )
                )
                row.update(changes)


@pytest.fixture
def state(home: Home) -> Iterator[StateStore]:
    store = open_state(home.state_db)
    yield store
    store.close()


def eraser_of(database: ConnectionTarget, home: Home, state: StateStore, clock: Clock | None = None) -> Eraser:
    return Eraser(
        database,
        state=state,
        clock=clock or SystemClock(),
        proofs=home.erasures,
        backups_keep=timedelta(days=30),
    )


def couple_of(world: World) -> Subject:
    return Subject.parse(SubjectKind.COUPLE, world.couple)


async def rows_of(database: ConnectionTarget, statement: str, *values: object) -> list[dict[str, Any]]:
    async with await database.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []


async def contents(database: ConnectionTarget, world: World) -> dict[str, list[Any]]:
    """Every row of a world, as it is now."""
    found: dict[str, list[Any]] = {}
    async with await database.connect() as connection:
        for table in await read_tables(connection):
            of_business = table.has("organization_id") or table.name == SubjectKind.ORGANIZATION.root
            kind = SubjectKind.ORGANIZATION if of_business else SubjectKind.COUPLE
            subject = Subject.parse(kind, world.organization if kind is SubjectKind.ORGANIZATION else world.couple)
            for reach in find_reach([table, *await read_tables(connection)], subject):
                if reach.table.name == table.name and table.name != "auth.users":
                    query = SQL("select to_jsonb(t) from {} t where {} order by 1").format(
                        table.identifier, reach.where
                    )
                    found[table.name] = await (await connection.execute(query)).fetchall()
    return found


# The catalogue ---------------------------------------------------------------------------------------


async def test_no_table_can_be_forgotten(database: ConnectionTarget) -> None:
    async with await database.connect() as connection:
        tables = await read_tables(connection)
        assert len(tables) > 35
        require_placed(tables)
        stray = Table(
            schema="public", relation="stray", comment="", columns=(), key=("id",), references=(), left_out=()
        )
        with pytest.raises(TablesUnplaced, match=r"public\.stray"):
            require_placed([*tables, stray])
        for kind in SubjectKind:
            reached = {reach.table.name for reach in find_reach(tables, Subject(kind=kind, id=uuid4()))}
            assert kind.root in reached
            for table in tables:
                if table.has(kind.column):
                    assert table.name in reached, (kind, table.name)
        assert {table.name for table in tables} >= set(SHARED)


async def test_every_column_that_names_somebody_is_known(database: ConnectionTarget) -> None:
    """A uuid is a key, refers to a row, names a tenant, or says who wrote: else a person could be missed."""
    async with await database.connect() as connection:
        for table in await read_tables(connection):
            known = {"couple_id", "organization_id", "user_id", "id", *table.key}
            known |= {column for reference in table.references for column in reference.columns}
            for column in table.columns:
                if column.type == "uuid" and column.name not in known:
                    assert column.name.endswith(("_by", "author_id", "sender_id", "device_id")), (
                        f"{table.name}.{column.name}: whose id is it? (tenants/reach.py)"
                    )


# Export ----------------------------------------------------------------------------------------------


async def test_a_couple_gets_all_its_rows_of_every_table_and_nobody_elses(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], tmp_path: Path
) -> None:
    schema, mine, theirs = worlds
    done = await export_tenant(database, couple_of(mine), tmp_path / "export")
    by_name = {table.name.removeprefix("public."): table for table in done.tables}
    for table in schema.tables:
        if table.name in NOT_OF_COUPLES:
            continue
        exported = json.loads((tmp_path / "export" / f"{by_name[table.name].name}.json").read_text())
        wanted = [row for row in mine.rows[table.name] if row.get("couple_id") in {mine.couple, None}]
        if any(column.name == "couple_id" for column in table.columns):
            wanted = [row for row in wanted if row.get("couple_id") == mine.couple]
            assert wanted, f"the test has no row of the couple in {table.name}"
            assert {row["couple_id"] for row in exported} == {mine.couple}
            assert len(exported) >= len(wanted)
        text = json.dumps(exported)
        for row in theirs.rows[table.name]:
            assert row.get("id") is None or row["id"] not in text, table.name
    notes = json.loads((tmp_path / "export" / "public.client_notes.json").read_text())
    assert {note["client_id"] for note in notes} == {row["id"] for row in mine.rows["clients"]}
    history = json.loads((tmp_path / "export" / "audit.record_version.json").read_text())
    assert {row["table_name"] for row in history} >= {"public.guests", "public.couples", "public.messages"}


async def test_the_manifest_is_true_and_secrets_are_left_out(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], tmp_path: Path
) -> None:
    _, mine, _ = worlds
    subject = Subject.parse(SubjectKind.ORGANIZATION, mine.organization)
    await export_tenant(database, subject, tmp_path / "export")
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert manifest["subject"] == {"kind": "organization", "id": mine.organization}
    files = {path.name for path in (tmp_path / "export").iterdir()} - {"manifest.json", "README.md"}
    assert files == {name for table in manifest["tables"] for name in table["files"]}
    for table in manifest["tables"]:
        for name, digest in table["files"].items():
            content = (tmp_path / "export" / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest
            if name.endswith(".json"):
                assert len(json.loads(content)) == table["rows"]
            else:
                head, *_ = csv.reader(content.decode().splitlines())
                assert head == [column["name"] for column in table["columns"]]
    keys = next(table for table in manifest["tables"] if table["table"] == "public.api_keys")
    assert keys["rows"] == 2
    assert keys["left_out"] == ["key_hash"]
    everything = b"".join(path.read_bytes() for path in (tmp_path / "export").iterdir())
    for row in (*mine.rows["api_keys"], *mine.rows["invitations"]):
        secret = row.get("key_hash") or row["token_hash"]
        assert secret.removeprefix("\\x").encode() not in everything
    readme = (tmp_path / "export" / "README.md").read_text()
    assert "## public.api_keys" in readme
    assert "Left out, as secrets: key_hash" in readme


async def test_a_person_gets_what_names_them(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], tmp_path: Path
) -> None:
    _, mine, _ = worlds
    user = mine.people["partner"]
    email = f"partner.{user}@example.com"
    await rows_of(database, "update auth.users set email_confirmed_at = now() where id = %s", user)
    guest = mine.rows["guests"][0]["id"]
    await rows_of(database, "update guests set email = %s where id = %s", email.upper(), guest)
    await rows_of(database, "update tasks set created_by = %s where couple_id = %s", user, mine.couple)
    done = await export_tenant(database, Subject.parse(SubjectKind.USER, user), tmp_path / "export")
    rows = {table.name: table.rows for table in done.tables}
    assert rows["auth.users"] == 1
    assert rows["public.devices"] == 2
    assert rows["public.couple_members"] == 1
    assert rows["public.tasks"] == 2
    assert rows["public.guests"] == 1
    assert rows["public.organization_members"] == 0


async def test_an_export_is_of_one_moment(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], tmp_path: Path
) -> None:
    _, mine, _ = worlds
    seen: list[str] = []

    def change_meanwhile(table: str, rows: int) -> None:
        if not seen:  # before guests and households are read
            with psycopg.connect(**database.parameters(), autocommit=True) as other:  # type: ignore[arg-type]
                other.execute("delete from guests where couple_id = %s", (mine.couple,))
        seen.append(table)

    done = await export_tenant(database, couple_of(mine), tmp_path / "export", on_table=change_meanwhile)
    assert next(table for table in done.tables if table.name == "public.guests").rows == 2
    assert await rows_of(database, "select 1 from guests where couple_id = %s", mine.couple) == []


async def test_an_unknown_id_and_a_full_directory_are_refused_and_nothing_is_left(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], tmp_path: Path
) -> None:
    _, mine, _ = worlds
    with pytest.raises(TenantUnknown, match="there is no couple"):
        await export_tenant(database, Subject(kind=SubjectKind.COUPLE, id=uuid4()), tmp_path / "export")
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240
    letter = tmp_path / "letter"
    letter.write_text("dear")
    with pytest.raises(ExportFailed, match="is there already"):
        await export_tenant(database, couple_of(mine), tmp_path)
    assert letter.read_text() == "dear"


# Erasure ---------------------------------------------------------------------------------------------


async def test_an_erased_couple_is_in_no_table_and_no_version_and_the_others_are_as_they_were(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], home: Home, state: StateStore
) -> None:
    _, mine, theirs = worlds
    await rows_of(
        database,
        "update webhook_events set payload = jsonb_build_object('couple_id', %s::text, 'payer', 'Ada the payer')"
        " where organization_id = %s",
        mine.couple,
        mine.organization,
    )
    await rows_of(database, "update guests set dietary_notes = 'findme' where couple_id = %s", mine.couple)
    before = await contents(database, theirs)
    eraser = eraser_of(database, home, state)
    plan = await eraser.plan(couple_of(mine))
    done = await eraser.erase(couple_of(mine), by="ada the operator")
    assert done.rows == plan.rows
    assert done.stored_files
    assert {item.table for item in done.tables} >= {"public.guests", "public.messages", "public.files"}
    assert await contents(database, theirs) == before
    left = await contents(database, mine)
    for table in ("guests", "messages", "tasks", "timeline_events", "files", "form_submissions", "households"):
        rows = [row[0] for row in left[f"public.{table}"] if row[0].get("couple_id") == mine.couple]
        assert rows == [], table
    # the law: what was sent and paid stays, and a row that tells nobody's name
    assert {row[0]["notes"] for row in left["public.invoices"]} <= {None}
    [couple] = [row[0] for row in left["public.couples"] if row[0]["id"] == mine.couple]
    assert couple["partner_one_name"] == "(erased)"
    assert couple["email"] is None
    values = await rows_of(
        database,
        "select table_name from audit.record_version where couple_id = %s"
        " and num_nonnulls(old_row, new_row, row_key, client_address, application_name) > 0",
        mine.couple,
    )
    assert values == []
    for word in ("findme", "Ada the payer", mine.rows["client_notes"][0]["body"]):
        linked = mine.rows["clients"][0].get("couple_id") is not None
        found = await rows_of(
            database,
            "select 1 from audit.record_version where strpos(old_row::text || new_row::text, %s) > 0",
            word,
        )
        assert found == [] or not linked, word
    facts = await rows_of(database, "select 1 from audit.record_version where couple_id = %s", mine.couple)
    assert len(facts) > 50  # who changed which table, and when, is still there


async def test_the_proof_says_what_was_erased_and_names_nobody(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], home: Home, state: StateStore
) -> None:
    _, mine, _ = worlds
    done = await eraser_of(database, home, state).erase(couple_of(mine), by="the operator")
    text = done.proof.read_text()
    proof = json.loads(text)
    assert done.proof.stat().st_mode & 0o777 == 0o600
    sealed = {name: value for name, value in proof.items() if name != "sha256"}
    assert (
        hashlib.sha256(json.dumps(sealed, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        == proof["sha256"]
    )
    guests = next(item for item in proof["tables"] if item["table"] == "public.guests")
    # whoever knows the keys can show that they were among the erased
    keys = sorted(f'["{mine.couple}", "{row["id"]}"]' for row in mine.rows["guests"])
    assert guests["rows"] == len(keys)
    assert guests["keys_sha256"] == hashlib.sha256(",".join(keys).encode()).hexdigest()
    for rows in mine.rows.values():
        for row in rows:
            for name in ("first_name", "last_name", "email", "partner_one_name", "body", "title"):
                assert row.get(name) is None or len(row[name]) < 6 or row[name] not in text
    [kept] = ErasureBook(state).all()
    assert kept.id == done.id
    assert kept.erased_at is not None
    assert kept.gone_from_backups_at == kept.erased_at + timedelta(days=30)
    [recorded] = await rows_of(database, "select * from audit.erasures")
    assert (recorded["id"], recorded["by"], recorded["versions"]) == (done.id, "the operator", done.versions)


async def test_an_erased_person_is_gone_and_the_tenants_keep_their_rows(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], home: Home, state: StateStore
) -> None:
    _, mine, theirs = worlds
    user = mine.people["partner"]
    email = f"{uuid4().hex}@example.com"
    await rows_of(
        database, "update auth.users set email = %s, email_confirmed_at = now() where id = %s", email, user
    )
    async with await database.connect() as connection:
        for table in await read_tables(connection):
            column = "couple_id" if table.has("couple_id") else "organization_id"
            tenant = mine.couple if table.has("couple_id") else mine.organization
            for author in author_columns(table):
                if (table.name, author) != ("public.invitations", "accepted_by"):  # only with its moment
                    query = SQL("update {} set {} = %s where {} = %s").format(
                        table.identifier, Identifier(author), Identifier(column)
                    )
                    await connection.execute(query, (user, tenant))
    invite = (
        "insert into invitations (organization_id, role, email, token_hash, accepted_at, accepted_by)"
        " values (%s, 'staff', %s, sha256(%s), %s, %s)"
    )
    for token, address, accepted in ((b"1", email.upper(), False), (b"2", f"other.{email}", True)):
        await rows_of(database, invite, mine.organization, address, token,
                      datetime.now(UTC) if accepted else None, user if accepted else None)  # fmt: skip
    await rows_of(database, "update tasks set created_by = %s where couple_id = %s", user, mine.couple)
    await rows_of(
        database, "update messages set sender_id = %s, sender_name = 'Ada' where couple_id = %s", user, mine.couple
    )
    before = await contents(database, theirs)
    await eraser_of(database, home, state).erase(Subject.parse(SubjectKind.USER, user), by="the operator")
    assert await contents(database, theirs) == before
    assert await rows_of(database, "select 1 from auth.users where id = %s", user) == []
    tasks = await rows_of(database, "select created_by from tasks where couple_id = %s", mine.couple)
    assert [row["created_by"] for row in tasks] == [None, None]
    messages = await rows_of(
        database, "select distinct sender_id, sender_name from messages where couple_id = %s", mine.couple
    )
    assert messages == [{"sender_id": None, "sender_name": "(erased)"}]
    versions = await rows_of(
        database,
        "select table_name, old_row, new_row from audit.record_version"
        " where table_name in ('auth.users', 'public.devices', 'public.notifications', 'public.messages')"
        " and strpos(coalesce(old_row, '{}')::text || coalesce(new_row, '{}')::text, %s) > 0"
        " or strpos(lower(coalesce(old_row, '{}')::text || coalesce(new_row, '{}')::text), %s) > 0",
        user,
        email,
    )
    assert versions == []
    assert await rows_of(database, "select 1 from invitations where lower(email) like %s", f"%{email}") == []


async def test_a_wedding_that_was_deleted_is_erased_from_the_history(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], home: Home, state: StateStore
) -> None:
    _, mine, _ = worlds
    for name in ("payments", "invoices"):
        await rows_of(database, f"delete from {name} where couple_id = %s", mine.couple)
    await rows_of(database, "delete from couples where id = %s", mine.couple)
    values = "select 1 from audit.record_version where couple_id = %s and num_nonnulls(old_row, new_row) > 0"
    assert await rows_of(database, values, mine.couple) != []
    eraser = eraser_of(database, home, state)
    done = await eraser.erase(couple_of(mine), by="the operator")
    assert done.versions > 0
    assert await rows_of(database, values, mine.couple) == []
    with pytest.raises(TenantUnknown):
        await eraser.erase(couple_of(mine), by="the operator")


async def test_an_erasure_whose_commit_is_in_doubt_stays_in_the_book(
    database: ConnectionTarget,
    worlds: tuple[Schema, World, World],
    home: Home,
    state: StateStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, mine, _ = worlds

    def lost(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("the connection was lost")  # after the commit, before the answer

    monkeypatch.setattr(ErasureBook, "end", lost)
    with pytest.raises(psycopg.OperationalError):
        await eraser_of(database, home, state).erase(couple_of(mine), by="the operator")
    assert [item.subject for item in ErasureBook(state).all()] == [couple_of(mine)]


async def test_a_business_that_looks_after_weddings_is_not_erased(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], home: Home, state: StateStore
) -> None:
    _, mine, theirs = worlds
    eraser = eraser_of(database, home, state)
    subject = Subject.parse(SubjectKind.ORGANIZATION, mine.organization)
    with pytest.raises(ErasureRefused, match="looks after 1 weddings"):
        await eraser.erase(subject, by="the operator")
    assert ErasureBook(state).all() == ()
    await eraser.erase(couple_of(mine), by="the operator")
    before = await contents(database, theirs)
    await eraser.erase(subject, by="the operator")
    assert await contents(database, theirs) == before
    left = {name: rows for name, rows in (await contents(database, mine)).items() if rows}
    assert set(left) <= {"public.organizations", "public.couples", "public.invoices", "public.payments"}
    [organization] = left["public.organizations"]
    assert organization[0]["name"] == "(erased)"


async def test_a_wedding_today_waits_unless_there_is_a_reason(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], home: Home, state: StateStore
) -> None:
    _, mine, _ = worlds
    await rows_of(
        database,
        "update couples set wedding_date = (now() at time zone time_zone)::date + 1 where id = %s",
        mine.couple,
    )
    eraser = eraser_of(database, home, state)
    assert (await eraser.plan(couple_of(mine))).wedding_is_near is not None
    with pytest.raises(ErasureRefused, match="is near"):
        await eraser.erase(couple_of(mine), by="the operator")
    assert await rows_of(database, "select 1 from guests where couple_id = %s", mine.couple)
    await eraser.erase(couple_of(mine), by="the operator", override="a court says so")
    assert await rows_of(database, "select 1 from guests where couple_id = %s", mine.couple) == []


async def test_what_cannot_be_erased_leaves_everything_as_it_was(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], home: Home, state: StateStore
) -> None:
    _, mine, _ = worlds
    await rows_of(
        database,
        "create function public.stop() returns trigger language plpgsql as"
        " $$ begin raise exception 'not this one'; end $$",
    )
    await rows_of(
        database, "create trigger stop before delete on households for each row execute function public.stop()"
    )
    before = await contents(database, mine)
    with pytest.raises(psycopg.errors.RaiseException):
        await eraser_of(database, home, state).erase(couple_of(mine), by="the operator")
    assert await contents(database, mine) == before
    assert ErasureBook(state).all() == ()
    assert await rows_of(database, "select 1 from audit.erasures") == []


# History ---------------------------------------------------------------------------------------------


async def test_a_moment_without_an_offset_is_by_the_weddings_own_clocks(
    database: ConnectionTarget, worlds: tuple[Schema, World, World]
) -> None:
    _, mine, _ = worlds
    await rows_of(database, "update couples set time_zone = 'Asia/Kolkata' where id = %s", mine.couple)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    there = (soon + timedelta(hours=5, minutes=30)).replace(tzinfo=None)
    found = await rows_as_of(database, UUID(mine.couple), table="guests", at=there)
    assert found.at == soon
    assert len(found.rows) == 2
    with pytest.raises(HistoryUnknown, match="begins at"):
        await rows_as_of(database, UUID(mine.couple), table="guests", at=datetime(2001, 1, 1))  # noqa: DTZ001
    with pytest.raises(HistoryUnknown, match="no table"):
        await rows_as_of(database, UUID(mine.couple), table="geese", at=soon)
    with pytest.raises(HistoryUnknown, match="no couple_id"):
        await rows_as_of(database, UUID(mine.couple), table="api_keys", at=soon)
    with pytest.raises(TenantUnknown):
        await rows_as_of(database, uuid4(), table="guests", at=soon)


async def test_changes_are_told_in_order_with_who_and_what(
    database: ConnectionTarget, worlds: tuple[Schema, World, World]
) -> None:
    _, mine, _ = worlds
    start = datetime.now(UTC)
    guest = mine.rows["guests"][0]["id"]
    await rows_of(database, "update guests set table_number = 9 where id = %s", guest)
    await rows_of(database, "delete from guests where id = %s", guest)
    found = [change async for change in changes(database, UUID(mine.couple), since=start, table="guests")]
    assert [change.operation for change in found] == ["update", "delete"]
    assert found[0].what == "table_number: – → 9"
    assert found[0].who == "wedsync_owner"
    assert found[1].what.startswith(mine.rows["guests"][0]["first_name"])


# Secrets ---------------------------------------------------------------------------------------------


async def test_a_secret_is_read_again_and_neither_the_database_nor_its_statistics_nor_its_log_show_it(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], home: Home, cluster: Server
) -> None:
    _, mine, theirs = worlds
    keys = Secrets(home)
    kept = IntegrationSecrets(database, keys)
    plain = f"whsec_{uuid4().hex}"
    await kept.put(UUID(mine.organization), "stripe", plain)
    assert await kept.get(UUID(mine.organization), "stripe") == plain
    assert await kept.get(UUID(theirs.organization), "stripe") is None
    [row] = await rows_of(database, "select * from app.integration_secrets")
    assert plain.encode() not in row["ciphertext"]
    key = keys.read("integration_key")
    statistics = await rows_of(
        replace(database, user="postgres"), "select query from extensions.pg_stat_statements"
    )
    assert any("set_config" in str(item["query"]) for item in statistics)
    history = await rows_of(database, "select * from audit.record_version")
    logs = "".join(path.read_text(errors="replace") for path in (cluster.home.log).rglob("*") if path.is_file())
    for shown in (str(statistics), str(history), logs):
        assert plain not in shown
        assert key not in shown
    assert row["ciphertext"].hex() not in str(history)


async def test_a_secret_copied_to_another_row_or_read_without_its_key_is_not_given(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], home: Home, tmp_path: Path
) -> None:
    _, mine, theirs = worlds
    kept = IntegrationSecrets(database, Secrets(home))
    await kept.put(UUID(mine.organization), "stripe", "whsec_value")
    await rows_of(
        database,
        "insert into app.integration_secrets select %s, name, key_id, ciphertext from app.integration_secrets",
        theirs.organization,
    )
    with pytest.raises(psycopg.errors.DataCorrupted, match="does not belong"):
        await kept.get(UUID(theirs.organization), "stripe")
    with pytest.raises(SecretProblem):
        await IntegrationSecrets(database, Secrets(Home(tmp_path / "another"))).get(
            UUID(mine.organization), "stripe"
        )
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="no key was given"):
        await rows_of(database, "select app.get_secret(%s, 'stripe')", mine.organization)
    for role in ("anon", "authenticated", "wedsync_gateway"):
        async with await replace(database, user="postgres").connect(autocommit=False) as other:
            await other.execute(SQL("set local role {}").format(Identifier(role)))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await other.execute("select ciphertext from app.integration_secrets")


async def test_keys_rotate_and_older_states_of_the_database_are_still_read(
    database: ConnectionTarget, worlds: tuple[Schema, World, World], home: Home
) -> None:
    _, mine, _ = worlds
    keys = Secrets(home)
    kept = IntegrationSecrets(database, keys)
    await kept.put(UUID(mine.organization), "stripe", "whsec_value")
    before, [old] = keys.read("integration_key"), await rows_of(database, "select * from app.integration_secrets")
    assert await kept.rotate() == 1
    assert keys.read("integration_key") != before
    assert await kept.get(UUID(mine.organization), "stripe") == "whsec_value"
    # as after a recovery to before the rotation
    await rows_of(
        database,
        "update app.integration_secrets set key_id = %s, ciphertext = %s",
        old["key_id"],
        old["ciphertext"],
    )
    assert await kept.get(UUID(mine.organization), "stripe") == "whsec_value"
