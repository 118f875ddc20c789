"""A drill in JSON: for scripts, for the API, as evidence."""

from typing import Any

from wedsync import __version__
from wedsync.drills.drill import Drill, Outcome

_FORMAT = 1


def drill_json(drill: Drill) -> dict[str, Any]:
    """The answer of `drill run --json`, and the evidence: no path, no secret, no row of the database."""
    source = drill.source
    return {
        "id": drill.id,
        "passed": drill.outcome is Outcome.PASSED,
        "outcome": drill.outcome,
        "reason": drill.reason,
        "asked_by": drill.asked_by,
        "label": source.label if source else None,
        "repo": source.repo if source else None,
        "backup": source,
        "moment": drill.moment,
        "restored_to": drill.restored_to,
        "last_commit_at": drill.last_commit_at,
        "known_commit_at": drill.known_commit_at,
        "rto_s": _round(drill.rto_s),
        "rto_target_s": drill.rto_target_s,
        "rto_kept": drill.rto_kept,
        "rpo_s": _round(drill.rpo_s),
        "rpo_target_s": drill.rpo_target_s,
        "rpo_kept": drill.rpo_kept,
        "phases_s": {part: _round(seconds) for part, seconds in drill.phases_s.items()},
        "forecast": {
            "forecast_s": _round(drill.forecast_s),
            "range_s": [_round(seconds) for seconds in drill.forecast_range_s] if drill.forecast_range_s else None,
            "from_runs": drill.forecast_from_runs,
            "took_s": _round(drill.forecast_took_s),
            "phases_s": {part: _round(seconds) for part, seconds in drill.forecasts_s.items()},
        },
        "effort": drill.effort,
        "paused_s": _round(drill.paused_s),
        "pauses": [
            {"began_at": pause.began_at, "took_s": _round(pause.took_s), "made_way_for": pause.made_way_for}
            for pause in drill.pauses
        ],
        "checks": [
            {"name": check.name, "ok": check.ok, "detail": check.detail, "took_s": _round(check.took_s)}
            for check in drill.made_checks
        ],
        "skipped": [{"name": check.name, "reason": check.detail} for check in drill.skipped_checks],
        "trouble": drill.trouble,
        "began_at": drill.began_at,
        "finished_at": drill.finished_at,
        "version": __version__,
        "format": _FORMAT,
    }


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
