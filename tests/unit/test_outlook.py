"""How long it would take if the machine went now: from which backup, over how much WAL."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from wedsync.backup import Backup, BackupKind
from wedsync.database import SEGMENT_BYTES, Lsn
from wedsync.recovery import Measurement, Phase, outlook

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)


def backup(repo: int, number: int, **changes: object) -> Backup:
    made = Backup(
        repo=repo,
        label=f"20261121-07000{number}F",
        kind=BackupKind.FULL,
        started_at=NOW - timedelta(hours=10 - number),
        finished_at=NOW - timedelta(hours=10 - number) + timedelta(seconds=5),
        wal_start=f"0000000100000000000000{number:02X}",
        wal_stop=f"0000000100000000000000{number:02X}",
        lsn_start=None,
        lsn_stop=None,
        timeline=1,
        prior=None,
        references=(),
        database_bytes=4_000_000_000,
        repo_bytes=1_000_000_000,
        system_id="7",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def at_segment(number: int) -> Lsn:
    return Lsn(number * SEGMENT_BYTES + 100)


def test_without_a_backup_there_is_no_way_back() -> None:
    assert outlook([], at_segment(3), []) is None
    assert outlook([backup(1, 2, damaged=True), backup(1, 3, broken="gone")], at_segment(9), []) is None


def test_the_slowest_repository_counts_for_nobody_knows_which_one_is_left() -> None:
    found = outlook([backup(1, 2), backup(1, 9), backup(2, 4)], at_segment(10), [])
    assert found is not None
    assert (found.base.repo, found.wal_segments) == (2, 7)


def test_a_backup_of_a_state_that_was_left_is_no_base() -> None:
    found = outlook([backup(1, 2), backup(1, 9)], at_segment(5), [])
    assert found is not None
    assert (found.base.wal_start[-2:], found.wal_segments) == ("02", 4)


def test_wal_is_as_large_as_it_was_in_the_archive_before() -> None:
    """Whoever replays segments that are nearly empty is sooner there."""
    small = Measurement(phase=Phase.REPLAY, size_bytes=10_000, units=10, took_s=1.8)
    without = outlook([backup(1, 2)], at_segment(200), [])
    learnt = outlook([backup(1, 2)], at_segment(200), [small] * 3)
    assert without is not None
    assert learnt is not None
    assert learnt.forecast.phases_s[Phase.REPLAY] < without.forecast.phases_s[Phase.REPLAY]


def test_more_wal_takes_longer() -> None:
    totals = [outlook([backup(1, 2)], at_segment(number), []) for number in (3, 30, 200)]
    assert [found.forecast.total_s for found in totals if found] == sorted(
        found.forecast.total_s for found in totals if found
    )
    assert totals[0] is not None
    assert totals[2] is not None
    assert totals[0].forecast.total_s < totals[2].forecast.total_s
