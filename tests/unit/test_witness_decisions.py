"""When a witness is due, what it reads, what differs, and what status says when nothing was compared."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.database import Lsn
from wedsync.drills.witness import (
    LeftOut,
    RowForm,
    Span,
    TableDigest,
    Witness,
    compare_digests,
    why_due,
)
from wedsync.drills.witness.spans import Table, choose_spans
from wedsync.monitoring.facts import Facts, ProofFacts, Proven, Records
from wedsync.monitoring.proof_rules import proof_issues

NOON = datetime(2026, 6, 13, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MB = 1_000_000


@pytest.mark.parametrize(
    ("newest", "backup", "why"),
    [
        (None, None, "schedule"),
        (None, NOON - HOUR, "backup"),
        (NOON - timedelta(minutes=30), NOON - timedelta(minutes=20), "backup"),
        (NOON - timedelta(minutes=30), NOON - timedelta(minutes=40), None),
        (NOON - HOUR, NOON - 2 * HOUR, "schedule"),
        (NOON + HOUR, None, "schedule"),  # the clock was set back
    ],
)
def test_a_witness_follows_each_backup_and_each_hour(
    newest: datetime | None, backup: datetime | None, why: str | None
) -> None:
    assert why_due(newest, last_backup=backup, now=NOON, every=HOUR) == why


def table(name: str, size_bytes: int) -> Table:
    return Table(name=name, blocks=max(1, size_bytes // 8192), size_bytes=size_bytes, shape=name)


def test_small_tables_are_read_whole_and_a_large_one_in_turn() -> None:
    tables = [table("large", 800 * MB), table("small", 5 * MB), table("empty", 0)]
    before: dict[str, Span] = {}
    seen = 0
    for _ in range(100):
        shares = {
            share.table.name: share for share in choose_spans(tables, budget_bytes=100 * MB, read_before=before)
        }
        assert shares["small"].span is None
        assert shares["empty"].span is None
        span = shares["large"].span
        assert span is not None
        assert span.first == seen
        seen = span.end
        before = {"large": span}
        if seen == tables[0].blocks:
            break
    assert seen == tables[0].blocks
    again = choose_spans(tables, budget_bytes=100 * MB, read_before=before)[-1].span
    assert again is not None
    assert again.first == 0


def test_a_table_that_shrank_is_begun_again() -> None:
    share = choose_spans(
        [table("t", 80 * MB)], budget_bytes=10 * MB, read_before={"t": Span(first=50_000, end=60_000)}
    )[0]
    assert share.span is not None
    assert share.span.first == 0


@given(st.lists(st.integers(0, 10**10), max_size=40), st.integers(1, 10**9))
def test_what_is_read_stays_near_the_budget(sizes: list[int], budget: int) -> None:
    tables = [table(f"t{n}", size) for n, size in enumerate(sizes)]
    shares = choose_spans(tables, budget_bytes=budget, read_before={})
    assert {share.table.name for share in shares} == {one.name for one in tables}
    read = sum(
        share.table.size_bytes
        if share.span is None
        else share.table.size_bytes * (share.span.end - share.span.first) // share.table.blocks
        for share in shares
    )
    least = sum(min(one.size_bytes, 129 * 8192 * 2) for one in tables)
    assert read <= budget + least


def digest(name: str, rows: int = 3, value: str = "9", span: Span | None = None) -> TableDigest:
    return TableDigest(table=name, rows=rows, digest=value, form=RowForm.BINARY, span=span, blocks=100)


def witness(*tables: TableDigest, left_out: tuple[LeftOut, ...] = ()) -> Witness:
    return Witness(
        at=NOON,
        system_id="7",
        timeline=1,
        lsn=Lsn(800),
        database="wedsync",
        reason="schedule",
        tables=tables,
        left_out=left_out,
        took_s=1,
    )


def test_each_way_to_differ_is_named() -> None:
    recorded = witness(
        digest("a"),
        digest("b"),
        digest("c", span=Span(first=10, end=20)),
        digest("d"),
        digest("e"),
        digest("f"),
        left_out=(LeftOut(table="g", reason="locked"),),
    )
    found = {
        "a": digest("a"),
        "b": digest("b", value="8"),
        "c": digest("c", rows=2, span=Span(first=10, end=20)),
        "e": "could not read block 7",
    }
    compared = compare_digests(recorded, found, there={"a", "b", "c", "e", "f", "g", "h"}, not_read=["f"])
    assert compared.differences == (
        "d is gone",
        "h was not there",
        "b has as many rows as it had (3), but not the same",
        "c had 3 rows, has 2 in blocks 10 to 19 of 100",
        "e cannot be read: could not read block 7",
    )
    assert compared.not_read == ("f",)
    assert not compared.ok


def test_nothing_compared_is_not_equal() -> None:
    assert not compare_digests(witness(), {}, there=set()).ok
    assert compare_digests(witness(digest("a")), {"a": digest("a")}, there={"a"}).ok


def proof(compared_at: datetime | None, first: datetime) -> Facts:
    proven = Proven(repo=1, label="20260601-010000F", drill="d", at=first, passed=True)
    newest = Proven(repo=1, label="20260613-010000F", drill="e", at=NOON, passed=True)
    facts = ProofFacts(
        expected=True,
        limit=timedelta(days=2),
        critical=timedelta(days=7),
        tried=(newest, proven),
        compared_at=compared_at,
    )
    return Facts(collected_at=NOON, records=Records(proof=facts))


@pytest.mark.parametrize(
    ("compared_at", "first", "codes"),
    [
        (NOON - timedelta(days=1), NOON - timedelta(days=30), []),
        (NOON - timedelta(days=8), NOON - timedelta(days=30), ["rows_not_compared"]),
        (None, NOON - timedelta(days=6), []),
        (None, NOON - timedelta(days=8), ["rows_not_compared"]),
    ],
)
def test_status_warns_when_no_drill_compared_rows_within_a_week(
    compared_at: datetime | None, first: datetime, codes: list[str]
) -> None:
    assert [issue.code for issue in proof_issues(proof(compared_at, first), NOON)] == codes
