"""What to do with a step that was begun before."""

import pytest

from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.files.parsing import parse_statements
from wedsync.migrations.run.steps import (
    Decision,
    Presence,
    Step,
    StepKind,
    StepRecord,
    StepState,
    changed_since,
    decide,
    step_problems,
    steps_of,
)

ABSENT, VALID, INVALID, UNKNOWN = Presence.ABSENT, Presence.VALID, Presence.INVALID, Presence.UNKNOWN


def step(sql: str) -> Step:
    (only,) = steps_of(parse_statements(sql))
    return only


def record(of: Step, state: StepState, before: Presence = ABSENT, *, number: int = 1) -> StepRecord:
    return StepRecord(
        step=number,
        checksum=of.checksum,
        statement=of.statement.text,
        state=state,
        before=before,
        by="alice",
        error=None,
    )


@pytest.mark.parametrize(
    ("sql", "kind", "name", "table"),
    [
        ("create unique index concurrently x on a.t (c)", StepKind.CREATE_INDEX, "x", '"a"."t"'),
        ('create index concurrently "Od""d" on "T" (c)', StepKind.CREATE_INDEX, 'Od"d', '"T"'),
        ("drop index concurrently if exists a.x", StepKind.DROP_INDEX, '"a"."x"', ""),
        ("reindex (concurrently) table a.t", StepKind.REINDEX, "", '"a"."t"'),
        ("reindex index concurrently a.x", StepKind.REINDEX, '"a"."x"', ""),
        ("reindex schema concurrently a", StepKind.REINDEX, "", ""),
        ("alter table a.p detach partition a.q concurrently", StepKind.DETACH, '"a"."q"', '"a"."p"'),
        ("create database d", StepKind.CREATE_DATABASE, "d", ""),
        ("drop database d", StepKind.DROP_DATABASE, "d", ""),
        ("vacuum a.t", StepKind.REPEATABLE, "", ""),
        ("alter system set work_mem = '8MB'", StepKind.REPEATABLE, "", ""),
        ("call p()", StepKind.OPAQUE, "", ""),
        ("do $$ begin commit; end $$", StepKind.OPAQUE, "", ""),
        ("set statement_timeout = '1h'", StepKind.SETTING, "", ""),
        ("create table t ()", StepKind.ORDINARY, "", ""),
        ("create index x on t (c)", StepKind.ORDINARY, "", ""),
        ("alter type e add value 'v'", StepKind.ORDINARY, "", ""),
    ],
)
def test_each_statement_is_known_for_what_it_is(sql: str, kind: StepKind, name: str, table: str) -> None:
    found = step(sql)
    assert (found.kind, found.name, found.table) == (kind, name, table)


CREATE, DROP = "create index concurrently x on t (c)", "drop index concurrently x"


@pytest.mark.parametrize(
    ("sql", "state", "before", "now", "decision"),
    [
        (CREATE, None, ABSENT, ABSENT, Decision.RUN),
        (CREATE, StepState.DONE, ABSENT, VALID, Decision.SKIP),
        (CREATE, StepState.FAILED, ABSENT, ABSENT, Decision.RUN),
        (CREATE, StepState.STARTED, ABSENT, ABSENT, Decision.RUN),
        (CREATE, StepState.STARTED, ABSENT, INVALID, Decision.RUN),
        (CREATE, StepState.STARTED, ABSENT, VALID, Decision.MARK_DONE),
        (CREATE, StepState.STARTED, INVALID, VALID, Decision.MARK_DONE),
        (CREATE, StepState.STARTED, VALID, VALID, Decision.RUN),  # it was there before: PostgreSQL will say so
        (DROP, StepState.STARTED, VALID, ABSENT, Decision.MARK_DONE),
        (DROP, StepState.STARTED, VALID, VALID, Decision.RUN),
        (DROP, StepState.STARTED, VALID, INVALID, Decision.RUN),
        (DROP, StepState.STARTED, ABSENT, ABSENT, Decision.RUN),
        ("vacuum t", StepState.STARTED, UNKNOWN, UNKNOWN, Decision.RUN),
        ("reindex table concurrently t", StepState.STARTED, UNKNOWN, UNKNOWN, Decision.RUN),
        ("alter table p detach partition q concurrently", StepState.STARTED, VALID, ABSENT, Decision.MARK_DONE),
        ("alter table p detach partition q concurrently", StepState.STARTED, VALID, INVALID, Decision.RUN),
        ("create database d", StepState.STARTED, ABSENT, VALID, Decision.MARK_DONE),
        ("drop database d", StepState.STARTED, VALID, ABSENT, Decision.MARK_DONE),
        ("call p()", StepState.STARTED, UNKNOWN, UNKNOWN, Decision.ASK),
        ("call p()", StepState.FAILED, UNKNOWN, UNKNOWN, Decision.RUN),
        ("set work_mem = '8MB'", StepState.DONE, UNKNOWN, UNKNOWN, Decision.RUN),
    ],
)
def test_what_was_begun_is_decided_by_what_is_there(
    sql: str, state: StepState | None, before: Presence, now: Presence, decision: Decision
) -> None:
    found = step(sql)
    assert decide(found, record(found, state, before) if state else None, now) is decision


def test_a_step_that_ran_may_not_change_and_one_that_failed_may() -> None:
    old, new = step("call a()"), step("call b()")
    for state in (StepState.DONE, StepState.STARTED):
        problem = changed_since("0001_a.sql", (new,), {1: record(old, state)})
        assert problem is not None
        assert "call a()" in problem.message
    assert changed_since("0001_a.sql", (new,), {1: record(old, StepState.FAILED)}) is None
    assert changed_since("0001_a.sql", (old,), {1: record(old, StepState.DONE)}) is None
    assert changed_since("0001_a.sql", (), {1: record(old, StepState.DONE)}) is not None


@pytest.mark.parametrize(
    ("statement", "problem_is"),
    [
        ("create index concurrently on t (c)", "an index without a name"),
        ("discard all", "gives up the runners' lock"),
    ],
)
def test_what_could_not_be_resumed_or_would_let_others_in_is_a_problem(statement: str, problem_is: str) -> None:
    from wedsync.migrations.files.header import read_header  # noqa: PLC0415 - beside its use

    text = f"-- transaction: none\n{statement};\n"
    file = MigrationFile(number=1, name="a", text=text, raw_checksum="", options=read_header(text).options)
    (problem,) = step_problems(file)
    assert problem.message.startswith("0001_a.sql:2: ")
    assert problem_is in problem.message
