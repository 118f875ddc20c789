"""A store that is overloaded or cuts connections in the middle of a backup, and one that lost a single object."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import sleep

import pytest

from support.recoveries import Protected
from support.regions import S3Store, use_region
from support.relay import Way, relay
from support.s3_store import Fault
from wedsync.app import undelete_region, verify_backups
from wedsync.backup import BackupKind, BackupRuns, PgBackRest, RunOutcome, RunReason
from wedsync.errors import WedsyncError

OVERLOADED = Fault(
    status=503, code="SlowDown", message="Please reduce your request rate", method="PUT", path="/backup/"
)


def impatient(own: Protected, place: Path) -> BackupRuns:
    """Runs whose pgBackRest tries again for 3 s and not for a minute."""
    engine = own.platform.engine
    program = place / "pgbackrest"
    program.write_text(f'#!/bin/sh\nexec {engine.pgbackrest} --io-timeout=3 "$@"\n')
    program.chmod(0o755)
    made = PgBackRest(engine=replace(engine, pgbackrest=program), home=own.home, config=own.platform.config)
    return BackupRuns(pgbackrest=made, state=own.platform.state, clock=own.platform.clock)


async def labels(own: Protected) -> list[str]:
    """Backups of repo2 that could be used."""
    return [item.label for item in (await own.platform.pgbackrest.catalogue()).of_repo(2) if item.is_good]


async def test_a_store_that_is_overloaded_for_a_moment_delays_a_backup(protected: Protected, s3: S3Store) -> None:
    """503 SlowDown in the middle of a backup, some times.

    Lost: nothing.
    Seen: nothing but a backup that took longer.
    """
    await use_region(protected, s3.bucket())
    s3.fail(replace(OVERLOADED, skip=2, times=4))
    try:
        label = await protected.backup(BackupKind.FULL, repo=2)
    finally:
        s3.fail()
    assert await labels(protected) == [label]
    assert (await verify_backups(protected.platform, repo=2)).ok


async def test_a_backup_that_an_overloaded_store_refuses_fails_and_the_next_is_whole(
    protected: Protected, s3: S3Store, tmp_path: Path
) -> None:
    """503 SlowDown from the middle of a backup on.

    Lost: nothing: what was half done is used by nobody, and the next run is whole.
    Seen: the run as failed, with the store's own words.
    """
    await use_region(protected, s3.bucket())
    runs = impatient(protected, tmp_path)
    s3.fail(replace(OVERLOADED, skip=2))
    try:
        with pytest.raises(WedsyncError) as caught:
            await runs.take(BackupKind.FULL, repo=2, reason=RunReason.OPERATOR)
    finally:
        s3.fail()
    assert "503" in str(caught.value) + str(caught.value.detail)
    failed = runs.records.runs()[0]
    assert (failed.outcome, failed.label) == (RunOutcome.FAILED, None)
    assert await labels(protected) == []
    await protected.commit()
    label = await protected.backup(BackupKind.FULL, repo=2)
    assert await labels(protected) == [label]
    assert (await verify_backups(protected.platform, repo=2)).ok


async def test_connections_that_are_cut_in_the_middle_of_a_backup_are_made_again(
    protected: Protected, s3: S3Store
) -> None:
    """Three connections to the store are cut, each after 300 kB.

    Lost: nothing.
    Seen: nothing but a backup that took longer.
    """
    async with relay(s3.port) as road:
        await use_region(protected, s3.bucket(), port=road.port)
        road.cut_after(300_000, times=3)
        label = await protected.backup(BackupKind.FULL, repo=2)
        assert road.cuts_left == 0
        assert await labels(protected) == [label]
        assert (await verify_backups(protected.platform, repo=2)).ok


async def test_a_store_that_goes_away_in_the_middle_of_a_backup_fails_it_and_the_next_is_whole(
    protected: Protected, s3: S3Store, tmp_path: Path
) -> None:
    """The way to the store is closed in the middle of a backup.

    Lost: nothing: what was half done is used by nobody.
    Seen: the run as failed, and why.
    """
    async with relay(s3.port) as road:
        await use_region(protected, s3.bucket(), port=road.port)
        road.cut_after(100_000, then=Way.CLOSED)
        with pytest.raises(WedsyncError) as caught:
            await impatient(protected, tmp_path).take(BackupKind.FULL, repo=2, reason=RunReason.OPERATOR)
        assert "refused" in str(caught.value) + str(caught.value.detail)
        await road.set(Way.OPEN)
        assert await labels(protected) == []
        label = await protected.backup(BackupKind.FULL, repo=2)
        assert await labels(protected) == [label]
        assert (await verify_backups(protected.platform, repo=2)).ok


async def test_a_single_object_that_was_deleted_is_missed_and_brought_back(
    protected: Protected, s3: S3Store
) -> None:
    """One file of a backup is deleted in a bucket that keeps versions.

    Lost: nothing: the version below the delete marker is there.
    Seen: verification names the file, the backup counts as broken; after `backup undelete` it is whole.
    """
    region = s3.bucket(lock_days=30)
    await use_region(protected, region)
    label = await protected.backup(BackupKind.FULL, repo=2)
    sleep(1.1)  # noqa: ASYNC251 - a store's moments are whole seconds
    before = datetime.now(UTC)
    sleep(1.1)  # noqa: ASYNC251
    bucket = region.options["s3-bucket"]
    keys = [str(item.object_name) for item in s3.client.list_objects(bucket, recursive=True)]
    (deleted, *_) = (key for key in keys if f"/{label}/bundle/" in key)
    s3.client.remove_object(bucket, deleted)

    found = await verify_backups(protected.platform, repo=2)
    assert not found.ok
    assert {deleted.endswith(problem.path) for problem in found.problems if problem.path} == {True}
    done = await undelete_region(protected.platform, repo=2, before=before, dry_run=False, by="tester")
    assert (done.markers, done.lost) == (1, [])
    assert done.copies > 0, "that it was found broken is in the repository's own index, which is as it was"
    assert (await verify_backups(protected.platform, repo=2)).ok
