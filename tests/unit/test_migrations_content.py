"""What the parser refuses in a file before it runs."""

import subprocess
import sys

import pytest

from wedsync.migrations import ProblemKind, content_problems, order_files

REFUSED = [
    ("create table t ();\nCOMMIT;", 2, "does not begin or end transactions", "COMMIT"),
    ("start transaction;", 1, "does not begin or end transactions", "start"),
    ("begin;\ncreate table t ();", 1, "does not begin or end transactions", "begin"),
    ("select 1;\n\nrollback to s;", 3, "does not begin or end transactions", "rollback"),
    ("savepoint s;", 1, "does not begin or end transactions", "savepoint"),
    ("prepare transaction 'x';", 1, "does not begin or end transactions", "prepare"),
    ("\n\n\\i other.sql\n", 3, "a command of psql is not SQL: \\i other.sql", "SQL itself"),
    ("select 'é';\n\\copy t from 'x'\n", 2, "a command of psql", "SQL itself"),
    ("\\connect other\n", 1, "a command of psql", "SQL itself"),
    ("select 1 \\gexec\n", 1, "a command of psql", "SQL itself"),
    ("select 1;\ncopy t (a) from stdin;", 2, "COPY … FROM stdin", "INSERT"),
    ("select 1;\ncopy t (a) from stdin;\n1\t2\n\\.\n", 2, "COPY … FROM stdin", "INSERT"),
    ("copy t to stdout;", 1, "COPY … TO stdout", "INSERT"),
    (
        "select 1;\ncreate index concurrently i on t (a);",
        2,
        "not run this inside a transaction",
        "transaction: none",
    ),
    ("vacuum t;", 1, "not run this inside a transaction", "transaction: none"),
    ("select 1;\ndo $$\nbegin\n  if true then\n    commit;\n  end if;\nend $$;", 5, "COMMIT or ROLLBACK", "DO"),
    (
        "create procedure p() language plpgsql as $$ begin commit; end $$;\ncall public.p();",
        2,
        "calls a procedure that commits (line 1)",
        "after the migration",
    ),
    (
        "alter type e add value 'x';\n\ninsert into t values ('x');",
        3,
        "uses 'x', which line 1 adds",
        "next migration",
    ),
    ("create table t ();\n-- transaction: none\n", 2, "after the first statement", "head of the file"),
]


@pytest.mark.parametrize(("text", "line", "message", "hint"), REFUSED)
def test_what_cannot_run_is_refused_with_its_line_and_a_hint(
    text: str, line: int, message: str, hint: str
) -> None:
    found = order_files({"0001_t.sql": text.encode(), "0001_t.rollback.sql": b"select 1;"})
    assert found.problems == ()
    (problem,) = content_problems(found.files[0])
    assert problem.message.startswith(f"0001_t.sql:{line}: ")
    assert message in problem.message
    assert hint in problem.message + problem.hint


@pytest.mark.parametrize(
    "text",
    [
        "create index i on t (a);",
        "-- transaction: none\ncreate index concurrently i on t (a);\nvacuum t;",
        "-- transaction: none\ndo $$ begin commit; end $$;",
        "-- transaction: none\nalter type e add value 'x';\ninsert into t values ('x');",
        "create procedure p() language plpgsql as $$ begin commit; end $$;",
        "create type e as enum ();\nalter type e add value 'x';\ninsert into t values ('x'::e);",
        "copy t from '/tmp/rows.csv';",
        "do $$ begin raise notice 'commit;'; end $$;",
        "comment on table t is 'commit';\nselect $$\n-- transaction: none\n$$;",
        "create function f() returns int language plpgsql as $$ begin return nonsense of mine; end $$;",
    ],
)
def test_what_can_run_is_let_through(text: str) -> None:
    found = order_files({"0001_t.sql": text.encode(), "0001_t.rollback.sql": b"select 1;"})
    assert (found.problems, content_problems(found.files[0])) == ((), ())


def test_a_syntax_error_is_told_with_line_column_and_what_stands_there() -> None:
    text = "-- ä\nselect 'é';\ncreate tabel t ();\n"
    found = order_files({"0001_t.sql": text.encode(), "0001_t.rollback.sql": b"drop tabel t;"})
    forward, rollback = content_problems(found.files[0])
    assert (forward.kind, rollback.kind) == (ProblemKind.SYNTAX, ProblemKind.SYNTAX)
    assert forward.message == '0001_t.sql:3: syntax error at or near "tabel" (column 8)'
    assert forward.hint == "mend it: create tabel t ();"
    assert rollback.message.startswith("0001_t.rollback.sql:1: ")


def test_reading_and_ordering_files_does_not_import_the_parser() -> None:
    program = (
        "import sys; from wedsync.migrations import SHIPPED, compare, read_files; "
        "compare(read_files(SHIPPED), []); assert 'pglast' not in sys.modules, 'imported'; "
        "read_files(SHIPPED).files[0].statements; assert 'pglast' in sys.modules, 'not imported'"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, check=False, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
