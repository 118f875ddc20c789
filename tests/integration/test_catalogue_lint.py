"""Lint of a live catalogue: nothing to say of our schema, and every rule speaks when it is broken."""

import pytest
from psycopg import AsyncConnection

from support.isolation import TwoTenants
from wedsync.migrations.lint import CATALOGUE_RULES, MEANT, lint_catalogue, read_findings
from wedsync.sql import statements

TABLE = "create table public.seats (couple_id uuid, id uuid default app.uuid_v7(), primary key (couple_id, id));"
BROKEN = {
    "rls-disabled": (
        "alter table auth.users disable row level security;"
        " grant select on auth.users to wedsync_monitor; grant usage on schema auth to wedsync_monitor",
        "auth.users",
    ),
    "rls-disabled-in-api": (TABLE, "public.seats"),
    "rls-not-forced": ("alter table guests no force row level security", "public.guests"),
    "policy-without-rls": ("alter table guests disable row level security", "public.guests"),
    "rls-without-policy": (TABLE + "alter table seats enable row level security", "public.seats"),
    "no-tenant-policy": ("drop policy tenant on guests", "public.guests"),
    "policy-calls-per-row": (
        "drop policy read on guests; create policy read on guests for select to authenticated"
        " using (couple_id in (select id from couples))",
        "public.guests",
    ),
    "policy-always-true": (
        "create policy all_of_it on guests for update to authenticated using (true)",
        "public.guests",
    ),
    "policy-for-everybody": ("create policy anybody on guests for select using (false)", "public.guests"),
    "policies-overlap": (
        "create policy more on guests for select to authenticated using (rsvp_status = 'accepted')",
        "public.guests",
    ),
    "policy-trusts-user-metadata": (
        "create policy trusting on guests for delete to authenticated"
        " using ((select auth.jwt()) -> 'user_metadata' ->> 'role' = 'admin')",
        "public.guests",
    ),
    "helper-not-stable": ("alter function app.my_couples() volatile", "app.my_couples"),
    "table-without-key": ("create table ops.notes (words text)", "ops.notes"),
    "key-without-tenant": ("create table public.seats (id uuid primary key)", "public.seats"),
    "index-without-tenant": ("create index by_name on guests (last_name)", "public.by_name"),
    "unique-without-tenant": ("create unique index one_email on guests (email)", "public.one_email"),
    "foreign-key-without-tenant": (
        "create unique index on households (id);"
        " alter table guests add constraint loose foreign key (household_id) references households (id)",
        "public.guests",
    ),
    "foreign-key-without-index": ("drop index guests_by_household", "public.guests"),
    "index-twice": ("create index again on guests (couple_id, household_id)", "public.guests"),
    "tenant-can-be-updated": ("grant update on guests to authenticated", "public.guests"),
    "random-key": ("alter table guests alter id set default gen_random_uuid()", "public.guests"),
    "right-that-policies-do-not-bound": ("grant truncate on guests to service_role", "public.guests"),
    "granted-to-anonymous": ("grant select (first_name) on guests to anon", "public.guests"),
    "granted-to-everybody": ("grant select on guests to public", "public.guests"),
    "sensitive-column-readable": ("grant select on api_keys to authenticated", "public.api_keys.key_hash"),
    "view-of-its-owner": ("create view public.everybody as select * from guests", "public.everybody"),
    "accounts-in-a-view": (
        "create view public.people with (security_invoker = true) as select id, email from auth.users",
        "public.people",
    ),
    "materialised-view-in-api": (
        "create materialized view public.everybody as select * from guests",
        "public.everybody",
    ),
    "foreign-table-in-api": (
        "create foreign data wrapper nowhere; create server there foreign data wrapper nowhere;"
        " create foreign table public.far (id uuid) server there",
        "public.far",
    ),
    "extension-in-api": ("alter extension btree_gist set schema public", "btree_gist"),
    "search-path-open": ("alter function app.my_couples() reset all", "app.my_couples()"),
    "executable-by-everybody": ("grant execute on function app.my_couples() to public", "app.my_couples()"),
    "definer-in-api": (
        "alter function public.create_api_key(uuid, text, text[], timestamptz) security definer",
        "create_api_key(uuid,text,text[],timestamp with time zone)",
    ),
    "no-touch-trigger": ("drop trigger touch on guests", "public.guests"),
    "no-audit-trigger": ("", "public.guests"),
    "no-comment": ("comment on table guests is null", "public.guests"),
    "column-hinders-upgrade": ("alter table guests add made_by regproc", "public.guests.made_by"),
}
"""How to break each rule, and the object that it then names."""


async def test_there_is_nothing_to_say_of_the_schema(two_tenants: TwoTenants) -> None:
    report = await lint_catalogue(two_tenants.target)
    assert [f"{found.rule}: {found.subject} {found.message}" for found in report.findings] == []
    assert report.is_clean(strict=True)
    # Every exception is still one: what is no longer broken is taken off the list.
    assert {(found.rule, found.subject) for found in report.meant} == MEANT.keys()


def test_every_question_is_a_rule_and_has_a_case_that_breaks_it() -> None:
    names = [rule.name for rule in CATALOGUE_RULES]
    assert set(names) == statements("catalogue_lint").keys() == BROKEN.keys()
    assert len(names) == len(set(names)) > 30
    assert all(rule.hint for rule in CATALOGUE_RULES)


@pytest.mark.parametrize("rule", BROKEN)
async def test_a_rule_speaks_when_it_is_broken(tenant_session: AsyncConnection, rule: str) -> None:
    how, name = BROKEN[rule]
    if rule == "no-audit-trigger":
        row = await (
            await tenant_session.execute(
                "select string_agg(format('drop trigger %I on public.guests', tgname), ';') from pg_trigger"
                " where tgrelid = 'public.guests'::regclass and tgfoid = to_regproc('audit.record')"
            )
        ).fetchone()
        assert row is not None
        how = row[0]
    await tenant_session.execute(how)  # type: ignore[arg-type]
    report = await read_findings(tenant_session)
    assert (rule, name) in {(found.rule, found.subject) for found in report.findings}
    assert not report.is_clean(strict=True)
