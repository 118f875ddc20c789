"""What is decided about the receiver of WAL, and what would be lost."""

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.status_values import NOW
from wedsync.config import WhenDown, ZeroLossConfig, ZeroLossMode
from wedsync.database import SEGMENT_BYTES, Lsn
from wedsync.monitoring import Archiver, Database, Exposure, Facts, exposure_words, judge
from wedsync.monitoring.exposure_rules import exposure_issues
from wedsync.monitoring.facts import Records, Region
from wedsync.zero_loss import Protection
from wedsync.zero_loss.directory import received_segments, run_to_continue, tidy
from wedsync.zero_loss.exposure import CommitLog, Sample
from wedsync.zero_loss.guard import Guard, Receiving, after
from wedsync.zero_loss.service import Sight

BEGAN = datetime(2026, 11, 21, 12, tzinfo=UTC)
SYNC = ZeroLossConfig(mode=ZeroLossMode.SYNC, degrade_after=timedelta(seconds=3))


def sample(second: float, lsn: int, committed: float | None) -> Sample:
    last = None if committed is None else BEGAN + timedelta(seconds=committed)
    return Sample(at=BEGAN + timedelta(seconds=second), lsn=Lsn(lsn), last_commit_at=last)


def log(*samples: Sample) -> CommitLog:
    commits = CommitLog()
    for item in samples:
        commits.add(item)
    return commits


def test_nothing_is_at_stake_while_everything_is_elsewhere() -> None:
    at_stake = log(sample(0, 100, 0), sample(1, 200, 1)).at_stake(Lsn(200))
    assert (at_stake.seconds, at_stake.size_bytes) == (0.0, 0)


def test_wal_without_a_commit_is_no_loss() -> None:
    at_stake = log(sample(0, 100, 0), sample(1, 200, 0), sample(2, 300, 0)).at_stake(Lsn(100))
    assert (at_stake.seconds, at_stake.size_bytes) == (0.0, 200)


def test_the_oldest_commit_that_is_not_safe_counts_from_the_last_look_without_it() -> None:
    commits = log(sample(0, 100, 0), sample(1, 100, 0), sample(2, 100, 0), sample(3, 200, 2.5), sample(9, 300, 8))
    assert commits.at_stake(Lsn(100)).seconds == 7.0  # from second 2 on
    assert commits.at_stake(Lsn(200)).seconds == 6.0  # from second 3 on
    assert commits.at_stake(Lsn(300)).seconds == 0.0


def test_another_timeline_begins_anew() -> None:
    commits = log(sample(0, 900, 0), sample(1, 100, 1), sample(2, 100, 1))
    assert commits.at_stake(Lsn(100)).seconds == 0.0


def test_a_long_history_stays_an_upper_bound() -> None:
    commits = log(*(sample(n, 100 + n, n) for n in range(20_000)))
    assert commits.at_stake(Lsn(100)).seconds >= 19_998


def seen(at_s: float, *, flushed: int, received: int | None, connected: bool = True) -> Receiving:
    got = None if received is None else Lsn(received)
    return Receiving(at_s=at_s, connected=connected, flushed=Lsn(flushed), received=got)


def guarded(config: ZeroLossConfig, *looks: Receiving, waits: bool = False) -> Guard:
    guard = Guard(waits=waits)
    for look in looks:
        guard = after(guard, look, config)
    return guard


def test_commits_wait_for_a_receiver_that_has_kept_up_for_a_while() -> None:
    first = seen(0, flushed=100, received=100)
    assert not guarded(SYNC, first).waits
    assert guarded(SYNC, first, seen(1, flushed=120, received=120), seen(2, flushed=130, received=130)).waits


def test_commits_do_not_wait_for_one_that_is_far_behind() -> None:
    far = 3 * SEGMENT_BYTES
    looks = [seen(n, flushed=far + n, received=100 + n) for n in range(5)]
    guard = guarded(SYNC, *looks)
    assert not guard.waits
    assert guard.protection(ZeroLossMode.SYNC) is Protection.ASYNC


@pytest.mark.parametrize(
    "looks",
    [
        [seen(n, flushed=100, received=None, connected=False) for n in range(5)],
        [seen(n, flushed=100 + n, received=100) for n in range(6)],
    ],
    ids=["away", "frozen"],
)
def test_a_receiver_that_stands_is_waited_for_as_long_as_was_said(looks: list[Receiving]) -> None:
    begun = guarded(SYNC, *looks[:3], waits=True)
    assert begun.waits
    assert begun.protection(ZeroLossMode.SYNC) is Protection.WAITING
    ended = guarded(SYNC, *looks, waits=True)
    assert not ended.waits
    assert ended.protection(ZeroLossMode.SYNC) is Protection.DEGRADED
    for_ever = ZeroLossConfig(mode=ZeroLossMode.SYNC, when_down=WhenDown.WAIT, degrade_after=timedelta(seconds=3))
    assert guarded(for_ever, *looks, waits=True).waits


