"""Segments damaged in the archive that verification did not come to read yet: what a recovery makes of them."""

import json
import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg.rows import dict_row

from faults.test_verification import findings, flip_a_bit, forget_here, some_segments, system_id, wal_file
from support.drills import drill
from support.events import eventually
from support.recoveries import Protected
from wedsync.app import make_preview
from wedsync.backup import ProblemKind
from wedsync.drills import DrillOrder, Outcome
from wedsync.errors import RecoveryFailed, TargetUnreachable


async def spoil(own: Protected, repo: int, segment: str) -> None:
    """Damage a record in the middle of a segment so that pgBackRest hands it out, with exit status 0."""
    parts = own.platform.verification
    file = wal_file(own, repo, segment)
    content = bytearray(
        await parts.reader.segment(repo, segment, system_id=await system_id(own), sha1=file.name[25:65])
    )
    content[content.index(b"x" * 1000) + 500] ^= 1
    changed = own.home.run / segment
    changed.write_bytes(content)
    stored = file.stat().st_mtime
    file.unlink()
    await parts.stored.push(changed, repo=repo, system_id=await system_id(own))
    changed.unlink()
    wal_file(own, repo, segment).rename(file)
    os.utime(file, (stored, stored))  # a plan goes by it
    fetched = own.home.run / "fetched"
    assert await own.platform.pgbackrest.archive_get(segment, fetched, repo=repo, system_id=await system_id(own))
    assert fetched.read_bytes() == bytes(content)
    fetched.unlink()


async def padded(own: Protected) -> tuple[str, list[str]]:
    """A segment with much in it, and all of the archived ones, it among them."""
    before = await some_segments(own)
    for _ in range(3):
        await own.commit(padding=1500)
    middle = await own.archive()
    return middle, [*before, middle, *await some_segments(own)]


@pytest.mark.parametrize("is_handed_out", [True, False])
async def test_a_recovery_to_latest_never_takes_a_damaged_segment_for_the_end(
    protected: Protected, is_handed_out: bool
) -> None:
    """Lost: nothing.
    Seen: the recovery names the damaged segment and takes no writes; run again, it takes the other region.
    """
    middle, segments = await padded(protected)
    everything = await protected.rows()
    forget_here(protected, segments)
    if is_handed_out:
        await spoil(protected, 1, middle)
    else:
        flip_a_bit(wal_file(protected, 1, middle))
    histories = set(protected.home.root.glob("repo*/archive/*/*/*.history"))
    with pytest.raises(RecoveryFailed, match=f"{middle} in repo1 is damaged"):
        await protected.recover(None)
    assert protected.platform.server.postmaster_pid() is None
    assert set(protected.home.root.glob("repo*/archive/*/*/*.history")) == histories, "it took no writes"
    assert [(item.problem.kind, item.problem.segments) for item in findings(protected)] == [
        (ProblemKind.DAMAGED_WAL, (middle,))
    ]
    plan = await protected.plan(None)
    assert plan.repo == 2
    await protected.carry_out(plan)
    assert await protected.rows() == everything
    await protected.undo()
    assert await protected.rows() == everything


async def test_a_recovery_of_a_lost_cluster_takes_the_other_region_when_a_segment_is_damaged(
    protected: Protected,
) -> None:
    """Lost: nothing that was archived.
    Seen: the recovery names the damaged segment; the same command again takes the other region.
    """
    middle, _ = await padded(protected)
    everything = await protected.rows()
    await spoil(protected, 1, middle)
    await protected.kill()
    shutil.rmtree(protected.home.pgdata)
    with pytest.raises(RecoveryFailed, match=f"{middle} in repo1 is damaged"):
        await protected.recover(None)
    await protected.recover(None)
    assert await protected.rows() == everything


@pytest.mark.parametrize("where", ["middle", "newest"])
async def test_an_undo_whose_end_nobody_noted_never_takes_a_damaged_segment_for_it(
    protected: Protected, where: str
) -> None:
    """Lost: nothing.
    Seen: the recovery names the damaged segment and takes no writes; run again, it takes the other region.
    """
    await protected.commit()
    moment = await protected.moment()
    segments = (await padded(protected))[1]
    for _ in range(3):
        await protected.commit(padding=1500)
    segments.append(await protected.archive())
    everything = await protected.rows()
    await protected.recover(moment)
    forget_the_end(protected)
    shutil.rmtree(protected.home.kept)
    forget_here(protected, segments)
    target = segments[-1] if where == "newest" else segments[3]
    await spoil(protected, 1, target)
    histories = set(protected.home.root.glob("repo*/archive/*/*/*.history"))
    with pytest.raises(RecoveryFailed, match=f"{target} in repo1 is damaged") as caught:
        await protected.undo()
    assert "repo2 has it whole" in str(caught.value.detail)
    assert set(protected.home.root.glob("repo*/archive/*/*/*.history")) == histories, "it took no writes"
    await protected.undo()
    assert await protected.rows() == everything


