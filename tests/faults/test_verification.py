"""What happens to files of a repository while nobody looks: found, put back where possible, and said."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from support.events import eventually
from support.recoveries import Protected
from wedsync.app import Platform, verify_backups
from wedsync.backup import BackupKind, Ended, Finding, ProblemKind, number_of, segment_name
from wedsync.backup.verification import RoundDone
from wedsync.errors import SegmentUnreadable, TargetUnreachable
from wedsync.monitoring import Facts
from wedsync.monitoring.collect import read_records
from wedsync.monitoring.facts import Records
from wedsync.monitoring.issues import Issue, State
from wedsync.monitoring.verification import read_verification
from wedsync.monitoring.verification_rules import verification_issues


async def one_round(own: Protected) -> RoundDone:
    """What the keeper does every ten minutes."""
    service = own.platform.verification.service(own.platform.monitor_target)
    done = await service.step()
    assert done is not None
    return done


def findings(own: Protected) -> tuple[Finding, ...]:
    return own.platform.verification.ledger.open()


def issues(own: Protected) -> list[Issue]:
    """What `wedsync status` would say of verification."""
    now = own.platform.clock.now()
    records = read_records(own.platform.state, own.home)
    known = read_verification(own.platform.state, within=own.platform.config.backup.verification.within, now=now)
    facts = Facts(collected_at=now, records=Records(runs=records.runs, verification=known))
    return list(verification_issues(facts, now))


def wal_file(own: Protected, repo: int, segment: str) -> Path:
    (found,) = own.home.root.glob(f"repo{repo}/archive/*/*/*/{segment}-*")
    return found


def bundle_of(own: Protected, repo: int, label: str) -> Path:
    """The largest file of a backup, with many files of the database in it."""
    found = own.home.root.glob(f"repo{repo}/backup/wedsync/{label}/bundle/*")
    return max(found, key=lambda path: path.stat().st_size)


def flip_a_bit(file: Path) -> bytes:
    """Damage a file; gives what it held."""
    before = file.read_bytes()
    damaged = bytearray(before)
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    return before


def forget_here(own: Protected, segments: Iterable[str]) -> None:
    """Remove archived segments from this machine, as a checkpoint does in time."""
    for name in segments:
        for path in (own.home.pgdata / f"pg_wal/{name}", own.home.pgdata / f"pg_wal/archive_status/{name}.done"):
            path.unlink(missing_ok=True)


async def some_segments(own: Protected, count: int = 3) -> list[str]:
    found: list[str] = []
    for _ in range(count):
        await own.commit()
        found.append(await own.archive())
    return found


def quarantined(own: Protected) -> list[bytes]:
    return [path.read_bytes() for path in own.home.root.glob("quarantine/**/*") if path.is_file()]


async def test_a_segment_missing_in_one_region_is_put_back_and_a_recovery_goes_through_it(
    protected: Protected,
) -> None:
    """Lost: nothing.
    Seen: a warning for a day that a file was missing in repository 1 and put back.
    """
    await one_round(protected)
    first, middle, _ = await some_segments(protected)
    moment = await protected.moment()
    await some_segments(protected, 1)
    forget_here(protected, [first, middle])
    gone = wal_file(protected, 1, middle)
    content = await protected.platform.verification.reader.segment(
        1, middle, system_id=await system_id(protected), sha1=gone.name[25:65]
    )
    gone.unlink()
    done = await one_round(protected)
    assert [problem.kind for problem in done.found] == [ProblemKind.MISSING_WAL]
    assert [(item.done, item.words) for item in done.repaired] == [
        (True, f"put back and read again: {middle} from repo2")
    ]
    assert findings(protected) == ()
    assert [(issue.code, issue.severity) for issue in issues(protected)] == [
        ("verification_repaired", State.WARNING)
    ]
    again = await protected.platform.verification.reader.segment(
        1, middle, system_id=await system_id(protected), sha1=gone.name[25:65]
    )
    assert again == content
    shutil.rmtree(protected.home.root / "repo2")
    plan = await protected.plan(moment)
    assert plan.repo == 1
    await protected.carry_out(plan)
    assert await protected.rows() == [1, 2, 3]


async def test_a_segment_missing_in_both_regions_is_put_back_from_the_server_that_wrote_it(
    protected: Protected,
) -> None:
    """Lost: nothing.
    Seen: a warning for a day that files were missing and put back.
    """
    await one_round(protected)
    _, middle, _ = await some_segments(protected)
    for repo in (1, 2):
        wal_file(protected, repo, middle).unlink()
    done = await one_round(protected)
    assert [item.words for item in done.repaired] == [f"put back and read again: {middle} from pg_wal"] * 2
    assert findings(protected) == ()
    assert (await one_round(protected)).found == ()


async def test_a_segment_missing_everywhere_is_critical_and_splits_the_window(protected: Protected) -> None:
    """Lost: moments from the missing segment to the next backup.
    Seen: critical: repository 1 is damaged at the segment; no other repository has it, nor this machine.
    """
    first, middle, _ = await some_segments(protected)
    before = await protected.moment()
    await some_segments(protected, 1)
    forget_here(protected, [first, middle])
    for repo in (1, 2):
        wal_file(protected, repo, middle).unlink()
    done = await one_round(protected)
    assert {(problem.repo, problem.kind, problem.critical) for problem in done.found} == {
        (1, ProblemKind.MISSING_WAL, True),
        (2, ProblemKind.MISSING_WAL, True),
    }
    assert {(item.done, item.words) for item in done.repaired} == {
        (False, "no other repository has it, nor this machine")
    }
    assert {issue.severity for issue in issues(protected)} == {State.CRITICAL}
    assert "could not be put back" in issues(protected)[0].next_step
    with pytest.raises(TargetUnreachable, match=f"WAL {middle}"):
        await protected.plan(before)
    # what cannot be repaired is not told as new each time
    assert (await one_round(protected)).found == ()


async def test_a_segment_damaged_in_one_region_and_missing_in_the_other_is_no_way_for_a_recovery(
    protected: Protected,
) -> None:
    """Lost: moments from the damaged segment to the next backup.
    Seen: critical: repository 1 is damaged at the segment; a recovery behind it is refused, not cut short.
    """
    first, middle, _ = await some_segments(protected)
    wanted = await protected.moment()
    await some_segments(protected, 1)
    forget_here(protected, [first, middle])
    wal_file(protected, 2, middle).unlink()
    flip_a_bit(wal_file(protected, 1, middle))
    done = await one_round(protected)
    assert {(problem.repo, problem.kind) for problem in done.found} == {
        (1, ProblemKind.DAMAGED_WAL),
        (2, ProblemKind.MISSING_WAL),
    }
    assert [item.done for item in done.repaired] == [False, False]
    assert State.CRITICAL in {issue.severity for issue in issues(protected)}
    with pytest.raises(TargetUnreachable, match=f"WAL {middle}"):
        await protected.plan(wanted)


async def test_a_flipped_bit_in_a_segment_is_found_though_pgbackrest_hands_it_out(protected: Protected) -> None:
    """Lost: nothing.
    Seen: a warning for a day that a file was damaged in repository 2 and put back.
    """
    segments = await some_segments(protected)
    target = max((wal_file(protected, 2, name) for name in segments), key=lambda path: path.stat().st_size)
    name, sha1 = target.name[:24], target.name[25:65]
    flip_a_bit(target)
    damaged = target.read_bytes()
    forget_here(protected, segments)
    done = await one_round(protected)
    assert [(problem.kind, problem.segments) for problem in done.found] == [(ProblemKind.DAMAGED_WAL, (name,))]
    assert [item.done for item in done.repaired] == [True]
    assert quarantined(protected) == [damaged]
    await protected.platform.verification.reader.segment(2, name, system_id=await system_id(protected), sha1=sha1)
    (ended,) = protected.platform.verification.ledger.ended_since(protected.platform.clock.now().replace(hour=0))[
        -1:
    ]
    assert (ended.ended_by, ended.problem.file) == (Ended.REPAIRED, target.name)


async def test_a_truncated_segment_is_put_back(protected: Protected) -> None:
    """Lost: nothing.
    Seen: a warning for a day that a file was damaged in repository 1 and put back.
    """
    (name,) = await some_segments(protected, 1)
    file = wal_file(protected, 1, name)
    os.truncate(file, file.stat().st_size // 2)
    done = await one_round(protected)
    assert [problem.kind for problem in done.found] == [ProblemKind.DAMAGED_WAL]
    assert [item.done for item in done.repaired] == [True]
    assert (await one_round(protected)).found == ()


async def test_the_content_of_another_segment_under_this_ones_name_is_found(protected: Protected) -> None:
    """Lost: nothing.
    Seen: a warning for a day that a file was damaged in repository 1 and put back.
    """
    one, other = await some_segments(protected, 2)
    shutil.copyfile(wal_file(protected, 1, other), wal_file(protected, 1, one))
    done = await one_round(protected)
    assert [problem.problem for problem in done.found] == ["its content is not what was archived"]
    assert [item.done for item in done.repaired] == [True]


async def test_two_contents_of_one_name_are_left_alone_and_said(protected: Protected) -> None:
    """Lost: nothing yet; recoveries from repository 1 stop at the segment until somebody decides.
    Seen: critical: the segment exists with different content, two servers wrote it.
    """
    (name,) = await some_segments(protected, 1)
    file = wal_file(protected, 1, name)
    second = file.with_name(f"{name}-{'a' * 40}.zst")
    shutil.copyfile(file, second)
    done = await one_round(protected)
    assert ProblemKind.OTHER_WAL in {problem.kind for problem in done.found}
    assert file.exists()
    assert second.exists()
    assert State.CRITICAL in {issue.severity for issue in issues(protected)}
    with pytest.raises(SegmentUnreadable, match="twice"):
        await protected.platform.verification.reader.segment(
            1, name, system_id=await system_id(protected), sha1=None
        )


async def test_a_backup_with_a_damaged_file_is_not_used_any_more_and_a_new_one_is_taken(
    protected: Protected,
) -> None:
    """Lost: nothing: an older backup or the other region leads to each moment.
    Seen: repository 1 is damaged at the backup; no recovery begins with it; the keeper takes a new one.
    """
    damaged = (await protected.backup(BackupKind.FULL)), await protected.backup(BackupKind.INCR)
    victim = bundle_of(protected, 1, damaged[0])
    await some_segments(protected, 2)
    moment = await protected.moment()
    await some_segments(protected, 1)
    assert (await protected.plan(moment)).base.label == damaged[1]
    flip_a_bit(victim)
    done = await one_round(protected)
    (problem,) = done.found
    assert (problem.kind, problem.label) == (ProblemKind.DAMAGED_BACKUP, damaged[0])
    assert problem.path == str(victim.relative_to(protected.home.root / "repo1"))
    assert len(problem.parts) == 1, "exactly the file of the database that the bit is in"
    catalogue = await protected.platform.pgbackrest.catalogue()
    assert {item.label for item in catalogue.of_repo(1) if item.broken} == set(damaged), (
        "the mark is in the repository"
    )
    plan = await protected.plan(moment)
    assert plan.base.label not in damaged
    assert [issue.code for issue in issues(protected)] == ["verification_found"]
    await protected.platform.backup_runs.refresh()
    scheduled = Platform(protected.home, {"WEDSYNC_BACKUP__ENABLED": "true"})
    taken = await scheduled.backup_service().step()
    scheduled.state.close()
    assert taken is not None
    assert (taken.repo, taken.kind, taken.why) == (1, BackupKind.FULL, "the last full backup is broken")
    newest = (await protected.platform.pgbackrest.catalogue()).of_repo(1)[-1]
    assert newest.is_good
    clock = protected.platform.clock
    await eventually(lambda: clock.now() > newest.consistent_from, what="the second of the backup's end is over")
    assert (await protected.plan(await protected.moment())).base.label == newest.label


async def test_a_backup_with_a_missing_file_is_found_by_its_manifest(protected: Protected) -> None:
    """Lost: nothing: the other region leads to each moment.
    Seen: repository 2 is damaged at the backup, a file is missing.
    """
    await one_round(protected)
    victim = bundle_of(protected, 2, "*F")
    content = victim.read_bytes()
    victim.unlink()
    done = await one_round(protected)
    assert [(problem.kind, problem.repo) for problem in done.found] == [(ProblemKind.DAMAGED_BACKUP, 2)]
    assert done.found[0].problem.startswith("it is missing: ")
    assert [item.broken is not None for item in (await protected.platform.pgbackrest.catalogue()).of_repo(2)] == [
        True
    ]
    # and when somebody brings it back, the backup counts again
    victim.write_bytes(content)
    await one_round(protected)
    assert findings(protected) == ()
    assert [item.broken for item in (await protected.platform.pgbackrest.catalogue()).of_repo(2)] == [None]


@pytest.mark.parametrize("name", ["backup/wedsync/*F/backup.manifest", "archive/wedsync/archive.info"])
async def test_a_damaged_file_that_is_written_twice_is_made_anew_from_its_copy(
    protected: Protected, name: str
) -> None:
    """Lost: nothing.
    Seen: a warning for a day; pgBackRest itself takes the copy and says nothing.
    """
    (file,) = protected.home.root.glob(f"repo1/{name}")
    flip_a_bit(file)
    done = await one_round(protected)
    assert [problem.kind for problem in done.found] == [ProblemKind.DAMAGED_INFO]
    assert [item.done for item in done.repaired] == [True]
    assert file.read_bytes() == file.with_name(f"{file.name}.copy").read_bytes()
    assert len(quarantined(protected)) == 1
    assert [issue.code for issue in issues(protected)] == ["verification_repaired"]


async def test_both_copies_of_archive_info_destroyed_are_said(protected: Protected) -> None:
    """Lost: repository 1 until the file is brought back; the other region has everything.
    Seen: repository 1 cannot be read; nothing of it counts as verified.
    """
    await one_round(protected)
    read = {path: file.read_at for path, file in protected.platform.verification.ledger.files(1).items()}
    for file in protected.home.root.glob("repo1/archive/wedsync/archive.info*"):
        file.write_bytes(os.urandom(file.stat().st_size))
    done = await one_round(protected)
    assert done.failed is not None
    assert "archive.info and its copy are both damaged" in done.failed[1]
    assert {path: file.read_at for path, file in protected.platform.verification.ledger.files(1).items()} == read
    found = await verify_backups(protected.platform, repo=None)
    assert not found.ok
    assert {problem.repo for problem in found.problems} == {1}


async def test_a_repository_that_is_away_is_not_counted_as_read_and_goes_on_later(protected: Protected) -> None:
    """Lost: nothing.
    Seen: repository 2 could not be read to verify it, once that lasts an hour.
    """
    away = protected.home.root / "repo2.away"
    (protected.home.root / "repo2").rename(away)
    done = await one_round(protected)
    assert done.failed is not None
    assert set(done.failed) == {2}
    assert protected.platform.verification.ledger.files(2) == {}
    assert all(file.read_at for file in protected.platform.verification.ledger.files(1).values())
    assert findings(protected) == (), "what cannot be read is not damaged"
    away.rename(protected.home.root / "repo2")
    again = await one_round(protected)
    assert again.failed is None
    coverage = {item.repo: item for item in protected.platform.verification.coverage()}
    assert coverage[2].share == 1.0
    assert coverage[2].error is None


async def test_another_key_is_no_damage(protected: Protected) -> None:
    """Lost: nothing, once the right key is back.
    Seen: repository 1 was encrypted with another key; nothing of it counts as verified.
    """
    key = protected.home.secrets / "repo1_key"
    right = key.read_text()
    key.write_text("x" * len(right))
    protected.platform.pgbackrest.write_config()
    done = await one_round(protected)
    assert done.failed is not None
    assert "another key" in done.failed[1]
    assert protected.platform.verification.ledger.files(1) == {}
    assert findings(protected) == ()
    assert quarantined(protected) == []


_SLOW = """
import asyncio, sys
from pathlib import Path
from wedsync.app import Platform
from wedsync.config import Home
platform = Platform(Home(Path(sys.argv[1])), {"WEDSYNC_BACKUP__VERIFICATION__BYTES_PER_SECOND": "400000"})
asyncio.run(platform.verification.service(platform.monitor_target).step())
"""


async def test_a_keeper_killed_in_the_middle_goes_on_where_it_was(protected: Protected) -> None:
    """Lost: nothing.
    Seen: nothing: what was not read to its end does not count, the rest is not read again.
    """
    keeper = await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", _SLOW, str(protected.home.root))
    ledger = protected.platform.verification.ledger

    def begun() -> bool:
        return sum(1 for file in ledger.files(1).values() if file.read_at) > 8

    try:
        await eventually(begun, what="some files are read")
    finally:
        keeper.send_signal(signal.SIGKILL)
        await keeper.wait()
    before = {path: file.read_at for path, file in ledger.files(1).items()}
    unread = [path for path, read_at in before.items() if read_at is None]
    assert unread, "it was killed in the middle"
    flip_a_bit(protected.home.root / "repo1" / max(unread, key=lambda path: path.endswith(".zst")))
    done = await one_round(protected)
    assert done.found, "what was not read to its end is read now"
    after = {path: file.read_at for path, file in ledger.files(1).items()}
    assert all(after[path] for path in unread if path in after)
    assert all(after[path] == read_at for path, read_at in before.items() if read_at and path in after)


async def test_a_dry_run_says_what_would_be_put_back_and_changes_nothing(protected: Protected) -> None:
    """Lost: nothing.
    Seen: exit code 3, the problem, and from where it would be put back.
    """
    _, middle, _ = await some_segments(protected)
    wal_file(protected, 1, middle).unlink()
    found = await verify_backups(protected.platform, repo=None, dry_run=True)
    assert not found.ok
    assert [(item.file, item.done) for item in found.repaired] == [(middle, False)]
    assert "repo2" in found.repaired[0].words
    assert not list(protected.home.root.glob(f"repo1/archive/*/*/*/{middle}-*"))
    found = await verify_backups(protected.platform, repo=None, repair=True)
    assert found.ok
    assert wal_file(protected, 1, middle).exists()


async def test_newest_segments_that_vanish_are_missed(protected: Protected) -> None:
    """Lost: nothing.
    Seen: a warning for a day that a file was missing and put back.
    """
    segments = await some_segments(protected)
    await one_round(protected)
    assert segments[-1] == segment_name(1, number_of(segments[0]) + 2)
    wal_file(protected, 1, segments[-1]).unlink()
    done = await one_round(protected)
    assert [problem.segments for problem in done.found] == [(segments[-1],)]
    assert [item.done for item in done.repaired] == [True]


async def system_id(own: Protected) -> str:
    return (await own.platform.pgbackrest.catalogue((1,))).backups[0].system_id


@pytest.mark.parametrize("place", ["kept", "received", "sheltered"])
async def test_a_segment_damaged_everywhere_is_put_back_from_what_this_machine_kept(
    protected: Protected, place: str
) -> None:
    """Lost: nothing.
    Seen: a warning for a day that files were damaged in both repositories and put back.
    """
    first, name, _ = await some_segments(protected)
    directory = {
        "kept": protected.home.kept / "20260101T000000_000",
        "received": protected.platform.server.received / "00000001",
        "sheltered": protected.home.sheltered,
    }[place]
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(protected.home.pgdata / "pg_wal" / name, directory / name)
    shutil.copyfile(protected.home.pgdata / "pg_wal" / first, directory / first)
    flip_a_bit(directory / first)
    forget_here(protected, [first, name])
    for repo in (1, 2):
        for segment in (first, name):
            flip_a_bit(wal_file(protected, repo, segment))
    damaged = {wal_file(protected, repo, name).read_bytes() for repo in (1, 2)}
    done = await one_round(protected)
    assert {item.file[:24]: item.done for item in done.repaired if item.file} == {first: False, name: True}
    assert damaged <= set(quarantined(protected))
    assert {finding.problem.segments for finding in findings(protected)} == {(first,)}
