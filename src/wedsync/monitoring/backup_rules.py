"""What can be wrong with backups, the archive and the recovery window."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from wedsync.monitoring.facts import (
    Archiver,
    BackupRun,
    Facts,
    KeptBackup,
    RecoveryWindow,
    Repository,
    SurveyFacts,
    WalGap,
)
from wedsync.monitoring.issues import Issue, State
from wedsync.words import duration_words, short_moment_words

LOSS_LIMIT = timedelta(hours=1)
"""WAL that is not archived for longer is a loss that the product promises not to have."""
WINDOW_OPENS_WITHIN = timedelta(minutes=5)
"""After a first backup its own moment can be restored; later ones once the next segment is archived."""
SURVEY_STALE = timedelta(minutes=10)
_SLACK_LEAST = timedelta(minutes=10)


def archive_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """WAL does not reach the archive, or late."""
    archiver = facts.database.archiver if facts.database and facts.database.connects else None
    if facts.database is None or not facts.database.connects:
        return  # the server's own issue says more
    if archiver is None:
        yield Issue(
            severity=State.CRITICAL,
            code="archiver_unknown",
            words="it is not known whether WAL reaches the archive",
            next_step="wedsync doctor",
        )
    elif not archiver.enabled:
        yield Issue(
            severity=State.CRITICAL,
            code="archiving_off",
            words="PostgreSQL does not archive its WAL: what is written after the last backup can be lost",
            next_step="wedsync doctor says which settings are needed",
        )
    elif archiver.is_failing:
        yield _failing(facts, archiver, now)
    else:
        yield from _late(facts, archiver, now)


def _failing(facts: Facts, archiver: Archiver, now: datetime) -> Issue:
    """One repository that has everything makes it a warning: the data is safe there."""
    problems = [item for item in facts.survey.repositories if item.ok is False] if facts.survey else []
    newest = newest_moment(facts.survey)
    one_has_it = newest is not None and now - newest <= _late_after(archiver)
    waiting = f"; {archiver.waiting_segments} segments wait" if archiver.waiting_segments else ""
    return Issue(
        severity=State.WARNING if one_has_it else State.CRITICAL,
        code="archiving_fails",
        words=f"WAL segment {archiver.last_failed_segment} does not reach "
        f"{'every repository' if one_has_it else 'the archive'}{waiting}",
        since=archiver.last_archived_at,
        next_step=f"bring repository {problems[0].repo} back; PostgreSQL keeps the WAL until then"
        if problems
        else "read the log of archiving in the home's directory log; PostgreSQL keeps the WAL until then",
    )


def _late(facts: Facts, archiver: Archiver, now: datetime) -> Iterator[Issue]:
    started_at = facts.database.started_at if facts.database else None
    last = max((moment for moment in (archiver.last_archived_at, started_at) if moment), default=None)
    if last is None:
        yield Issue(
            severity=State.WARNING,
            code="archiving_late",
            words="no WAL segment was archived yet",
            next_step="wait a minute; then wedsync doctor",
        )
    elif now - last > _late_after(archiver):
        yield Issue(
            severity=State.CRITICAL if now - last > LOSS_LIMIT else State.WARNING,
            code="archiving_late",
            words="no WAL segment was archived",
            since=last,
            next_step="see whether the keeper runs (its heartbeat fills segments) and the log of archiving",
        )


def _late_after(archiver: Archiver) -> timedelta:
    return max(3 * archiver.timeout, timedelta(minutes=5))


def repository_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """A repository cannot be read, has no backup, or a backup is late."""
    survey = facts.survey
    if survey is None:
        return  # `unknown_issues` says so
    if now - survey.surveyed_at > SURVEY_STALE:
        yield Issue(
            severity=State.WARNING,
            code="survey_stale",
            words="the repositories did not answer",
            since=survey.surveyed_at,
            next_step="wedsync recover window shows what they say",
        )
    if not survey.repositories:
        yield Issue(
            severity=State.CRITICAL,
            code="no_repository",
            words="there is no backup repository",
            next_step="set backup.repo1 in wedsync.toml",
        )
    none_good = all(not item.is_good for item in survey.backups)
    if none_good and any(item.ok for item in survey.repositories):
        yield Issue(
            severity=State.CRITICAL,
            code="no_backup",
            words="there is no good backup: nothing can be restored",
            next_step="wedsync backup run --type full",
        )
    none_reads = not any(item.ok for item in survey.repositories)
    regions = facts.records.regions if facts.records else ()
    given_up = {item.repo for item in regions if item.given_up_at is not None and not item.reachable}
    for repository in survey.repositories:
        if repository.ok is not True and repository.repo in given_up and not none_reads:
            continue  # `region_issues` says more
        if repository.ok is not True:
            what = "cannot be read" if repository.ok is False else "was not asked"
            yield Issue(
                severity=State.CRITICAL if none_reads else State.WARNING,
                code="repository_unreachable",
                words=f"repository {repository.repo} {what}{_in_brackets(repository.message)}",
                next_step=f"make it reachable: its settings are backup.repo{repository.repo}",
            )
        else:
            yield from _late_backups(repository, survey, now, scheduled=facts.scheduled)


def _late_backups(
    repository: Repository, survey: SurveyFacts, now: datetime, *, scheduled: bool
) -> Iterator[Issue]:
    here = [item for item in survey.backups if item.repo == repository.repo and item.is_good]
    if not here:
        if any(item.is_good for item in survey.backups):
            yield Issue(
                severity=State.WARNING,
                code="no_backup",
                words=f"repository {repository.repo} holds no good backup",
                next_step=f"wedsync backup run --type full --repo {repository.repo}",
            )
        return
    if not scheduled:
        return
    fulls = [item for item in here if item.kind == "full"]
    for kind, every, backups in (
        ("full", repository.full_every, fulls),
        ("incr", repository.incr_every, here),
    ):
        newest = max((item.finished_at for item in backups), default=None)
        if every is not None and newest is not None and is_late(newest, every, now):
            what = "full backup" if kind == "full" else "backup"
            yield Issue(
                severity=State.CRITICAL if now - newest > 3 * every else State.WARNING,
                code="backup_late",
                words=f"repository {repository.repo} got no {what}, due every"
                f" {duration_words(every.total_seconds())},",
                since=newest,
                next_step="see why the last run failed: wedsync backup list",
            )


def is_late(newest_at: datetime, every: timedelta, now: datetime) -> bool:
    """Whether the next backup is overdue: a tenth of the interval, and at least 10 minutes, are forgiven."""
    return now - newest_at > every + max(every / 10, _SLACK_LEAST)


def run_issues(facts: Facts, _: datetime) -> Iterator[Issue]:
    """The newest run of a repository failed, or was killed."""
    newest: dict[int, BackupRun] = {}
    for run in facts.records.runs if facts.records else ():
        newest.setdefault(run.repo, run)
    for run in newest.values():
        if run.outcome == "failed":
            yield Issue(
                severity=State.WARNING,
                code="backup_failed",
                words=f"the last {run.kind} backup to repository {run.repo} failed{_in_brackets(run.error or '')}",
                since=run.finished_at or run.started_at,
                next_step="the keeper tries again by itself; now: wedsync backup run --type " + run.kind,
            )
        elif run.outcome == "running" and not run.alive:
            yield Issue(
                severity=State.WARNING,
                code="backup_interrupted",
                words=f"the {run.kind} backup to repository {run.repo} was killed",
                since=run.started_at,
                next_step="the keeper resumes it by itself; now: wedsync backup run --type " + run.kind,
            )


def damage_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """Backups with pages whose checksum is wrong: the cluster was damaged when they were taken."""
    damaged = [item for item in facts.survey.backups if item.damaged] if facts.survey else []
    if damaged:
        clean = _last_clean_before(damaged[0], facts.survey)
        yield Issue(
            severity=State.CRITICAL,
            code="backup_damaged",
            words=f"backup {damaged[-1].label} copied damaged pages of the database",
            since=damaged[0].finished_at,
            next_step="wedsync backup verify names the files; "
            + (
                f"the last clean backup is {clean.label} of {short_moment_words(clean.finished_at, now)}"
                if clean
                else "no clean backup is older"
            ),
        )


def _last_clean_before(damaged: KeptBackup, survey: SurveyFacts | None) -> KeptBackup | None:
    clean = [
        item
        for item in (survey.backups if survey else ())
        if item.is_good and item.finished_at < damaged.finished_at
    ]
    return max(clean, key=lambda item: item.finished_at, default=None)


def window_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """No recovery window, one that stands still, or gaps in it."""
    survey = facts.survey
    if survey is None:
        return
    newest, backup = newest_moment(survey), last_good_backup(survey)
    if newest is None and backup is not None and survey.surveyed_at - backup.finished_at > WINDOW_OPENS_WITHIN:
        yield Issue(
            severity=State.CRITICAL,
            code="no_window",
            words="no moment after a backup can be restored: the WAL behind it is missing",
            next_step="wedsync recover window shows what there is; take a new one: wedsync backup run --type full",
        )
    if newest is not None:
        yield from _stands_still(facts, newest, survey.surveyed_at)
    for gap in survey.gaps:
        yield _gap_issue(gap, now)


def _stands_still(facts: Facts, newest: datetime, surveyed_at: datetime) -> Iterator[Issue]:
    """WAL is archived, but the window does not move: what `archive_issues` cannot see."""
    database = facts.database
    archiver = database.archiver if database else None
    if database is None or archiver is None or archiver.is_failing or any(_late(facts, archiver, surveyed_at)):
        return
    since = max(newest, database.started_at or newest)  # while it was down nothing was committed
    behind = surveyed_at - since
    if behind > _late_after(archiver):
        yield Issue(
            severity=State.CRITICAL if behind > LOSS_LIMIT else State.WARNING,
            code="window_behind",
            words="no commit became restorable",
            since=newest,
            next_step="see whether the keeper runs: its heartbeat moves the recovery window",
        )


def _gap_issue(gap: WalGap, now: datetime) -> Issue:
    count = "1 WAL segment is" if gap.segments == 1 else f"{gap.segments} WAL segments are"
    words = f"{count} missing in repository {gap.repo} ({gap.first}{'' if gap.segments == 1 else ' …'})"
    if gap.covered_by:
        others = " and ".join(str(repo) for repo in gap.covered_by)
        return Issue(
            severity=State.WARNING,
            code="gap",
            words=words,
            since=gap.from_at,
            next_step=f"repository {others} has them: recoveries use it, and the keeper puts them back; now: "
            "wedsync backup verify --repair",
        )
    if gap.to_at is None:
        return Issue(
            severity=State.CRITICAL,
            code="gap",
            words=words + ", nothing later can be restored",
            since=gap.from_at,
            next_step=f"take a backup now: wedsync backup run --type full --repo {gap.repo}",
        )
    return Issue(
        severity=State.WARNING,
        code="gap",
        words=words + f", no moment up to {short_moment_words(gap.to_at, now)} can be restored",
        since=gap.from_at,
        next_step="find out who removed them; the gap leaves with the recovery window's old end",
    )


def newest_moment(survey: SurveyFacts | None) -> datetime | None:
    """The last moment that can be restored."""
    return max((window.to_at for window in survey.windows), default=None) if survey else None


def continuous_window(survey: SurveyFacts | None) -> RecoveryWindow | None:
    """The window that reaches the newest moment, back to where the first gap interrupts it.

    After a recovery there is one window for each timeline; they count as one, because nothing was
    committed between them.
    """
    newest = newest_moment(survey)
    if survey is None or newest is None:
        return None
    behind_gaps = max((gap.to_at for gap in survey.gaps if gap.to_at and not gap.covered_by), default=None)
    counted = [window for window in survey.windows if behind_gaps is None or window.from_at >= behind_gaps] or [
        window for window in survey.windows if window.to_at == newest
    ]
    return RecoveryWindow(
        from_at=min(window.from_at for window in counted),
        to_at=newest,
        repos=tuple(sorted({repo for window in counted for repo in window.repos})),
    )


def last_good_backup(survey: SurveyFacts | None) -> KeptBackup | None:
    """The newest backup without damage, in whatever repository."""
    good = [item for item in survey.backups if item.is_good] if survey else []
    return max(good, key=lambda item: item.finished_at, default=None)


def _in_brackets(words: str) -> str:
    short = " ".join(words.split())
    return f" ({short[:200]}{'…' if len(short) > 200 else ''})" if short else ""
