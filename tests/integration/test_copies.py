"""A copy at a moment: what is in it, that it moves on, that it leaves nothing behind."""

import pytest
from psycopg import errors

from support.copies import copy_at, rows_in
from support.events import eventually
from support.recoveries import Protected
from wedsync.app import list_previews, make_preview, move_preview, remove_preview
from wedsync.backup import BackupKind
from wedsync.copies import Answer, CopyOrder, Purpose
from wedsync.errors import CopyPassed, CopyRefused, CopyUnknown, TargetUnreachable


async def test_a_copy_shows_its_moment_moves_on_and_is_removed(protected: Protected) -> None:
    await protected.commit()
    before = await protected.moment()
    await protected.commit()
    await protected.archive()
    async with copy_at(protected, before) as copy:
        assert await rows_in(copy) == [1]
        assert (await copy.position()).paused
        await protected.commit()
        await copy.forward(await protected.moment())  # nobody archived that yet
        assert await rows_in(copy) == [1, 2, 3]
        with pytest.raises(CopyPassed):
            await copy.forward(before)
        assert await rows_in(copy) == [1, 2, 3]
        async with await copy.target(dbname="postgres").connect() as connection:
            with pytest.raises(errors.ReadOnlySqlTransaction):
                await connection.execute("insert into marks values (99)")
    assert not copy.directory.exists()
    assert protected.platform.copies.registry.all() == []
    assert await protected.rows() == [1, 2, 3]


async def test_a_promoted_copy_takes_writes_that_no_archive_sees(protected: Protected) -> None:
    await protected.commit()
    async with copy_at(protected, await protected.moment()) as copy:
        await copy.promote()
        async with await copy.target(dbname="postgres").connect() as connection:
            await connection.execute("insert into marks values (99)")
            await connection.execute("select pg_switch_wal()")
            row = await (await connection.execute("select current_setting('archive_mode')")).fetchone()
        assert row == ("off",)
        assert await rows_in(copy) == [1, 99]
        with pytest.raises(CopyPassed):
            await copy.forward(await protected.moment())
    assert await protected.rows() == [1]


async def test_a_chosen_backup_and_repository_are_used(protected: Protected) -> None:
    await protected.commit()
    label = await protected.backup(BackupKind.FULL, repo=2)
    await protected.commit()
    moment = await protected.moment()
    copies = protected.platform.copies
    plan = await copies.plan(CopyOrder(target=moment, repo=2, label=label))
    assert (plan.repo, plan.base.label) == (2, label)
    with pytest.raises(TargetUnreachable, match="20000101-000000F"):
        await copies.plan(CopyOrder(target=moment, repo=1, label="20000101-000000F"))


async def test_a_copy_follows_the_timeline_of_a_recovery(protected: Protected) -> None:
    await protected.commit()
    moment = await protected.moment()
    await protected.commit()
    await protected.archive()
    async with copy_at(protected, moment) as copy, copy_at(protected, await protected.moment()) as later:
        assert await rows_in(later) == [1, 2]
        await protected.recover(moment)
        protected.number = 10
        await protected.commit()
        now = await protected.moment()
        await copy.forward(now)
        assert await rows_in(copy) == [1, 11]
        with pytest.raises(CopyPassed, match="timeline 2"):
            await later.forward(now)
        assert await rows_in(later) == [1, 2]


async def test_previews_are_found_again_moved_on_and_bounded_in_number(protected: Protected) -> None:
    platform = protected.platform
    await protected.commit()
    first_at = (await protected.moment()).isoformat()
    await protected.commit()
    second_at = (await protected.moment()).isoformat()
    first = await make_preview(platform, first_at, by="ada")
    assert first.answer is Answer.MADE
    assert (await make_preview(platform, first_at, by="bob")).answer is Answer.SAME
    others = await make_preview(platform, second_at, by="bob")
    assert others.answer is Answer.MADE  # nobody's preview moves under them
    moved = await make_preview(platform, second_at, by="ada", new=False)
    assert (moved.answer, moved.id) == (Answer.SAME, others.id)
    now = (await protected.moment()).isoformat()
    forward = await make_preview(platform, now, by="ada")
    assert (forward.answer, forward.id) == (Answer.MOVED, first.id)
    with pytest.raises(CopyRefused, match="preview"):
        await make_preview(platform, first_at, by="eve", new=True)
    assert {item.id for item in await list_previews(platform)} == {first.id, others.id}
    await move_preview(platform, others.id, "latest", by="bob")
    for item in (first, others):
        await remove_preview(platform, item.id, by="ada")
    assert await list_previews(platform) == []
    with pytest.raises(CopyUnknown):
        await remove_preview(platform, first.id, by="ada")


async def test_an_idle_preview_is_removed_and_one_in_use_stays(protected: Protected) -> None:
    platform = protected.platform
    await protected.commit()
    preview = await make_preview(platform, "latest", by="ada")
    service = platform.preview_service()
    assert await service.look() == []
    registry = platform.copies.registry
    registry.used(preview.id, at=preview.made_at - 2 * platform.config.preview.keep_for)
    async with await preview.target.connect():
        assert await service.look() == []
    registry.used(preview.id, at=preview.made_at - 2 * platform.config.preview.keep_for)
    registry.remove(preview.id)  # the state file was lost: the preview is found again
    assert await service.look() == []
    await platform.copies.open(registry.all()[0].directory).promote()  # as where a table could not be read else
    await platform.copies.open(registry.all()[0].directory).become_preview()
    registry.used(preview.id, at=preview.made_at - 2 * platform.config.preview.keep_for)
    async with await preview.target.connect():
        assert await service.look() == []

    async def goes() -> bool:
        registry.used(preview.id, at=preview.made_at - 2 * platform.config.preview.keep_for)
        return await service.look() == [preview.id]

    await eventually(goes, what="the preview goes when the server has seen its client leave")
    assert not list(platform.home.copies.iterdir())
    assert registry.all(Purpose.PREVIEW) == []
