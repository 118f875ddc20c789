"""Where statements begin and end, which cannot share a transaction, and where a mistake is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.errors import SqlUnreadable
from wedsync.migrations import content_problems, order_files
from wedsync.migrations.files.parsing import parse_statements
from wedsync.migrations.files.statements import statement_at

PIECES = [
    "create table a (b text default ';')",
    "insert into a values (E'it\\'s; here', 'it''s; there')",
    'select 1 as "semi;colon"',
    "do $$ begin perform 1; end $$",
    "create function f() returns text language sql as $body$ select $$;$$::text; $body$",
    "create function g(a int) returns int begin atomic select case when a > 0 then 1 end; select 2; end",
    "create rule r as on insert to a do also (select 1; select 2)",
    "select $1, a$b$c from t -- not; the end\n where true",
    "select /* a /* nested; */ comment; */ 1",
    "with x as (select 1) insert into é select * from x",
    "insert into é values ('für; 3 €')",
    "(select 1) union select 2 order by 1",
    "update é set ü = '😀' where a = 1",
    "delete from é using (values (1)) as v (n) where n = a",
    "alter table é add column b int, add column c int",
    "create or replace view v as select 1",
    "grant select on public.é to anon",
    "values ('€')",
    "explain select 1",
]
BETWEEN = [";\n", ";\n/* between; */\n", ";;\n-- é €; 😀\n", " ; ", ";\n\n\n"]


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(BETWEEN)), min_size=1, max_size=8))
def test_statements_end_at_semicolons_that_are_not_inside_anything(pieces: list[tuple[str, str]]) -> None:
    text = "-- head; é\n" + "".join(piece + between for piece, between in pieces)
    found = parse_statements(text)
    assert [statement.text for statement in found] == [piece for piece, _ in pieces]
    for statement in found:
        assert text[statement.start : statement.end] == statement.text
        assert text.count("\n", 0, statement.start) + 1 == statement.line


@given(before=st.text(alphabet="aé€😀 ;'\n", max_size=30), indent=st.text(alphabet=" \t", max_size=3))
def test_a_mistake_is_found_at_its_line_and_column_whatever_stands_before(before: str, indent: str) -> None:
    quoted = before.replace("'", "''")
    text = f"-- ä ö\nselect '{quoted}';\nselect 'ß';\n{indent}slect 2;\n"
    with pytest.raises(SqlUnreadable) as raised:
        parse_statements(text)
    assert raised.value.problem == 'syntax error at or near "slect"'
    assert (raised.value.line, raised.value.column) == (4 + quoted.count("\n"), len(indent) + 1)
    assert raised.value.place == text.index("slect")
    assert raised.value.text == "slect 2;"


def test_a_quote_that_never_ends_is_named_where_it_begins() -> None:
    with pytest.raises(SqlUnreadable, match="line 2, column 8: unterminated quoted string"):
        parse_statements("select 'é';\nselect 'abc;\n")


ALONE = """
create index concurrently i on t (a)
create unique index concurrently if not exists i on t (a)
drop index concurrently i
reindex (concurrently) table t
reindex table concurrently t
reindex (concurrently true) index i
reindex (concurrently on) index i
reindex schema public
reindex database d
vacuum t
vacuum (full, analyze) t
cluster
alter system set work_mem = '1MB'
create database d
drop database d
alter database d set tablespace s
create tablespace s location '/x'
drop tablespace s
alter table t detach partition p concurrently
create subscription s connection 'x' publication p
alter subscription s refresh publication
alter subscription s set publication p
drop subscription s
discard all
"""
TOGETHER = """
create index i on t (a)
drop index i
reindex table t
reindex (concurrently false) table t
reindex (concurrently off) table t
analyze t
cluster t using i
alter table t detach partition p
alter table t detach partition p finalize
alter database d set work_mem = '1MB'
alter type e add value 'x'
create subscription s connection 'x' publication p with (connect = false)
alter subscription s set publication p with (refresh = false)
discard temp
refresh materialized view concurrently v
truncate t
"""


@pytest.mark.parametrize(
    ("sql", "alone"),
    [(sql, alone) for lines, alone in ((ALONE, True), (TOGETHER, False)) for sql in lines.strip().splitlines()],
)
def test_statements_that_cannot_share_a_transaction_are_known(sql: str, alone: bool) -> None:
    (statement,) = parse_statements(sql)
    assert statement.needs_own_transaction is alone
    file = order_files({"0001_t.sql": sql.encode(), "0001_t.rollback.sql": b"select 1;"}).files[0]
    assert bool(content_problems(file)) is alone  # it is looked at, whatever else the file has no word of


TEXT = "select 1;\n\nselect 2,\n  missing\n  from t;\nselect 3;\n"


@pytest.mark.parametrize(
    ("position", "finished", "line", "start"),
    [
        (TEXT.index("missing") + 1, 0, 4, "select 2"),
        (TEXT.index("select 3") + 1, 0, 6, "select 3"),
        (None, 1, 3, "select 2"),
        (None, 2, 6, "select 3"),
    ],
)
def test_a_failure_is_found_by_position_or_else_by_how_many_ended_well(
    position: int | None, finished: int, line: int, start: str
) -> None:
    statement, found = statement_at(parse_statements(TEXT), position=position, finished=finished)
    assert statement is not None
    assert statement.text.startswith(start)
    assert found == line


def test_a_failure_after_the_last_statement_has_no_line() -> None:
    assert statement_at(parse_statements(TEXT), position=None, finished=3) == (None, None)
