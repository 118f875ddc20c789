"""What can be wrong with reading the backups: damage was found, reading is late, fails or stands still."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from wedsync.monitoring.facts import Facts, FoundDamage, RepositoryReading, SurveyFacts, VerificationFacts
from wedsync.monitoring.issues import Issue, State
from wedsync.words import duration_words

TOLD_FOR = timedelta(days=1)
"""A repair is told for so long: what damaged one file may damage the next."""
FAILS_AFTER = timedelta(hours=1)
STANDS_STILL_AFTER = timedelta(hours=2)
_LONGEST = 160


def verification_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """Damage first, then whether anybody would notice more of it."""
    known = facts.records.verification if facts.records else None
    if known is None:
        return
    keeper_runs = facts.processes is None or bool(facts.processes.get("keeper"))  # else its absence is the issue
    yield from _damage(known.open, facts.survey)
    yield from _repairs(known.ended, now)
    for reading in known.repositories:
        yield from _reading(reading, known, facts.survey, now, keeper_runs=keeper_runs)
    if keeper_runs:
        yield from _never(known, facts.survey, now)


def _damage(found: Sequence[FoundDamage], survey: SurveyFacts | None) -> Iterator[Issue]:
    """One issue for what is wrong in the same way in one repository."""
    groups: dict[tuple[int, str], list[FoundDamage]] = {}
    for item in found:
        if item.kind != "repository" and not _is_known_gap(item, survey):  # others tell of these
            groups.setdefault((item.repo, item.kind), []).append(item)
    for (repo, kind), items in groups.items():
        first = next((item for item in items if item.critical), items[0])
        what = first.label or first.file or "its files"
        more = f", and {len(items) - 1} more" if len(items) > 1 else ""
        critical = any(item.critical for item in items)
        yield Issue(
            severity=State.CRITICAL if critical else State.WARNING,
            code="verification_found",
            words=f"repository {repo} is damaged at {what} ({_short(first.problem)}){more}",
            since=min(item.found_at for item in items),
            next_step=_next_step(repo, kind, first),
        )


def _next_step(repo: int, kind: str, first: FoundDamage) -> str:
    if kind in ("missing_wal", "damaged_wal", "damaged_info"):
        if first.repair is None:
            return "the keeper puts it back by itself; now: wedsync backup verify --repair"
        return f"it could not be put back ({_short(first.repair)}): wedsync backup run --type full --repo {repo}"
    if kind == "damaged_backup" or (kind == "lost_info" and first.label):
        return f"no recovery begins with it; the keeper takes a new one, or: wedsync backup run --repo {repo}"
    return "docs/how-to/verify-backups.md says what to do"


def _is_known_gap(item: FoundDamage, survey: SurveyFacts | None) -> bool:
    gaps = survey.gaps if survey else ()
    return item.kind == "missing_wal" and any(
        gap.repo == item.repo and (item.file or "").startswith(gap.first) for gap in gaps
    )


def _repairs(ended: Iterable[FoundDamage], now: datetime) -> Iterator[Issue]:
    by_repo: dict[int, list[FoundDamage]] = {}
    for item in ended:
        if item.repaired_at is not None and now - item.repaired_at <= TOLD_FOR:
            by_repo.setdefault(item.repo, []).append(item)
    for repo, items in by_repo.items():
        count = "1 file was" if len(items) == 1 else f"{len(items)} files were"
        yield Issue(
            severity=State.WARNING,
            code="verification_repaired",
            words=f"{count} damaged or missing in repository {repo} and put back (such as {items[-1].file})",
            next_step="find out what damaged it: its disk, or who has access; wedsync backup verify --status",
        )


def _reading(
    reading: RepositoryReading,
    known: VerificationFacts,
    survey: SurveyFacts | None,
    now: datetime,
    *,
    keeper_runs: bool,
) -> Iterator[Issue]:
    answers = survey is None or any(item.repo == reading.repo and item.ok for item in survey.repositories)
    if reading.error_since is not None:
        if answers and now - reading.error_since > FAILS_AFTER:
            yield Issue(
                severity=State.WARNING,
                code="verification_fails",
                words=f"repository {reading.repo} could not be read to verify it ({_short(reading.error or '')})",
                since=reading.error_since,
                next_step=f"wedsync backup verify --repo {reading.repo}",
            )
    elif keeper_runs and reading.listed_at is not None and now - reading.listed_at > STANDS_STILL_AFTER:
        yield Issue(
            severity=State.WARNING,
            code="verification_stands_still",
            words=f"nobody looked into repository {reading.repo}",
            since=reading.listed_at,
            next_step="see whether the keeper runs, and what its log says",
        )
    if reading.overdue_since is not None and reading.overdue_since < now:
        late = now - reading.overdue_since
        yield Issue(
            severity=State.CRITICAL if late > known.within else State.WARNING,
            code="verification_behind",
            words=f"repository {reading.repo} has files that were not read for more than"
            f" {duration_words(known.within.total_seconds())}, overdue",
            since=reading.overdue_since,
            next_step="raise backup.verification.bytes_per_second or backup.verification.within",
        )


def _never(known: VerificationFacts, survey: SurveyFacts | None, now: datetime) -> Iterator[Issue]:
    """Repositories with backups that nobody ever looked into."""
    looked = {reading.repo for reading in known.repositories}
    for repository in survey.repositories if survey else ():
        oldest = min(
            (item.finished_at for item in survey.backups if item.repo == repository.repo) if survey else (),
            default=now,
        )
        if repository.ok and repository.repo not in looked and now - oldest > STANDS_STILL_AFTER:
            yield Issue(
                severity=State.WARNING,
                code="verification_stands_still",
                words=f"repository {repository.repo} was never verified",
                next_step=f"see whether the keeper runs; now: wedsync backup verify --repo {repository.repo}",
            )


def _short(words: str) -> str:
    flat = " ".join(words.split())
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + "…"
