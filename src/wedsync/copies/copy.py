"""A copy of the cluster at a moment of the past: ask it, move it on, let it go."""

import shutil
import signal
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from wedsync.backup import Beside, DamagedSegment, Examine, PgBackRest, TargetKind
from wedsync.clock import Clock
from wedsync.cluster import LogReader, Server, ServerState
from wedsync.config import Config, Home
from wedsync.copies.effort import bytes_needed, guarded, require_room
from wedsync.copies.note import Note, Purpose, Stage, read_note
from wedsync.copies.plan import CopyPlan, Place
from wedsync.copies.planner import CopyPlanner, leads_on
from wedsync.copies.registry import CopyRegistry
from wedsync.copies.settings import ARCHIVE_COMMAND, copy_config
from wedsync.copies.standstill import signal_workers
from wedsync.database import ConnectionTarget, Lsn
from wedsync.errors import (
    Busy,
    CannotConnect,
    CopyFailed,
    CopyPassed,
    DiskFull,
    RecoveryFailed,
    ServerFailed,
    WalDamaged,
)
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
from wedsync.sql import statements


class Copy:
    """A read-only server beside the real one, paused at its moment; nobody reaches it but through its socket."""

    def __init__(
        self,
        directory: Path,
        *,
        note: Note,
        pgbackrest: PgBackRest,
        config: Config,
        planner: CopyPlanner,
        examine: Examine,
        lock: FileLock,
        registry: CopyRegistry,
        clock: Clock,
    ) -> None:
        """`pgbackrest` and `config` are the real cluster's; `examine` finds a damaged segment, and notes it."""
        self.directory = directory
        self.note = note
        self._pgbackrest = pgbackrest
        self._config = config
        self._planner = planner
        self._examine = examine
        self._lock = lock
        self._registry = registry
        self._clock = clock

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
    def beside(self) -> Beside:
        """Where and how pgBackRest works for it."""
        effort = self.note.effort
        return Beside(root=self.directory / "pgbackrest", processes=effort.processes, priority=effort.priority)

    @property
    def server(self) -> Server:
        """Its server."""
        note = self.note
        straight = note.target.timeline == note.plan.base.timeline
        command = self._pgbackrest.restore_command(
            repo=note.plan.repo, asynchronous=straight, pgdata=self.home.pgdata, beside=self.beside
        )
        config = copy_config(self._config, effort=note.effort, restore_command=command, target=note.target)
        return Server(engine=self._pgbackrest.engine, home=self.home, config=config, priority=note.effort.priority)

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

    async def clients(self) -> int:
        """How many sessions of others it has."""
        async with await self.server.target().connect() as connection:
            row = await (await connection.execute(statements("copies")["clients"])).fetchone()
        assert row is not None  # noqa: S101 - an aggregate without groups gives one row
        return int(row[0])

    async def replay(self, report: Report) -> Reached:
        """Start its server; return when it is paused at the target. The files must be there."""
        server = self.server
        logs = LogReader(self.home.log)
        deadline = self._config.backup.deadline
        began: list[datetime] = []
        seen: list[Lsn] = []
        stopwatch = Stopwatch()

        def on_position(position: ReplayPosition) -> None:
            seen[:] = [Lsn.parse(position.lsn)] if position.lsn else seen
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
        except (ServerFailed, RecoveryFailed, DiskFull) as error:
            await server.stop("immediate")
            why = logs.why() or error.detail or error.message
            if not isinstance(error, DiskFull):
                damaged = await self._damage_behind(seen[0] if seen else None, report)
                if damaged is not None:
                    raise _wal_damaged(damaged, why) from error
            kind = DiskFull if isinstance(error, DiskFull) else CopyFailed
            raise kind(
                "the copy does not reach its moment",
                detail=why,
                hint="the cluster itself is untouched; wedsync recover window shows what can be reached",
            ) from error
        self._require_target(reached)
        if self.note.ends_at is not None:  # PostgreSQL does not count the commit that it was told to end with
            reached = replace(reached, last_commit_at=self.note.ends_at)
        assert reached.lsn is not None  # noqa: S101 - a server that has paused has replayed something
        place = Place(
            timeline=self.note.target.timeline or self.plan.timeline, lsn=reached.lsn, at=reached.last_commit_at
        )
        self.keep(replace(self.note, place=place))
        return reached

    async def _damage_behind(self, at: Lsn | None, report: Report) -> DamagedSegment | None:
        """The damaged segment behind the place where replay was seen last."""
        report(Phase.REPLAY, "replay ended too early: reading the WAL that it was given")
        names = self._planner.way_from(self.plan, at, timeline=self.note.target.timeline)
        return await self._examine(self.plan.repo, self.plan.base.system_id, names)

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

    async def forward(
        self, target: datetime | Lsn, report: Report = silently, *, known: CopyPlan | None = None
    ) -> Reached:
        """Move on to a later moment: a restart with a new target, no new restore.

        `known` is a plan to that moment which was made just now; else one is made. Whoever is connected is
        disconnected. Raises `CopyPassed` for what needs a new copy, `TargetUnreachable` where the archive does not
        lead there; the copy stays where it was then. After `CopyFailed` it is stopped, and can be told again.
        """
        with self._alone():
            return await self._forward(target, report, known)

    async def _forward(self, target: datetime | Lsn, report: Report, known: CopyPlan | None) -> Reached:
        if self.note.stage not in {Stage.READY, Stage.MOVING}:
            raise CopyPassed(
                f"copy {self.id} does not replay any more: it is {self.note.stage}", hint="make a new copy"
            )
        place = self.note.place
        if place is None:
            raise CopyFailed(f"copy {self.id} was never at its moment", hint="make a new copy")
        if known is not None and leads_on(known, place):
            onward = known
        else:
            onward = await self._planner.onward(self.plan, place, target)
        if self.note.stage is Stage.MOVING and not leads_past(onward, self.note):
            raise CopyPassed(
                f"copy {self.id} may be past that moment",
                detail=f"it was on its way to {self.note.target_at} when that was broken off",
                hint="make a new copy: wedsync recover preview --at MOMENT --new",
            )
        require_room(
            self.directory, needed_bytes=bytes_needed(wal_segments=onward.wal_segments), effort=self.note.effort
        )
        self._moves(self.note)  # before its server ends: who reads it meanwhile must not find another moment
        await self._halt()
        put_back(onward.local, self.home.pgdata)
        self._moves(
            replace(
                self.note, target=onward.restore_target, target_at=onward.target_at, ends_at=onward.last_commit_at
            )
        )
        async with guarded(self.directory, self.note.effort):
            return await self._arrive(report)

    def _moves(self, note: Note) -> None:
        self.keep(replace(note, stage=Stage.MOVING))
        self.list_anew()

    async def _halt(self) -> None:
        """Stop its server; empty the spool, which may say that a segment is not there that was archived since."""
        await self.server.stop("fast")
        await end_restores(self._pgbackrest.home.pgbackrest_config, self.home.pgdata, fetches=True)
        shutil.rmtree(self.beside.root / "spool", ignore_errors=True)
        self.beside.make_directories()

    async def _arrive(self, report: Report) -> Reached:
        """Replay to the target, and only then let it be read."""
        reached = await self.replay(report)
        await self.let_read()
        if self.note.stage is not Stage.PROMOTED:
            self.keep(replace(self.note, stage=Stage.READY))
        self.list_anew()
        return reached

    def list_anew(self) -> None:
        """Bring the list in line with the note."""
        place = self.note.place
        last_commit_at = place.at if place is not None and self.note.stage is not Stage.MOVING else None
        self._registry.stands(self.note, last_commit_at=last_commit_at, at=self._clock.now())

    async def wake(self, report: Report = silently) -> None:
        """Start its server again where it ended, with the machine or killed; harmless while it runs.

        A move that was broken off is brought to its end. Raises `Busy` while it moves.
        """
        if self._is_awake():
            return
        with self._alone():
            if self._is_awake():
                return
            match self.note.stage:
                case Stage.PROMOTED:
                    await self.server.start(archive_command=ARCHIVE_COMMAND, deadline=self._config.backup.deadline)
                case Stage.MOVING:
                    await self._halt()  # it may still run, paused where it was told to before
                    await self._arrive(report)
                case _:
                    await self.replay(report)

    def _is_awake(self) -> bool:
        return self.note.stage is not Stage.MOVING and self.server.state() is ServerState.RUNNING

    async def let_read(self) -> None:
        """See that every table can be read: promote it, read-only, where that is not so.

        A moment right before the commit of a TRUNCATE, ALTER or DROP is one at which its transaction had the table
        locked for itself alone; the replay holds that lock, and whoever reads the table would wait for ever. A
        promotion ends transactions that did not commit. Such a copy does not move on to a later moment.
        """
        if self.note.purpose in {Purpose.DRILL, Purpose.KEPT_DRILL}:
            return
        if await self.holds_tables():
            await self.promote()
            await self._refuse_writes()

    async def holds_tables(self) -> bool:
        """Whether readers would wait for ever: a transaction that did not commit has a table for itself."""
        async with await self.target().connect() as connection:
            row = await (await connection.execute(statements("copies")["tables_held"])).fetchone()
        return row is not None and bool(row[0])

    async def _refuse_writes(self) -> None:
        async with await self.target().connect() as connection:
            await connection.execute(statements("copies")["only_read"])
            await connection.execute(statements("copies")["take_settings"])

    async def become_preview(self) -> None:
        """Stay when this process ends, to be read and no more; started again, if it was stopped and can be."""
        with self._alone():
            with suppress(CopyFailed, CannotConnect, DiskFull, ServerFailed):  # it may be kept because of that
                await self.wake()
                if self.note.stage is Stage.PROMOTED:
                    await self._refuse_writes()
            self.keep(replace(self.note, purpose=Purpose.PREVIEW))
            self.list_anew()
        self.let_go()

    async def promote(self) -> None:
        """Let it take writes, on a timeline of its own that no archive ever sees; harmless if it does already."""
        with self._alone():
            if (await self.position()).in_recovery:
                await promote(self.server)
            self.keep(replace(self.note, stage=Stage.PROMOTED))

    async def stop(self) -> None:
        """Stop its server; the files stay."""
        await self.server.stop("fast")

    async def remove(self) -> None:
        """Stop it, and remove all that there is of it. Harmless when it is gone already."""
        with self._lock if not self._lock.is_held else nullcontext():
            await remove_files(self.directory, config=self._pgbackrest.home.pgbackrest_config, server=self.server)
            self._registry.remove(self.id)
            self._lock.remove()

    def keep(self, note: Note) -> None:
        """Remember this of it, here and in its directory."""
        self.note = note
        note.write(self.directory)

    @contextmanager
    def held_still(self) -> Generator["Copy"]:
        """Held while somebody relies on where it stands, or several do: it is neither moved nor removed.

        Raises `Busy` while it is moved, and where a move was broken off.
        """
        with self._lock.shared():
            self._read_again()
            if self.note.stage not in {Stage.READY, Stage.PROMOTED}:
                raise Busy(f"copy {self.id} is {self.note.stage}", hint="run the command again when it is ready")
            yield self

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Held while it changes: by its maker all the time, else for as long as that takes.

        Raises `Busy`, and `CopyUnknown` for one that was removed meanwhile.
        """
        if self._lock.is_held:
            yield
            return
        with self._lock:
            self._read_again()
            yield

    def _read_again(self) -> None:
        """Somebody may have moved it since it was opened. Raises `CopyUnknown`, `CopyFailed`."""
        self.note = read_note(self.directory)
        if not self.note.is_of_this_boot:
            raise CopyFailed(
                f"copy {self.id} was made before this machine was started",
                detail="what a copy writes is not flushed to disk: its files may be torn",
                hint="it is removed soon; make a new one",
            )

    def let_go(self) -> None:
        """Leave it to whoever takes it up next; for previews, which stay."""
        if self.note.purpose is Purpose.PREVIEW:
            self._lock.release()


def leads_past(plan: CopyPlan, note: Note) -> bool:
    """Whether a copy that was on its way, and may be there, has not replayed more than `plan` wants of it."""
    return (
        plan.timeline == (note.target.timeline or note.plan.timeline)
        and plan.target_at is not None
        and note.target_at is not None
        and note.target_at <= plan.target_at
    )


def _wal_damaged(damaged: DamagedSegment, why: str) -> WalDamaged:
    repo = damaged.problem.repo
    again = (
        "make it again: it takes the segment from there" if damaged.whole_in else "wedsync backup verify --repair"
    )
    return WalDamaged(
        f"WAL segment {damaged.segment} in repo{repo} is damaged, and the copy's replay ended there",
        detail=f"{damaged.words}; {why}",
        hint=f"the cluster itself is untouched; {again}",
    )


async def remove_files(directory: Path, *, config: Path, server: Server) -> None:
    """End every process of a copy and remove its files; `config` is pgBackRest's configuration."""
    home = Home(directory)
    signal_workers(directory, signal.SIGCONT)  # whoever stands still cannot end in good order
    await end_restores(config, home.pgdata, fetches=True)
    await server.stop("immediate", deadline=timedelta(seconds=20))
    await end_restores(config, home.pgdata, fetches=True)
    shutil.rmtree(directory, ignore_errors=True)
    if home.sockets != home.run:
        shutil.rmtree(home.sockets, ignore_errors=True)
    with suppress(FileNotFoundError):
        shutil.rmtree(directory)  # says what would not go
