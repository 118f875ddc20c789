"""The ledger as a chain: what is changed by hand is named, and nothing else is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from wedsync.migrations import EventKind, LedgerRow, applied_now
from wedsync.migrations.ledger.chain import Head, broken_links, chained, head_after

KEY = b"a key that the database does not have"
AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def row(seq: int, *, kind: str = EventKind.APPLIED, number: int | None = None) -> LedgerRow:
    return LedgerRow(
        seq=seq,
        kind=kind,
        number=seq if number is None else number,
        name="a",
        checksum=f"sum{seq}",
        raw_checksum=f"raw{seq}",
        text_sha256=f"sum{seq}",
        applied_at=AT,
        took_ms=3,
        by="alice as wedsync_owner",
        reason=None,
        detail="{}",
        mac=None,
    )


def ledger(length: int) -> tuple[list[LedgerRow], Head]:
    rows: list[LedgerRow] = []
    for seq in range(1, length + 1):
        rows.append(chained(row(seq), after=(rows[-1].mac or "") if rows else "", key=KEY))
    return rows, head_after(rows[-1], KEY)


def test_what_was_written_by_us_is_whole() -> None:
    rows, head = ledger(5)
    assert broken_links(rows, head, KEY) == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda row: replace(row, checksum="0" * 64),
        lambda row: replace(row, text_sha256="0" * 64),
        lambda row: replace(row, by="mallory"),
        lambda row: replace(row, applied_at=datetime(2020, 1, 1, tzinfo=UTC)),
        lambda row: replace(row, took_ms=4),
        lambda row: replace(row, reason="because"),
        lambda row: replace(row, detail='{"x": 1}'),
        lambda row: replace(row, kind="undone"),
        lambda row: replace(row, mac=None),
        lambda row: replace(row, mac="0" * 64),
    ],
)
def test_a_changed_row_is_named_once_whatever_was_changed(change: Callable[[LedgerRow], LedgerRow]) -> None:
    rows, head = ledger(5)
    rows[2] = change(rows[2])
    named = [problem.message for problem in broken_links(rows, head, KEY)]
    assert "row 3 (" in named[0]
    assert len(named) == (
        2 if rows[2].mac in {None, "0" * 64} else 1
    )  # without its code the next cannot be judged


@pytest.mark.parametrize(("removed", "said"), [([0], "row 1 "), ([1, 2], "rows 2 to 3 "), ([4], "row 5 "),
                                               ([0, 1, 2, 3, 4], "rows 1 to 5 ")])  # fmt: skip
def test_removed_rows_are_missed_also_at_both_ends(removed: list[int], said: str) -> None:
    rows, head = ledger(5)
    left = [found for place, found in enumerate(rows) if place not in removed]
    (problem,) = broken_links(left, head, KEY)
    assert said in problem.message
    assert "removed" in problem.message


def test_a_row_that_was_put_there_by_hand_is_noticed() -> None:
    rows, head = ledger(3)
    (bare,) = broken_links([*rows, row(4)], head, KEY)
    assert "row 4" in bare.message
    copied = replace(row(4), mac=rows[2].mac)
    assert "row 4" in broken_links([*rows, copied], head, KEY)[0].message


def test_the_head_cannot_be_moved_without_the_key() -> None:
    rows, head = ledger(3)
    moved = replace(head, seq=2, last_mac=rows[1].mac or "")
    assert "end of the ledger" in broken_links(rows[:2], moved, KEY)[0].message
    assert "end of the ledger" in broken_links(rows, Head(), KEY)[0].message


def test_another_key_is_told_from_tampering() -> None:
    rows, head = ledger(3)
    (problem,) = broken_links(rows, head, b"the key of another home")
    assert "with key" in problem.message
    assert "secrets/migration_chain_key" in problem.hint


def test_what_is_applied_is_the_sum_of_what_happened() -> None:
    repaired = replace(row(4, kind=EventKind.REPAIRED, number=1), checksum="new", name="renamed")
    rows = [row(1), row(2), row(3, kind=EventKind.UNDONE, number=2), repaired, row(5, kind=EventKind.ADHOC)]
    rows[4] = replace(rows[4], number=None)
    (left,) = applied_now(rows)
    assert (left.number, left.checksum, left.name, left.applied_at) == (1, "new", "renamed", AT)
