"""Regions: how far behind, when the disk is full, going on without one, locked or not, what comes back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from support.status_values import NOW, with_records
from wedsync.backup.regions.given_up import GivenUp, lacks_from, note_given_up, read_given_up
from wedsync.backup.regions.guard import Limits, Verdict, judge
from wedsync.backup.regions.lag import Behind, PrimaryWal, QueueSample, behind, full_at
from wedsync.backup.regions.lock import LockState, StoreLock, judge_lock
from wedsync.backup.regions.records import Sighting
from wedsync.backup.regions.s3 import Version
from wedsync.backup.regions.undelete import plan_undelete
from wedsync.backup.wal import segment_name
from wedsync.config import Home, RepositoryKind
from wedsync.database import SEGMENT_BYTES, Lsn
from wedsync.monitoring import State
from wedsync.monitoring import judge as judge_facts
from wedsync.monitoring.facts import Lock, Region, WalQueue

AT = datetime(2026, 6, 14, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def name(number: int) -> str:
    return f"0000000100000000{number:08X}"


PRIMARY = PrimaryWal(
    system_id="7",
    current_segment=name(9),
    lsn=Lsn(9 * SEGMENT_BYTES + 100),
    finished={name(number): AT - (9 - number) * MINUTE for number in range(5, 9)},
    waiting=0,
)


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (name(8), Behind(segments=0, size_bytes=100, since=None)),
        (name(6), Behind(segments=2, size_bytes=2 * SEGMENT_BYTES + 100, since=AT - 2 * MINUTE)),
        (None, Behind(segments=4, size_bytes=4 * SEGMENT_BYTES + 100, since=AT - 4 * MINUTE)),
        (name(2), Behind(segments=6, size_bytes=6 * SEGMENT_BYTES + 100, since=AT - 9 * MINUTE)),
    ],
)
def test_a_region_is_behind_since_its_first_missing_segment_was_finished(
    newest: str | None, expected: Behind
) -> None:
    assert behind(PRIMARY, newest, newest_commit_at=AT - 9 * MINUTE) == expected


def sample(minute: int, waiting: int, free: int) -> QueueSample:
    return QueueSample(at=AT + minute * MINUTE, waiting_bytes=waiting, free_bytes=free)


def test_the_disk_is_full_when_the_queue_has_grown_into_it() -> None:
    assert full_at([sample(0, 0, 1000), sample(10, 100, 900)]) == AT + 100 * MINUTE
    assert full_at([sample(0, 100, 900), sample(10, 100, 900)]) is None
    assert full_at([sample(0, 0, 1000), sample(1, 100, 900)]) is None, "too short to tell"
    assert full_at([]) is None


def seen(repo: int, segments: int, *, reachable: bool = True, for_minutes: int = 5) -> Sighting:
    return Sighting(
        repo=repo,
        kind="s3",
        seen_at=AT,
        reachable=reachable,
        since=AT - for_minutes * MINUTE,
        behind=Behind(segments=segments, size_bytes=0, since=AT if segments else None),
    )


@pytest.mark.parametrize(
    ("first", "second", "free", "given_up", "verdict"),
    [
        (seen(1, 0), seen(2, 0), 1000, False, Verdict.LEAVE),
        (seen(1, 0), seen(2, 3, reachable=False), 1000, False, Verdict.GIVE_UP),
        (seen(1, 0), seen(2, 3, reachable=False, for_minutes=0), 1000, False, Verdict.LEAVE),
        (seen(1, 0), seen(2, 3, reachable=False, for_minutes=0), 10, False, Verdict.GIVE_UP),
        (seen(1, 0), seen(2, 9), 10, False, Verdict.GIVE_UP),
        (seen(1, 9), seen(2, 9), 10, False, Verdict.LEAVE),
        (seen(1, 9, reachable=False), seen(2, 9, reachable=False), 10, False, Verdict.LEAVE),
        (seen(1, 0), seen(2, 9), 1000, True, Verdict.TAKE_BACK),
        (seen(1, 0), seen(2, 9, for_minutes=0), 1000, True, Verdict.LEAVE),
        (seen(1, 0), seen(2, 9), 150, True, Verdict.LEAVE),
        (seen(1, 0), None, 10, False, Verdict.LEAVE),
    ],
)
def test_the_second_region_is_given_up_only_where_that_helps(
    first: Sighting, second: Sighting | None, free: int, given_up: bool, verdict: Verdict
) -> None:
    limits = Limits(after=MINUTE, least_free_bytes=100)
    found = judge(first, second, queue=sample(0, 0, free), full_at=None, limits=limits, given_up=given_up, now=AT)
    assert found is verdict


@pytest.mark.parametrize(
    ("kind", "lock", "state"),
    [
        (RepositoryKind.S3, StoreLock(versions=True, mode="COMPLIANCE", days=30), LockState.ON),
        (RepositoryKind.S3, StoreLock(versions=True, mode="COMPLIANCE", days=7), LockState.SHORT),
        (RepositoryKind.S3, StoreLock(versions=True), LockState.OFF),
        (RepositoryKind.AZURE, StoreLock(versions=True, mode="versions"), LockState.ON),
        (RepositoryKind.AZURE, StoreLock(versions=False), LockState.OFF),
        (RepositoryKind.PATH, None, LockState.NONE),
        (RepositoryKind.TLS, None, LockState.NONE),
        (RepositoryKind.GCS, None, LockState.UNKNOWN),
    ],
)
def test_a_lock_counts_only_if_it_outlasts_the_window(
    kind: RepositoryKind, lock: StoreLock | None, state: LockState
) -> None:
    found = judge_lock(kind, lock, window=timedelta(days=30))
    assert found.state is state
    assert found.words
    assert found.next_step or state is LockState.ON


def version(key: str, minute: int, *, deleted: bool = False) -> Version:
    return Version(key=key, id=f"{key}{minute}", at=AT + minute * MINUTE, deleted=deleted, size_bytes=10)


def test_every_object_comes_back_as_it_was_and_what_came_since_stays() -> None:
    plan = plan_undelete(
        [
            version("deleted", 5, deleted=True),
            version("deleted", -5),
            version("expired", 5, deleted=True),
            version("expired", -5, deleted=True),
            version("new", 5),
            version("overwritten", 5),
            version("overwritten", -5),
            version("same", -5),
            version("gone", 5, deleted=True),
        ],
        before=AT,
    )
    assert [item.key for item in plan.markers] == ["deleted"]
    assert [item.id for item in plan.copies] == ["overwritten-5"]
    assert plan.lost == ("gone",)
    assert plan.size_bytes == 10


FIRST = Region(repo=1, kind="posix", seen_at=NOW, reachable=True, since=NOW - timedelta(days=1))
SECOND = replace(FIRST, repo=2, kind="s3")


@pytest.mark.parametrize(
    ("second", "queue", "code", "severity"),
    [
        (replace(SECOND, behind_segments=9, behind_since=NOW - 6 * MINUTE), None, "region_behind", State.WARNING),
        (
            replace(SECOND, behind_segments=9, behind_since=NOW - 31 * MINUTE),
            None,
            "region_behind",
            State.CRITICAL,
        ),
        (replace(SECOND, given_up_at=NOW), None, "region_given_up", State.WARNING),
        (
            replace(SECOND, lock=Lock(checked_at=NOW, state="off", words="x", next_step="y")),
            None,
            "region_not_locked",
            State.WARNING,
        ),
        (SECOND, timedelta(days=2), "wal_fills_disk", State.WARNING),
        (SECOND, timedelta(hours=7), "wal_fills_disk", State.CRITICAL),
    ],
)
def test_what_is_wrong_with_regions_is_an_issue(
    second: Region, queue: timedelta | None, code: str, severity: State
) -> None:
    waiting = WalQueue(at=NOW, waiting_bytes=1, free_bytes=1, full_at=NOW + queue) if queue else None
    facts = with_records(regions=(FIRST, second), wal_queue=waiting)
    issues = judge_facts(facts, NOW).issues
    assert [(issue.code, issue.severity) for issue in issues] == [(code, severity)]


def primary(current: str, *, unarchived: str | None = None, finished: tuple[str, ...] = ()) -> PrimaryWal:
    return PrimaryWal(
        system_id="1",
        current_segment=current,
        lsn=Lsn(0),
        finished=dict.fromkeys(finished, AT),
        waiting=1 if unarchived else 0,
        unarchived=unarchived,
    )


def test_a_region_lacks_all_from_the_first_segment_that_waits() -> None:
    assert lacks_from(primary(name(9))) == name(9)
    assert lacks_from(primary(name(9), unarchived=name(4))) == name(4)
    assert lacks_from(primary(name(9), unarchived=name(8)), name(4)) == name(4), "it was given up then"


def test_after_a_recovery_a_region_lacks_the_new_timeline_too() -> None:
    one, two = partial(segment_name, 1), partial(segment_name, 2)
    assert lacks_from(primary(two(9), finished=(two(7), two(8))), one(4)) == two(4)
    assert lacks_from(primary(two(3), finished=()), one(4)) == two(3)


def test_what_is_noted_of_a_given_up_region_is_what_the_server_says(home: Home) -> None:
    home.root.mkdir(exist_ok=True)
    noted = GivenUp(since=AT, why="it is away", lacks_from=segment_name(1, 4), returning=True)
    note_given_up(home, noted)
    assert read_given_up(home) == noted
    assert home.given_up_settings.read_text() == f"wedsync.region_lacks_from = '{segment_name(1, 4)}'\n"
    note_given_up(home, GivenUp(since=AT, why="it is away"))
    assert not home.given_up_settings.exists(), "the first repository is elsewhere, too"
    note_given_up(home, None)
    assert read_given_up(home) is None


def test_a_note_of_before_is_read(home: Home) -> None:
    home.root.mkdir(exist_ok=True)
    home.given_up.write_text('{"since": "2026-06-14T00:00:00+00:00", "why": "it is away"}')
    found = read_given_up(home)
    assert found is not None
    assert (found.lacks_from, found.returning) == (None, False)