def test_an_idle_server_has_no_receiver_that_stands() -> None:
    guard = guarded(SYNC, *(seen(n, flushed=100, received=100) for n in range(60)))
    assert guard.waits
    assert guard.protection(ZeroLossMode.SYNC) is Protection.SYNC


def test_one_that_was_not_seen_yet_counts_as_away_after_a_while_only() -> None:
    """The receiver begins with the keeper: for some seconds the archive alone keeps commits, as is said."""
    looks = [seen(n, flushed=100, received=None, connected=False) for n in range(0, 21, 5)]
    found = [guarded(SYNC, *looks[: count + 1]).protection(ZeroLossMode.SYNC) for count in range(len(looks))]
    assert found == [Protection.ARCHIVE] * 3 + [Protection.DEGRADED] * 2


def test_one_that_goes_away_is_away_at_once() -> None:
    guard = guarded(SYNC, seen(0, flushed=9, received=9), seen(1, flushed=9, received=None, connected=False))
    assert guard.protection(ZeroLossMode.SYNC) is Protection.DEGRADED


def test_nobody_waits_in_mode_async() -> None:
    guard = guarded(ZeroLossConfig(mode=ZeroLossMode.ASYNC), seen(0, flushed=9, received=9), waits=True)
    assert not guard.waits
    assert guard.protection(ZeroLossMode.ASYNC) is Protection.ASYNC


def write_segment(directory: Path, name: str, *, system: int = 7) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_bytes(struct.pack("<HHIQI4xQ", 0xD110, 2, 1, 0, 0, system) + bytes(100))
    return path


def test_received_segments_are_this_clusters_and_the_fuller_of_two(tmp_path: Path) -> None:
    one, two, three = (f"0000000100000000{n:08X}" for n in (1, 2, 3))
    write_segment(tmp_path / "00000001", one)
    write_segment(tmp_path / "00000001", f"{two}.partial")
    whole = write_segment(tmp_path / "00000001.2", two)
    write_segment(tmp_path / "00000001.2", f"{three}.partial")
    write_segment(tmp_path / "00000001.2", f"0000000100000000{9:08X}", system=8)
    (tmp_path / "notes").mkdir()
    found = received_segments(tmp_path, system_id="7")
    assert [item.name for item in found] == [one, two, three]
    assert found[1].source == whole
    assert received_segments(tmp_path / "nothing", system_id="7") == []


def test_a_run_is_gone_on_with_only_where_what_comes_joins_it(tmp_path: Path) -> None:
    assert run_to_continue(tmp_path, timeline=1, joins=False).name == "00000001"
    (tmp_path / "00000001").mkdir()
    assert run_to_continue(tmp_path, timeline=1, joins=True).name == "00000001"
    assert run_to_continue(tmp_path, timeline=1, joins=False).name == "00000001.2"
    (tmp_path / "00000001.2").mkdir()
    assert run_to_continue(tmp_path, timeline=1, joins=True).name == "00000001.2"
    assert run_to_continue(tmp_path, timeline=2, joins=True).name == "00000002"


def test_what_is_not_archived_or_young_stays(tmp_path: Path) -> None:
    names = [f"0000000100000000{n:08X}" for n in (1, 2, 3)]
    for name in names:
        write_segment(tmp_path / "00000001", name)
    write_segment(tmp_path / "00000001", f"0000000100000000{4:08X}.partial")
    later = datetime.now(UTC) + timedelta(hours=2)
    hour = timedelta(hours=1)
    assert tidy(tmp_path, archived_up_to=names[1], keep=hour, now=datetime.now(UTC)) == []
    assert [path.name for path in tidy(tmp_path, archived_up_to=None, keep=hour, now=later)] == []
    kept = tidy(tmp_path, archived_up_to=names[1], keep=hour, now=later, lacks_from=names[1])
    assert [path.name for path in kept] == names[:1]
    assert [path.name for path in tidy(tmp_path, archived_up_to=names[1], keep=hour, now=later)] == names[1:2]


def test_what_a_given_up_region_lacks_stays_on_all_timelines(tmp_path: Path) -> None:
    old, new = f"0000000100000000{3:08X}", f"0000000200000000{3:08X}"
    for name in (old, new):
        write_segment(tmp_path / name[:8], name)
    late = datetime.now(UTC) + timedelta(days=30)
    assert tidy(tmp_path, archived_up_to=new, keep=timedelta(0), now=late, lacks_from=old) == []
    assert len(tidy(tmp_path, archived_up_to=new, keep=timedelta(0), now=late)) == 2


