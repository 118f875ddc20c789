"""Every rule of lint: a file on which it fires, and one like it on which it does not."""

import asyncio
from dataclasses import dataclass

import pytest

from wedsync.migrations import MigrationFiles, order_files, read_files
from wedsync.migrations.lint import NOT_FOLLOWED, RULES, Level, LintReport, Source, lint
from wedsync.migrations.lint.rules import OWN_RULES
from wedsync.migrations.lint.shipped import EXCEPTIONS

BEFORE = """\
alter default privileges revoke execute on functions from public;
create table public.couples (couple_id uuid primary key, organization_id uuid not null);
create table public.guests (
    couple_id uuid not null references public.couples,
    id uuid not null,
    name text not null,
    primary key (couple_id, id));
create table public.devices (user_id uuid, id uuid, primary key (user_id, id));
create table public.keys (id uuid, user_id uuid, primary key (id, user_id), unique (id));
create table public.colours (name text primary key);
"""
SECURE = """
alter table public.t enable row level security;
alter table public.t force row level security;
create policy tenant on public.t as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
"""
TABLE = f"create table public.t (couple_id uuid not null, id uuid not null, primary key (couple_id, id));{SECURE}"


def migrations(text: str, *, before: str = BEFORE) -> MigrationFiles:
    """Two migrations, the second with this text."""
    undo = b"select 1;"
    return order_files(
        {
            "0001_a.sql": before.encode(),
            "0001_a.rollback.sql": undo,
            "0002_b.sql": text.encode(),
            "0002_b.rollback.sql": undo,
        }
    )


