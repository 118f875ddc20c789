"""Drills of backups that are broken, and drills that are broken off: what is found, and that nothing is left."""

import asyncio
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.drills import GENTLE, begun_in_a_process, drill, driller, nothing_left
from support.recoveries import Protected
from wedsync.app.view import StatusReader
from wedsync.backup import BackupKind, Verification, key_name
from wedsync.cluster.datadir import processes_in
from wedsync.drills import CheckResult, Drill, DrillContext, DrillOrder, DrillRecords, Outcome, Pick
from wedsync.errors import Busy, CopyRefused, RepositoryUnreachable, WrongKey
from wedsync.monitoring import State, judge
from wedsync.process import FileLock, is_alive


def newest(own: Protected) -> Drill:
    return DrillRecords(own.platform.state).newest(limit=1)[0]


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x40
    file.chmod(0o600)
    file.write_bytes(content)


def largest(own: Protected, pattern: str) -> Path:
    found = sorted(own.home.root.glob(pattern), key=lambda path: path.stat().st_size)
    assert found, pattern
    return found[-1]


async def moments(own: Protected) -> None:
    """Some commits behind the backups, archived."""
    await asyncio.sleep(0)
    for _ in range(3):
        await own.commit(padding=200)
    await own.archive()
    await own.commit()
    await own.archive()


async def counts_marks(context: DrillContext) -> CheckResult:
    """How many rows `marks` has, as the check names them."""
    async with await context.copy.target(dbname="postgres").connect() as connection:
        row = await (await connection.execute("select count(*) from marks")).fetchone()
    assert row is not None
    return CheckResult(name="marks", ok=True, detail=f"{row[0]} rows", took_s=0.0)


async def test_a_moment_within_a_change_of_tables_is_drilled_as_any_other(protected: Protected) -> None:
    """At the moment a transaction has a table for itself: a paused replay would keep its readers waiting for ever.

    Lost: nothing.
    Seen: the drill passes; what it reads is read when the copy was promoted, without what was not committed.
    """
    kept = await protected.commit()
    await protected.backup(BackupKind.FULL)
    async with await protected.platform.server.target().connect() as other:
        async with other.transaction():
            await other.execute("truncate marks")
            await other.execute("insert into marks values (1000)")
            async with await protected.platform.server.target().connect() as connection:
                await connection.execute("create table seen (n int)")
            moment = await protected.moment()
        await other.execute("create table behind (n int)")
    await protected.archive()
    order = DrillOrder(repo=1, moment=moment)
    done = await drill(protected, order, by=driller(protected, check=counts_marks))
    assert done.outcome is Outcome.PASSED, done.failed_checks
    assert f"{kept} rows" in [check.detail for check in done.checks if check.name == "marks"]
    assert nothing_left(protected)


async def test_a_flipped_bit_fails_the_drill_of_this_backup_and_of_no_other(protected: Protected) -> None:
    """A bit of one file of a backup in the first region is flipped.

    Lost: nothing; the other region's backup is proven by its own drill.
    Seen: the drill failed, naming the file; `wedsync status` is critical (drill_failed).
    """
    async with await protected.platform.server.target().connect() as connection:
        await connection.execute("create table big as select i, md5(i::text) from generate_series(1, 60000) i")
    label = await protected.backup(BackupKind.FULL)
    await moments(protected)
    damaged = largest(protected, f"repo1/backup/wedsync/{label}/pg_data/base/**/*.zst")
    flip_a_bit(damaged)
    failed = await drill(protected, DrillOrder(repo=1))
    assert failed.outcome is Outcome.FAILED
    assert [check.name for check in failed.failed_checks] == ["restore", "damaged files"]
    assert (
        f"{label}: pg_data/base/{damaged.parent.name}/{damaged.name.removesuffix('.zst')}"
        in failed.checks[1].detail
    )
    assert not [check for check in failed.checks if str(protected.home.root) in check.detail]
    passed = await drill(protected, DrillOrder(repo=2))
    assert passed.outcome is Outcome.PASSED
    facts = await StatusReader(protected.platform).facts(survey_within=timedelta(seconds=30))
    issues = [issue for issue in judge(facts, datetime.now(UTC)).issues if issue.code == "drill_failed"]
    assert [issue.severity for issue in issues] == [State.CRITICAL]
    assert label in issues[0].words
    assert nothing_left(protected)


async def test_marking_a_damaged_backup_does_not_chase_the_drill_that_found_it(protected: Protected) -> None:
    """A bit of a backup is flipped, and marking the backup as broken takes as long as on a busy machine.

    Lost: nothing.
    Seen: the drill failed, with the damaged file; not that it made way for the mark.
    """
    label = await protected.backup(BackupKind.FULL)
    await moments(protected)
    flip_a_bit(largest(protected, f"repo1/backup/wedsync/{label}/bundle/*"))

    async def slowly(repo: int) -> Verification:
        found = await protected.platform.verifier.verify(repo)
        with FileLock(protected.home.run / "backup.lock", purpose=f"mark {label} in repo{repo}"):
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=1.5)  # three looks for others
        return found

    failed = await drill(protected, DrillOrder(repo=1), by=driller(protected, verify=slowly))
    assert [check.name for check in failed.failed_checks] == ["restore", "damaged files"]


