"""One fact is spoilt at a time: which issue that is, how bad, and what is said."""

import json
from dataclasses import fields, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.status_values import (
    ARCHIVER,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    RUN,
    SURVEY,
    WELL,
    events,
    kept,
    with_archiver,
    with_database,
    with_records,
    with_survey,
)
from wedsync.monitoring import (
    Disk,
    Exposure,
    Facts,
    Jobs,
    Outlook,
    Part,
    ProofFacts,
    Proven,
    Recovery,
    RecoveryWindow,
    Repository,
    State,
    WalGap,
    continuous_window,
    if_it_broke_words,
    judge,
)
from wedsync.monitoring.backup_rules import is_late
from wedsync.monitoring.facts import Region
from wedsync.monitoring.server_rules import disk_severity

RECOVERY = Recovery(id="r1", target="2026-11-21 07:00", phase="restoring", started_at=NOW - MINUTE, alive=True)
GAP = WalGap(
    repo=1, first="00000001000000000000002A", last="00000001000000000000002B", segments=2,
    from_at=NOW - 3 * HOUR, to_at=NOW - 2 * HOUR,
)  # fmt: skip
FULL = Disk(name="the home", free_bytes=1, total_bytes=10**12)
CAME_BACK = events("keeper", (MINUTE, "restarted"), (2 * MINUTE, "died"))
DOWN = with_database(connects=False, server_state="stopped", latency_s=None, archiver=None)


def codes(facts: Facts) -> list[str]:
    return [issue.code for issue in judge(facts, NOW).issues]


def test_all_well_is_one_sentence_with_window_and_last_backup() -> None:
    verdict = judge(WELL, NOW)
    assert verdict.state is State.HEALTHY
    assert verdict.issues == ()
    assert verdict.sentence == (
        "All well: every second from 2026-11-20 11:30 UTC until 41 s ago can be restored; last backup 12 min ago."
    )


def test_a_server_that_was_stopped_is_down_since_then_and_bin_up_is_next() -> None:
    facts = replace(DOWN, records=with_records(events=events("postgresql", (18 * MINUTE, "died"))).records)
    verdict = judge(facts, NOW)
    assert verdict.state is State.DOWN
    assert verdict.sentence == "PostgreSQL is down since 07:12 UTC: run bin/up."


def test_it_is_down_since_its_first_end_that_no_start_followed() -> None:
    ended = events(
        "postgresql", (MINUTE, "start_failed"), (5 * MINUTE, "died"), (HOUR, "restarted"), (2 * HOUR, "died")
    )
    verdict = judge(replace(DOWN, records=with_records(events=ended).records), NOW)
    assert verdict.issues[0].since == NOW - 5 * MINUTE


def test_moments_are_said_in_the_zone_of_the_reader() -> None:
    facts = replace(DOWN, records=with_records(events=events("postgresql", (18 * MINUTE, "stopped"))).records)
    verdict = judge(facts, NOW.astimezone(ZoneInfo("Europe/Berlin")))
    assert verdict.sentence.startswith("PostgreSQL is down since 08:12 CET: ")


