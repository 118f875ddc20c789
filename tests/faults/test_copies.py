"""Copies under faults: the cluster beside them never notices, and nothing of a broken one stays."""

import asyncio
import os
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pytest

from support.copies import SMALL, copy_at, rows_in
from support.events import eventually
from support.recoveries import Protected, protected_copy
from wedsync.app import list_previews, make_preview, move_preview, remove_preview, wake_preview
from wedsync.app.copies import held_still
from wedsync.cluster import ServerState
from wedsync.cluster.datadir import processes_in
from wedsync.config import Home
from wedsync.copies import Answer, CopyOrder, Effort, Purpose, Stage
from wedsync.errors import (
    ArchivingStuck,
    Busy,
    CopyFailed,
    CopyPassed,
    CopyRefused,
    DiskFull,
    PreviewAway,
    TargetUnreachable,
)
from wedsync.recovery import Phase

_ENVIRONMENT = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
_MAKER = """
import asyncio, os, signal, sys
from datetime import datetime
from pathlib import Path
from wedsync.app import Platform
from wedsync.config import Home
from wedsync.copies import CopyOrder, Effort, Purpose

home, at, phase = sys.argv[1:]
platform = Platform(Home(Path(home)), {})

def report(now, words):
    if now == phase:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    plan = await platform.copies.plan(CopyOrder(target=datetime.fromisoformat(at)))
    effort = Effort(least_free_bytes=0)
    directory = platform.copies.new_directory(Purpose.DRILL)
    await platform.copies.make(plan, directory=directory, effort=effort, report=report)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""

_MOVER = """
import asyncio, os, signal, sys
from pathlib import Path
from wedsync.app import Platform, move_preview
from wedsync.config import Home

home, preview, at = sys.argv[1:]

def report(now, words):
    if "replaying" in words:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(move_preview(Platform(Home(Path(home)), {}), preview, at, by="ada", report=report))
