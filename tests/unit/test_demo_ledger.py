"""The ledger of acknowledged commits."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from wedsync.demo.ledger import Ledger, LedgerLine, Outcome, newest_seq, read_ledger


def _line(seq: int, outcome: Outcome = Outcome.COMMITTED) -> LedgerLine:
    at = datetime(2026, 6, 13, 11, 5, 30, seq, tzinfo=UTC)
    return LedgerLine(seq=seq, writer=0, kind="send_message", outcome=outcome, committed_at=at, acknowledged_at=at)


async def test_lines_of_many_writers_are_all_there_once_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    await asyncio.gather(*(ledger.append(_line(seq)) for seq in range(200)))
    assert sorted(line.seq for line in read_ledger(path)) == list(range(200))
    await ledger.append(_line(200, Outcome.UNKNOWN))
    ledger.close()
    assert list(read_ledger(path))[-1] == _line(200, Outcome.UNKNOWN)


async def test_a_line_cut_off_by_a_crash_is_dropped_and_the_ledger_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(_line(1).to_line() + _line(2).to_line()[:30])
    assert newest_seq(path) == 1
    ledger = Ledger(path)
    await ledger.append(_line(3))
    ledger.close()
    assert [line.seq for line in read_ledger(path)] == [1, 3]


async def test_without_a_path_nothing_is_kept(tmp_path: Path) -> None:
    await Ledger(None).append(_line(1))
    assert newest_seq(None) == newest_seq(tmp_path / "none") == 0
