"""What can be wrong with the proof that backups can be restored."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from wedsync.monitoring.facts import Facts, KeptBackup, ProofFacts
from wedsync.monitoring.issues import Issue, State
from wedsync.words import duration_words

COMPARED_WITHIN = timedelta(days=7)
"""A drill compares rows with what was recorded at least this often."""
_NAMED = 3


def proof_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """A drill failed, proof is missing or too old, or a backup will be gone before its turn."""
    proof = facts.records.proof if facts.records else None
    if proof is None:
        return
    there = {(item.repo, item.label): item for item in facts.survey.backups} if facts.survey else None
    yield from _failed(proof, there)
    if proof.expected:
        yield from _age(proof, facts, now)
        yield from _too_late(proof)
        yield from _not_compared(proof, now)


def _failed(proof: ProofFacts, there: dict[tuple[int, str], KeptBackup] | None) -> Iterator[Issue]:
    """Backups that are still kept and whose last drill failed; not known what is kept: the newest counts."""
    failed = [
        item for item in proof.tried if not item.passed and (there is None or (item.repo, item.label) in there)
    ]
    if not failed:
        return
    newest = failed[0]
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    yield Issue(
        severity=State.CRITICAL,
        code="drill_failed",
        words=f"the drill of backup {newest.label} in repository {newest.repo} failed: {newest.failed}{more}",
        since=newest.at,
        next_step=f"wedsync drill show {newest.drill} says what was found; then docs/how-to/drills.md",
    )


def _age(proof: ProofFacts, facts: Facts, now: datetime) -> Iterator[Issue]:
    newest = proof.newest
    backups = facts.survey.backups if facts.survey else ()
    since = newest.at if newest is not None else min((item.finished_at for item in backups), default=None)
    if since is None or now - since <= proof.limit:
        return
    late = now - since
    words = (
        f"no backup was proven by a restore, promised is every {duration_words(proof.limit.total_seconds())},"
        if newest is not None
        else "no backup was ever proven by a restore; there are some"
    )
    yield Issue(
        severity=State.CRITICAL if late > proof.critical else State.WARNING,
        code="proof_old",
        words=words,
        since=since,
        next_step=f"wedsync drill run{f' (the last try: {proof.trouble})' if proof.trouble else ''}",
    )


def _too_late(proof: ProofFacts) -> Iterator[Issue]:
    if not proof.too_late:
        return
    named = ", ".join(f"{label} in repository {repo}" for repo, label in proof.too_late[:_NAMED])
    more = f" and {len(proof.too_late) - _NAMED} more" if len(proof.too_late) > _NAMED else ""
    one = len(proof.too_late) == 1
    yield Issue(
        severity=State.WARNING,
        code="proof_too_late",
        words=f"{named}{more} will be gone before {'its' if one else 'their'} turn to be proven",
        next_step="raise drills.per_day, or run wedsync drill run --label LABEL",
    )


def _not_compared(proof: ProofFacts, now: datetime) -> Iterator[Issue]:
    """Drills pass, but none has compared rows: there was no witness on their way."""
    since = proof.compared_at or min((item.at for item in proof.tried), default=None)
    if since is None or now - since <= COMPARED_WITHIN:
        return
    never = "ever " if proof.compared_at is None else ""
    yield Issue(
        severity=State.WARNING,
        code="rows_not_compared",
        words=f"no drill {never}compared rows with what was recorded of them,",
        since=since,
        next_step="see the keeper's log for witness_skipped: why nothing is recorded to compare with",
    )
