"""The keeper's look at the regions: how far behind, since when out of reach, when the disk would be full."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from psycopg import Error as DatabaseError

from wedsync.backup.commits import CommitReader
from wedsync.backup.configuration import repositories
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.regions.given_up import GivenUp
from wedsync.backup.regions.guard import Limits, Verdict, judge, why
from wedsync.backup.regions.lag import PrimaryWal, QueueSample, behind, full_at
from wedsync.backup.regions.look import NewestSegments, read_primary_wal
from wedsync.backup.regions.records import RegionRecords, Sighting
from wedsync.backup.regions.second import SecondRegion
from wedsync.backup.wal import number_of, segment_name, timeline_of
from wedsync.clock import Clock
from wedsync.database import SEGMENT_BYTES, ConnectionTarget
from wedsync.errors import SegmentUnreadable, WedsyncError
from wedsync.events import Event, observe
from wedsync.state import StateStore

_LOOK_EVERY = timedelta(seconds=30)
_SHORT_OF_ROOM = timedelta(seconds=5)
_WITHOUT_COMMIT = 8
"""A segment may hold no commit; so many in a row are looked through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionOutOfReach(Event):
    """A repository cannot be read any more."""

    level: ClassVar[str] = "error"
    repo: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionBack(Event):
    """A repository can be read again."""

    repo: int
    behind_segments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionsNotWatched(Event):
    """The look at the regions failed; it is tried again."""

    level: ClassVar[str] = "error"
    message: str


class RegionWatch:
    """Looks at every repository, writes down what it saw, has the second region given up and taken back."""

    def __init__(
        self,
        *,
        pgbackrest: PgBackRest,
        state: StateStore,
        monitor: ConnectionTarget,
        clock: Clock,
        reload: Callable[[], Awaitable[None]],
    ) -> None:
        """`reload` lets the server read its settings again, if it is ours."""
        self._pgbackrest = pgbackrest
        self._monitor = monitor
        self._clock = clock
        self._commits = CommitReader(pgbackrest=pgbackrest, state=state)
        self._newest = NewestSegments(pgbackrest)
        self._second = SecondRegion(pgbackrest=pgbackrest, clock=clock, reload=reload)
        self.records = RegionRecords(state)

    async def run(self) -> None:
        """Look again and again, more often while the disk is short of room, until cancelled."""
        self.records.forget_others(self._pgbackrest.repos)
        await self._second.tell()
        while True:
            pause = _LOOK_EVERY
            try:
                queue = await self.step()
                if queue is not None and queue.free_bytes < 2 * self._least_free_bytes:
                    pause = _SHORT_OF_ROOM
            except (WedsyncError, DatabaseError, OSError) as error:
                observe(RegionsNotWatched(message=str(error)))
            await self._clock.sleep(pause)

    async def step(self) -> QueueSample | None:
        """Look once and act on it; `None` while the server is in recovery."""
        primary = await read_primary_wal(self._monitor)
        if primary is None:
            return None
        queue = self._measure(primary)
        full = full_at([*self.records.queue(), queue])
        self.records.add(queue, full_at=full)
        before = self.records.sightings()
        given_up = await self._second.given_up(primary)
        seen = await asyncio.gather(
            *(self._see(repo, primary, before.get(repo)) for repo in self._pgbackrest.repos)
        )
        for sighting in seen:
            _tell(sighting, before.get(sighting.repo))
            noted = given_up.since if given_up is not None and sighting.repo == 2 else None
            self.records.save(replace(sighting, given_up_at=noted))
        await self._act({item.repo: item for item in seen}, primary, queue, full, given_up)
        return queue

    @property
    def _least_free_bytes(self) -> int:
        return self._pgbackrest.config.give_up_below_mb * 1_000_000

    def _measure(self, primary: PrimaryWal) -> QueueSample:
        usage = shutil.disk_usage((self._pgbackrest.cluster.pgdata / "pg_wal").resolve())
        return QueueSample(
            at=self._clock.now(),
            waiting_bytes=primary.waiting * SEGMENT_BYTES,
            free_bytes=usage.free,
        )

    async def _see(self, repo: int, primary: PrimaryWal, before: Sighting | None) -> Sighting:
        now = self._clock.now()
        kind = repositories(self._pgbackrest.config)[repo].kind
        newest = before.newest_segment if before else None
        commit_at = before.newest_commit_at if before else None
        message = ""
        try:
            found = await self._newest.newest(repo, primary)
            if found is not None and found != newest:
                commit_at = await self._last_commit(found, repo, primary) or commit_at
            newest = found
        except WedsyncError as error:
            message = error.in_one_line()
            if newest is not None and newest[:8] != primary.current_segment[:8]:
                newest = None
        reachable = not message
        return Sighting(
            repo=repo,
            kind=str(kind),
            seen_at=now,
            reachable=reachable,
            since=before.since if before is not None and before.reachable == reachable else now,
            message=message,
            newest_segment=newest,
            newest_commit_at=commit_at,
            behind=behind(primary, newest, newest_commit_at=commit_at),
        )

    async def _last_commit(self, segment: str, repo: int, primary: PrimaryWal) -> datetime | None:
        """When the last transaction in a segment was committed; read from the nearest repository that has it."""
        near = self._pgbackrest.repos[0]
        nearest = self.records.sightings().get(near)
        has_it = nearest is not None and nearest.reachable and nearest.newest_segment is not None
        if has_it and nearest is not None and number_of(nearest.newest_segment or segment) >= number_of(segment):
            repo = near
        timeline, number = timeline_of(segment), number_of(segment)
        for before in range(number, max(number - _WITHOUT_COMMIT, 0), -1):
            name = segment_name(timeline, before)
            try:
                read = await self._commits.commit_times(
                    name, repo=repo, system_id=primary.system_id, last=name == segment
                )
            except SegmentUnreadable:
                return None
            if read.last_at is not None:
                return read.last_at
        return None

    async def _act(
        self,
        seen: dict[int, Sighting],
        primary: PrimaryWal,
        queue: QueueSample,
        full: datetime | None,
        given_up: GivenUp | None,
    ) -> None:
        second = seen.get(2)
        verdict = judge(
            seen.get(1),
            second,
            queue=queue,
            full_at=full,
            limits=Limits(after=self._pgbackrest.config.give_up_after, least_free_bytes=self._least_free_bytes),
            given_up=given_up is not None and not given_up.returning,
            now=self._clock.now(),
        )
        match verdict:
            case Verdict.LEAVE:
                if given_up is not None and given_up.returning and second is not None and second.reachable:
                    await self._second.take_back(given_up, primary.system_id)
            case Verdict.GIVE_UP:
                assert second is not None  # noqa: S101 - only a seen one is given up
                await self._second.give_up(why(second, queue), primary, before=given_up)
            case Verdict.TAKE_BACK:
                assert given_up is not None  # noqa: S101 - only a given-up one is taken back
                await self._second.take_back(given_up, primary.system_id)


def _tell(seen: Sighting, before: Sighting | None) -> None:
    if before is not None and before.reachable == seen.reachable:
        return
    if not seen.reachable:
        observe(RegionOutOfReach(repo=seen.repo, message=seen.message))
    elif before is not None:
        observe(RegionBack(repo=seen.repo, behind_segments=seen.behind.segments))
