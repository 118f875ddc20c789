"""What checks make of what they see."""

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from wedsync.drills import CheckResult, DrillContext
from wedsync.drills.checks import offline_checks, standard_checks, witness_checks, writing_checks
from wedsync.drills.checks.constraints import Constraint, question
from wedsync.drills.checks.heartbeat import judge_beat
from wedsync.drills.checks.measured import Answer, Finding, Skipped, check, result
from wedsync.drills.checks.pages import judge_pages
from wedsync.drills.checks.structure import judge_structure
from wedsync.process import Finished

M = datetime(2026, 6, 13, 12, tzinfo=UTC)
NO_CONTEXT: DrillContext = None  # type: ignore[assignment]


def told(answer: Answer) -> CheckResult:
    return result("check", answer, took_s=1.0)


def test_nothing_examined_is_never_ok() -> None:
    found = told(Finding(looked_at=0, detail="0 tables"))
    assert not found.ok
    assert found.failed
    assert found.detail == "nothing was examined: 0 tables"


def test_what_is_skipped_is_no_proof_and_no_failure() -> None:
    found = told(Skipped(reason="no key"))
    assert (found.ok, found.failed, found.skipped, found.detail) == (False, False, True, "no key")


def test_only_the_first_of_many_faults_are_named() -> None:
    found = told(Finding(looked_at=9, detail="9 tables", wrong=tuple(f"t{n} is gone" for n in range(9))))
    assert not found.ok
    assert found.detail == "t0 is gone; t1 is gone; t2 is gone; t3 is gone; t4 is gone and 4 more (9 tables)"


async def test_a_check_that_does_not_end_or_breaks_fails() -> None:
    @check("slow", within=timedelta(milliseconds=10))
    async def slow(context: DrillContext) -> Answer:
        await asyncio.sleep(60)
        return Finding(looked_at=1, detail="")

    @check("broken", within=timedelta(seconds=10))
    async def broken(context: DrillContext) -> Answer:
        raise psycopg.OperationalError("the server closed the connection")

    found = await slow(NO_CONTEXT)
    assert found.failed
    assert "it was not done within 0.01 s" in found.detail
    found = await broken(NO_CONTEXT)
    assert found.failed
    assert "the server closed the connection" in found.detail
    assert found.name == "broken"


def test_each_check_has_a_name_of_its_own() -> None:
    names = [
        one.__name__  # type: ignore[attr-defined]
        for one in (*witness_checks(), *standard_checks(), *writing_checks(), *offline_checks())
    ]
    assert len(names) == len(set(names)) == 12


@pytest.mark.parametrize(
    ("found", "noted", "outcome"),
    [
        (M - timedelta(seconds=3), M - timedelta(seconds=3), "ok"),
        (M - timedelta(seconds=1), M - timedelta(seconds=11), "ok"),  # a beat nobody could note any more
        (M - timedelta(seconds=13), M - timedelta(seconds=3), "the last heartbeat before the moment is missing"),
        (M + timedelta(seconds=1), M - timedelta(seconds=3), "a heartbeat from behind"),
        (None, M - timedelta(seconds=3), "the copy has no heartbeat"),
        (M - timedelta(seconds=3), None, "skipped"),
    ],
)
def test_the_heartbeat_before_the_moment_is_there(
    found: datetime | None, noted: datetime | None, outcome: str
) -> None:
    answer = told(judge_beat(found, noted=noted, moment=M))
    assert answer.ok is (outcome == "ok")
    assert answer.skipped is (outcome == "skipped")
    assert outcome in {"ok", "skipped"} or outcome in answer.detail


WHOLE = "Checksum operation completed\nFiles scanned:   967\nBlocks scanned:  3122\nBad checksums:  0\n"
DAMAGED = (
    'pg_checksums: error: checksum verification failed in file "/home/x/pgdata/base/5/16384", block 1: calculated'
    " checksum 9F2C but block contains 8BBF\n"
)


def test_pages_are_judged_by_what_pg_checksums_says() -> None:
    found = told(judge_pages(0, WHOLE, ""))
    assert found.ok
    assert found.detail == "3122 pages in 967 files"
    found = told(judge_pages(1, WHOLE.replace("sums:  0", "sums:  1"), DAMAGED))
    assert found.failed
    assert found.detail.startswith("block 1 of base/5/16384 is damaged")
    assert told(judge_pages(1, "", "pg_checksums: error: data checksums are not enabled in cluster")).skipped
    found = told(judge_pages(1, "", "pg_checksums: error: cluster must be shut down"))
    assert found.failed
    assert "cluster must be shut down" in found.detail
    assert told(judge_pages(0, "", "")).failed


def amcheck(exit_status: int, stdout: str, stderr: str) -> CheckResult:
    finished = Finished(program="pg_amcheck", exit_status=exit_status, stdout=stdout, stderr=stderr, took_s=1.0)
    return told(judge_structure(finished))


def test_structure_is_judged_by_what_pg_amcheck_says() -> None:
    progress = (
        "   0/612 relations (  0%),    0/3122 pages (  0%)\r 612/612 relations (100%), 3122/3122 pages (100%)\n"
    )
    found = amcheck(0, "", progress)
    assert found.ok
    assert found.detail == "612 relations, 3122 pages"
    found = amcheck(2, 'heap table "w.public.guests", block 3, offset 1:\n    xmin 9 is in the future\n', progress)
    assert found.failed
    assert "block 3" in found.detail
    assert "xmin 9" in found.detail
    assert amcheck(1, "", "pg_amcheck: error: could not connect").failed
    assert amcheck(0, "", "").failed


def constraint(**changes: object) -> Constraint:
    values: dict[str, object] = {
        "id": 1,
        "table": "public.children",
        "name": "known",
        "kind": "f",
        "validated": True,
        "definition": "",
        "expression": None,
        "referenced": "public.parents",
        "columns": ["a", '"B"'],
        "referenced_columns": ["x", "y"],
        "operators": ["operator(pg_catalog.=)", "operator(extensions.=)"],
        "match_full": False,
        "partitioned": False,
        "size_bytes": 1,
    }
    return Constraint(**values | changes)  # type: ignore[arg-type]


def test_a_foreign_key_is_asked_with_its_own_operators_and_its_rule_for_nulls() -> None:
    asked = question(constraint()).as_string(None)
    assert 'own.a is not null and own."B" is not null' in asked
    assert 'there.y operator(extensions.=) own."B"' in asked
    assert "from only public.children own" in asked
    assert "is not null or own" in question(constraint(match_full=True)).as_string(None)
    assert "only" not in question(constraint(partitioned=True)).as_string(None)


def test_a_check_is_asked_of_all_rows_and_unknown_is_no_breach() -> None:
    asked = question(constraint(kind="c", expression="(age >= 0)")).as_string(None)
    assert asked == "select exists (select from public.children where not ((age >= 0)))"
