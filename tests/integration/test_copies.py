"""A copy at a moment: what is in it, that it moves on, that it leaves nothing behind."""

from support.recoveries import Protected
from wedsync.copies import CopyOrder, Effort, Purpose

_EFFORT = Effort(nice=0, idle_disk=False, processes=2, memory_bytes=16 * 1024 * 1024, least_free_bytes=0)


async def test_a_copy_shows_its_moment_moves_on_and_is_removed(protected: Protected) -> None:
    await protected.commit()
    before = await protected.moment()
    await protected.commit()
    await protected.archive()
    copies = protected.platform.copies
    plan = await copies.plan(CopyOrder(target=before))
    copy = await copies.make(plan, directory=copies.new_directory(Purpose.DRILL), effort=_EFFORT)
    try:
        async with await copy.target(dbname="postgres").connect() as connection:
            found = await (await connection.execute("select n from marks order by n")).fetchall()
        assert found == [(1,)]
        await protected.commit()
        now = await protected.moment()
        await copy.forward(now)
        async with await copy.target(dbname="postgres").connect() as connection:
            found = await (await connection.execute("select n from marks order by n")).fetchall()
        assert found == [(1,), (2,), (3,)]
        assert (await copy.position()).paused
    finally:
        await copy.remove()
    assert not copy.directory.exists()
    assert copies.registry.all() == []
    assert await protected.rows() == [1, 2, 3]