def forget_the_end(own: Protected) -> None:
    """As a journal has it whose recovery found neither a clean stop nor a commit in what it put aside."""
    (row,) = own.platform.state.rows("select id, undo from recoveries")
    undo = json.loads(row["undo"]) | {"end": None}
    own.platform.state.write("update recoveries set undo = ? where id = ?", (json.dumps(undo), row["id"]))


async def test_damage_in_wal_that_only_this_machine_has_is_no_end_of_it(protected: Protected) -> None:
    """Lost: what is behind the damage, and only when an operator gives it up by a moment.
    Seen: the recovery names the damaged segment, when the heartbeat's commit was, and how to go on without it.
    """
    await protected.archive()
    await protected.commit()
    moment = await protected.moment()
    await protected.commit(padding=1500)
    await beat(protected)
    await protected.kill()
    (segment,) = [
        path for path in (protected.home.pgdata / "pg_wal").iterdir() if b"x" * 1000 in read_if_file(path)
    ]
    content = bytearray(segment.read_bytes())
    content[content.index(b"x" * 1000) + 500] ^= 1
    segment.write_bytes(content)
    with pytest.raises(RecoveryFailed, match=f"WAL segment {segment.name} is damaged") as caught:
        await protected.recover(None)
    assert "a commit of" in str(caught.value.detail)
    assert "--to" in str(caught.value.hint)
    assert protected.platform.server.postmaster_pid() is None
    await protected.recover(moment)
    assert await protected.rows() == [1]


def read_if_file(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


async def beat(own: Protected) -> None:
    """A heartbeat, as the keeper makes it."""
    service = own.platform.heartbeat_service()
    async with await own.platform.owner_target.connect() as connection:
        connection.row_factory = dict_row  # pyright: ignore[reportAttributeAccessIssue] - psycopg's own way
        await service.prepare(connection)  # pyright: ignore[reportArgumentType]
        assert await service.beat_once(connection)  # pyright: ignore[reportArgumentType]


async def test_a_preview_takes_the_other_region_when_a_segment_is_damaged(protected: Protected) -> None:
    """Lost: nothing.
    Seen: the damaged segment is named while the preview is made from the other region.
    """
    middle, segments = await padded(protected)
    moment = await protected.moment()
    await protected.commit()
    await protected.archive()
    await spoil(protected, 1, middle)
    forget_here(protected, segments)
    said: list[str] = []
    preview = await make_preview(
        protected.platform, moment.isoformat(), by="operator", report=lambda _, words: said.append(words)
    )
    assert preview.plan is not None
    assert preview.plan.repo == 2
    assert any(f"WAL segment {middle} in repo1" in words for words in (*said, *preview.plan.notes)), said
    await protected.platform.copies.open(protected.home.copies / preview.id).remove()


async def test_a_moment_behind_damaged_wal_that_no_region_has_whole_is_refused_by_its_name(
    protected: Protected,
) -> None:
    """Lost: moments behind the damaged segment, until the next backup.
    Seen: the plan names the segment and its repository, before anything is touched.
    """
    middle, segments = await padded(protected)
    moment = await protected.moment()
    await protected.commit()
    await protected.archive()
    await spoil(protected, 1, middle)
    wal_file(protected, 1, middle).touch()  # stored around the moment: the plan reads it
    forget_here(protected, segments)
    wal_file(protected, 2, middle).unlink()
    with pytest.raises(TargetUnreachable, match=f"WAL segment {middle} in repo1"):
        await protected.plan(moment)


async def test_a_drill_says_which_segment_is_damaged(protected: Protected) -> None:
    """Lost: moments behind the damaged segment, until the next backup.
    Seen: the drill names the segment and its repository; no copy is left.
    """
    middle, segments = await padded(protected)
    clock = protected.platform.clock
    behind = clock.now() + timedelta(seconds=2)
    await eventually(lambda: clock.now() > behind, what="the plan does not read the damaged one: by the second")
    segments += await some_segments(protected)
    moment = await protected.moment()
    await protected.commit()
    await protected.archive()
    await spoil(protected, 1, middle)
    forget_here(protected, segments)
    wal_file(protected, 2, middle).unlink()
    failed = await drill(protected, DrillOrder(repo=1, moment=moment))
    assert failed.outcome is Outcome.FAILED
    assert any(f"WAL segment {middle} in repo1 is damaged" in check.detail for check in failed.checks), failed
    noted = {(item.problem.kind, item.problem.segments) for item in findings(protected)}
    assert (ProblemKind.DAMAGED_WAL, (middle,)) in noted
    assert not list(protected.home.copies.iterdir())
