"""Which backup is drilled next: tables of cases, and sixty days of a home."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.backup_values import backup
from wedsync.backup import Backup, BackupKind, RetentionPolicy, retention
from wedsync.config import Config
from wedsync.drills import Drill, DrillPolicy, Outcome, Reason, Source, next_drill

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LONDON = ZoneInfo("Europe/London")


def policy(**changes: object) -> DrillPolicy:
    return replace(DrillPolicy.of(Config()), **changes)  # type: ignore[arg-type]


def drill(of: Backup, began_at: datetime, outcome: Outcome = Outcome.PASSED) -> Drill:
    return Drill(
        id=f"{began_at:%Y%m%d_%H%M%S}",
        reason=Reason.SCHEDULE,
        asked_by="keeper",
        began_at=began_at,
        finished_at=began_at + timedelta(minutes=1),
        outcome=outcome,
        source=Source(
            repo=of.repo,
            label=of.label,
            kind=of.kind,
            finished_at=of.finished_at,
            database_bytes=1,
            timeline=1,
            wal_first="",
            wal_last="",
            wal_segments=1,
            wal_bytes=1,
        ),
        rto_target_s=900,
        rpo_target_s=60,
    )


def test_without_a_backup_there_is_nothing_to_drill() -> None:
    assert next_drill([], [], NOW, policy()).next is None


def test_the_first_drill_comes_soon_after_the_first_backup_at_any_time_of_day() -> None:
    only = backup(NOW)
    found = next_drill([only], [], NOW, policy(first_after=timedelta(minutes=10))).next
    assert found is not None
    assert found.reason is Reason.FIRST
    assert found.at == only.finished_at + timedelta(minutes=10)


def test_then_the_quiet_hours_are_waited_for_by_the_clocks_of_the_calendar() -> None:
    only = backup(NOW)
    found = next_drill([only], [drill(only, NOW + HOUR)], NOW + 2 * HOUR, policy()).next
    assert found is not None
    assert found.reason is Reason.SCHEDULE
    assert found.at == datetime(2026, 6, 11, 0, tzinfo=UTC)  # 01:00 in London, in summer


def test_regions_take_turns_and_the_newest_full_backup_comes_first() -> None:
    one, two = backup(NOW - DAY, repo=1), backup(NOW - DAY, repo=2)
    newer = backup(NOW - HOUR, repo=1)
    first = next_drill([one, two, newer], [], NOW, policy()).next
    assert first is not None
    assert (first.repo, first.label) == (1, newer.label)
    second = next_drill([one, two, newer], [drill(newer, NOW)], NOW, policy()).next
    assert second is not None
    assert (second.repo, second.label) == (2, two.label)
    done = [drill(newer, NOW), drill(two, NOW + HOUR)]
    third = next_drill([one, two, newer], done, NOW + 2 * HOUR, policy()).next
    assert third is not None
    assert (third.repo, third.label) == (1, one.label)


def test_when_all_is_proven_the_newest_backup_of_the_region_that_waits_longest_is_proven_again() -> None:
    one, two = backup(NOW - DAY, repo=1), backup(NOW - DAY, repo=2)
    done = [drill(one, NOW), drill(two, NOW + HOUR)]
    found = next_drill([one, two], done, NOW + 2 * HOUR, policy()).next
    assert found is not None
    assert found.label == one.label
    assert found.repo == 1


def test_a_night_has_so_many_drills_and_no_more() -> None:
    only, night = backup(NOW - DAY), datetime(2026, 6, 10, 0, 30, tzinfo=UTC)
    done = [drill(only, night + timedelta(minutes=n)) for n in range(2)]
    more = next_drill([only], done, night + HOUR, policy(per_day=3)).next
    enough = next_drill([only], done, night + HOUR, policy(per_day=2)).next
    assert more is not None
    assert enough is not None
    assert more.at <= night + HOUR
    assert enough.at == datetime(2026, 6, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.YIELDED, Outcome.INTERRUPTED])
def test_one_that_says_nothing_is_tried_again_after_a_pause(outcome: Outcome) -> None:
    only, night = backup(NOW - DAY), datetime(2026, 6, 10, 0, 30, tzinfo=UTC)
    done = [drill(only, NOW - DAY), drill(only, night, outcome)]
    found = next_drill([only], done, night + timedelta(minutes=2), policy()).next
    assert found is not None
    assert found.at == night + timedelta(minutes=16)


def test_proof_that_is_too_old_does_not_wait_for_the_night_unless_it_is_a_busy_day() -> None:
    only = backup(NOW - 9 * DAY)
    done = [drill(only, NOW - 3 * DAY)]
    by_day = next_drill([only], done, NOW, policy()).next
    busy = next_drill([only], done, NOW, policy(), busy_day=True).next
    assert by_day is not None
    assert busy is not None
    assert by_day.reason is Reason.OVERDUE
    assert by_day.at <= NOW
    assert busy.reason is Reason.SCHEDULE
    assert busy.at > NOW


def test_quiet_hours_may_lie_around_midnight() -> None:
    late = policy(quiet_from=time(23), quiet_to=time(2), zone=UTC)
    only = backup(NOW - DAY)
    done = [drill(only, NOW - HOUR)]
    before = next_drill([only], done, datetime(2026, 6, 10, 20, tzinfo=UTC), late).next
    inside = next_drill([only], done, datetime(2026, 6, 11, 1, tzinfo=UTC), late).next
    assert before is not None
    assert inside is not None
    assert before.at == datetime(2026, 6, 10, 23, tzinfo=UTC)
    assert inside.at <= datetime(2026, 6, 11, 1, tzinfo=UTC)


def test_a_backup_with_damaged_pages_is_not_drilled() -> None:
    assert next_drill([backup(NOW, damaged=True)], [], NOW, policy()).next is None


@settings(max_examples=12)
@given(
    seed=st.integers(0, 100),
    repos=st.sampled_from([(1,), (1, 2)]),
    per_day=st.integers(1, 4),
    window_days=st.sampled_from([3, 10, 30]),
    fails_every=st.sampled_from([0, 3, 5]),
)
def test_over_sixty_days_no_full_backup_goes_unproven_and_unannounced(
    seed: int, repos: Sequence[int], per_day: int, window_days: int, fails_every: int
) -> None:
    """Days of backups, drills and retention as the keeper does them."""
    config = Config()
    kept_for = msgspec.structs.replace(
        config.backup, recovery_window=timedelta(days=window_days), keep_weekly=timedelta(0)
    )
    keep = RetentionPolicy.of(kept_for)
    rules = policy(per_day=per_day, fulls_per_day=float(len(repos)), retention=keep, zone=UTC)
    backups: list[Backup] = []
    drills: list[Drill] = []
    announced: set[tuple[int, str]] = set()
    removed = 0
    for hour in range(0, 60 * 24, 2):
        now = NOW + hour * HOUR + timedelta(minutes=seed % 60)
        for repo in repos:
            if hour % 24 == 2 * ((seed + repo) % 12):
                backups.append(backup(now, BackupKind.FULL, repo=repo))
                for plan in retention(backups, keep, now=now):
                    gone = {(plan.repo, removal.label) for removal in plan.removals}
                    proven = {
                        (item.source.repo, item.source.label)
                        for item in drills
                        if item.source and item.outcome.says_something
                    }
                    assert gone - proven <= announced
                    removed += len(gone)
                    backups = [item for item in backups if (item.repo, item.label) not in gone]
        found = next_drill(backups, drills, now, rules)
        announced |= {(item.repo, item.label) for item in found.too_late}
        if found.next is not None and found.next.at <= now:
            chosen = next(b for b in backups if (b.repo, b.label) == (found.next.repo, found.next.label))
            broken_off = fails_every and len(drills) % fails_every == 0
            drills.append(drill(chosen, now, Outcome.YIELDED if broken_off else Outcome.PASSED))
    assert drills
    assert removed or window_days == 30
    if per_day > len(repos) and not fails_every:
        assert not announced
