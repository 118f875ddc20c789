"""Drills that stand still while a backup is taken, and what happens to them meanwhile."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from support.drills import GENTLE, begun_in_a_process, counts_tables, drill, driller, nothing_left
from support.events import eventually
from support.recoveries import Protected
from wedsync.backup import BackupKind
from wedsync.copies import Purpose
from wedsync.copies.standstill import workers_of
from wedsync.drills import CheckResult, Drill, DrillContext, DrillOrder, DrillRecords, Outcome, Reason
from wedsync.errors import DrillMadeWay
from wedsync.process import FileLock, is_alive
from wedsync.recovery import Phase


def state_of(pid: int) -> str:
    """What the kernel says of a process: `T` is stopped by a signal; empty: it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except FileNotFoundError:
        return ""


class Held:
    """A backup's lock, taken in the moment in which a drill says that it restores."""

    def __init__(self, own: Protected) -> None:
        self.own = own
        self.lock = FileLock(own.home.run / "backup.lock", purpose="incr backup to repo1")
        self.once = False

    def said(self, phase: Phase, words: str) -> None:
        if phase is Phase.RESTORE and words.startswith("restoring") and not self.once:
            self.once = self.lock.try_acquire()

    def stopped(self) -> list[int]:
        """pgBackRest's processes that restore, once all that works for the copy stands still."""
        found = [pid for path in self.own.home.copies.glob("*") for pid in workers_of(path)]
        if not found or any(state_of(pid) not in {"T", "Z", ""} for pid in found):
            return []
        return [pid for pid in found if name_of(pid) == "pgbackrest" and state_of(pid) == "T"]


async def large(own: Protected) -> str:
    """A full backup that takes a second or more to restore."""
    async with await own.platform.server.target().connect() as connection:
        await connection.execute(
            "create table big as select i, md5(i::text) || md5((-i)::text) from generate_series(1, 1200000) i"
        )
    label = await own.backup(BackupKind.FULL)
    await own.commit()
    await own.archive()
    return label


def begun(own: Protected, held: Held) -> asyncio.Task[Drill]:
    return asyncio.create_task(
        driller(own).run(DrillOrder(repo=1), reason=Reason.OPERATOR, by="test", effort=GENTLE, report=held.said)
    )


async def test_a_restore_stands_still_while_a_backup_is_taken(protected: Protected) -> None:
    """A backup begins while a drill restores, as when a restore takes longer than the pause between two backups.

    Lost: nothing; the backup has the machine for itself, and the drill goes on where it was.
    Seen: the drill passed; its evidence says how long it stood still and for what, and no time of it counts that.
    """
    await large(protected)
    held = Held(protected)
    running = begun(protected, held)
    await eventually(held.stopped, what="the restore stands still")
    restored = sum(path.stat().st_size for path in protected.home.copies.glob("*/pgdata/**/*") if path.is_file())
    still_s = 3.0
    await asyncio.wait({running}, timeout=still_s)  # that it does not move cannot be waited for in another way
    assert not running.done()
    assert restored == sum(
        path.stat().st_size for path in protected.home.copies.glob("*/pgdata/**/*") if path.is_file()
    )
    held.lock.release()
    done = await running
    assert done.outcome is Outcome.PASSED, done.failed_checks
    assert [pause.made_way_for for pause in done.pauses] == ["incr backup to repo1"]
    assert done.paused_s >= still_s
    assert done.finished_at is not None
    whole_s = (done.finished_at - done.began_at).total_seconds()
    assert sum(done.phases_s.values()) <= whole_s - done.paused_s + 0.5
    assert '"paused_s": ' in (protected.home.drills / done.id / "evidence.json").read_text()
    assert "incr backup to repo1" in (protected.home.drills / done.id / "report.html").read_text()
    assert nothing_left(protected)


async def test_a_check_that_stood_still_is_asked_anew(protected: Protected) -> None:
    """A real backup is taken while a drill checks its copy.

    Lost: nothing; the backup is taken at once, beside a server of the copy that stands still.
    Seen: the drill passed, and says that it made way; what the check said of that time does not count.
    """
    asked: list[str] = []
    reached = asyncio.Event()

    async def waits(context: DrillContext) -> CheckResult:
        asked.append(context.label)
        if len(asked) > 1:
            return await counts_tables(context)
        reached.set()
        async with await context.copy.target().connect() as connection:
            await connection.execute("set statement_timeout = '1500ms'")
            await connection.execute("select pg_sleep(600)")
        raise AssertionError

    running = asyncio.create_task(drill(protected, DrillOrder(), by=driller(protected, check=waits)))
    await asyncio.wait_for(reached.wait(), 60)
    await protected.backup(BackupKind.INCR)
    done = await running
    assert done.outcome is Outcome.PASSED, done.failed_checks
    assert len(asked) == 2
    assert [pause.made_way_for for pause in done.pauses] == ["incr backup to repo1"]
    assert nothing_left(protected)


