"""Names, order and checksums of migration files; what the ledger says of them."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.errors import UsageProblem
from wedsync.migrations import (
    SHIPPED,
    Applied,
    MigrationFile,
    ProblemKind,
    compare,
    content_problems,
    new_migration,
    order_files,
    read_files,
)

UNDO = b"drop table t;\n"


def _files(**contents: bytes) -> dict[str, bytes]:
    """Files by stem, each with a rollback beside it."""
    found: dict[str, bytes] = {}
    for stem, text in contents.items():
        name = stem.removeprefix("m")
        found[f"{name}.sql"] = text
        found[f"{name}.rollback.sql"] = UNDO
    return found


def _applied(file: MigrationFile, **changes: object) -> Applied:
    row: dict[str, object] = {
        "number": file.number,
        "name": file.name,
        "checksum": file.checksum,
        "applied_at": datetime(2026, 6, 1, tzinfo=UTC),
        "took_ms": 3,
        "by": "alice as wedsync_owner",
    }
    return Applied(**(row | changes))  # type: ignore[arg-type]


def test_shipped_files_have_no_problem() -> None:
    found = read_files(SHIPPED)
    assert found.problems == ()
    assert [problem for file in found.files for problem in content_problems(file)] == []
    assert [file.number for file in found.files] == list(range(1, len(found.files) + 1))


@given(
    lines=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1),
    endings=st.sampled_from(["", "\n", "\r\n", "\n\n\n"]),
    bom=st.booleans(),
    crlf=st.booleans(),
)
def test_the_checksum_ignores_byte_order_mark_line_ends_and_final_newlines(
    lines: list[str], endings: str, bom: bool, crlf: bool
) -> None:
    plain = "create table t ();\n" + "\n".join(lines)
    raw = (plain.replace("\n", "\r\n") if crlf else plain) + endings
    changed = (b"\xef\xbb\xbf" if bom else b"") + raw.encode()
    one = order_files(_files(m0001_t=plain.encode())).files[0]
    other = order_files(_files(m0001_t=changed)).files[0]
    assert one.checksum == other.checksum
    assert other.raw_checksum == hashlib.sha256(changed).hexdigest()


def test_any_other_change_changes_the_checksum() -> None:
    one = order_files(_files(m0001_t=b"create table t ();")).files[0]
    other = order_files(_files(m0001_t=b"create table t () ;")).files[0]
    assert one.checksum != other.checksum


@pytest.mark.parametrize(
    ("contents", "kind", "said"),
    [
        ({"1_t.sql": b"select 1;"}, ProblemKind.BAD_NAME, "1_t.sql"),
        ({"0001_T.sql": b"select 1;"}, ProblemKind.BAD_NAME, "0001_T.sql"),
        ({"0001_t.sql": b"select 1;"}, ProblemKind.ROLLBACK_MISSING, "0001_t.rollback.sql"),
        ({"0001_t.rollback.sql": UNDO}, ProblemKind.ROLLBACK_ALONE, "0001_t.sql"),
        (_files(m0001_a=b"select 1;", m0001_b=b"select 2;"), ProblemKind.DUPLICATE_NUMBER, "0001_b.sql"),
        (_files(m0001_t=b"-- nothing\n/* at all */ ;\n"), ProblemKind.EMPTY, "0001_t.sql"),
        (_files(m0001_t=b"select 1;\nselect '\xff';"), ProblemKind.UNREADABLE, "0001_t.sql:2"),
        (_files(m0001_t=b"select 1;\0"), ProblemKind.UNREADABLE, "zero byte"),
        (_files(m0001_t=b"-- one\n-- dependz: 0001_t\nselect 1;"), ProblemKind.BAD_OPTION, "0001_t.sql:2"),
        (_files(m0001_t=b"select 1;") | {"0001_t.rollback.sql": b"-- nothing"}, ProblemKind.EMPTY, "rollback"),
        (
            _files(m0001_t=b"select 1;") | {"0001_t.rollback.sql": b"-- depends: 0002_u\nselect 1;"},
            ProblemKind.BAD_OPTION,
            "0001_t.rollback.sql",
        ),
        (_files(m0002_t=b"-- depends: 0001_x\nselect 1;"), ProblemKind.UNKNOWN_DEPENDENCY, "0001_x"),
        (_files(m0002_t=b"-- depends: 0002_t\nselect 1;"), ProblemKind.CYCLE, "0002_t depends on itself"),
    ],
)
def test_what_is_wrong_with_files_shows_without_a_database_or_the_parser(
    contents: dict[str, bytes], kind: ProblemKind, said: str
) -> None:
    problems = order_files(contents).problems
    assert [problem.kind for problem in problems] == [kind]
    assert said in problems[0].message
    assert problems[0].hint


def test_files_run_in_the_order_of_their_numbers() -> None:
    found = order_files(_files(m0010_c=b"select 1;", m0002_b=b"select 1;", m0001_a=b"select 1;"))
    assert [file.id for file in found.files] == ["0001_a", "0002_b", "0010_c"]


def test_an_edited_file_is_named_with_both_hashes_who_and_when() -> None:
    found = order_files(_files(m0001_t=b"select 2;"))
    was = hashlib.sha256(b"select 1;\n").hexdigest()
    compared = compare(found, [_applied(found.files[0], checksum=was)])
    (problem,) = compared.problems
    assert problem.kind is ProblemKind.EDITED
    for said in (was, found.files[0].checksum, "alice as wedsync_owner", "2026-06-01T00:00:00+00:00"):
        assert said in problem.message
    assert not compared.is_current


def test_a_missing_file_is_named_with_its_hash_who_and_when() -> None:
    found = order_files(_files(m0001_a=b"select 1;", m0002_b=b"select 2;"))
    ledger = [_applied(file) for file in found.files]
    (problem,) = compare(order_files(_files(m0001_a=b"select 1;")), ledger).problems
    assert (problem.kind, problem.id) == (ProblemKind.MISSING, "0002_b")
    assert found.files[1].checksum in problem.message
    assert "alice" in problem.message


def test_a_file_that_comes_late_is_refused_and_still_listed_as_pending() -> None:
    found = order_files(_files(m0001_a=b"select 1;", m0002_b=b"select 2;", m0003_c=b"select 3;"))
    compared = compare(found, [_applied(found.files[0]), _applied(found.files[2])])
    assert [problem.kind for problem in compared.problems] == [ProblemKind.LATE]
    assert [file.id for file in compared.pending] == ["0002_b"]


def test_the_json_has_the_keys_that_scripts_read() -> None:
    found = order_files(_files(m0001_a=b"select 1;", m0002_b=b"select\n2;"))
    compared = compare(found, [_applied(found.files[0])])
    told = compared.to_json()
    assert list(told) == ["applied", "pending", "problems"]
    (applied,) = told["applied"]  # type: ignore[misc]
    assert {"id", "checksum", "applied_at", "took_ms", "by"} <= set(applied)


def test_a_new_migration_gets_the_next_number_and_nothing_is_overwritten(tmp_path: Path) -> None:
    first = new_migration("Seating plan", directory=tmp_path, table=True)
    second = new_migration("gifts", directory=tmp_path, table=True)
    assert (first.id, second.id) == ("0001_seating_plan", "0002_gifts")
    assert read_files(tmp_path).problems == ()
    assert "public.gifts" in second.forward.read_text()
    with pytest.raises(UsageProblem):
        new_migration("drop; table", directory=tmp_path)


def test_a_new_migration_without_a_table_is_refused_as_empty_until_it_is_written(tmp_path: Path) -> None:
    made = new_migration("gifts", directory=tmp_path)
    assert [problem.kind for problem in read_files(tmp_path).problems] == [ProblemKind.EMPTY, ProblemKind.EMPTY]
    for path in (made.forward, made.rollback):
        path.write_text(path.read_text() + "-- transaction: none\nselect 1;\n")
    found = read_files(tmp_path)
    assert found.problems == ()
    assert not found.files[0].options.transaction
