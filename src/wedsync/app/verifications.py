"""What operators do with verification: the command line and the operations API call the same."""

from collections.abc import Sequence
from datetime import timedelta

from wedsync.app.backups import record, require_repo
from wedsync.app.platform import Platform
from wedsync.backup import (
    Ended,
    Finding,
    Repaired,
    VerificationStatus,
    Verified,
    show_coverage,
    show_finding,
    shown_repair,
)
from wedsync.errors import Busy

_RECENT = timedelta(days=7)


async def verify_backups(
    platform: Platform, *, repo: int | None, repair: bool = False, dry_run: bool = False, by: str | None = None
) -> Verified:
    """Read one repository whole, or all of them. `repair`: put back what can be, and read that again; `dry_run`:
    say what would be put back. Raises `Busy` if there is something to repair while a backup is taken."""
    platform.require_backups("backup", changes=repair and not dry_run)
    require_repo(platform, repo)
    found = await platform.verifier.verify(repo)
    repaired: Sequence[Repaired] = ()
    problems = found.problems
    if (repair or dry_run) and problems:
        repaired = await _repair(platform, repo, dry_run=dry_run, by=by or platform.operator)
        done = {(item.repo, item.file, item.problem) for item in repaired if item.done}
        problems = tuple(item for item in problems if (item.repo, item.file, item.problem) not in done)
    return Verified(
        ok=found.checked > 0 and not problems,
        checked=found.checked,
        problems=problems,
        repaired=repaired,
        coverage=[show_coverage(item) for item in platform.verification.coverage()],
    )


async def _repair(platform: Platform, repo: int | None, *, dry_run: bool, by: str) -> list[Repaired]:
    parts = platform.verification
    inspection = await parts.inspector.inspect()
    findings = [item for item in parts.ledger.open(repo) if item.problem.repo in inspection.repos]
    plans = parts.mender.plan(findings, inspection)
    if dry_run:
        return [shown_repair(plan, done=False) for plan in plans]
    holder = platform.backup_runs.under_way()
    if holder is not None:
        raise Busy(
            "nothing is repaired while a backup is under way",
            detail=f"{holder.purpose}, since {holder.since}",
            hint="wait for its end; the keeper repairs by itself then",
        )
    done: list[Repaired] = []
    for plan in plans:
        record(
            platform, by, "backup repair", {"repo": plan.finding.problem.repo, "file": plan.finding.problem.file}
        )
        done.append(await parts.mender.carry_out(plan, inspection))
    return done


def verification_status(platform: Platform) -> VerificationStatus:
    """How far reading has come and what is wrong, without reading anything."""
    platform.require_backups("backup")
    ledger = platform.verification.ledger
    coverage = platform.verification.coverage()
    open_findings = ledger.open()
    ended = [item for item in ledger.ended_since(platform.clock.now() - _RECENT) if _is_worth_telling(item)]
    return VerificationStatus(
        ok=bool(coverage) and not open_findings and all(item.is_well for item in coverage),
        coverage=[show_coverage(item) for item in coverage],
        problems=[show_finding(item) for item in open_findings],
        recent=[show_finding(item) for item in ended],
    )


def _is_worth_telling(finding: Finding) -> bool:
    return finding.ended_by is not Ended.GONE or finding.repair is not None