async def test_a_restore_whose_connection_ends_meanwhile_goes_on_with_what_it_has(protected: Protected) -> None:
    """pgBackRest does not outlive the standstill, as when an object store ends its connections.

    Lost: nothing; what was restored already is kept, the rest is restored.
    Seen: the drill passed; a restore that was disturbed by a backup says nothing against what it restores.
    """
    await large(protected)
    held = Held(protected)
    running = begun(protected, held)
    for pid in await eventually(held.stopped, what="the restore stands still"):
        os.kill(pid, signal.SIGKILL)
    held.lock.release()
    done = await running
    assert done.outcome is Outcome.PASSED, done.failed_checks
    assert nothing_left(protected)


async def test_a_copy_that_is_kept_does_not_stand_still_for_ever(protected: Protected) -> None:
    """A backup begins while a drill, whose copy is to be kept, lets it take writes; its server stands still.

    Lost: nothing.
    Seen: the drill passed, and its copy can be read.
    """
    await protected.commit()
    await protected.archive()
    lock = FileLock(protected.home.run / "backup.lock", purpose="incr backup to repo1")

    def said(phase: Phase, words: str) -> None:
        if words == "letting the copy take writes":
            assert lock.try_acquire()

    def stopped() -> bool:
        found = [state_of(pid) for path in protected.home.copies.glob("*") for pid in workers_of(path)]
        return lock.is_held and bool(found) and set(found) <= {"T", "Z", ""}

    running = asyncio.create_task(
        driller(protected).run(
            DrillOrder(), reason=Reason.OPERATOR, by="test", effort=GENTLE, report=said, keep=True
        )
    )
    await eventually(stopped, what="the copy's server stands still")
    lock.release()
    done = await running
    assert done.outcome is Outcome.PASSED, done.failed_checks
    (listed,) = protected.platform.copies.registry.all(Purpose.PREVIEW)
    copy = protected.platform.copies.open(listed.directory)
    assert await asyncio.wait_for(copy.clients(), 30) == 0
    await copy.remove()
    assert nothing_left(protected)


async def test_a_backup_that_is_removed_while_its_drill_stands_still(protected: Protected) -> None:
    """Retention behind a backup removes the very backup that a drill restores.

    Lost: nothing; its time was over.
    Seen: the drill made way (WS451), which says nothing against the backup; not that it failed.
    """
    label = await large(protected)
    await protected.backup(BackupKind.FULL)
    held = Held(protected)
    running = asyncio.create_task(
        driller(protected).run(
            DrillOrder(repo=1, backup=label), reason=Reason.OPERATOR, by="test", effort=GENTLE, report=held.said
        )
    )
    await eventually(held.stopped, what="the restore stands still")
    await protected.platform.pgbackrest.expire_label(repo=1, label=label)
    held.lock.release()
    with pytest.raises(DrillMadeWay, match="was removed"):
        await running
    assert DrillRecords(protected.platform.state).newest(limit=1)[0].outcome is Outcome.YIELDED
    assert nothing_left(protected)


async def test_a_keeper_that_is_killed_leaves_nobody_standing_still(protected: Protected) -> None:
    """The process of a drill gets SIGKILL while its restore stands still for a backup.

    Lost: nothing.
    Seen: the next keeper ends and removes what was left, and `wedsync drill list` says interrupted.
    """
    await large(protected)
    held = Held(protected)
    killed = await begun_in_a_process(protected)
    assert held.lock.try_acquire()
    stopped = await eventually(held.stopped, what="the restore stands still")
    os.kill(killed.pid, signal.SIGKILL)
    await killed.wait()
    assert any(state_of(pid) == "T" for pid in stopped)
    held.lock.release()
    await driller(protected).settle_killed()  # as the next keeper does at its first look
    assert not [pid for pid in stopped if is_alive(pid)]
    assert nothing_left(protected)
    records = DrillRecords(protected.platform.state)
    assert records.newest(limit=1)[0].outcome is Outcome.INTERRUPTED
    assert (await drill(protected, DrillOrder())).outcome is Outcome.PASSED


async def test_a_drill_that_is_told_to_end_while_it_stands_still(protected: Protected) -> None:
    """The process of a drill gets SIGTERM while its restore stands still, as when the keeper is stopped.

    Lost: nothing.
    Seen: it ends at once and its copy is gone, though the backup goes on.
    """
    await large(protected)
    held = Held(protected)
    told = await begun_in_a_process(protected)
    with held.lock:
        stopped = await eventually(held.stopped, what="the restore stands still")
        told.send_signal(signal.SIGTERM)
        await asyncio.wait_for(told.wait(), 60)
    assert not [pid for pid in stopped if is_alive(pid)]
    assert nothing_left(protected)
    assert DrillRecords(protected.platform.state).newest(limit=1)[0].outcome is Outcome.INTERRUPTED
