"""What a plan is made from: the repositories, the timelines, and the WAL that is only on this machine."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from wedsync.backup import (
    Archive,
    Backup,
    Survey,
    Surveyor,
    Timeline,
    TimelineBook,
    read_timeline_history,
    timeline_of,
)
from wedsync.clock import Clock
from wedsync.cluster import Server, ServerState
from wedsync.errors import DataDirectoryProblem, SegmentUnreadable, TargetUnreachable
from wedsync.recovery.forecast import Measurement
from wedsync.recovery.journal import JournalEntry, Stage
from wedsync.recovery.kept import Kept
from wedsync.recovery.local_wal import LocalSegment, local_segments, received
from wedsync.zero_loss import histories


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """All that a plan is made from."""

    survey: Survey
    system_id: str
    timelines: Mapping[int, Timeline]
    live: int
    """The timeline that is the live one now."""
    running: bool
    """Whether the server takes connections: then everything up to now can be archived before it is stopped."""
    local: tuple[LocalSegment, ...]
    """Segments that are in no archive: of the data directory, and what recoveries put aside."""
    has_files: bool
    """Whether the data directory is that of the present state, and as far as one sees it can be started."""
    history: Sequence[Measurement]
    now: datetime
    met: list[tuple[int, SegmentUnreadable]] = field(default_factory=list[tuple[int, SegmentUnreadable]])
    """Segments that a plan had to read and could not, with their repository: noted while it is made."""

    @property
    def archives(self) -> tuple[Archive, ...]:
        """What the repositories hold of this cluster, the first repository first."""
        mine = [item for item in self.survey.archives if item.system_id == self.system_id]
        return tuple(sorted(mine, key=lambda archive: archive.repo))

    @property
    def local_names(self) -> frozenset[str]:
        """Names of the segments that are only here."""
        return frozenset(segment.name for segment in self.local)

    def tail(self, timeline: int) -> tuple[LocalSegment, ...]:
        """The segments of a timeline that are only here."""
        return tuple(segment for segment in self.local if timeline_of(segment.name) == timeline)

    def backups_before(self, moment: datetime, repo: int) -> list[Backup]:
        """The repository's backups that recovery to `moment` may start from.

        A backup's end is known to the second only; where a window begins within that second, it was found to be
        consistent there.
        """
        begins = [
            window.from_at
            for window in self.survey.windows.per_repo
            if repo in window.repos and window.system_id == self.system_id and window.from_at <= moment
        ]
        return [
            item
            for item in self.survey.catalogue.of_repo(repo)
            if item.consistent_from <= moment
            or any(item.finished_at <= begin <= item.consistent_from for begin in begins)
        ]


class Scout:
    """Looks at repositories and this machine; changes nothing."""

    def __init__(
        self, *, surveyor: Surveyor, timelines: TimelineBook, server: Server, kept: Kept, clock: Clock
    ) -> None:
        self._surveyor = surveyor
        self._timelines = timelines
        self._server = server
        self._kept = kept
        self._clock = clock

    async def look(self, history: Sequence[Measurement], unfinished: JournalEntry | None) -> Ground:
        """What there is now. Raises `TargetUnreachable` if no repository has a backup.

        `unfinished` is a recovery that was begun: its files may be neither the old ones nor the new ones.
        """
        survey = await self._surveyor.survey()
        if not survey.catalogue.backups or not survey.archives:
            seen = "; ".join(
                f"repo{item.repo}: {item.message or 'no backup'}" for item in survey.catalogue.repositories
            )
            raise TargetUnreachable(
                "no repository that can be read holds a backup",
                detail=seen or "no repository is configured",
                hint="wedsync backup list; is the second region configured (backup.repo2)?",
            )
        newest = max(survey.catalogue.backups, key=lambda backup: backup.finished_at)
        pgdata = self._server.home.pgdata
        own = (
            unfinished is None
            or unfinished.stage.files_are_whole
            or (unfinished.stage is Stage.REPLAYING and was_promoted(pgdata))
        )
        if own:
            learn_histories(
                [*sorted((pgdata / "pg_wal").glob("????????.history")), *histories(self._server.received)],
                self._timelines,
                system_id=newest.system_id,
            )
        timelines = self._timelines.of_system(newest.system_id)
        now = self._clock.now()
        archived = {name for archive in survey.archives for name in archive.segments}
        # What was put aside has at least as much in it as what was received, and the data directory the most.
        receiver = received(self._server.received, system_id=newest.system_id, archived=archived)
        segments = {item.name: item for item in receiver}
        segments |= {item.name: item for item in self._kept.segments() if item.name not in archived}
        if own:
            present = local_segments(
                pgdata,
                sheltered=self._server.home.sheltered,
                postmaster=self._server.postmaster_pid(),
                archived=archived,
            )
            segments |= {item.name: item for item in present}
        local = tuple(item for _, item in sorted(segments.items()))
        return Ground(
            survey=survey,
            system_id=newest.system_id,
            timelines=timelines,
            live=unfinished.way_back.timeline
            if unfinished is not None and unfinished.way_back is not None and not own
            else max(timelines, default=newest.timeline),  # their numbers only grow; the clock may have been wrong
            running=own
            and not any(item.is_deleted for item in local)
            and server_state(self._server) is ServerState.RUNNING
            and await self._server.ready(),
            local=local,
            has_files=own and server_state(self._server) is not ServerState.ABSENT,
            history=history,
            now=now,
        )


def server_state(server: Server) -> ServerState:
    """The server's state; a damaged data directory is as good as none."""
    try:
        return server.state()
    except DataDirectoryProblem:
        return ServerState.ABSENT


def was_promoted(pgdata: Path) -> bool:
    """Whether the server that recovered here has taken writes: it removes `recovery.signal` then.

    Only true to ask after the files were restored whole (`Stage.REPLAYING`): pgBackRest puts pg_control in place
    last of all, behind `recovery.signal`.
    """
    return (pgdata / "global/pg_control").exists() and not (pgdata / "recovery.signal").exists()


def learn_histories(paths: Sequence[Path], timelines: TimelineBook, *, system_id: str) -> None:
    """Note the timelines that history files tell of and the book does not know: begun, and not archived yet."""
    known = timelines.of_system(system_id)
    for path in paths:
        with suppress(ValueError, FileNotFoundError):
            number = int(path.stem, 16)
            if number not in known:
                fork = read_timeline_history(path.read_text())
                timelines.record(
                    Timeline(
                        system_id=system_id,
                        timeline=number,
                        parent=fork[0] if fork else None,
                        forked_at=fork[1] if fork else None,
                        live_from=datetime.fromtimestamp(path.stat().st_mtime, UTC),
                    )
                )
