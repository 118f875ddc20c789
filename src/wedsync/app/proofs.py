"""What drills have shown of the backups, for status and lists."""

from collections.abc import Mapping

from wedsync.app.platform import Platform
from wedsync.backup import LoggedDrill, ShownProof
from wedsync.drills import DIGESTS, Drill, DrillPolicy, Outcome, next_drill
from wedsync.monitoring import Outlook, ProofFacts, Proven
from wedsync.recovery import read_outlook

_REMEMBERED = 2000
_LOGGED = 50


def shown_proofs(platform: Platform) -> Mapping[tuple[int, str], ShownProof]:
    """The newest drill of each backup that was drilled, by repository and label."""
    found: dict[tuple[int, str], ShownProof] = {}
    for drill in platform.drill_records.of_backups():
        proven = _proven(drill)
        found[proven.repo, proven.label] = ShownProof(drill=drill.id, at=proven.at, passed=proven.passed)
    return found


def logged_drills(platform: Platform) -> list[LoggedDrill]:
    """What the database's verification log is told: what was restored to which moment, and what was found."""
    return [
        LoggedDrill(
            at=drill.finished_at,
            passed=drill.outcome is Outcome.PASSED,
            details={
                "drill": drill.id,
                "repo": drill.source.repo,
                "label": drill.source.label,
                "restored_to": drill.restored_to.isoformat() if drill.restored_to is not None else None,
                "rto_s": drill.rto_s,
                "rpo_s": drill.rpo_s,
                "checks": len(drill.made_checks),
                "failed": [check.name for check in drill.failed_checks],
            },
        )
        for drill in platform.drill_records.newest(limit=_LOGGED)
        if drill.outcome.says_something and drill.source is not None and drill.finished_at is not None
    ]


def proof_facts(platform: Platform) -> ProofFacts | None:
    """What drills have shown; `None` where there are none."""
    if not platform.is_local:
        return None
    settings = platform.config.drills
    expected = settings.enabled and platform.config.backup.enabled
    records = platform.drill_records
    last = records.last_ended()
    newest = records.newest(limit=_REMEMBERED)
    rotation = next_drill(
        platform.backup_records.backups(),
        newest,
        platform.clock.now(),
        DrillPolicy.of(platform.config),
    )
    trouble = last.trouble if last is not None else None
    return ProofFacts(
        expected=expected,
        limit=settings.proof_limit,
        critical=settings.proof_critical,
        tried=tuple(_proven(drill) for drill in records.of_backups()),
        too_late=tuple((item.repo, item.label) for item in rotation.too_late) if expected else (),
        trouble=trouble.message if trouble is not None else "",
        compared_at=max(
            (
                drill.finished_at or drill.began_at
                for drill in newest
                if any(check.name == DIGESTS and check.ok for check in drill.checks)
            ),
            default=None,
        ),
    )


def outlook_facts(platform: Platform) -> Outlook | None:
    """How long it would take to be back if the machine went now; `None`: nothing is there to begin with."""
    if not platform.is_local:
        return None
    found = read_outlook(platform.state, platform.backup_records.backups())
    if found is None:
        return None
    return Outlook(
        expected_s=found.forecast.total_s,
        low_s=found.forecast.low_s,
        high_s=found.forecast.high_s,
        runs=found.forecast.runs,
        repo=found.base.repo,
        label=found.base.label,
    )


def _proven(drill: Drill) -> Proven:
    assert drill.source is not None  # noqa: S101 - only those with a backup are asked for
    return Proven(
        repo=drill.source.repo,
        label=drill.source.label,
        drill=drill.id,
        at=drill.finished_at or drill.began_at,
        passed=drill.outcome is Outcome.PASSED,
        failed=", ".join(check.name for check in drill.failed_checks),
        restored_to=drill.restored_to,
        rto_s=drill.rto_s,
        rpo_s=drill.rpo_s,
    )
