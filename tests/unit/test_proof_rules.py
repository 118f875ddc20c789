"""What status says of proof: missing, old, failed, too late."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from support.status_values import DAY, HOUR, NOW, SURVEY, WELL
from wedsync.monitoring import Facts, Issue, ProofFacts, Proven, Records, State, judge

FULL = SURVEY.backups[0]


def proven(ago: timedelta, *, passed: bool = True, repo: int = 1, label: str = FULL.label) -> Proven:
    return Proven(
        repo=repo,
        label=label,
        drill="20261120_010003_000",
        at=NOW - ago,
        passed=passed,
        failed="" if passed else "page checksums",
    )


def with_proof(*tried: Proven, expected: bool = True, too_late: Sequence[tuple[int, str]] = ()) -> Facts:
    proof = ProofFacts(expected=expected, limit=2 * DAY, critical=7 * DAY, tried=tried, too_late=tuple(too_late))
    return replace(WELL, records=replace(WELL.records or Records(), proof=proof))


def issues(facts: Facts) -> list[Issue]:
    return [item for item in judge(facts, NOW).issues if item.code.startswith(("proof", "drill"))]


def test_fresh_proof_is_said_in_the_sentence_and_is_no_issue() -> None:
    verdict = judge(with_proof(proven(3 * HOUR)), NOW)
    assert verdict.issues == ()
    assert "last proven by a restore 3 h ago" in verdict.sentence


def test_a_home_without_drills_is_not_blamed_for_it() -> None:
    assert issues(WELL) == []
    assert issues(with_proof(proven(30 * DAY), expected=False)) == []


def test_proof_that_is_older_than_its_limit_warns_and_then_is_critical() -> None:
    assert issues(with_proof(proven(2 * DAY))) == []
    (late,) = issues(with_proof(proven(2 * DAY + HOUR)))
    (very_late,) = issues(with_proof(proven(7 * DAY + HOUR)))
    assert (late.code, late.severity) == ("proof_old", State.WARNING)
    assert very_late.severity is State.CRITICAL
    assert "wedsync drill run" in late.next_step


def test_no_proof_at_all_counts_from_the_oldest_backup() -> None:
    assert issues(with_proof()) == []  # its backups are of today
    old = replace(FULL, finished_at=NOW - 3 * DAY)
    facts = replace(with_proof(), survey=replace(SURVEY, backups=(old, *SURVEY.backups[1:])))
    (never,) = issues(facts)
    assert never.severity is State.WARNING
    assert "no backup was ever proven" in never.words


def test_a_failed_drill_is_critical_as_long_as_its_backup_is_there_and_names_the_check() -> None:
    (failed,) = issues(with_proof(proven(HOUR, passed=False), proven(2 * HOUR, label="other")))
    assert failed.severity is State.CRITICAL
    assert "page checksums" in failed.words
    assert FULL.label in failed.words
    gone = proven(HOUR, passed=False, label="20260101-010000F")
    assert issues(with_proof(gone, proven(2 * HOUR))) == []


def test_a_failed_drill_counts_also_where_none_are_scheduled() -> None:
    (failed,) = issues(with_proof(proven(HOUR, passed=False), expected=False))
    assert failed.code == "drill_failed"


def test_backups_that_go_before_their_turn_are_named() -> None:
    (late,) = issues(with_proof(proven(HOUR), too_late=[(2, "20261001-010000F")]))
    assert late.code == "proof_too_late"
    assert "20261001-010000F in repository 2" in late.words


def test_the_json_of_status_has_the_newest_proof_and_counts_the_unproven() -> None:
    facts = with_proof(proven(HOUR))
    proof = judge(facts, NOW).to_json(facts)["proof"]
    assert proof["newest"]["label"] == FULL.label
    assert proof["age_s"] == 3600
    assert (proof["proven_backups"], proof["unproven_backups"]) == (1, len(SURVEY.backups) - 1)
