"""The evidence of a drill: readable, escaped, and whether somebody changed it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from wedsync.backup import BackupKind
from wedsync.drills import (
    CheckResult,
    Drill,
    DrillRecords,
    Outcome,
    Part,
    Reason,
    Source,
    drill_json,
    read_evidence,
)
from wedsync.drills.evidence import remove_evidence, to_page, write_evidence
from wedsync.errors import NotThere
from wedsync.state import open_state

AT = datetime(2026, 6, 14, 1, 0, 4, tzinfo=UTC)
DRILL = Drill(
    id="20260614_010004_000",
    reason=Reason.SCHEDULE,
    asked_by="keeper",
    began_at=AT,
    finished_at=AT + timedelta(seconds=20),
    outcome=Outcome.PASSED,
    source=Source(
        repo=2,
        label="20260613-010000F",
        kind=BackupKind.FULL,
        finished_at=AT - timedelta(days=1),
        database_bytes=62_000_000,
        timeline=1,
        wal_first="000000010000000000000005",
        wal_last="000000010000000000000008",
        wal_segments=4,
        wal_bytes=4608,
    ),
    moment=AT - timedelta(hours=2),
    restored_to=AT - timedelta(hours=2),
    last_commit_at=AT - timedelta(hours=2, seconds=8),
    known_commit_at=AT - timedelta(hours=2, seconds=9),
    phases_s={Part.FIND: 0.5, Part.RESTORE: 3.0, Part.REPLAY: 2.0, Part.CHECKS: 4.0, Part.PROMOTE: 1.5},
    forecasts_s={Part.RESTORE: 3.0, Part.REPLAY: 2.0, Part.PROMOTE: 1.0},
    rto_target_s=900,
    rpo_target_s=60,
    effort="2 processes",
    checks=(CheckResult(name="marks", ok=True, detail="<b>3</b> & more", took_s=4.0),),
)


def test_times_count_what_somebody_waits_for_and_not_the_checks() -> None:
    assert DRILL.rto_s == 7.0
    assert DRILL.rpo_s == 8.0
    assert DRILL.rto_kept
    assert DRILL.rpo_kept
    assert DRILL.forecast_s == 6.0
    assert DRILL.forecast_took_s == 6.5


def test_little_is_missing_where_nobody_committed_and_too_much_where_somebody_did() -> None:
    idle = replace(
        DRILL, last_commit_at=AT - timedelta(hours=3), known_commit_at=AT - timedelta(hours=3, seconds=1)
    )
    lost = replace(idle, known_commit_at=AT - timedelta(hours=2, seconds=2))
    assert idle.rpo_kept
    assert lost.rpo_kept is False


def test_the_json_has_what_scripts_rely_on() -> None:
    shown = msgspec.to_builtins(drill_json(DRILL))
    assert shown["passed"] is True
    assert shown["label"] == "20260613-010000F"
    assert shown["restored_to"] == "2026-06-13T23:00:04Z"
    assert (shown["rto_s"], shown["rpo_s"]) == (7.0, 8.0)
    assert shown["checks"] == [{"name": "marks", "ok": True, "detail": "<b>3</b> & more", "took_s": 4.0}]


def test_the_page_needs_nothing_else_and_everything_in_it_is_escaped() -> None:
    page = to_page(DRILL)
    assert "&lt;b&gt;3&lt;/b&gt; &amp; more" in page
    assert "<script" not in page
    assert "http" not in page
    assert "Passed" in page
    assert "20260613-010000F" in page


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_a_page(outcome: Outcome) -> None:
    assert "<h1>" in to_page(replace(DRILL, outcome=outcome, source=None, checks=(), phases_s={}, forecasts_s={}))


def test_evidence_that_was_changed_is_known_by_its_hash(tmp_path: Path) -> None:
    sha256 = write_evidence(tmp_path, DRILL)
    encoded, page, whole = read_evidence(tmp_path, DRILL.id, sha256=sha256)
    assert whole
    assert msgspec.json.decode(encoded)["id"] == DRILL.id
    (tmp_path / DRILL.id / "report.html").write_bytes(page + b" ")
    assert not read_evidence(tmp_path, DRILL.id, sha256=sha256)[2]
    (tmp_path / DRILL.id / "report.html").write_bytes(page)
    (tmp_path / DRILL.id / "evidence.json").write_bytes(encoded.replace(b"true", b"false", 1))
    assert not read_evidence(tmp_path, DRILL.id, sha256=sha256)[2]
    (tmp_path / DRILL.id / "evidence.json").write_bytes(b"[]")
    assert not read_evidence(tmp_path, DRILL.id, sha256=sha256)[2]
    remove_evidence(tmp_path, DRILL.id)
    with pytest.raises(NotThere):
        read_evidence(tmp_path, DRILL.id, sha256=sha256)


def test_what_is_remembered_is_what_was_saved(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state.db")
    records = DrillRecords(state)
    running = replace(DRILL, outcome=Outcome.RUNNING, finished_at=None)
    records.save(running)
    assert [drill for drill, _ in records.running()] == [running]
    records.save(DRILL, evidence_sha256="abc")
    later = replace(DRILL, id="20260615_010004_000", began_at=AT + timedelta(days=1), outcome=Outcome.YIELDED)
    records.save(later)
    assert records.newest() == (later, DRILL)
    assert records.of_backups() == (DRILL,)
    assert records.last_ended() == later
    assert records.find(DRILL.id) == DRILL
    assert records.evidence_sha256(DRILL.id) == "abc"
    assert records.older_evidence(AT + timedelta(days=1)) == [DRILL.id]
    records.forget_evidence(DRILL.id)
    assert records.older_evidence(AT + timedelta(days=1)) == []
    assert records.new_id(AT) != DRILL.id
    state.close()