def exposed(mode: str, in_force_s: float = 0.0, **more: object) -> Exposure:
    values = {"measured_at": NOW, "since": NOW, "at_stake_bytes": 0, "worst_24h_s": in_force_s, **more}
    return Exposure(mode=mode, in_force_s=in_force_s, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("exposure", "codes"),
    [
        (exposed("sync"), []),
        (exposed("async", 0.02), []),
        (exposed("archive", 60), []),
        (exposed("async", 5), ["exposure_high"]),
        (exposed("archive", 700), ["exposure_high"]),
        (exposed("waiting"), ["commits_wait"]),
        (exposed("degraded", 30), ["zero_loss_degraded"]),
        (exposed("degraded", slot_status="lost"), ["zero_loss_degraded", "slot_lost"]),
        (
            exposed("degraded", slot_status="extended", slot_bytes=2_000_000_000),
            ["zero_loss_degraded", "slot_behind"],
        ),
        (exposed("sync", slot_status="reserved", slot_bytes=1000), []),
    ],
)
def test_each_exposure_has_its_issues(exposure: Exposure, codes: list[str]) -> None:
    facts = Facts(
        collected_at=NOW, database=Database(connects=True, in_recovery=False), records=Records(exposure=exposure)
    )
    assert [issue.code for issue in exposure_issues(facts, NOW)] == codes


def test_what_keeps_wal_from_the_archive_is_one_issue_not_two() -> None:
    late = Archiver(enabled=True, timeout=timedelta(minutes=1), last_archived_at=NOW - timedelta(seconds=700))
    facts = Facts(
        collected_at=NOW,
        database=Database(connects=True, in_recovery=False, archiver=late),
        records=Records(exposure=exposed("archive", 700)),
    )
    assert [issue.code for issue in judge(facts, NOW).issues if "arch" in issue.code] == ["archiving_late"]
    assert [issue.code for issue in exposure_issues(facts, NOW)] == []


def test_a_measurement_of_long_ago_is_an_issue_while_the_keeper_runs() -> None:
    facts = Facts(
        collected_at=NOW,
        database=Database(connects=True, in_recovery=False),
        records=Records(exposure=exposed("sync")),
        processes={"keeper": True},
    )
    later = NOW + timedelta(minutes=5)
    assert [issue.code for issue in exposure_issues(facts, later)] == ["exposure_unknown"]


def test_the_sentence_says_what_would_be_lost() -> None:
    assert "nothing that was acknowledged" in exposure_words(Records(exposure=exposed("sync")))
    assert "the commits of the last" in exposure_words(Records(exposure=exposed("archive", 31)))
    assert exposure_words(None) == exposure_words(Records()) == "not measured yet"


def test_the_sentence_says_that_a_given_up_region_is_why() -> None:
    second = Region(repo=2, kind="s3", seen_at=NOW, reachable=False, since=NOW, given_up_at=NOW)
    records = Records(exposure=exposed("archive", 700), regions=(second,))
    assert "goes on without repository 2" in exposure_words(records)
    facts = Facts(collected_at=NOW, database=Database(connects=True, in_recovery=False), records=records)
    codes = [issue.code for issue in judge(facts, NOW).issues]
    assert "region_given_up" in codes
    assert "exposure_high" not in codes, "one cause is told once"


SEGMENT = "00000001000000020000000{}"


def sight(unarchived: str | None, lacks_from: str | None) -> Sight:
    return Sight(
        at=BEGAN,
        flushed="2/9000000",
        last_commit_at=BEGAN,
        segment=SEGMENT.format(9),
        unarchived=unarchived,
        lacks_from=lacks_from,
        receives=False,
        received=None,
        receive_lag_s=None,
        slot_lsn=None,
        slot_status=None,
        slot_bytes=None,
        is_sync=False,
    )


@pytest.mark.parametrize(
    ("unarchived", "lacks_from", "safe"),
    [
        (None, None, "2/9000000"),
        (SEGMENT.format(8), None, "2/8000000"),
        (None, SEGMENT.format(4), "2/4000000"),
        (SEGMENT.format(8), SEGMENT.format(4), "2/4000000"),
        (SEGMENT.format(3), SEGMENT.format(4), "2/3000000"),
        (None, SEGMENT.format(4).replace("1", "2", 1), "0/0"),
    ],
    ids=["archived", "waits", "given up", "given up and waits", "waits since before", "another timeline"],
)
def test_what_a_given_up_region_lacks_is_not_in_the_archive(
    unarchived: str | None, lacks_from: str | None, safe: str
) -> None:
    assert sight(unarchived, lacks_from).archived == Lsn.parse(safe)