async def test_wal_that_a_backup_needs_is_missing(protected: Protected) -> None:
    """The WAL segment that makes a backup consistent is gone from the first region's archive.

    Lost: nothing; the other region has it.
    Seen: the drill failed at the way to the moment (pgBackRest's own verify says ok).
    """
    await moments(protected)
    backup = (await protected.platform.surveyor.survey()).catalogue.of_repo(1)[-1]
    for segment in protected.home.root.glob(f"repo1/archive/wedsync/*/*/{backup.wal_start}-*"):
        segment.unlink()
    failed = await drill(protected, DrillOrder(repo=1, backup=backup.label))
    assert failed.outcome is Outcome.FAILED
    assert failed.failed_checks[0].name in {"way to the moment", "restore"}
    passed = await drill(protected, DrillOrder(repo=2))
    assert passed.outcome is Outcome.PASSED
    assert nothing_left(protected)


async def test_a_segment_missing_behind_the_backup_bounds_what_it_leads_to(protected: Protected) -> None:
    """A WAL segment behind a backup is gone from the archive of one region.

    Lost: nothing; the other region has it.
    Seen: drills of this backup pass up to the gap, and none is offered a moment behind it.
    """
    await moments(protected)
    before = await protected.archive()
    await protected.commit()
    gone = await protected.archive()
    await protected.commit()
    await protected.archive()
    for segment in protected.home.root.glob(f"repo1/archive/wedsync/*/*/{gone}-*"):
        segment.unlink()
    passed = await drill(protected, DrillOrder(repo=1, moment=Pick.NEWEST))
    assert passed.outcome is Outcome.PASSED
    assert passed.source is not None
    assert passed.source.wal_last <= max(before, passed.source.wal_last)
    assert passed.source.wal_last < gone


async def test_a_repository_of_another_key_is_not_drilled(protected: Protected) -> None:
    """The key of the first region is another one than the one its files were encrypted with.

    Lost: nothing, as long as the key is found again or the other region is there.
    Seen: WS304, which names the file of the key; on record as refused.
    """
    key = protected.home.secrets / key_name(1)
    right = key.read_bytes()
    key.write_bytes(b"another" * 6)
    protected.platform.pgbackrest.write_config()
    with pytest.raises(WrongKey):
        await drill(protected, DrillOrder(repo=1))
    assert newest(protected).outcome is Outcome.REFUSED
    key.write_bytes(right)
    protected.platform.pgbackrest.write_config()
    assert (await drill(protected, DrillOrder(repo=1))).outcome is Outcome.PASSED


async def test_a_repository_that_is_away_is_said_and_the_other_one_is_proven(protected: Protected) -> None:
    """The first region is not mounted.

    Lost: nothing; the other region goes on being proven.
    Seen: WS302 or that it holds no backup, on record as refused; `wedsync status` names the repository.
    """
    (protected.home.root / "repo1").rename(protected.home.root / "away")
    (protected.home.root / "repo1").touch()
    with pytest.raises(RepositoryUnreachable):
        await drill(protected, DrillOrder(repo=1))
    assert newest(protected).outcome is Outcome.REFUSED
    assert (await drill(protected, DrillOrder(repo=2))).outcome is Outcome.PASSED
    assert nothing_left(protected)


async def test_no_drill_begins_where_there_is_no_room(protected: Protected) -> None:
    """The disk is too small for a copy beside what must stay free.

    Lost: nothing; not a byte is written.
    Seen: WS421 with the sizes; on record as refused.
    """
    with pytest.raises(CopyRefused, match="no room"):
        await drill(protected, DrillOrder(), effort=replace(GENTLE, least_free_bytes=10**15))
    refused = newest(protected)
    assert refused.outcome is Outcome.REFUSED
    assert refused.trouble is not None
    assert refused.trouble.code == "WS421"
    assert nothing_left(protected)


async def test_a_drill_that_is_killed_leaves_nothing_to_the_next(protected: Protected) -> None:
    """The process of a drill gets SIGKILL while it restores, as when the keeper is killed.

    Lost: nothing.
    Seen: the keeper or the next drill removes what was left, and `wedsync drill list` says interrupted.
    """
    await moments(protected)
    killed = await begun_in_a_process(protected)
    os.kill(killed.pid, signal.SIGKILL)
    await killed.wait()
    left = [path / "pgdata" for path in protected.home.copies.iterdir()]
    assert left
    await driller(protected).settle_killed()  # as the keeper does at its next look
    assert newest(protected).outcome is Outcome.INTERRUPTED
    passed = await drill(protected, DrillOrder())
    assert passed.outcome is Outcome.PASSED
    states = [item.outcome for item in DrillRecords(protected.platform.state).newest()]
    assert states == [Outcome.PASSED, Outcome.INTERRUPTED]
    assert nothing_left(protected)
    assert not [pid for place in left for pid in processes_in(place) if is_alive(pid)]


async def test_a_drill_that_is_told_to_end_clears_away(protected: Protected) -> None:
    """The process of a drill gets SIGTERM, as when the keeper is stopped.

    Lost: nothing.
    Seen: its copy is gone when it ends, and `wedsync drill list` says interrupted.
    """
    process = await begun_in_a_process(protected)
    os.kill(process.pid, signal.SIGTERM)
    await process.wait()
    assert newest(protected).outcome is Outcome.INTERRUPTED
    assert nothing_left(protected)


@pytest.mark.parametrize("name", ["backup", "recovery", "drill"])
async def test_no_drill_begins_beside_a_backup_a_recovery_or_another_drill(
    protected: Protected, name: str
) -> None:
    """A backup, a recovery or another drill is under way.

    Lost: nothing.
    Seen: WS108, which says who is at work and since when.
    """
    said = name if name == "drill" else "no drill"
    lock = FileLock(protected.home.run / f"{name}.lock", purpose=f"{name} of a test")
    with lock, pytest.raises(Busy, match=said):
        await drill(protected, DrillOrder())
    assert DrillRecords(protected.platform.state).newest() == ()
