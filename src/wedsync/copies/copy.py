"""A copy of the cluster at a moment of the past: ask it, move it on, let it go."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from wedsync.backup import TargetKind
from wedsync.cluster import Engine, Server
from wedsync.config import Config, Home
from wedsync.copies.note import Note, Purpose, Stage
from wedsync.copies.plan import CopyPlan
from wedsync.copies.planner import CopyPlanner, Place
from wedsync.copies.settings import ARCHIVE_COMMAND, copy_config
from wedsync.database import ConnectionTarget, Lsn
from wedsync.errors import CopyFailed, CopyPassed, RecoveryFailed, ServerFailed
from wedsync.process import FileLock
from wedsync.recovery import (
    Phase,
    Reached,
    ReplayPosition,
    Report,
    Stopwatch,
    end_restores,
    promote,
    put_back,
    replay_position,
    replay_words,
    silently,
    wait_for_target,
)


class Copy:
    """A read-only server beside the real one, paused at its moment; nobody reaches it but through its socket."""

    def __init__(
        self,
        directory: Path,
        *,
        note: Note,
        engine: Engine,
        home: Home,
        config: Config,
        planner: CopyPlanner,
        lock: FileLock,
        forget: Callable[[str], None],
    ) -> None:
        """`home` and `config` are the real cluster's. `forget` takes the copy out of the list of copies."""
        self.directory = directory
        self.note = note
        self._engine = engine
        self._home = home
        self._config = config
        self._planner = planner
        self._lock = lock
        self._forget = forget

    @property
    def id(self) -> str:
        """Its name in the list of copies."""
        return self.note.id

    @property
    def plan(self) -> CopyPlan:
        """What it was made from."""
        return self.note.plan

    @property
    def phases_s(self) -> dict[str, float]:
        """Seconds that each phase of making it took."""
        return self.note.phases_s

    @property
    def home(self) -> Home:
        """Where its files are."""
        return Home(self.directory)

    @property
    def server(self) -> Server:
        """Its server."""
        config = copy_config(
            self._config,
            effort=self.note.effort,
            restore_command=self.note.restore_command,
            target=self.note.target,
        )
        return Server(engine=self._engine, home=self.home, config=config, priority=self.note.effort.priority)

    def target(self, user: str = "postgres", dbname: str | None = None) -> ConnectionTarget:
        """How to connect: through the socket, as one of the roles that the service user may be."""
        return self.server.target(user, dbname or self._config.database.name)

    async def position(self) -> ReplayPosition:
        """How far its replay is. Raises `CopyFailed` if its server does not answer."""
        position = await replay_position(self.server)
        if position is None:
            raise CopyFailed(
                f"copy {self.id} does not answer",
                detail=f"its server is {self.server.state()}",
                hint=f"its log is in {self.home.log}; make a new copy",
            )
        return position

    async def replay(self, report: Report) -> Reached:
        """Start its server; return when it is paused at the target. The files must be there."""
        server = self.server
        deadline = self._config.backup.deadline
        began: list[datetime] = []
        stopwatch = Stopwatch()

        def on_position(position: ReplayPosition) -> None:
            if position.at is not None and self.note.target_at is not None:
                began.extend([] if began else [position.at])
                words = replay_words(began[0], position.at, self.note.target_at, stopwatch.total_s)
                report(Phase.REPLAY, words)

        try:
            await server.start(
                archive_command=ARCHIVE_COMMAND,
                deadline=deadline,
                on_progress=lambda line: report(Phase.REPLAY, line),
            )
            reached = await wait_for_target(server, deadline=deadline, on_position=on_position)
        except (ServerFailed, RecoveryFailed) as error:
            await server.stop("immediate")
            raise CopyFailed(
                "the copy does not reach its moment",
                detail=f"{error.message}: {error.detail or 'no more is known'}",
                hint="the cluster itself is untouched; wedsync recover window shows what can be reached",
            ) from error
        self._require_target(reached)
        return reached

    def _require_target(self, reached: Reached) -> None:
        late = (
            self.note.target.kind is TargetKind.TIME
            and self.note.target.at is not None
            and reached.last_commit_at is not None
            and reached.last_commit_at > self.note.target.at
        )
        if reached.by_itself or late:
            raise CopyFailed(
                "the copy replayed further than it was told to",
                detail=f"to {reached.last_commit_at}, asked was {self.note.target_at}",
                hint="make a new copy",
            )

    async def forward(self, target: datetime | Lsn, report: Report = silently) -> Reached:
        """Move on to a later moment: a restart with a new target, no new restore.

        Whoever is connected is disconnected. Raises `CopyPassed` for what needs a new copy, `TargetUnreachable`
        where the archive does not lead there; the copy stays where it was then.
        """
        if self.note.stage is not Stage.READY:
            raise CopyPassed(
                f"copy {self.id} does not replay any more: it is {self.note.stage}", hint="make a new copy"
            )
        position = await self.position()
        if position.lsn is None:
            raise CopyFailed(f"copy {self.id} has replayed nothing", hint="make a new copy")
        place = Place(
            timeline=self.note.target.timeline or self.plan.timeline, lsn=Lsn.parse(position.lsn), at=position.at
        )
        onward = await self._planner.onward(self.plan, place, target)
        await self.server.stop("fast")
        put_back(onward.local, self.home.pgdata)
        self.keep(replace(self.note, target=onward.restore_target, target_at=onward.target_at))
        return await self.replay(report)

    async def promote(self) -> None:
        """Let it take writes, on a timeline of its own that no archive ever sees."""
        await promote(self.server)
        self.keep(replace(self.note, stage=Stage.PROMOTED))

    async def stop(self) -> None:
        """Stop its server; the files stay."""
        await self.server.stop("fast")

    async def remove(self) -> None:
        """Stop it, and remove all that there is of it. Harmless when it is gone already."""
        await remove_files(self.directory, config=self._home.pgbackrest_config, server=self.server)
        self._forget(self.id)
        self._lock.remove()

    def keep(self, note: Note) -> None:
        """Remember this of it, here and in its directory."""
        self.note = note
        note.write(self.directory)

    def let_go(self) -> None:
        """Leave it to whoever takes it up next; for previews, which stay."""
        if self.note.purpose is Purpose.PREVIEW:
            self._lock.release()


async def remove_files(directory: Path, *, config: Path, server: Server) -> None:
    """End every process of a copy and remove its files; `config` is pgBackRest's configuration."""
    home = Home(directory)
    await end_restores(config, home.pgdata, fetches=True)
    await server.stop("immediate", deadline=timedelta(seconds=20))
    await end_restores(config, home.pgdata, fetches=True)
    shutil.rmtree(directory, ignore_errors=True)
    if home.sockets != home.run:
        shutil.rmtree(home.sockets, ignore_errors=True)
    with suppress(FileNotFoundError):
        shutil.rmtree(directory)  # says what would not go