@pytest.mark.parametrize(
    ("facts", "code", "severity"),
    [
        (DOWN, "database_stopped", State.DOWN),
        (with_database(connects=False, server_state="crashed"), "database_crashed", State.DOWN),
        (with_database(connects=False, server_state="starting"), "database_starting", State.DOWN),
        (with_database(connects=False, server_state="stopping"), "database_stopping", State.DOWN),
        (with_database(connects=False, server_state="absent"), "database_absent", State.DOWN),
        (with_database(connects=False, server_state="wrong_version"), "database_wrong_version", State.DOWN),
        (with_database(connects=False, server_state="foreign"), "database_foreign", State.DOWN),
        (with_database(connects=False, server_state="running"), "database_running", State.DOWN),
        (with_database(connects=False, server_state=None), "database_unreachable", State.DOWN),
        (with_database(connects=None), "database_unknown", State.CRITICAL),
        (with_database(latency_s=None), "database_silent", State.DOWN),
        (with_database(server_state="absent"), "data_directory_gone", State.CRITICAL),
        (with_database(in_recovery=True), "read_only", State.CRITICAL),
        (with_database(connections_used=97), "connections_high", State.WARNING),
        (with_database(connections_used=119), "connections_high", State.CRITICAL),
        (with_database(latency_s=0.15), "latency_high", State.WARNING),
        (with_database(archiver=None), "archiver_unknown", State.CRITICAL),
        (with_archiver(enabled=False), "archiving_off", State.CRITICAL),
        (with_archiver(last_archived_at=NOW - 10 * MINUTE), "archiving_late", State.WARNING),
        (with_archiver(last_archived_at=NOW - 2 * HOUR), "archiving_late", State.CRITICAL),
        (with_archiver(last_failed_at=NOW - MINUTE / 6), "archiving_fails", State.WARNING),
        (with_survey(repositories=()), "no_repository", State.CRITICAL),
        (with_survey(surveyed_at=NOW - HOUR), "survey_stale", State.WARNING),
        (with_survey(backups=()), "no_backup", State.CRITICAL),
        (with_survey(windows=()), "no_window", State.CRITICAL),
        (with_survey(gaps=(GAP,)), "gap", State.WARNING),
        (with_survey(gaps=(replace(GAP, to_at=None),)), "gap", State.CRITICAL),
        (with_survey(gaps=(replace(GAP, to_at=None, covered_by=(2,)),)), "gap", State.WARNING),
        (with_records(runs=(replace(RUN, outcome="failed", error="full"),)), "backup_failed", State.WARNING),
        (with_records(runs=(replace(RUN, outcome="running"),)), "backup_interrupted", State.WARNING),
        (with_records(recovery=RECOVERY), "recovery_running", State.WARNING),
        (with_records(recovery=replace(RECOVERY, alive=False)), "recovery_interrupted", State.CRITICAL),
        (with_records(events=CAME_BACK), "restarted", State.WARNING),
        (
            with_records(events=events("keeper", (MINUTE, "died"), (2 * MINUTE, "died"), (3 * MINUTE, "died"))),
            "crash_loop",
            State.CRITICAL,
        ),
        (replace(WELL, processes={"keeper": False}), "process_down", State.CRITICAL),
        (replace(WELL, processes={"gateway": False}), "process_down", State.WARNING),
        (replace(WELL, processes={"supervisor": False}), "process_down", State.WARNING),
        (replace(WELL, configuration_changed_at=NOW - HOUR), "configuration_not_applied", State.WARNING),
        (replace(WELL, disks=(FULL,)), "disk_low", State.CRITICAL),
        (replace(WELL, certificate_expires_at=NOW + 20 * DAY), "certificate_expires", State.WARNING),
        (replace(WELL, certificate_expires_at=NOW + 2 * DAY), "certificate_expires", State.CRITICAL),
        (replace(WELL, certificate_expires_at=NOW - DAY), "certificate_expires", State.CRITICAL),
        (replace(WELL, database=None), "unknown_database", State.CRITICAL),
        (replace(WELL, survey=None), "unknown_repositories", State.CRITICAL),
        (replace(WELL, records=None), "unknown_records", State.CRITICAL),
        (replace(WELL, processes=None), "unknown_processes", State.WARNING),
        (replace(WELL, disks=None), "unknown_disks", State.WARNING),
        (replace(WELL, certificate_expires_at=None), "unknown_certificate", State.WARNING),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_is_one_issue_that_says_what_to_do(
    facts: Facts, code: str, severity: State
) -> None:
    verdict = judge(facts, NOW)
    assert [(issue.code, issue.severity) for issue in verdict.issues] == [(code, severity)]
    assert verdict.state is severity
    assert verdict.issues[0].next_step
    assert verdict.sentence.endswith(f": {verdict.issues[0].next_step}.")


@pytest.mark.parametrize(
    "facts",
    [
        with_database(connections_used=96),
        with_database(latency_s=0.1),
        with_database(started_at=NOW, archiver=replace(ARCHIVER, last_archived_at=NOW - 2 * HOUR)),
        with_archiver(last_failed_at=NOW - HOUR, failures=7),
        with_survey(windows=(), backups=(kept(1, ago=2 * MINUTE), kept(2, ago=MINUTE))),
        replace(with_survey(backups=(kept(1, ago=9 * DAY), kept(2, ago=9 * DAY))), scheduled=False),
        with_records(runs=(replace(RUN, outcome="running", alive=True),)),
        with_records(runs=(RUN, replace(RUN, outcome="failed", error="an older one"))),
        with_records(events=events("keeper", (2 * HOUR, "died"))),
        with_records(events=events("keeper", (MINUTE, "started"), (2 * MINUTE, "adopted"))),
        replace(WELL, certificate_expires_at=NOW + 22 * DAY),
        replace(WELL, certificate_expires_at=None, expected=frozenset(Part) - {Part.CERTIFICATE}),
    ],
)
def test_what_is_no_trouble_stays_healthy(facts: Facts) -> None:
    assert codes(facts) == []


def test_empty_facts_are_not_healthy_even_where_nothing_is_expected() -> None:
    assert judge(Facts(collected_at=NOW), NOW).state is State.CRITICAL
    assert judge(Facts(collected_at=NOW, expected=frozenset()), NOW).state is State.CRITICAL


@given(missing=st.sets(st.sampled_from([item.name for item in fields(Facts)][3:8]), min_size=1))
def test_whatever_is_unknown_is_never_healthy(missing: set[str]) -> None:
    facts = replace(WELL, **dict.fromkeys(missing - {"unread"}))
    assert missing == {"unread"} or judge(facts, NOW).state is not State.HEALTHY


def test_the_reason_why_a_part_is_unknown_is_said() -> None:
    facts = replace(WELL, survey=None, unread={Part.REPOSITORIES: "no answer within 1 s"})
    assert "no answer within 1 s" in judge(facts, NOW).sentence


def test_the_worst_comes_first_and_the_rest_is_counted() -> None:
    facts = replace(with_database(latency_s=0.2), processes={"keeper": False}, disks=None)
    verdict = judge(facts, NOW)
    assert [issue.code for issue in verdict.issues] == ["process_down", "latency_high", "unknown_disks"]
    assert verdict.state is State.CRITICAL
    assert verdict.sentence.endswith("(2 more issues)")


def test_a_server_that_is_down_is_not_blamed_for_its_archive_too() -> None:
    assert codes(DOWN) == ["database_stopped"]


def test_a_running_recovery_explains_why_the_server_is_down() -> None:
    facts = replace(DOWN, records=with_records(recovery=RECOVERY).records)
    assert judge(facts, NOW).sentence.startswith("A recovery to 2026-11-21 07:00 is under way (restoring)")


def test_a_lost_data_directory_is_taken_back_and_a_new_home_is_made() -> None:
    lost = with_database(connects=False, server_state="absent", archiver=None)
    assert judge(lost, NOW).issues[0].next_step == "wedsync recover run --to latest"
    assert judge(replace(lost, survey=None), NOW).issues[0].next_step.startswith("run bin/up")


def test_archiving_that_fails_is_critical_when_no_repository_gets_anything() -> None:
    window = RecoveryWindow(from_at=NOW - DAY, to_at=NOW - 20 * MINUTE, repos=(1,))
    failing = replace(ARCHIVER, last_failed_at=NOW, last_failed_segment="00000001000000000000002B")
    facts = replace(with_database(archiver=failing), survey=replace(SURVEY, windows=(window,)))
    verdict = judge(facts, NOW)
    assert [(issue.code, issue.severity) for issue in verdict.issues] == [("archiving_fails", State.CRITICAL)]
    assert "00000001000000000000002B does not reach the archive" in verdict.sentence


def test_a_window_that_stands_still_is_seen_though_segments_are_archived() -> None:
    window = RecoveryWindow(from_at=NOW - DAY, to_at=NOW - 20 * MINUTE, repos=(1,))
    assert codes(with_survey(windows=(window,))) == ["window_behind"]


def test_a_window_may_be_old_right_after_a_start_because_nothing_was_committed_meanwhile() -> None:
    window = RecoveryWindow(from_at=NOW - DAY, to_at=NOW - 3 * HOUR, repos=(1,))
    started = with_database(started_at=NOW - MINUTE, archiver=replace(ARCHIVER, last_archived_at=None))
    assert codes(replace(started, survey=replace(SURVEY, windows=(window,)))) == []


def test_an_archive_that_is_late_is_one_issue_though_the_window_is_late_with_it() -> None:
    window = RecoveryWindow(from_at=NOW - DAY, to_at=NOW - 20 * MINUTE, repos=(1,))
    late = with_archiver(last_archived_at=NOW - 20 * MINUTE)
    assert codes(replace(late, survey=replace(SURVEY, windows=(window,)))) == ["archiving_late"]


@pytest.mark.parametrize(("other_is_ok", "severity"), [(True, State.WARNING), (False, State.CRITICAL)])
def test_an_unreachable_repository_is_as_bad_as_what_is_left(*, other_is_ok: bool, severity: State) -> None:
    first, second = SURVEY.repositories
    gone = replace(second, ok=False, message="unable to find path")
    facts = with_survey(repositories=(replace(first, ok=other_is_ok), gone))
    assert judge(facts, NOW).state is severity
    assert "repository 2 cannot be read (unable to find path)" in " ".join(
        issue.words for issue in judge(facts, NOW).issues
    )


def test_a_region_that_was_given_up_is_not_told_a_second_time_as_unreachable() -> None:
    first, second = SURVEY.repositories
    gone = with_survey(repositories=(first, replace(second, ok=False, message="timeout")))
    region = Region(
        repo=2, kind="s3", seen_at=NOW, reachable=False, since=NOW - 5 * MINUTE, given_up_at=NOW - 3 * MINUTE
    )
    facts = replace(gone, records=with_records(regions=(region,)).records)
    assert [(issue.code, issue.severity) for issue in judge(facts, NOW).issues] == [
        ("region_given_up", State.WARNING)
    ]


def test_a_repository_that_nobody_asked_is_not_good() -> None:
    assert codes(with_survey(repositories=(SURVEY.repositories[0], Repository(repo=2)))) == [
        "repository_unreachable"
    ]


def test_one_repository_without_a_backup_is_a_warning_while_the_other_has_one() -> None:
    facts = with_survey(backups=tuple(item for item in SURVEY.backups if item.repo == 1))
    assert [(issue.code, issue.severity) for issue in judge(facts, NOW).issues] == [("no_backup", State.WARNING)]


def test_a_damaged_backup_is_critical_and_names_the_last_clean_one() -> None:
    backups = (*SURVEY.backups, kept(1, "incr", MINUTE, damaged=True))
    (issue,) = judge(with_survey(backups=backups), NOW).issues
    assert (issue.code, issue.severity) == ("backup_damaged", State.CRITICAL)
    assert SURVEY.backups[-1].label in issue.next_step


@pytest.mark.parametrize(
    ("every", "ago", "late"),
    [
        (HOUR, 69 * MINUTE, False),
        (HOUR, 71 * MINUTE, True),
        (DAY, 26 * HOUR, False),
        (DAY, 27 * HOUR, True),
        (6 * HOUR, 6 * HOUR + 35 * MINUTE, False),
        (6 * HOUR, 6 * HOUR + 37 * MINUTE, True),
    ],
)
def test_a_backup_is_late_a_tenth_of_its_interval_after_it_was_due(
    every: timedelta, ago: timedelta, *, late: bool
) -> None:
    assert is_late(NOW - ago, every, NOW) is late


def test_late_backups_are_told_by_repository_and_get_critical() -> None:
    fulls = (kept(1, "full", 20 * HOUR), kept(2, "full", 4 * DAY))
    facts = with_survey(backups=(*fulls, kept(1, "incr"), kept(2, "incr", HOUR)))
    (issue,) = judge(facts, NOW).issues
    assert issue.severity is State.CRITICAL
    assert issue.words == "repository 2 got no full backup, due every 1 d,"


def test_the_newest_run_of_each_repository_counts() -> None:
    failed = replace(RUN, repo=2, outcome="failed", error="[103]: unable to find a valid repository")
    (issue,) = judge(with_records(runs=(RUN, failed)), NOW).issues
    assert "repository 2 failed ([103]: unable to find a valid repository)" in issue.words


@pytest.mark.parametrize(
    ("free", "total", "severity"),
    [
        (30, 1000, State.WARNING),
        (60, 1000, State.HEALTHY),
        (4, 100, State.CRITICAL),
        (9, 100, State.WARNING),
        (11, 100, State.HEALTHY),
        (12, 1000, State.WARNING),
        (0, 0, State.CRITICAL),
    ],
)
def test_both_the_share_and_the_size_of_free_space_count(free: int, total: int, severity: State) -> None:
    disk = Disk(name="the home", free_bytes=free * 10**9, total_bytes=total * 10**9)
    assert disk_severity(disk) is severity


def test_windows_of_several_timelines_count_as_one_unless_a_gap_is_between() -> None:
    windows = (
        RecoveryWindow(from_at=NOW - 5 * DAY, to_at=NOW - 2 * DAY, repos=(1,)),
        RecoveryWindow(from_at=NOW - DAY, to_at=NOW, repos=(2,)),
    )
    survey = replace(SURVEY, windows=windows)
    whole = continuous_window(survey)
    assert whole == RecoveryWindow(from_at=NOW - 5 * DAY, to_at=NOW, repos=(1, 2))
    split = replace(survey, gaps=(replace(GAP, to_at=NOW - DAY),))
    assert continuous_window(split) == windows[1]
    assert continuous_window(replace(split, gaps=(replace(GAP, to_at=NOW - DAY, covered_by=(2,)),))) == whole
    assert continuous_window(replace(survey, windows=())) is None


def test_the_json_has_the_keys_that_scripts_read() -> None:
    said = json.loads(json.dumps(judge(WELL, NOW).to_json(WELL)))
    assert said["state"] == "healthy"
    assert said["database"]["version"] == "15.18"
    assert said["last_backup_at"] == "2026-11-21T07:18:00.000000+00:00"
    assert said["recovery_window"] == {
        "from": "2026-11-20T11:30:00.000000+00:00",
        "to": "2026-11-21T07:29:19.000000+00:00",
    }
    assert said["open_alerts"] == 0


def test_the_json_of_an_unknown_home_has_the_same_keys() -> None:
    nothing = Facts(collected_at=NOW)
    said = json.loads(json.dumps(judge(nothing, NOW).to_json(nothing)))
    assert said["state"] == "critical"
    assert said["database"] == {"connects": None}
    assert said["last_backup_at"] is None
    assert said["recovery_window"] == {"from": None, "to": None}
    assert said["open_alerts"] == len(said["issues"]) == 6


@pytest.mark.parametrize(
    ("jobs", "code", "words"),
    [
        (Jobs(failed=1, last_failed=17), "jobs_failed", "1 maintenance job failed"),
        (Jobs(waiting=2, due_since=NOW - timedelta(minutes=11)), "jobs_waiting", "2 maintenance jobs wait"),
    ],
)
def test_maintenance_that_failed_or_waits_is_said(jobs: Jobs, code: str, words: str) -> None:
    verdict = judge(with_database(jobs=jobs), NOW)
    assert [(issue.code, issue.severity) for issue in verdict.issues] == [(code, State.WARNING)]
    assert verdict.issues[0].words.startswith(words)


@pytest.mark.parametrize(
    "jobs",
    [
        Jobs(),
        Jobs(waiting=2, due_since=NOW - timedelta(minutes=9)),
        Jobs(waiting=2, running=1, due_since=NOW - HOUR),  # a long one is being done
        Jobs(waiting=1),  # put off
    ],
)
def test_maintenance_in_its_course_is_no_issue(jobs: Jobs) -> None:
    assert judge(with_database(jobs=jobs), NOW).state is State.HEALTHY


def test_what_would_happen_now_is_said_in_a_line_and_in_values() -> None:
    exposure = Exposure(
        measured_at=NOW, mode="archive", since=NOW - HOUR, in_force_s=11.2, at_stake_bytes=4096, worst_24h_s=58.0
    )
    outlook = Outlook(expected_s=14.04, low_s=7.0, high_s=28.0, runs=0, repo=2, label="20261121-070000F")
    proof = ProofFacts(
        expected=True,
        limit=DAY,
        critical=2 * DAY,
        tried=(
            Proven(repo=1, label="b", drill="d2", at=NOW, passed=False, rto_s=1.0),
            Proven(repo=1, label="a", drill="d1", at=NOW - HOUR, passed=True, rto_s=9.1234),
        ),
    )
    facts = with_records(exposure=exposure, outlook=outlook, proof=proof)
    assert if_it_broke_words(facts.records) == (
        "If it broke now: lose ≤ 11 s (measured), back in ≈ 14 s (forecast, 7.0 s – 28 s; last drill 9.1 s)"
    )
    told = judge(facts, NOW).to_json(facts)
    assert (told["rto_forecast_s"], told["rto_forecast_range_s"], told["rto_forecast_from_runs"]) == (
        14.0,
        [7.0, 28.0],
        0,
    )
    assert told["rto_last_drill"] == {
        "drill": "d1",
        "at": "2026-11-21T06:30:00.000000+00:00",
        "rto_s": 9.123,
    }
    assert told["rpo"]["in_force_s"] == 11.2


def test_what_nobody_knows_is_said_so() -> None:
    facts = with_records(exposure=None, outlook=None, proof=None)
    assert if_it_broke_words(facts.records) == (
        "If it broke now: what is lost is not measured yet, back in a time that nobody knows (no drill yet)"
    )
    assert judge(facts, NOW).to_json(facts)["rto_forecast_s"] is None
