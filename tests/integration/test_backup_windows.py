"""Windows of real repositories."""

from datetime import timedelta


from support.backups import backed_up_cluster
from support.clusters import small_config
from wedsync.backup import BackupKind
from wedsync.cluster import Engine
from wedsync.config import Home


async def test_window_ends_at_the_last_archived_commit(engine: Engine, template: Home, home: Home) -> None:
    async with backed_up_cluster(engine, template, home, small_config()) as own:
        backup = await own.backup()
        assert backup.kind is BackupKind.FULL
        assert backup.database_bytes > 10_000_000
        before = await own.commit()
        await own.archive()
        survey = await own.surveyor.survey()
        (window,) = survey.windows.windows
        assert backup.finished_at <= window.from_at <= backup.finished_at + timedelta(seconds=1)
        assert before - timedelta(seconds=1) < window.to_at <= before
        assert not survey.windows.gaps


async def test_every_moment_of_a_window_can_be_restored_also_its_ends(
    engine: Engine, template: Home, home: Home
) -> None:
    async with backed_up_cluster(engine, template, home, small_config()) as own:
        await own.backup()
        for _ in range(3):
            await own.commit()
        await own.archive()
        (window,) = (await own.surveyor.survey()).windows.windows