"""


def _listing(repository: Path) -> dict[str, str]:
    """Every file of a repository and what is in it."""
    files = sorted(path for path in repository.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(repository)): sha256(path.read_bytes()).hexdigest() for path in files}


async def _two_commits(own: Protected) -> datetime:
    """Two rows, archived; gives the moment between them."""
    await own.commit()
    between = await own.moment()
    await own.commit()
    await own.archive()
    return between


def _nothing_is_left(own: Protected) -> bool:
    copies = own.home.copies
    return not (copies.is_dir() and list(copies.iterdir())) and own.platform.copies.registry.all() == []


@pytest.mark.parametrize("phase", ["restore", "replay", "made"])
async def test_a_maker_that_is_killed_leaves_nothing_for_long(protected: Protected, phase: str) -> None:
    """Lost: nothing; the copy that was being made is thrown away.
    Seen: the next copy is made, and the event `copy_leftover_removed` if the keeper comes first.
    """
    between = await _two_commits(protected)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _MAKER, str(protected.home.root), between.isoformat(), phase),
        stdout=asyncio.subprocess.DEVNULL,
        env=_ENVIRONMENT,
    )
    assert await process.wait() == -signal.SIGKILL
    (left,) = protected.home.copies.iterdir()
    if phase == "made":
        assert processes_in(left / "pgdata")
    async with copy_at(protected, between) as copy:
        assert await rows_in(copy) == [1]
        assert not left.exists()
        assert not processes_in(left / "pgdata")
    assert _nothing_is_left(protected)
    assert await protected.rows() == [1, 2]


async def test_a_preview_whose_server_was_killed_moves_on_all_the_same(protected: Protected) -> None:
    """Lost: nothing.
    Seen: the preview is `stopped` in the list; moving it on starts it again.
    """
    between = await _two_commits(protected)
    preview = await make_preview(protected.platform, between.isoformat(), by="ada")
    copy = protected.platform.copies.open(protected.home.copies / preview.id)
    for pid in processes_in(copy.home.pgdata):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await eventually(lambda: copy.server.state() is ServerState.CRASHED, what="the copy's server is dead")
    (listed,) = await list_previews(protected.platform)
    assert not listed.running
    await move_preview(protected.platform, preview.id, "latest", by="ada")
    assert await rows_in(copy) == [1, 2]
    await copy.remove()
    assert await protected.rows() == [1, 2]


async def test_a_mover_that_is_killed_never_leaves_another_moment_under_the_old_name(protected: Protected) -> None:
    """Lost: nothing; the preview ends its move when it is asked next.
    Seen: the preview is `moving` in the list; who asks for the moment before gets another preview.
    """
    between = await _two_commits(protected)
    platform = protected.platform
    preview = await make_preview(platform, between.isoformat(), by="ada")
    later = await protected.moment()
    await protected.commit()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _MOVER, str(protected.home.root), preview.id, later.isoformat()), env=_ENVIRONMENT
    )
    assert await process.wait() == -signal.SIGKILL
    (left,) = await list_previews(platform)
    assert (left.stage, left.at) == (Stage.MOVING, later)
    copy = platform.copies.open(protected.home.copies / preview.id)
    with pytest.raises(Busy, match="is moving"), copy.held_still():
        pytest.fail("who relies on a moment was let in on the way to another")
    with pytest.raises(CopyPassed, match="may be past"):
        await move_preview(platform, preview.id, between.isoformat(), by="ada")
    other = await make_preview(platform, between.isoformat(), by="ada")
    assert other.answer is Answer.MADE
    assert await rows_in(platform.copies.open(protected.home.copies / other.id)) == [1]
    await wake_preview(platform, preview.id)
    assert [(each.stage, each.at) for each in await list_previews(platform)] == [
        (Stage.READY, later),
        (Stage.READY, between),
    ]
    assert await rows_in(copy) == [1, 2]
    for each in (preview, other):
        await platform.copies.open(protected.home.copies / each.id).remove()


async def test_a_preview_is_not_read_after_the_machine_was_started_anew(protected: Protected) -> None:
    """Lost: nothing; the preview is removed, for nothing of it was flushed to disk.
    Seen: that it was made before this machine was started.
    """
    preview = await make_preview(protected.platform, "latest", by="ada")
    copy = protected.platform.copies.open(protected.home.copies / preview.id)
    await copy.stop()
    copy.keep(replace(copy.note, boot="an earlier one"))
    with pytest.raises(PreviewAway, match="does not come up") as said:
        await wake_preview(protected.platform, preview.id)
    assert "before this machine was started" in str(said.value.detail)
    with pytest.raises(CopyFailed, match="before this machine"):
        await move_preview(protected.platform, preview.id, "latest", by="ada")
    assert await protected.platform.copies.tidy() == [preview.id]
    assert _nothing_is_left(protected)


async def test_a_preview_that_somebody_relies_on_stays_where_it_is(protected: Protected) -> None:
    """Lost: nothing.
    Seen: who would move or remove it is told that it is in use.
    """
    between = await _two_commits(protected)
    preview = await make_preview(protected.platform, between.isoformat(), by="ada")
    copy = protected.platform.copies.open(protected.home.copies / preview.id)
    with held_still(protected.platform, preview), held_still(protected.platform, preview):
        with pytest.raises(Busy, match=preview.id):
            await move_preview(protected.platform, preview.id, "latest", by="ada")
        with pytest.raises(Busy, match=preview.id):
            await remove_preview(protected.platform, preview.id, by="ada")
        assert await rows_in(copy) == [1]
    await move_preview(protected.platform, preview.id, "latest", by="ada")
    with pytest.raises(Busy, match="has moved"), held_still(protected.platform, preview):
        pytest.fail("the preview shows another moment")
    await remove_preview(protected.platform, preview.id, by="ada")


async def test_a_disk_that_fills_up_during_a_copy_costs_the_copy_only(
    protected_template: Home, small_disk: Path
) -> None:
    """Lost: nothing; the cluster goes on, what there was of the copy is removed.
    Seen: `the disk runs full: the copy was given up` and how much is free; before that, `there is no room …`.
    """
    filler = small_disk / "filler"
    async with protected_copy(protected_template, Home(small_disk / "home")) as own:
        between = await _two_commits(own)
        copies = own.platform.copies
        plan = await copies.plan(CopyOrder(target=between))
        tight = replace(plan, base=replace(plan.base, database_bytes=0), wal_segments=0)  # says too little
        free = shutil.disk_usage(small_disk).free
        greedy = Effort(least_free_bytes=free)
        with pytest.raises(CopyRefused, match="no room"):
            await copies.make(plan, directory=copies.new_directory(Purpose.DRILL), effort=greedy)

        def fill(phase: Phase, words: str) -> None:
            if phase is Phase.RESTORE and not filler.exists():
                with filler.open("wb", buffering=0) as file, suppress(OSError):
                    while shutil.disk_usage(small_disk).free > 8_000_000:
                        file.write(bytes(1 << 16))

        for least in (0, 32_000_000):
            effort = Effort(least_free_bytes=least, nice=0, idle_disk=False)
            with pytest.raises(DiskFull, match=r"the disk|the copy"):
                await copies.make(tight, directory=copies.new_directory(Purpose.DRILL), effort=effort, report=fill)
            filler.unlink()
            assert _nothing_is_left(own)
        assert await own.commit() == 3
        assert await own.rows() == [1, 2, 3]


async def test_wal_that_is_missing_on_the_way_is_said_before_anything_is_copied(protected: Protected) -> None:
    """Lost: nothing now; the moment was lost when the segment was.
    Seen: `… cannot be restored: WAL … is missing`, and which moments can be.
    """
    await protected.commit()
    missing = await protected.archive()
    await protected.commit()
    after = await protected.moment()
    await protected.commit()
    await protected.archive()
    for repo in (1, 2):
        for path in (protected.home.root / f"repo{repo}").rglob(f"{missing}-*"):
            path.unlink()
    copies = protected.platform.copies
    with pytest.raises(TargetUnreachable, match="missing"):
        await copies.plan(CopyOrder(target=after))
    assert _nothing_is_left(protected)


async def test_wal_that_vanishes_after_the_plan_costs_the_copy_only(protected: Protected) -> None:
    """Lost: nothing; the copy is removed.
    Seen: `the copy does not reach its moment`, with what PostgreSQL says.
    """
    between = await _two_commits(protected)
    copies = protected.platform.copies
    plan = await copies.plan(CopyOrder(target=between))
    for path in (protected.home.root / "repo1/archive").rglob(f"{plan.wal_last}-*"):
        path.unlink()
    with pytest.raises(CopyFailed, match="does not reach its moment"):
        await copies.make(plan, directory=copies.new_directory(Purpose.DRILL), effort=SMALL)
    assert _nothing_is_left(protected)
    assert await protected.rows() == [1, 2]


async def test_an_archive_that_is_gone_keeps_a_copy_where_it_is(protected: Protected) -> None:
    """Lost: nothing; the copy stays readable at its moment, and moves on when the archive is back.
    Seen: the moment cannot be reached, or is not archived, and how far the archive reaches.
    """
    between = await _two_commits(protected)
    async with copy_at(protected, between) as copy:
        away = protected.home.root / "away"
        (protected.home.root / "repo1").rename(away)
        try:
            with pytest.raises((TargetUnreachable, ArchivingStuck)):
                await copy.forward(await protected.moment())
        finally:
            with suppress(FileNotFoundError):
                shutil.rmtree(protected.home.root / "repo1")
            away.rename(protected.home.root / "repo1")
        assert await rows_in(copy) == [1]
        await copy.forward(await protected.moment())
        assert await rows_in(copy) == [1, 2]


async def test_a_copy_is_made_while_the_cluster_is_down(protected: Protected) -> None:
    """Lost: nothing: what the killed server had not archived is read from its own files.
    Seen: a copy at the last commit, and a note that says which one that is.
    """
    await _two_commits(protected)
    await protected.commit()
    await protected.kill()
    now = protected.platform.clock.now()
    async with copy_at(protected, now) as copy:
        assert await rows_in(copy) == [1, 2, 3]
        assert copy.plan.clamped
        listed = protected.platform.copies.registry.find(copy.id)
        assert listed is not None
        assert listed.last_commit_at == copy.plan.last_commit_at
        assert any("the last commit that still exists" in note for note in copy.plan.notes)
    assert protected.platform.server.state() is ServerState.CRASHED


async def test_two_makers_at_once_both_get_their_copy(protected: Protected) -> None:
    """Lost: nothing.
    Seen: two copies, each at its own moment.
    """
    between = await _two_commits(protected)
    now = await protected.moment()
    async with asyncio.TaskGroup() as group:
        copies = protected.platform.copies
        plans = [await copies.plan(CopyOrder(target=target)) for target in (between, now)]
        made = [
            group.create_task(
                copies.make(plan, directory=copies.new_directory(Purpose.DRILL), effort=SMALL), name=str(number)
            )
            for number, plan in enumerate(plans)
        ]
    first, second = (task.result() for task in made)
    assert (await rows_in(first), await rows_in(second)) == ([1], [1, 2])
    await first.remove()
    assert await rows_in(second) == [1, 2]
    await second.remove()


async def test_a_copy_never_archives_even_when_it_takes_writes(protected: Protected) -> None:
    """Lost: nothing.
    Seen: nothing: not one file of either repository changes.
    """
    between = await _two_commits(protected)
    await protected.platform.copies.plan(CopyOrder(target=between))
    await protected.platform.server.stop()
    before = [_listing(protected.home.root / f"repo{repo}") for repo in (1, 2)]
    assert all(len(listing) > 10 for listing in before)
    async with copy_at(protected, between) as copy:
        await copy.promote()
        async with await copy.target(dbname="postgres").connect() as connection:
            await connection.execute("insert into marks values (99)")
            await connection.execute("select pg_switch_wal()")
            await connection.execute("checkpoint")
    assert [_listing(protected.home.root / f"repo{repo}") for repo in (1, 2)] == before


async def test_moments_that_no_copy_can_show_are_refused(protected: Protected) -> None:
    """Lost: nothing.
    Seen: the moment is in the future, or before every backup; back in time: `make a new copy`.
    """
    between = await _two_commits(protected)
    copies = protected.platform.copies
    with pytest.raises(TargetUnreachable, match="future"):
        await copies.plan(CopyOrder(target=between.replace(year=between.year + 1)))
    with pytest.raises(TargetUnreachable, match="no backup is older"):
        await copies.plan(CopyOrder(target=between.replace(year=between.year - 1)))
    async with copy_at(protected, await protected.moment()) as copy:
        with pytest.raises(CopyPassed, match="later moments only") as told:
            await copy.forward(between)
        assert "make a new copy" in (told.value.hint or "")


async def test_an_archiver_that_is_broken_is_said_with_what_the_archive_reaches(
    protected: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost: nothing.
    Seen: `… is in WAL that does not reach the archive`, and to which moment the archive reaches.
    """
    between = await _two_commits(protected)
    monkeypatch.setattr("wedsync.copies.planner._ARCHIVED", protected.platform.config.backup.retry_after / 60)
    async with await protected.platform.server.target().connect() as connection:
        await connection.execute("alter system set archive_command = '/bin/false pgbackrest'")
        await connection.execute("select pg_reload_conf()")
    await protected.commit()
    with pytest.raises(ArchivingStuck, match="does not reach the archive") as told:
        await protected.platform.copies.plan(CopyOrder(target=await protected.moment()))
    assert "the archive reaches to" in (told.value.detail or "")
    async with copy_at(protected, between) as copy:
        assert await rows_in(copy) == [1]