def judged(text: str, *, before: str = BEFORE) -> LintReport:
    """What lint says of a migration after `before`."""
    report = asyncio.run(lint(migrations(text, before=before), only={"0002_b"}))
    assert report.problems == ()
    return report


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule finds and what it lets pass."""

    rule: str
    bad: str
    """Where it fires, and how often by default once."""
    good: str
    times: int = 1


def table(columns: str, *, secure: str = SECURE) -> str:
    return f"create table public.t ({columns});{secure}"


CASES = [
    Case("table-without-rls", TABLE.replace("enable row", "force row"), TABLE),
    Case(
        "table-without-rls", table("couple_id uuid, primary key (couple_id)", secure=""), "create table app.t ();"
    ),
    Case("table-without-rls", "create table public.t (); create table u ();", "create temp table t ();", times=2),
    Case("table-without-forced-rls", TABLE.replace("force row", "enable row"), TABLE),
    Case("table-without-tenant-policy", TABLE.replace("as restrictive ", ""), TABLE),
    Case(
        "table-without-tenant-policy", TABLE.replace("anon, ", ""), TABLE.replace("anon, authenticated", "public")
    ),
    Case("table-without-tenant-policy", TABLE.replace("to anon", "for select to anon"), TABLE),
    Case(
        "table-without-tenant-policy",
        TABLE.replace("restrictive to", "permissive to"),
        "do $$ declare n text; begin foreach n in array array['t'] loop"
        f" execute format('{TABLE}', n); end loop; end $$".replace("public.t", "public.%1$I"),
    ),
    Case("table-without-tenant-column", table("id uuid primary key"), TABLE),
    Case(
        "table-without-tenant-column",
        table("id uuid primary key"),
        table("user_id uuid, id uuid, primary key (user_id, id)"),
    ),
    Case("rls-off", "alter table public.guests disable row level security;", TABLE),
    Case("rls-off", "alter table public.guests no force row level security;", TABLE),
    Case(
        "view-without-security-invoker",
        "create view public.v as select 1;",
        "create view public.v with (security_invoker) as select 1;"
        "create view public.w with (security_invoker = on) as select 1;",
    ),
    Case(
        "view-without-security-invoker",
        "create or replace view v with (security_invoker = false, security_barrier) as select 1;",
        "create view public.v with (security_barrier, security_invoker = true) as select 1;",
    ),
    Case(
        "materialized-view-in-public",
        "create materialized view public.v as select 1;",
        "create materialized view ops.v as select 1;",
    ),
    Case("table-from-query", "create table public.t as select 1 as a;", "create temp table t as select 1 as a;"),
    Case(
        "policy-lets-all-through",
        "create policy p on public.guests using (true);",
        "create policy p on public.guests to service_role using (true) with check (true);",
    ),
    Case(
        "policy-lets-all-through",
        "create policy p on public.guests to authenticated with check ('t'::bool);",
        "create policy p on public.guests as restrictive to authenticated using (true);",
    ),
    Case(
        "policy-lets-all-through",
        "alter policy p on public.guests to anon using (true);",
        "create policy p on public.guests to anon using (name = 'true');",
    ),
    Case(
        "policy-with-subquery",
        "create policy p on public.guests using (couple_id in (select couple_id from public.couples));",
        "create policy p on public.guests using (couple_id = any ((select app.my_couples())::uuid[]));",
    ),
    Case(
        "policy-with-subquery",
        "create policy p on public.guests using (exists (select 1 from public.couples));",
        "create policy p on public.guests using (couple_id = (select app.my_couple()));",
    ),
    Case(
        "policy-with-subquery",
        "alter policy p on public.guests with check (couple_id = any (select couple_id from public.couples));",
        "alter policy p on public.guests with check (couple_id = any (array[(select auth.uid())]));",
    ),
    Case(
        "policy-calls-per-row",
        "create policy p on public.guests using (couple_id = auth.uid());",
        "create policy p on public.guests using (couple_id = (select auth.uid()));",
    ),
    Case(
        "policy-calls-per-row",
        "create policy p on public.guests using (app.may_see(couple_id));",
        "create policy p on public.guests using (lower(name) = 'a' and length(name) > 1);",
    ),
    Case(
        "policy-calls-per-row",
        "create policy p on public.guests using ((select app.may_see(couple_id)));",
        "create policy p on public.guests using ((select app.may_see('x')));",
    ),
    Case(
        "policy-calls-per-row",
        "create policy p on public.guests using (name = current_setting('a.b', true));",
        "create policy p on public.guests using (name = (select current_setting('a.b', true)));",
    ),
    Case(
        "policy-calls-per-row",
        "create policy p on public.guests using ((select app.f(guests.name) from public.couples));",
        "create policy p on public.guests using (couple_id = (select max(c.couple_id) from public.couples c));",
    ),
    Case(
        "primary-key-without-tenant",
        table("couple_id uuid not null, id uuid primary key"),
        table("couple_id uuid not null, id uuid, primary key (couple_id, id)"),
    ),
    Case(
        "primary-key-without-tenant",
        table("couple_id uuid not null, id uuid, primary key (id, couple_id)"),
        table("couple_id uuid primary key"),
    ),
    Case(
        "primary-key-without-tenant",
        table("couple_id uuid, id uuid, user_id uuid, primary key (id, user_id)"),
        table("couple_id uuid, id uuid, user_id uuid, primary key (user_id, id)"),
    ),
    Case(
        "primary-key-without-tenant",
        table("couple_id uuid not null, id uuid"),
        "create table public.t (couple_id uuid);"
        f"alter table public.t add constraint t_pkey primary key (couple_id);{SECURE}",
    ),
    Case(
        "unique-without-tenant",
        table("couple_id uuid primary key, email text unique"),
        table("couple_id uuid primary key, email text, unique (couple_id, email)"),
    ),
    Case(
        "unique-without-tenant",
        "create unique index i on public.guests (lower(name));",
        "create unique index i on public.guests (couple_id, lower(name));create unique index on app.t (a);",
    ),
    Case(
        "unique-without-tenant",
        "alter table public.guests add constraint u unique (name);",
        "alter table public.colours add constraint u unique (name);",
    ),
    Case(
        "unique-without-tenant",
        "alter table public.guests add constraint u exclude using gist (name with =);",
        "alter table public.guests add constraint u exclude using gist (couple_id with =, name with =);",
    ),
    Case(
        "unique-without-tenant",
        table("user_id uuid, couple_id uuid, primary key (couple_id), unique (user_id)"),
        table("user_id uuid primary key, b text, unique (user_id, b)"),
    ),
    Case(
        "foreign-key-without-tenant",
        table("couple_id uuid primary key, guest uuid references public.guests (id)"),
        table(
            "couple_id uuid primary key references public.couples, guest uuid,"
            "foreign key (couple_id, guest) references public.guests"
        ),
    ),
    Case(
        "foreign-key-without-tenant",
        table("couple_id uuid primary key, by uuid, b uuid, foreign key (by, b) references public.keys (id, id)"),
        table(
            "couple_id uuid primary key, by uuid, device uuid, foreign key (by, device) references public.devices"
        ),
    ),
    Case(
        "foreign-key-without-tenant",
        "alter table public.guests add foreign key (name) references public.unknown not valid;",
        "alter table public.guests add foreign key (name) references public.colours not valid;"
        "alter table public.guests add foreign key (name) references auth.users not valid;",
    ),
    Case(
        "grant-to-public", "grant select on public.guests to public;", "revoke all on public.guests from public;"
    ),
    Case(
        "grant-to-public",
        "alter default privileges grant execute on functions to public;",
        "alter default privileges revoke execute on functions from public;",
    ),
    Case("grant-to-public", "do $$ begin grant usage on schema app to public; end $$;", "grant a to public_site;"),
    Case(
        "grant-of-writes-to-anon",
        "grant select, insert on public.guests to anon;",
        "grant select on public.guests to anon; grant insert on public.guests to authenticated;",
    ),
    Case(
        "grant-of-writes-to-anon",
        "grant all on all tables in schema public to anon;",
        "grant execute on function public.f() to anon;",
    ),
    Case("grant-of-writes-to-anon", "grant update (name) on public.guests to anon;", "revoke all on t from anon;"),
    Case(
        "definer-without-search-path",
        "create function app.f() returns int language sql security definer as 'select 1';",
        "create function app.f() returns int language sql security definer set search_path = '' as 'select 1';",
    ),
    Case(
        "function-without-search-path",
        "create function app.f() returns int language sql as 'select 1';",
        "create function app.f() returns int language sql set search_path = '' as 'select 1';",
    ),
    Case(
        "function-without-search-path",
        "create procedure app.f() language sql set search_path = public, app as 'select 1';",
        "create function pg_temp.f() returns int language sql as 'select 1';",
    ),
    Case(
        "update-without-where",
        "update public.guests set name = 'x';",
        "update public.guests set name = 'x' where id = 1;",
    ),
    Case(
        "update-without-where",
        "update public.guests set name = 'x' where true;",
        "update public.guests set name = '' where name is null;",
    ),
    Case(
        "update-without-where",
        "do $$ begin if true then update public.guests set name = ''; end if; end $$;",
        "create function app.f() returns int language sql set search_path = ''"
        " as 'update public.guests set id = 1';",
    ),
    Case("delete-without-where", "delete from public.guests;", "delete from public.guests where id = 1;"),
    Case(
        "delete-without-where",
        "with gone as (delete from public.guests returning id) select 1 from gone;",
        "create function app.f() returns void language sql set search_path = ''"
        " begin atomic delete from public.guests; end;",
    ),
    Case(
        "delete-without-where",
        "do $$ begin execute 'delete from public.guests'; end $$;",
        "do $$ begin execute 'delete from public.guests where id = 1'; end $$;",
    ),
    Case(
        "truncate", "truncate public.guests, public.couples cascade;", "delete from public.guests where name = '';"
    ),
    Case("lock-table", "lock table public.guests in exclusive mode;", "select 1 from public.guests for update;"),
    Case(
        "vacuum-full",
        "-- transaction: none\nvacuum (full) public.guests;",
        "-- transaction: none\nvacuum public.guests;",
    ),
    Case("vacuum-full", "cluster public.guests using i;", "analyze public.guests;"),
    Case(
        "trigger-off",
        "alter table public.guests disable trigger touch;",
        "alter table public.guests enable trigger touch;",
    ),
    Case(
        "trigger-off",
        "alter table public.guests disable trigger all;",
        "alter table public.guests enable always trigger a;",
    ),
    Case("trigger-off", "set local session_replication_role = replica;", "set local work_mem = '1MB';"),
    Case("audit-trigger-dropped", "drop trigger audit on public.guests;", "drop trigger touch on public.guests;"),
    Case("audit-trigger-dropped", "drop trigger audit_insert on guests;", "drop function app.audit();"),
    Case("needless-transaction-none", "-- transaction: none\nselect 1;", "select 1;"),
    Case(
        "mixed-transaction-none",
        "-- transaction: none\nselect 1;\nvacuum public.guests;",
        "-- transaction: none\nvacuum public.guests;",
    ),
    Case(
        "dynamic-sql",
        "do $$ begin execute format('drop table %I', (select 'a')); end $$;",
        "do $$ begin execute 'set local work_mem = ''1MB'''; end $$;",
    ),
    Case(
        "dynamic-sql",
        "do $$ declare n text; begin for n in select 'a' loop"
        " execute format('grant a to %I', n); end loop; end $$;",
        "do $$ declare n text; begin foreach n in array array['b', 'c'] loop"
        " execute format('grant a to %I -- 100%%', n); end loop; end $$;",
    ),
    Case(
        "definer-without-search-path",
        "alter function app.f() security definer;",
        "alter function app.f(int) security definer set search_path = '';"
        "create or replace function app.g() returns int language sql set search_path = '' as 'select 1';"
        "alter function app.g() security definer; alter function app.h() security invoker;",
    ),
    Case(
        "function-without-search-path",
        "alter function app.f() reset search_path;",
        "alter function app.f() set search_path = ''; alter function app.f() stable;",
    ),
    Case("function-without-search-path", "alter function app.f() set search_path to public;", "select 1;"),
    Case("role-past-rls", "alter role anon bypassrls;", "alter role anon nobypassrls;"),
    Case("role-past-rls", "create role boss superuser;", "create role clerk nologin;"),
    Case("role-past-rls", "grant service_role to authenticated;", "grant a to clerk; revoke x from anon;"),
    Case(
        "view-without-security-invoker", "alter view v set (security_invoker = off);", "alter view v rename to w;"
    ),
    Case(
        "view-without-security-invoker",
        "alter view v reset (security_invoker);",
        "alter view v set (check_option = local);",
    ),
    Case("syntax-error", "select 1 from only (public.guests) tablesample bernoulli (1);", "select 1;", times=5),
    # squawk's
    Case(
        "require-concurrent-index-creation",
        "create index i on public.guests (couple_id);",
        f"{TABLE}create index i on public.t (couple_id);",
    ),
    Case(
        "require-concurrent-index-deletion",
        "drop index public.i;",
        "-- transaction: none\ndrop index concurrently public.i;",
    ),
    Case(
        "require-concurrent-reindex",
        "reindex table public.guests;",
        "-- transaction: none\nreindex table concurrently public.guests;",
    ),
    Case(
        "require-concurrent-partition-detach",
        "alter table public.guests detach partition public.p;",
        "-- transaction: none\nalter table public.guests detach partition public.p concurrently;",
    ),
    Case(
        "adding-field-with-default",
        "alter table public.guests add column a uuid default gen_random_uuid();",
        "alter table public.guests add column a int default 3;",
    ),
    Case(
        "adding-not-nullable-field",
        "alter table public.guests alter column name set not null;",
        "alter table public.guests alter column name set default 'x';",
    ),
    Case(
        "adding-required-field",
        "alter table public.guests add column a text not null;",
        "alter table public.guests add column a text not null default '';",
    ),
    Case(
        "adding-serial-primary-key-field",
        "alter table public.colours add primary key (name);",
        "alter table public.colours add constraint k primary key using index i;",
    ),
    Case(
        "constraint-missing-not-valid",
        "alter table public.guests add constraint c check (name <> '');",
        "alter table public.guests add constraint c check (name <> '') not valid;",
    ),
    Case(
        "disallowed-unique-constraint",
        "alter table public.colours add constraint u unique (name);",
        "alter table public.colours add constraint u unique using index i;",
    ),
    Case(
        "changing-column-type",
        "alter table public.guests alter column name type int using 1;",
        "alter table public.guests alter column name set statistics 10;",
    ),
    Case(
        "ban-drop-column",
        "alter table public.guests drop column name;",
        "alter table public.guests alter column name drop default;",
    ),
    Case("ban-drop-table", "drop table public.guests;", "select 1;"),
    Case("ban-drop-database", "-- transaction: none\ndrop database d;", "select 1;"),
    Case("ban-drop-schema", "drop schema s;", "create schema s;"),
    Case("ban-drop-not-null", "alter table public.guests alter column name drop not null;", "select 1;"),
    Case(
        "ban-drop-constraint",
        "alter table public.guests drop constraint c;",
        "alter table public.guests validate constraint c;",
    ),
    Case("ban-drop-function", "drop function app.f();", "select 1;"),
    Case("ban-drop-view", "drop view public.v;", "select 1;"),
    Case("ban-set-schema", "alter table public.guests set schema app;", "select 1;"),
    Case("renaming-column", "alter table public.guests rename column name to n;", "select 1;"),
    Case("renaming-table", "alter table public.guests rename to g;", "select 1;"),
    Case("ban-char-field", "create table app.t (a char(3));", "create table app.t (a text);"),
    Case("prefer-text-field", "create table app.t (a varchar(3));", "create table app.t (a text);"),
    Case("prefer-timestamp-tz", "create table app.t (a timestamp);", "create table app.t (a timestamptz);"),
    Case(
        "prefer-identity",
        "create table app.t (a bigserial);",
        "create table app.t (a int generated always as identity);",
    ),
    Case("require-table-schema", "create table t (couple_id uuid primary key);", TABLE),
    Case("identifier-too-long", f"create table app.{'a' * 70} ();", f"create table app.{'a' * 60} ();"),
    Case(
        "require-enum-value-ordering",
        "alter type public.e add value 'x';",
        "alter type public.e add value 'x' after 'a';",
    ),
    Case(
        "ban-duplicate-column-assignments",
        "update public.guests set name = '', name = 'x' where id = 1;",
        "select 1;",
        times=2,
    ),
    Case(
        "ban-create-domain-with-constraint",
        "create domain app.d as text check (value <> '');",
        "create domain app.d as text;",
    ),
    Case(
        "ban-alter-domain-with-add-constraint",
        "alter domain app.d add constraint c check (value <> '');",
        "select 1;",
    ),
    # exceptions
    Case("bad-allow", "-- lint: allow truncate\nselect 1;", "select 1; -- lint is nice"),
    Case("bad-allow", "-- lint: allow nonsense because I can\nselect 1;", "select '-- lint: allow nonsense';"),
    Case("bad-allow", "-- lint: never mind\nselect 1;", "-- Lint finds nothing here\nselect 1;"),
    Case("bad-allow", "select 1 -- lint: allow truncate because it is late\n;", "select 1;"),
    Case("bad-allow", "select 1;\n-- lint: allow truncate because it is late\n", "select 1;"),
    Case("bad-allow", "-- squawk-ignore ban-drop-table\nselect 1;", "select 'squawk-ignore';"),
    Case(
        "unused-allow",
        "-- lint: allow truncate because all of it may go\nselect 1;",
        "-- lint: allow truncate because all may go\ntruncate a;",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_fires_where_it_should_and_only_there(case: Case) -> None:
    found = [finding for finding in judged(case.bad).findings if finding.rule == case.rule]
    assert len(found) == case.times
    assert all(finding.message and finding.hint and finding.line >= 1 for finding in found)
    assert [finding for finding in judged(case.good).findings if finding.rule == case.rule] == []


BY_OTHER_TESTS = {"table-without-audit", "execute-not-revoked"}


def test_every_rule_has_a_case() -> None:
    assert {rule.name for rule in RULES} == {case.rule for case in CASES} | BY_OTHER_TESTS


def test_everybody_may_execute_a_function_unless_an_earlier_file_or_this_one_takes_it_back() -> None:
    function = "create function app.f() returns int language sql set search_path = '' as 'select 1';"
    revoke = "revoke execute on function app.f() from public;"

    def fires(text: str, before: str) -> bool:
        return "execute-not-revoked" in {finding.rule for finding in judged(text, before=before).findings}

    assert fires(function, "select 1;")
    assert not fires(function, BEFORE)
    assert not fires(function + revoke, "select 1;")
    assert fires(function, BEFORE + "alter default privileges grant execute on functions to public;")


@pytest.mark.parametrize(
    ("watch", "fires"),
    [
        ("", True),
        ("select audit.watch('public.guests');", True),
        ("select audit.watch('public.t');", False),
        ("select audit.watch('t'::regclass, '{secret}');", False),
        ("select audit.watch(name) from audit.unwatched() as name;", False),
        ("do $$ begin perform audit.watch('public.t'); end $$;", False),
    ],
)
def test_a_table_is_watched_in_its_own_file_once_there_is_an_audit(watch: str, fires: bool) -> None:
    audit = "create function audit.watch(regclass) returns void language sql set search_path = '' as 'select';"

    def fired(before: str) -> bool:
        return "table-without-audit" in {finding.rule for finding in judged(TABLE + watch, before=before).findings}

    assert fired(BEFORE + audit) is fires
    assert not fired(BEFORE)


def test_a_schema_without_tenants_is_not_asked_for_tenant_columns() -> None:
    def fires(before: str) -> bool:
        text = "create table public.t (id uuid primary key);"
        return "table-without-tenant-column" in {finding.rule for finding in judged(text, before=before).findings}

    assert fires(BEFORE)
    assert not fires("create table public.shelves (id uuid primary key);")


def test_rules_have_a_name_of_their_own_and_say_what_they_are_about() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.about.endswith("."), rule.name
        assert rule.hint, rule.name
        assert not rule.hint.endswith("."), rule.name
    assert all(rule.check is not None for rule in OWN_RULES)
    assert not {rule.name for rule in RULES} & set(NOT_FOLLOWED)


def test_a_finding_has_the_line_of_its_statement_whatever_stands_before() -> None:
    text = (
        "-- é\nselect 'ü';\n\n/* x\n*/\ntruncate public.guests;\n"
        "do $$\nbegin\n  truncate public.couples;\nend $$;\n"
    )
    lines = [(finding.rule, finding.line) for finding in judged(text).findings]
    assert lines == [("truncate", 6), ("truncate", 9)]


def test_an_exception_holds_for_the_next_statement_alone_and_is_told_with_its_reason() -> None:
    text = (
        "-- lint: allow truncate because the table is new\n-- and small\n"
        "-- lint: allow require-table-schema because of old habits\n"
        "truncate public.guests;\ntruncate public.couples;\n"
        "-- lint: allow ban-drop-table because nobody has read it since March\ndrop table public.guests;\n"
    )
    report = judged(text)
    assert [(one.finding.rule, one.finding.line, one.reason) for one in report.allowed] == [
        ("truncate", 4, "the table is new"),
        ("ban-drop-table", 7, "nobody has read it since March"),
    ]
    assert [(finding.rule, finding.line) for finding in report.findings] == [("unused-allow", 3), ("truncate", 5)]
    assert not report.is_clean()


def test_warnings_are_errors_only_where_one_asks_for_it() -> None:
    report = judged("alter type public.e add value 'x';")
    assert [finding.level for finding in report.findings] == [Level.WARNING]
    assert report.is_clean()
    assert not report.is_clean(strict=True)


def test_a_file_that_cannot_run_is_told_as_such_and_the_others_are_judged() -> None:
    found = migrations("truncate public.guests;", before="selct 1;")
    report = asyncio.run(lint(found))
    assert [problem.message for problem in report.problems] == [
        '0001_a.sql:1: syntax error at or near "selct" (column 1)'
    ]
    assert [finding.rule for finding in report.findings] == ["truncate"]
    assert not report.is_clean()


def test_nothing_of_squawk_is_followed_that_it_does_not_know() -> None:
    report = asyncio.run(lint(migrations("vacuum public.guests;\n", before="select 1;")))
    assert report.findings == ()  # squawk ends with an error for a name of a rule that it does not know
    assert {rule.source for rule in RULES} == {Source.WEDSYNC, Source.SQUAWK}


def test_shipped_migrations_are_clean_and_every_exception_for_them_is_used() -> None:
    found = read_files()
    report = asyncio.run(lint(found))
    assert len(report.files) == len(found.files) > 0
    assert [f"{f.file_name}:{f.line}: {f.rule}: {f.message}" for f in report.findings] == []
    assert report.problems == ()
    used = {(one.finding.rule, one.reason) for one in report.allowed}
    assert {(exception.rule, exception.reason) for exception in EXCEPTIONS} <= used
