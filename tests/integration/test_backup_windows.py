"""Windows of real repositories, proven by restoring to their ends."""

from datetime import timedelta

import msgspec

from support.backups import BackedUp, backed_up_cluster
from support.clusters import START, new_home, remove_cluster, small_config
from support.ports import free_port
from wedsync.backup import BackupKind, RestoreTarget, TargetKind
from wedsync.cluster import Engine, Server
from wedsync.config import Home


async def rows_after_restore(own: BackedUp, label: str, target: RestoreTarget, name: str) -> int:
    """How many marks there are in a copy that was restored to `target`."""
    home = new_home(own.home.root.parent / name)
    cluster = msgspec.structs.replace(own.server.config.cluster, port=free_port())
    config = msgspec.structs.replace(own.server.config, cluster=cluster)
    server = Server(engine=own.server.engine, home=home, config=config)
    try:
        seen: list[float] = []
        await own.pgbackrest.restore(
            repo=1, label=label, pgdata=home.pgdata, target=target, archiving=False, on_progress=seen.append
        )
        assert seen
        assert seen[-1] == 100
        await server.start(archive_command="/bin/false pgbackrest", deadline=START)
        async with await server.target().connect() as connection:
            cursor = await connection.execute("select count(*) from marks")
            row = await cursor.fetchone()
            assert row is not None
            return int(row[0])
    finally:
        await remove_cluster(server)


async def test_a_window_is_true_at_both_ends_and_in_the_middle(engine: Engine, template: Home, home: Home) -> None:
    async with backed_up_cluster(engine, template, home, small_config()) as own:
        await own.commit()
        seen: list[float] = []
        backup = await own.pgbackrest.backup(BackupKind.FULL, repo=1, on_progress=seen.append)
        assert seen[-1] == 100
        middle = await own.commit()
        last = await own.commit()
        await own.archive()
        survey = await own.surveyor.survey()
        (window,) = survey.windows.windows
        assert backup.finished_at <= window.from_at <= backup.consistent_from
        assert last - timedelta(seconds=1) < window.to_at <= last
        assert survey.windows.gaps == ()
        assert survey.problems == ()

        start = RestoreTarget(kind=TargetKind.TIME, at=window.from_at)
        assert await rows_after_restore(own, backup.label, start, "at-start") == 1
        between = RestoreTarget(kind=TargetKind.TIME, at=middle)
        assert await rows_after_restore(own, backup.label, between, "in-the-middle") == 2
        end = RestoreTarget(kind=TargetKind.LSN, lsn=window.to_lsn)
        assert await rows_after_restore(own, backup.label, end, "at-end") == 3
