"""The shipped schema: keys, constraints, time stamps, and that each rollback undoes exactly its migration.

Who sees what is in test_isolation_matrix.py and test_isolation_bypasses.py; the rules that every table keeps are
in test_catalogue_lint.py; what the schema does by itself is in test_schema_rules.py.
"""

import re
from datetime import timedelta

import pytest
from psycopg import AsyncConnection

from support.databases import fresh_database
from support.isolation import TwoTenants, enter, outcome
from wedsync.cluster import Engine, Server
from wedsync.migrations import SHIPPED, read_files
from wedsync.process import run

ISSUE_LIST = [
    "organizations",
    "organization_members",
    "suppliers",
    "couples",
    "couple_members",
    "connections",
    "invitations",
    "api_keys",
    "devices",
    "clients",
    "client_notes",
    "forms",
    "form_fields",
    "form_submissions",
    "form_drafts",
    "journeys",
    "journey_steps",
    "message_threads",
    "messages",
    "notifications",
    "files",
    "services",
    "bookings",
    "availability",
    "core_field_definitions",
    "core_field_values",
    "households",
    "guests",
    "guest_dietary",
    "timeline_events",
    "timeline_event_suppliers",
    "tasks",
    "task_helpers",
    "task_evidence",
    "photo_groups",
    "photo_group_members",
    "photo_group_dependencies",
    "photo_locations",
    "photographer_assignments",
    "invoices",
    "payments",
    "webhook_events",
]


async def test_every_table_of_the_specification_is_there(two_tenants: TwoTenants) -> None:
    assert len(ISSUE_LIST) == 42
    names = two_tenants.schema.names
    assert set(ISSUE_LIST) == {name for name in names if not name.startswith("auth.")}
    assert "auth.users" in names


async def test_a_new_wedding_is_readable_by_the_statement_that_adds_it(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    await enter(tenant_session, two_tenants, "boss")
    added = await tenant_session.execute(
        "insert into couples (organization_id, partner_one_name, partner_two_name, wedding_date, time_zone)"
        " values (%s, 'Ada', 'Grace', current_date, 'Europe/London') returning id",
        (two_tenants.ours.organization,),
    )
    assert await added.fetchone() is not None


async def test_keys_made_by_the_database_are_of_version_7_and_sort_by_time(
    tenant_session: AsyncConnection,
) -> None:
    row = await (
        await tenant_session.execute(
            "select array(select app.uuid_v7() from generate_series(1, 300)),"
            "       (pg_sleep(0.003), app.uuid_v7())::text"
        )
    ).fetchone()
    assert row is not None
    assert {key.version for key in row[0]} == {7}
    assert len(set(row[0])) == 300
    assert max(map(str, row[0])) < row[1].split(",")[-1].rstrip(")")


@pytest.mark.parametrize(
    "statement",
    [
        "update couples set time_zone = 'Europe/Atlantis'",
        "update couples set time_zone = '+02:00'",
        "update timeline_events set ends_at = starts_at - interval '1 minute'",
        "update photo_groups set estimated_duration = 0",
        "update guests set side = 'left'",
        "update bookings set ends_at = starts_at",
        "update form_fields set choices = '{a,b}'",
        "update payments set amount_minor = 0",
        "update files set sha256 = 'short'",
        "update photo_locations set latitude = 51.5",
        "update invitations set role = 'partner'",
        "update guest_dietary set requirement = 'other'",
        "update availability set during = 'empty'",
        "update api_keys set scopes = '{root}'",
    ],
)
async def test_constraints_refuse_what_cannot_be(tenant_session: AsyncConnection, statement: str) -> None:
    assert await outcome(tenant_session, statement) == "23514"


async def test_a_change_sets_updated_at(two_tenants: TwoTenants, tenant_session: AsyncConnection) -> None:
    row = await (
        await tenant_session.execute(
            "update guests set table_number = 3 returning updated_at > now() - interval '1 second', created_at"
        )
    ).fetchone()
    assert row is not None
    assert row[0]


async def test_each_rollback_takes_back_exactly_its_migration(cluster: Server, engine: Engine) -> None:
    async with fresh_database(cluster) as target:

        async def dump() -> str:
            finished = await run(
                [
                    engine.program("pg_dump"),
                    "--schema-only",
                    "--exclude-table=ops.migrations",
                    target.dsn(with_password=False),
                ],
                deadline=timedelta(seconds=60),
                env=engine.environment,
            )
            finished.check()
            return re.sub(r"^\\(un)?restrict .*$", "", finished.stdout, flags=re.MULTILINE)

        files = read_files(SHIPPED).files
        async with await target.connect() as connection:
            before = [await dump()]
            for file in files:
                await connection.execute(file.text.encode())
                before.append(await dump())
            for file in reversed(files):
                undo = (SHIPPED / f"{file.id}.rollback.sql").read_bytes()
                before.pop()
                await connection.execute(undo)
                assert _without_left_overs(await dump()) == _without_left_overs(before[-1]), file.id
            for file in files:  # and forward once more
                await connection.execute(file.text.encode())


def _without_left_overs(dump: str) -> str:
    """Without the comments of the schemas that stay."""
    kept = re.sub(r"^COMMENT ON SCHEMA .*$", "", dump, flags=re.MULTILINE)
    kept = re.sub(r"^--.*$", "", kept, flags=re.MULTILINE)
    return re.sub(r"\n{2,}", "\n", kept)
