"""Options at the head of a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.migrations.files.header import Options, read_header

STATEMENT = "create table t ();\n"


@pytest.mark.parametrize(
    ("head", "options"),
    [
        ("", Options()),
        ("-- What it does: two things.\n-- Note: prose.\n", Options()),
        ("-- transaction: none\n", Options(transaction=False)),
        ("--transaction:none\n", Options(transaction=False)),
        ("-- Transaction : none \n", Options(transaction=False)),
        ("-- Why.\n\n/* more; -- depends: 0009_no */\n-- depends: 0003_x\n", Options(depends=("0003_x",))),
        ("-- depends: 0003_x,0004_y_2\n", Options(depends=("0003_x", "0004_y_2"))),
        ("-- depends: 0003_x\n-- transaction: none\n", Options(depends=("0003_x",), transaction=False)),
        ("-- lint: allow drop-table because nobody reads it\n", Options()),
        ("-- Every call is inside a scalar\n-- sub-select: asked once a statement.\n", Options()),
        ("-- see https://example.org: there\n", Options()),
        (";;\n-- transaction: none\n", Options(transaction=False)),
    ],
)
def test_options_are_read_and_prose_is_left_alone(head: str, options: Options) -> None:
    found = read_header(head + STATEMENT)
    assert (found.options, found.problems) == (options, ())
    assert found.end == len(head)


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("-- depend: 0003_x", "unknown option 'depend'", "did you mean depends?"),
        ("-- Depend: 0003_x", "unknown option 'Depend'", "did you mean depends?"),
        ("-- transactions: none", "unknown option 'transactions'", "did you mean transaction?"),
        ("-- owner: alice", "unknown option 'owner'", "the options are depends, transaction"),
        ("-- transaction: off", "transaction is 'off'", "-- transaction: none"),
        ("-- transaction:", "transaction is ''", "-- transaction: none"),
        ("-- depends:", "an empty name", "-- depends: 0003_guests"),
        ("-- depends: 0003_x,", "an empty name", "-- depends: 0003_guests"),
        ("-- depends: 0003", "'0003'", "by number and name"),
        ("-- depends: 0003_x.sql", "'0003_x.sql'", "by number and name"),
        ("-- depends: 0003_x 0004_y", "'0003_x 0004_y'", "by number and name"),
        ("-- depends: 0003_x, 0003_x", "0003_x twice", "once"),
        ("-- depends: 0002_w\n-- depends: 0003_x", "second time", "once"),
    ],
)
def test_a_wrong_option_is_named_with_its_line_and_what_to_write(line: str, message: str, hint: str) -> None:
    (problem,) = read_header(f"-- Head.\n\n{line}\n{STATEMENT}").problems
    assert problem.line == 3 + line.count("\n")
    assert message in problem.message
    assert hint in problem.hint


def test_a_misspelt_option_is_told_from_prose_that_goes_on() -> None:
    head = "-- The index takes long,\n-- transactions: none\n"
    assert [problem.line for problem in read_header(head + STATEMENT).problems] == [2]


def test_nothing_after_the_first_statement_is_an_option() -> None:
    assert read_header(f"{STATEMENT}-- transaction: none\n").options == Options()


@pytest.mark.parametrize("text", ["", "\n", "-- a\n", "/* a /* b */ c */ ;\n", "-- a\r;-- b"])
def test_a_file_of_comments_ends_with_its_head(text: str) -> None:
    assert read_header(text).end == len(text)


@pytest.mark.parametrize("text", ["/* never ends\n", "\u00a0select 1", "'x'", "\\i other.sql", "-x"])
def test_what_is_no_comment_is_left_to_the_parser(text: str) -> None:
    assert read_header(f"-- a\n{text}").end == 5


@given(st.text(alphabet="-/* \n;:abé\r", max_size=40))
def test_any_text_has_a_head(text: str) -> None:
    assert 0 <= read_header(text).end <= len(text)
