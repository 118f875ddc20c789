"""The second region is away, refuses, or is damaged; or the first one is gone."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from time import monotonic

from support.recoveries import Protected
from support.regions import S3Store, use_region
from support.relay import Way, relay
from wedsync.backup import BackupKind
from wedsync.backup.regions.given_up import read_given_up
from wedsync.database import SEGMENT_BYTES
from wedsync.zero_loss import Measured

IN_FIRST_WITHIN_S = 30
"""A push that had begun would wait for 42 s; measured in docs/explanation/second-region.md."""


async def archived_in(own: Protected, repo: int) -> set[str]:
    return {name for archive in await own.platform.pgbackrest.archives(repo) for name in archive.segments}


async def until_archived_in(own: Protected, repo: int, segment: str, within_s: float) -> float:
    """Wait for a segment; gives the seconds that it took."""
    began = monotonic()
    while monotonic() - began < within_s:
        if segment in await archived_in(own, repo):
            return monotonic() - began
        await asyncio.sleep(0.2)
    raise AssertionError(f"{segment} is not in repo{repo} after {within_s:g} s")


async def switch(own: Protected) -> str:
    """Begin a new segment; gives the name of the one before, and does not wait for the archive."""
    await own.commit()
    async with await own.platform.server.target().connect() as connection:
        row = await (await connection.execute("select pg_walfile_name(pg_switch_wal())")).fetchone()
    assert row is not None
    return row[0]


async def waiting_for_archive(own: Protected) -> int:
    """Finished segments that PostgreSQL keeps because some repository lacks them."""
    async with await own.platform.server.target().connect() as connection:
        row = await (
            await connection.execute("select count(*) from pg_ls_archive_statusdir() where name like '%.ready'")
        ).fetchone()
    assert row is not None
    return row[0]


async def at_stake(own: Protected) -> Measured:
    """What would be lost with the machine now, as the keeper measures it."""
    async with await own.platform.monitor_target.connect() as connection:
        measured = await own.platform.zero_loss_service().look(connection)
    assert measured is not None
    return measured


async def test_a_region_that_was_away_gets_its_wal_by_itself(protected: Protected, s3: S3Store) -> None:
    """Lost: nothing.
    Seen: repository 2 lacks WAL segments and cannot be read; all well once it is back.
    """
    async with relay(s3.port) as road:
        await use_region(protected, s3.bucket(), port=road.port)
        watch = protected.platform.region_watch()
        await protected.commit()
        await protected.archive()
        await watch.step()
        first, second = watch.records.sightings().values()
        assert first.newest_commit_at == second.newest_commit_at is not None
        assert (second.reachable, second.behind.segments) == (True, 0)

        await road.set(Way.CLOSED)
        segment = await switch(protected)
        await watch.step()
        second = watch.records.sightings()[2]
        assert not second.reachable
        assert "Connection refused" in second.message
        assert second.behind.segments == 1
        assert second.behind.since is not None
        assert watch.records.queue()[-1].waiting_bytes >= SEGMENT_BYTES

        await road.set(Way.OPEN)
        await until_archived_in(protected, 2, segment, 60)
        await watch.step()
        second = watch.records.sightings()[2]
        assert (second.reachable, second.behind.segments) == (True, 0)


async def test_archiving_goes_on_without_a_region_that_never_answers(protected: Protected, s3: S3Store) -> None:
    """Lost: nothing: the first repository has all WAL, and the region gets it from there when it is back.
    Seen: region_given_up; repo1 gets WAL and backups as ever, `exposure` counts them as lost; region_taken_back.
    """
    async with relay(s3.port) as road:
        await use_region(protected, s3.bucket(), port=road.port)
        await protected.archive()
        watch = protected.platform.region_watch()
        await watch.step()
        await road.set(Way.BLACK_HOLE)
        waiting = [await switch(protected) for _ in range(3)]
        second = watch.records.sightings()[2]
        since = second.since - timedelta(minutes=2)
        watch.records.save(replace(second, reachable=False, since=since))
        watch = protected.platform.region_watch()  # the keeper was started again, and has never seen it
        await watch.step()
        first, second = watch.records.sightings().values()
        assert (first.reachable, second.reachable) == (True, False)
        assert "timeout" in second.message
        assert second.behind.segments == 3
        given_up = read_given_up(protected.home)
        assert given_up is not None
        assert given_up.lacks_from is not None
        assert given_up.lacks_from <= waiting[0]
        await until_archived_in(protected, 1, waiting[-1], IN_FIRST_WITHIN_S)
        later = await protected.archive()
        assert await waiting_for_archive(protected) == 0
        exposed = await at_stake(protected)
        assert exposed.at_stake_bytes >= 4 * SEGMENT_BYTES, "the first repository goes with the machine"
        assert exposed.at_stake_s > 0
        await protected.backup(BackupKind.INCR, repo=1)

        await road.set(Way.OPEN)
        await watch.step()
        second = watch.records.sightings()[2]
        assert second.given_up_at is not None, "a moment's answer is not believed"
        watch.records.save(replace(second, since=second.since - timedelta(minutes=2)))
        await watch.step()
        assert read_given_up(protected.home) is None
        assert {*waiting, later} <= await archived_in(protected, 2)
        assert (await at_stake(protected)).at_stake_bytes < SEGMENT_BYTES
        await until_archived_in(protected, 2, await switch(protected), 60)
