"""The disk fills up in the middle of a restore: what is said, and that running it again brings everything back."""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from support.recoveries import Protected, protected_copy
from wedsync.config import Home
from wedsync.errors import DiskFull
from wedsync.recovery import Phase, Stage


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))


async def test_a_disk_that_fills_up_during_a_restore_loses_nothing(
    protected_template: Home, small_disk: Path
) -> None:
    """Lost: nothing.
    Seen: `the disk is full …`, `free space`; the same command goes on.
    """
    filler = small_disk / "filler"
    async with protected_copy(protected_template, Home(small_disk / "home")) as own:
        await _lose_and_recover(own, filler)


async def _lose_and_recover(own: Protected, filler: Path) -> None:
    await own.commit()
    moment = await own.moment()
    await own.commit()
    await own.archive()
    await own.platform.server.stop("immediate")
    shutil.rmtree(own.home.pgdata)
    plan = await own.plan(moment)

    def fill_at_restore(phase: Phase, words: str) -> None:
        if phase is Phase.RESTORE and words.startswith("restoring 2") and not filler.exists():
            _fill(filler)

    try:
        with pytest.raises(DiskFull) as told:
            await own.platform.recoverer.run(plan, report=fill_at_restore)
        assert "free space" in (told.value.hint or "")
        unfinished = own.platform.recoverer.journal.unfinished()
        assert unfinished is not None
        assert unfinished.stage is Stage.RESTORING
    finally:
        filler.unlink(missing_ok=True)  # noqa: ASYNC240 - nothing else runs
    await own.recover(moment)
    assert await own.rows() == [1]
    assert own.platform.recoverer.journal.unfinished() is None
