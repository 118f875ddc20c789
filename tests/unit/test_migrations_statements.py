"""Where statements begin and end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.migrations.statements import split_statements, statement_at

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
]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8))
def test_statements_end_at_semicolons_that_are_not_inside_anything(pieces: list[str]) -> None:
    text = "-- head;\n" + ";\n/* between; */\n".join(pieces) + ";\n"
    assert [statement.text for statement in split_statements(text)] == pieces


@given(st.text(alphabet="ab$'\"();-/*\\ \nE", max_size=60))
def test_any_text_can_be_split_and_pieces_stay_in_order(text: str) -> None:
    found = split_statements(text)
    for statement in found:
        assert text[statement.start : statement.end] == statement.text
        assert text.count("\n", 0, statement.start) + 1 == statement.line
    assert [s.start for s in found] == sorted(s.start for s in found)


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
    statement, found = statement_at(split_statements(TEXT), position=position, finished=finished)
    assert statement is not None
    assert statement.text.startswith(start)
    assert found == line


def test_a_failure_after_the_last_statement_has_no_line() -> None:
    assert statement_at(split_statements(TEXT), position=None, finished=3) == (None, None)
