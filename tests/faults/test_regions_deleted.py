"""Everything in the bucket is deleted with our credentials, and the machine's own repository is gone."""

import shutil
from datetime import UTC, datetime
from time import sleep

from support.recoveries import Protected
from support.regions import S3Store, use_region
from wedsync.app import check_locks, undelete_region
from wedsync.backup import BackupKind, LockState


async def test_a_bucket_that_was_emptied_gives_everything_back(protected: Protected, s3: S3Store) -> None:
    """Lost: nothing: object lock keeps the versions below the delete markers.
    Seen: repo2 holds nothing of this stanza; `backup undelete` says what is back; the recovery runs from repo2.
    """
    region = s3.bucket(lock_days=30)
    await use_region(protected, region)
    assert (await check_locks(protected.platform))[2].state is LockState.ON
    await protected.backup(BackupKind.FULL, repo=2)
    await protected.commit()
    after_one = await protected.moment()
    await protected.commit()
    await protected.archive()
    sleep(1.1)  # noqa: ASYNC251 - a store's moments are whole seconds
    before = datetime.now(UTC)
    await protected.kill()

    bucket = region.options["s3-bucket"]
    keys = [item.object_name for item in s3.client.list_objects(bucket, recursive=True)]
    assert len(keys) > 10
    sleep(1.1)  # noqa: ASYNC251
    for key in keys:
        s3.client.remove_object(bucket, str(key))
    shutil.rmtree(protected.home.root / "repo1")
    shutil.rmtree(protected.home.pgdata)
    status = (await protected.platform.pgbackrest.catalogue((2,))).repositories[0]
    assert not status.ok

    async def undelete(*, dry_run: bool) -> int:
        done = await undelete_region(protected.platform, repo=2, before=before, dry_run=dry_run, by="tester")
        assert not done.lost
        return done.markers

    assert await undelete(dry_run=True) == len(keys)
    assert await undelete(dry_run=False) == len(keys)
    assert await undelete(dry_run=True) == 0
    plan = await protected.plan(after_one)
    assert plan.repo == 2
    await protected.carry_out(plan)
    assert await protected.rows() == [1]
