"""What happens to the files of a second region that is no disk: found, put back from the first, and said."""

import pytest

from faults.test_verification import findings, forget_here, one_round, some_segments
from support.backup_host import backup_host
from support.recoveries import Protected
from support.regions import AzureStore, Region, S3Store, use_region
from wedsync.app import verify_backups
from wedsync.backup import BackupKind, ProblemKind


async def path_of(own: Protected, words: str) -> str:
    """The path of the only file of repo2 whose own has this in it."""
    inspection = await own.platform.verification.inspector.inspect()
    (path,) = (file.path for file in inspection.repos[2].files if words in file.path)
    return path


async def flip_there(own: Protected, path: str) -> None:
    """Damage a file of repo2, with our own credentials."""
    stored = own.platform.verification.stored
    content = bytearray(b"".join([piece async for piece in stored.raw(2, path)]))
    content[len(content) // 2] ^= 1
    await stored.put(2, path, bytes(content))


@pytest.fixture(params=["s3", "s3 with object lock", "azure"])
def region(request: pytest.FixtureRequest) -> Region:
    if request.param == "azure":
        azure: AzureStore = request.getfixturevalue("azure")
        return azure.container()
    s3: S3Store = request.getfixturevalue("s3")
    return s3.bucket(lock_days=30 if "lock" in request.param else None)


async def test_a_far_region_is_read_and_mended_from_the_near_one(protected: Protected, region: Region) -> None:
    """Lost: nothing.
    Seen: a warning for a day that files were damaged or missing in repository 2 and put back.
    """
    await use_region(protected, region)
    await protected.backup(BackupKind.FULL, repo=2)
    flipped, missing, _ = segments = await some_segments(protected)
    assert (await one_round(protected)).found == ()
    forget_here(protected, segments)
    await flip_there(protected, await path_of(protected, flipped))
    await protected.platform.verification.stored.remove(2, await path_of(protected, missing))
    found = await verify_backups(protected.platform, repo=2)
    assert {(problem.kind, problem.segments) for problem in found.problems} == {
        (ProblemKind.DAMAGED_WAL, (flipped,)),
        (ProblemKind.MISSING_WAL, (missing,)),
    }
    found = await verify_backups(protected.platform, repo=2, repair=True)
    assert found.ok, found.problems
    assert {item.done for item in found.repaired} == {True}
    assert findings(protected) == ()

    bundle = max(
        (
            file
            for file in (await protected.platform.verification.inspector.inspect()).repos[2].files
            if "/bundle/" in file.path
        ),
        key=lambda file: file.size_bytes,
    )
    await flip_there(protected, bundle.path)
    done = await one_round(protected)
    assert [(problem.kind, problem.path) for problem in done.found] == [(ProblemKind.DAMAGED_BACKUP, bundle.path)]
    broken = [item for item in (await protected.platform.pgbackrest.catalogue()).of_repo(2) if item.broken]
    assert [item.label for item in broken] == [bundle.label]


async def test_a_backup_host_over_tls_is_read_and_mended_from_the_near_region(protected: Protected) -> None:
    """Lost: nothing.
    Seen: a warning for a day that a file was missing in repository 2 and put back; a damaged one cannot be removed
    from here, and what to run on that host.
    """
    async with backup_host(protected) as host:
        await protected.commit()
        await protected.archive()
        host.run("--type=full", "backup")
        flipped, missing, _ = segments = await some_segments(protected)
        found = await verify_backups(protected.platform, repo=2)
        assert found.ok, found.problems
        assert found.checked > 10
        forget_here(protected, segments)
        await flip_there(protected, await path_of(protected, flipped))
        host.run("--repo=2", "repo-rm", await path_of(protected, missing))
        done = await one_round(protected)
        assert done.failed is None
        assert {(problem.repo, problem.kind, problem.segments) for problem in done.found} == {
            (2, ProblemKind.DAMAGED_WAL, (flipped,)),
            (2, ProblemKind.MISSING_WAL, (missing,)),
        }
        (refused,) = (item for item in done.repaired if not item.done)
        advised = f"pgbackrest --repo=2 repo-rm {await path_of(protected, flipped)}"
        assert advised in refused.words
        host.run("--repo=2", "repo-rm", await path_of(protected, flipped))
        found = await verify_backups(protected.platform, repo=2, repair=True)
        assert found.ok, found.problems
