"""What can be wrong with regions: behind, given up, open to deletion; and the WAL that waits for them."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from wedsync.monitoring.facts import Facts, Region
from wedsync.monitoring.issues import Issue, State
from wedsync.words import duration_words, short_moment_words, size_words

LAG_WARNS = timedelta(minutes=5)
LAG_IS_CRITICAL = timedelta(minutes=30)
FULL_WARNS = timedelta(days=3)
"""A weekend, and a day to do something about it."""
FULL_IS_CRITICAL = timedelta(hours=8)
UNWATCHED = timedelta(minutes=5)


def region_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """A region is behind, given up, or its content can be deleted by whoever has our credentials."""
    regions = facts.records.regions if facts.records else ()
    for region in regions:
        if region.given_up_at is not None:
            yield Issue(
                severity=State.CRITICAL if region.lag(now) > LAG_IS_CRITICAL else State.WARNING,
                code="region_given_up",
                words=f"archiving goes on without repository {region.repo}"
                + ("" if region.reachable else ", which cannot be reached"),
                since=region.given_up_at,
                next_step=f"bring repository {region.repo} back: it gets what it lacks from the first by itself",
            )
        else:
            yield from _behind(region, regions, now)
        yield from _unlocked(region)
    seen_at = max((region.seen_at for region in regions), default=None)
    keeper_runs = bool(facts.processes and facts.processes.get("keeper"))
    if seen_at is not None and keeper_runs and now - seen_at > UNWATCHED:
        yield Issue(
            severity=State.WARNING,
            code="regions_unwatched",
            words="nobody looked at the regions",
            since=seen_at,
            next_step="read regions_not_watched in log/keeper.log",
        )


def _behind(region: Region, regions: tuple[Region, ...], now: datetime) -> Iterator[Issue]:
    """One that is as far as any other says nothing that `archive_issues` does not say better."""
    lag = region.lag(now)
    if lag <= LAG_WARNS or lag <= min(other.lag(now) for other in regions):
        return
    unreachable = "" if region.reachable else ", and cannot be read"
    yield Issue(
        severity=State.CRITICAL if lag > LAG_IS_CRITICAL else State.WARNING,
        code="region_behind",
        words=f"repository {region.repo} lacks {region.behind_segments} WAL segments"
        f" ({size_words(region.behind_bytes)}){unreachable}",
        since=region.behind_since,
        next_step="see what stands in the way: wedsync doctor; the queue drains by itself"
        if region.reachable
        else f"make it reachable, its settings are backup.repo{region.repo}; the queue drains by itself",
    )


def _unlocked(region: Region) -> Iterator[Issue]:
    lock = region.lock
    if lock is not None and lock.state in ("off", "short"):
        yield Issue(
            severity=State.WARNING,
            code="region_not_locked",
            words=f"repository {region.repo}: {lock.words}",
            next_step=lock.next_step,
        )


def queue_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """WAL waits for a repository, and at its pace the disk will be full."""
    queue = facts.records.wal_queue if facts.records else None
    if queue is None or queue.full_at is None or now - queue.at > UNWATCHED:
        return
    left = queue.full_at - now
    if left > FULL_WARNS:
        return
    yield Issue(
        severity=State.CRITICAL if left < FULL_IS_CRITICAL else State.WARNING,
        code="wal_fills_disk",
        words=f"{size_words(queue.waiting_bytes)} of WAL wait to be archived; at this pace the disk is full in"
        f" {duration_words(max(left.total_seconds(), 0))} ({short_moment_words(queue.full_at, now)})",
        next_step="bring the repository back that it waits for, or take it out (repo2 = false in [backup])",
    )
