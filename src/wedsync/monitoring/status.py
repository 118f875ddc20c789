"""The verdict on a home: one state, one sentence, and every issue with its next step."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

from wedsync.monitoring.backup_rules import (
    archive_issues,
    continuous_window,
    damage_issues,
    last_good_backup,
    repository_issues,
    run_issues,
    window_issues,
)
from wedsync.monitoring.exposure_rules import exposure_issues
from wedsync.monitoring.facts import Facts, Region
from wedsync.monitoring.if_it_broke import MeasuredRto, Rpo, Rto, rpo_of, rto_of
from wedsync.monitoring.issues import Issue, State
from wedsync.monitoring.proof_rules import proof_issues
from wedsync.monitoring.region_rules import queue_issues, region_issues
from wedsync.monitoring.server_rules import (
    certificate_issues,
    configuration_issues,
    database_issues,
    disk_issues,
    job_issues,
    process_issues,
    recovery_issues,
    unknown_issues,
)
from wedsync.monitoring.verification_rules import verification_issues
from wedsync.words import age_words, short_moment_words

Rule = Callable[[Facts, datetime], Iterable[Issue]]

RULES: tuple[Rule, ...] = (
    recovery_issues,
    database_issues,
    window_issues,
    archive_issues,
    exposure_issues,
    configuration_issues,
    damage_issues,
    queue_issues,
    repository_issues,
    proof_issues,
    region_issues,
    run_issues,
    verification_issues,
    disk_issues,
    process_issues,
    job_issues,
    certificate_issues,
    unknown_issues,
)
"""In the order of what an operator should read first among equally bad issues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a home is."""

    state: State
    sentence: str
    """What is wrong, since when, what to do next; or what makes it well."""
    issues: tuple[Issue, ...]
    """Worst first."""
    judged_at: datetime

    def to_json(self, facts: Facts) -> dict[str, Any]:
        """The answer of `status --json`: plain values, moments in ISO 8601, UTC."""
        database, survey, records = facts.database, facts.survey, facts.records
        window, newest = continuous_window(survey), last_good_backup(survey)
        return _plain(
            {
                "state": self.state,
                "sentence": self.sentence,
                "judged_at": self.judged_at,
                "collected_at": facts.collected_at,
                "database": asdict(database) if database else {"connects": None},
                "last_backup_at": newest.finished_at if newest else None,
                "recovery_window": {
                    "from": window.from_at if window else None,
                    "to": window.to_at if window else None,
                },
                "rpo": _struct(rpo_of(records.exposure if records else None)),
                **_rto(rto_of(records.outlook, records.proof) if records else None),
                "open_alerts": len(self.issues),
                "issues": [asdict(issue) for issue in self.issues],
                "surveyed_at": survey.surveyed_at if survey else None,
                "repositories": [asdict(item) for item in survey.repositories] if survey else None,
                "windows": [
                    {"from": item.from_at, "to": item.to_at, "repos": item.repos}
                    for item in (survey.windows if survey else ())
                ],
                "gaps": [asdict(gap) for gap in (survey.gaps if survey else ())],
                "regions": [_region(item, self.judged_at) for item in records.regions] if records else None,
                "wal_queue": asdict(records.wal_queue) if records and records.wal_queue else None,
                "recovery": asdict(records.recovery) if records and records.recovery else None,
                "proof": _proof(facts, self.judged_at),
                "processes": dict(facts.processes) if facts.processes is not None else None,
                "disks": [asdict(disk) for disk in facts.disks] if facts.disks is not None else None,
                "certificate_expires_at": facts.certificate_expires_at,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """What somebody who looks at a home is shown: the facts and what they mean."""

    facts: Facts
    verdict: Verdict


def judge(facts: Facts, now: datetime) -> Verdict:
    """The verdict on `facts`; moments are said in the time zone of `now`."""
    found = [issue for rule in RULES for issue in rule(facts, now)]
    issues = tuple(sorted(found, key=lambda issue: -issue.severity.rank))  # stable: rules keep their order
    return Verdict(
        state=issues[0].severity if issues else State.HEALTHY,
        sentence=_of_issues(issues, now) if issues else _all_well(facts, now),
        issues=issues,
        judged_at=now,
    )


def _proof(facts: Facts, now: datetime) -> dict[str, Any] | None:
    """The newest proven backup, and how many of those that are kept are proven."""
    proof = facts.records.proof if facts.records else None
    if proof is None:
        return None
    passed = {(item.repo, item.label) for item in proof.tried if item.passed}
    kept = facts.survey.backups if facts.survey else ()
    return {
        "newest": asdict(proof.newest) if proof.newest else None,
        "age_s": (now - proof.newest.at).total_seconds() if proof.newest else None,
        "limit_s": proof.limit,
        "proven_backups": sum(1 for item in kept if (item.repo, item.label) in passed),
        "unproven_backups": sum(1 for item in kept if (item.repo, item.label) not in passed),
        "will_expire_unproven": [{"repo": repo, "label": label} for repo, label in proof.too_late],
    }


def _of_issues(issues: tuple[Issue, ...], now: datetime) -> str:
    more = len(issues) - 1
    others = "" if not more else f" ({more} more {'issue' if more == 1 else 'issues'})"
    return f"{issue_words(issues[0], now)}: {issues[0].next_step}.{others}"


def issue_words(issue: Issue, now: datetime) -> str:
    """What is wrong and since when, as the beginning of a sentence."""
    words = issue.words[:1].upper() + issue.words[1:]
    return f"{words} since {short_moment_words(issue.since, now)}" if issue.since else words.rstrip(",")


def _all_well(facts: Facts, now: datetime) -> str:
    window, newest = continuous_window(facts.survey), last_good_backup(facts.survey)
    if newest is None:
        return "All well: the database takes connections."
    if window is None:
        return f"All well: the state of the last backup, {age_words(newest.finished_at, now)}, can be restored."
    return (
        f"All well: every second from {short_moment_words(window.from_at, now)} until"
        f" {age_words(window.to_at, now)} can be restored; last backup {age_words(newest.finished_at, now)}"
        f"{_proven_words(facts, now)}."
    )


def _proven_words(facts: Facts, now: datetime) -> str:
    proof = facts.records.proof if facts.records else None
    if proof is None or proof.newest is None:
        return ""
    return f", last proven by a restore {age_words(proof.newest.at, now)}"


def _struct(shown: Rpo | MeasuredRto | None) -> dict[str, Any] | None:
    return msgspec.structs.asdict(shown) if shown is not None else None


def _rto(rto: Rto | None) -> dict[str, Any]:
    """How long it would take to be back, and how long it took in the last drill."""
    return {
        "rto_forecast_s": rto.forecast_s if rto else None,
        "rto_forecast_range_s": rto.range_s if rto else None,
        "rto_forecast_from_runs": rto.runs if rto else 0,
        "rto_last_drill": _struct(rto.last_drill) if rto else None,
    }


def _region(region: Region, now: datetime) -> dict[str, Any]:
    return asdict(region) | {
        "lag_s": round(region.lag(now).total_seconds(), 1),
        "immutable": region.lock.state if region.lock else None,
    }


def _plain(value: object) -> Any:
    """Moments as text in UTC, durations as seconds."""
    match value:
        case dict():
            pairs = cast("dict[object, object]", value)
            return {str(key): _plain(inner) for key, inner in pairs.items()}
        case list() | tuple():
            return [_plain(inner) for inner in cast("Sequence[object]", value)]
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case timedelta():
            return value.total_seconds()
        case _:
            return value
