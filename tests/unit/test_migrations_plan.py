"""What `up` would do, said before it does it."""

import asyncio

import pytest

from wedsync.migrations import Applied, compare, order_files
from wedsync.migrations.files.parsing import parse_statements
from wedsync.migrations.plan import LockMode, Plan, make_plan
from wedsync.migrations.plan.kinds import kind_of

UNDO = b"select 1;"


def planned(*texts: str, applied: int = 0) -> Plan:
    """The plan for files with these texts, of which the first ones are applied."""
    files: dict[str, bytes] = {}
    for number, text in enumerate(texts, 1):
        files |= {f"{number:04d}_f.sql": text.encode(), f"{number:04d}_f.rollback.sql": UNDO}
    found = order_files(files)
    ledger = [
        Applied(number=f.number, name=f.name, checksum=f.checksum, applied_at=None, took_ms=1, by="a")  # type: ignore[arg-type]
        for f in found.files[:applied]
    ]
    return asyncio.run(make_plan(found, compare(found, ledger)))


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("create table guests (a int)", "CREATE TABLE public.guests"),
        ("create table app.t as select 1", "CREATE TABLE app.t"),
        ("create materialized view app.t as select 1", "CREATE MATERIALIZED VIEW app.t"),
        ("alter table public.guests\n add column a int", "ALTER TABLE public.guests"),
        ("alter view public.v set (security_invoker)", "ALTER VIEW public.v"),
        ("create unique index concurrently i on t (a)", "CREATE UNIQUE INDEX CONCURRENTLY i ON public.t"),
        ("create index on t (a)", "CREATE INDEX ON public.t"),
        ("create or replace function app.f(a int) returns int language sql as '1'", "CREATE FUNCTION app.f"),
        ("create procedure f() language sql as '1'", "CREATE PROCEDURE public.f"),
        ("create policy p on t using (true)", "CREATE POLICY p ON public.t"),
        ("alter policy p on t using (true)", "ALTER POLICY p ON public.t"),
        ("create trigger x before update on t for each row execute function f()", "CREATE TRIGGER x ON public.t"),
        ("create view v as select 1", "CREATE VIEW public.v"),
        ("insert into t values (1)", "INSERT INTO public.t"),
        ("update t set a = 1", "UPDATE public.t"),
        ("delete from t", "DELETE FROM public.t"),
        ("truncate a, app.b", "TRUNCATE public.a, app.b"),
        ("drop table a, app.b cascade", "DROP TABLE public.a, app.b"),
        ("drop index concurrently i", "DROP INDEX CONCURRENTLY public.i"),
        ("drop function f(int)", "DROP FUNCTION f"),
        ("create type e as enum ('a')", "CREATE TYPE public.e"),
        ("alter type app.e add value 'b'", "ALTER TYPE app.e"),
        ("create schema s", "CREATE SCHEMA s"),
        ("create sequence s", "CREATE SEQUENCE public.s"),
        ("comment on table public.t is 'what'", "COMMENT ON TABLE public.t IS"),
        ("grant select on public.t to anon", "GRANT select ON public.t TO"),
        ("do $$ begin end $$", "DO"),
        ("select 1", "SELECT 1"),
        ("(select 1)", "(SELECT 1)"),
    ],
)
def test_a_statement_is_called_by_its_command_and_what_it_is_about(sql: str, kind: str) -> None:
    (statement,) = parse_statements(sql)
    assert kind_of(statement) == kind


def test_a_plan_holds_the_pending_files_with_lines_kinds_and_locks_on_tables_of_others() -> None:
    plan = planned(
        "create table public.a (id int);",
        "-- depends: 0001_f\ncreate table public.b (id int);\ncreate index on public.b (id);\n"
        "alter table public.a add column c int, alter column id set statistics 5;\n"
        "do $$ begin update public.a set c = 1 where id = 1; end $$;\n",
        "-- transaction: none\ncreate index concurrently i on public.a (c);\n",
        applied=1,
    )
    assert plan.problems == ()
    assert plan.can_run
    told = plan.to_json()["pending"]
    assert [(f["id"], f["depends"], f["transaction"]) for f in told] == [  # type: ignore[index, attr-defined]
        ("0002_f", ["0001_f"], True),
        ("0003_f", [], False),
    ]
    first, second = plan.pending
    assert [(s.statement.line, s.kind, [(k.table, k.mode) for k in s.locks]) for s in first.statements] == [
        (2, "CREATE TABLE public.b", []),
        (3, "CREATE INDEX ON public.b", []),
        (4, "ALTER TABLE public.a", [("public.a", LockMode.ACCESS_EXCLUSIVE)]),
        (5, "DO", [("public.a", LockMode.ROW_EXCLUSIVE)]),
    ]
    (index,) = second.statements
    assert not index.in_transaction
    assert [lock.mode.keeps_out for lock in index.locks] == ["other changes of the schema"]
    assert {finding.rule for finding in plan.lint.findings} >= {"table-without-rls"}
    assert {finding.file_name for finding in plan.lint.findings} == {"0002_f.sql"}


def test_a_plan_with_a_file_that_cannot_run_says_so_once_and_plans_the_rest() -> None:
    plan = planned("select 1;", "selct 1;")
    assert [problem.message for problem in plan.problems] == [
        '0002_f.sql:1: syntax error at or near "selct" (column 1)'
    ]
    assert not plan.can_run
    assert [len(file.statements) for file in plan.pending] == [1, 0]


def test_with_nothing_pending_there_is_nothing_to_say() -> None:
    plan = planned("select 1;", applied=1)
    assert (plan.pending, plan.problems, plan.lint.findings) == ((), (), ())
    assert plan.lint.is_clean(strict=True)
