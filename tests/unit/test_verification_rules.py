"""What `wedsync status` says of reading the backups: one fact is spoilt at a time."""

from dataclasses import replace
from datetime import timedelta

from support.status_values import DAY, HOUR, MINUTE, NOW, WELL, with_records
from wedsync.monitoring import Issue, State, judge
from wedsync.monitoring.facts import FoundDamage, RepositoryReading, VerificationFacts

READ = RepositoryReading(repo=1, listed_at=NOW - 5 * MINUTE, read_at=NOW - 5 * MINUTE)
FACTS = VerificationFacts(within=timedelta(days=7), repositories=(READ, replace(READ, repo=2)))
LOST = FoundDamage(
    repo=2, kind="missing_wal", label=None, file="000000010000000000000005", problem="missing", critical=False,
    found_at=NOW - HOUR,
)  # fmt: skip


def said(facts: VerificationFacts) -> list[Issue]:
    verdict = judge(with_records(verification=facts), NOW)
    return [issue for issue in verdict.issues if issue.code.startswith("verification")]


def codes(facts: VerificationFacts) -> list[tuple[str, State]]:
    return [(issue.code, issue.severity) for issue in said(facts)]


def test_nothing_is_said_where_all_is_read_and_whole() -> None:
    assert judge(WELL, NOW).state is State.HEALTHY
    assert said(FACTS) == []


def test_damage_is_a_warning_and_critical_where_a_moment_is_lost() -> None:
    (issue,) = said(replace(FACTS, open=(LOST,)))
    assert (issue.severity, issue.since) == (State.WARNING, LOST.found_at)
    assert "repository 2" in issue.words
    assert "--repair" in issue.next_step
    (issue,) = said(replace(FACTS, open=(LOST, replace(LOST, critical=True, file="another"))))
    assert issue.severity is State.CRITICAL
    assert "another" in issue.words
    assert "and 1 more" in issue.words
    tried = replace(LOST, repair="no other repository has it, nor this machine")
    (issue,) = said(replace(FACTS, open=(tried,)))
    assert "could not be put back" in issue.next_step
    broken = replace(LOST, kind="damaged_backup", label="20261121-010000F")
    (issue,) = said(replace(FACTS, open=(broken,)))
    assert "20261121-010000F" in issue.words


def test_what_others_tell_of_is_not_told_twice() -> None:
    assert said(replace(FACTS, open=(replace(LOST, kind="repository"),))) == []


def test_a_repair_is_told_for_a_day() -> None:
    repaired = replace(LOST, repaired_at=NOW - HOUR)
    assert codes(replace(FACTS, ended=(repaired,))) == [("verification_repaired", State.WARNING)]
    assert codes(replace(FACTS, ended=(replace(LOST, repaired_at=NOW - DAY - MINUTE),))) == []
    assert codes(replace(FACTS, ended=(LOST,))) == []


def test_reading_that_is_late_fails_or_stands_still_is_told() -> None:
    def with_first(**changes: object) -> VerificationFacts:
        return replace(FACTS, repositories=(replace(READ, **changes), replace(READ, repo=2)))  # type: ignore[arg-type]

    assert codes(with_first(overdue_since=NOW - HOUR)) == [("verification_behind", State.WARNING)]
    assert codes(with_first(overdue_since=NOW - 8 * DAY)) == [("verification_behind", State.CRITICAL)]
    failing = {"error": "no route", "error_since": NOW - 2 * HOUR}
    assert codes(with_first(**failing)) == [("verification_fails", State.WARNING)]
    assert codes(with_first(**failing | {"error_since": NOW - MINUTE})) == []
    assert codes(with_first(listed_at=NOW - 3 * HOUR)) == [("verification_stands_still", State.WARNING)]


def test_a_keeper_that_is_away_is_one_issue_not_one_for_each_repository_it_does_not_read() -> None:
    late = replace(
        FACTS, repositories=tuple(replace(item, listed_at=NOW - 3 * HOUR) for item in FACTS.repositories)
    )
    facts = replace(with_records(verification=late), processes={**(WELL.processes or {}), "keeper": False})
    found = [issue.code for issue in judge(facts, NOW).issues]
    assert len(found) == 1
    assert "verification_stands_still" not in found


def test_a_repository_that_nobody_ever_looked_into_is_told_once_it_is_old_enough() -> None:
    assert WELL.survey is not None
    old = tuple(replace(item, finished_at=NOW - DAY) for item in WELL.survey.backups)
    facts = with_records(verification=replace(FACTS, repositories=(READ,)))
    facts = replace(facts, survey=replace(WELL.survey, backups=(*WELL.survey.backups, *old)))
    found = [issue for issue in judge(facts, NOW).issues if issue.code == "verification_stands_still"]
    repos = {item.repo for item in old if item.repo != 1}
    assert repos == {2}
    assert len(found) == 1
