"""Segments damaged in the archive that verification did not come to read yet: what a recovery makes of them."""

import shutil

import pytest

from faults.test_verification import findings, flip_a_bit, forget_here, some_segments, system_id, wal_file
from support.recoveries import Protected
from wedsync.backup import ProblemKind
from wedsync.errors import RecoveryFailed


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
    file.unlink()
    await parts.stored.push(changed, repo=repo, system_id=await system_id(own))
    changed.unlink()
    wal_file(own, repo, segment).rename(file)
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
