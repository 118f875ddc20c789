"""A second region in a store of each kind, over TLS: everything that is done with a repository."""

import shutil

import pytest

from support.backup_host import backup_host
from support.recoveries import Protected
from support.regions import AzureStore, Region, S3Store, use_region
from wedsync.backup import BackupKind
from wedsync.errors import TakenElsewhere


async def lives_on_in(own: Protected, region: Region) -> None:
    """Archive, back up, verify, expire; then the machine's own repository and the data directory are gone."""
    await use_region(own, region)
    platform = own.platform
    first = await own.backup(BackupKind.FULL, repo=2)
    await own.commit()
    after_one = await own.moment()
    await own.commit()
    second = await own.backup(BackupKind.INCR, repo=2)
    await own.archive()
    found = await platform.verifier.verify(2)
    assert found.checked > 500
    assert not found.problems
    windows = (await platform.surveyor.survey()).windows.windows
    assert any(2 in window.repos and window.from_at <= after_one <= window.to_at for window in windows)

    await platform.pgbackrest.expire_label(repo=2, label=second)
    left = (await platform.pgbackrest.catalogue((2,))).backups
    assert [item.label for item in left] == [first]

    await own.kill()
    shutil.rmtree(own.home.root / "repo1")
    shutil.rmtree(own.home.pgdata)
    plan = await own.plan(after_one)
    assert plan.repo == 2
    await own.carry_out(plan)
    assert await own.rows() == [1]


async def test_a_pgbackrest_host_takes_its_backups_itself(protected: Protected) -> None:
    """In another network, with certificates on both sides."""
    async with backup_host(protected) as host:
        await protected.commit()
        await protected.archive()
        host.run("--type=full", "backup")
        await protected.commit()
        after_two = await protected.moment()
        await protected.commit()
        host.run("--type=incr", "backup")
        await protected.archive()
        platform = protected.platform
        kept = (await platform.backup_runs.refresh()).of_repo(2)
        assert [item.kind for item in kept] == [BackupKind.FULL, BackupKind.INCR]
        with pytest.raises(TakenElsewhere):
            await protected.backup(BackupKind.FULL, repo=2)
        host.run("verify")
        watch = platform.region_watch()
        await watch.step()
        assert watch.records.sightings()[2].behind.segments == 0

        await protected.kill()
        shutil.rmtree(protected.home.root / "repo1")
        shutil.rmtree(protected.home.pgdata)
        plan = await protected.plan(after_two)
        assert plan.repo == 2
        await protected.carry_out(plan)
        assert await protected.rows() == [1, 2]


async def test_an_s3_bucket_does_all_that_a_directory_does(protected: Protected, s3: S3Store) -> None:
    await lives_on_in(protected, s3.bucket(lock_days=30))


async def test_an_azure_container_does_all_that_a_directory_does(protected: Protected, azure: AzureStore) -> None:
    await lives_on_in(protected, azure.container())
