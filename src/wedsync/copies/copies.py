"""Make copies of the cluster at moments of the past, find them again, and clear away what killed makers left."""

import secrets
import shutil
from dataclasses import replace
from pathlib import Path

from wedsync.backup import Examine, PgBackRest, Surveyor
from wedsync.clock import Clock
from wedsync.cluster import Server
from wedsync.config import Config, Home
from wedsync.copies.copy import Copy, remove_files
from wedsync.copies.effort import Effort, guarded, require_room
from wedsync.copies.note import Note, Purpose, Stage, read_note, this_boot
from wedsync.copies.plan import CopyOrder, CopyPlan
from wedsync.copies.planner import CopyPlanner
from wedsync.copies.registry import CopyRegistry
from wedsync.copies.settings import apart
from wedsync.copies.standstill import Standstill
from wedsync.database import ConnectionTarget
from wedsync.errors import Busy, CopyRefused, CopyUnknown
from wedsync.process import FileLock
from wedsync.recovery import Kept as KeptWal
from wedsync.recovery import Phase, Report, Stopwatch, end_restores, put_back, put_back_histories, silently
from wedsync.state import StateStore

_MARKS_OF_A_RESTORE = ("backup.manifest", "PG_VERSION")
"""Without one of them pgBackRest takes a directory for somebody else's, also with --delta."""


class Copies:
    """The copies of one home."""

    def __init__(
        self,
        *,
        surveyor: Surveyor,
        server: Server,
        pgbackrest: PgBackRest,
        state: StateStore,
        config: Config,
        clock: Clock,
        examine: Examine,
    ) -> None:
        """`server` is the real cluster's: asked only to archive what it has committed.

        `examine` finds the first damaged one of some WAL segments, and notes it.
        """
        self._examine = examine
        self._server = server
        self._pgbackrest = pgbackrest
        self._config = config
        self._clock = clock
        self._home = server.home
        self._planner = CopyPlanner(
            surveyor=surveyor, server=server, pgbackrest=pgbackrest, state=state, clock=clock
        )
        self.registry = CopyRegistry(state)

    async def plan(self, order: CopyOrder) -> CopyPlan:
        """What a copy at a moment is made from; see `CopyPlanner.plan`."""
        return await self._planner.plan(order)

    async def archive_present(self, repo: int) -> None:
        """Let a running server archive its present; see `CopyPlanner.archive_present`."""
        await self._planner.archive_present(repo)

    def new_directory(self, purpose: Purpose) -> Path:
        """A place for a copy below the home; its name is the copy's id."""
        now = self._clock.now()
        return self._home.copies / f"{purpose}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"

    async def make(
        self,
        plan: CopyPlan,
        *,
        directory: Path,
        effort: Effort,
        report: Report = silently,
        purpose: Purpose = Purpose.DRILL,
        by: str = "wedsync",
        most: int | None = None,
        standstill: Standstill | None = None,
    ) -> Copy:
        """Restore, start, replay: gives the copy when it is paused at its moment.

        `directory` is new, and best one of `new_directory`: what a killed maker leaves there is found again.
        Raises `CopyRefused` before anything is restored if there is no room, or if there are `most` copies of this
        purpose; if it fails later, nothing is left. While `standstill` halts it, it waits,
        and that time counts nowhere.
        """
        await self.tidy()
        if directory.exists():  # noqa: ASYNC240 - one look
            raise CopyRefused(f"{directory} is there already", hint="choose a new directory for each copy")
        self._home.copies.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        require_room(directory.parent, needed_bytes=plan.needed_bytes, effort=effort)
        lock = self._lock(directory.name)
        if not lock.try_acquire():
            raise Busy(f"copy {directory.name} is being made by somebody else", hint="choose another directory")
        copy = self._copy(directory, self._new_note(plan, directory, effort, purpose), lock)
        try:
            async with guarded(directory.parent, effort):
                await self._make(copy, report, by=by, most=most, standstill=standstill or Standstill(directory))
        except BaseException:
            await copy.remove()
            raise
        copy.let_go()
        return copy

    async def _make(
        self, copy: Copy, report: Report, *, by: str, most: int | None, standstill: Standstill
    ) -> None:
        plan, directory, stopwatch = copy.plan, copy.directory, Stopwatch(standstill.now)
        directory.mkdir(mode=0o700)
        copy.beside.make_directories()
        copy.home.run.mkdir(mode=0o700)
        copy.note.write(directory)
        self.registry.add(copy.note, directory, by=by, most=most)
        report(Phase.RESTORE, f"restoring {plan.base.label} from repo{plan.repo} beside the cluster")
        with stopwatch.time(Phase.RESTORE):
            await standstill.carry(lambda again: self._restore(copy, report, again=again))
            self._settle(copy)
        report(Phase.REPLAY, f"replaying WAL: {plan.wal_segments} segments")
        with stopwatch.time(Phase.REPLAY):
            await standstill.carry(lambda _: copy.replay(report))
        phases_s = {str(phase): seconds for phase, seconds in stopwatch.phases_s.items()}
        copy.keep(replace(copy.note, stage=Stage.READY, phases_s=phases_s))
        await copy.let_read()
        copy.list_anew()

    async def _restore(self, copy: Copy, report: Report, *, again: bool) -> None:
        """Restore the files; `again`: what is there already from a restore that broke off is kept."""
        plan = copy.plan
        if again:
            await end_restores(self._pgbackrest.home.pgbackrest_config, copy.home.pgdata)
            if not any((copy.home.pgdata / name).exists() for name in _MARKS_OF_A_RESTORE):
                shutil.rmtree(
                    copy.home.pgdata, ignore_errors=True
                )  # it had hardly begun: pgBackRest takes no part of it
        restored = await self._pgbackrest.restore(
            repo=plan.repo,
            label=plan.base.label,
            pgdata=copy.home.pgdata,
            target=plan.restore_target,
            delta=again,
            archiving=False,
            beside=copy.beside,
            on_progress=lambda percent: report(Phase.RESTORE, f"restoring files: {percent:.0f} %"),
        )
        copy.keep(replace(copy.note, files=restored.files))

    def _settle(self, copy: Copy) -> None:
        """Put the copy's own configuration in the place of what the cluster had at that moment."""
        pgdata = copy.home.pgdata
        (pgdata / "postgresql.conf").write_text("include 'wedsync.conf'\n")
        (pgdata / "postgresql.auto.conf").write_text("")  # ALTER SYSTEM of the past, and pgBackRest's own words
        put_back_histories(KeptWal(root=self._home.kept).histories(), pgdata)
        put_back(copy.plan.local, pgdata)

    def _new_note(self, plan: CopyPlan, directory: Path, effort: Effort, purpose: Purpose) -> Note:
        return Note(
            id=directory.name,
            purpose=purpose,
            stage=Stage.MAKING,
            plan=plan,
            effort=effort,
            target=plan.restore_target,
            target_at=plan.target_at,
            ends_at=plan.last_commit_at,
            made_at=self._clock.now(),
            phases_s={},
            boot=this_boot(),
        )

    def target_of(self, directory: Path, user: str) -> ConnectionTarget:
        """How to connect to the copy in a directory, whatever state it is in."""
        return self._server_in(directory).target(user, self._config.database.name)

    def open(self, directory: Path) -> Copy:
        """Take a copy up again that this or another process made. Raises `CopyUnknown`."""
        return self._copy(directory, read_note(directory), self._lock(directory.name))

    async def stop_previews(self) -> list[str]:
        """Stop the servers of previews that nobody works with right now; the ids of those that ran."""
        stopped: list[str] = []
        for listed in self.registry.all(Purpose.PREVIEW):
            with self._lock(listed.id):
                server = Server(
                    engine=self._server.engine, home=Home(listed.directory), config=apart(self._config)
                )
                if await server.stop("immediate"):
                    stopped.append(listed.id)
        return stopped

    async def tidy(self) -> list[str]:
        """Remove what killed makers left, of copies that nobody works with any more; their ids.

        A preview that was made stays: it belongs to no process.
        """
        below = set(self._home.copies.iterdir()) if self._home.copies.is_dir() else set[Path]()
        gone: list[str] = []
        for directory in sorted(below | {listed.directory for listed in self.registry.all()}):
            lock = self._lock(directory.name)
            if not lock.try_acquire():
                continue  # its maker is at work
            if stays(directory):
                self._list(directory)
                lock.release()
                continue
            config = self._pgbackrest.home.pgbackrest_config
            await remove_files(directory, config=config, server=self._server_in(directory))
            self.registry.remove(directory.name)
            lock.remove()
            gone.append(directory.name)
        return gone

    def _list(self, directory: Path) -> None:
        """Bring the list in line with a preview: the state file is a new one, or a killed process said nothing."""
        copy = self.open(directory)
        listed = self.registry.find(directory.name)
        if listed is None:
            self.registry.add(copy.note, directory, by="unknown")
        if listed is None or listed.stage is not copy.note.stage:
            copy.list_anew()

    def _server_in(self, directory: Path) -> Server:
        return Server(engine=self._server.engine, home=Home(directory), config=apart(self._config))

    def _copy(self, directory: Path, note: Note, lock: FileLock) -> Copy:
        return Copy(
            directory,
            note=note,
            pgbackrest=self._pgbackrest,
            config=self._config,
            planner=self._planner,
            examine=self._examine,
            lock=lock,
            registry=self.registry,
            clock=self._clock,
        )

    def _lock(self, copy: str) -> FileLock:
        return FileLock(self._home.run / f"copy-{copy}.lock", purpose=f"copy {copy}")


def stays(directory: Path) -> bool:
    """Whether a copy that no process works with is a preview to be looked at; anything else was left behind."""
    try:
        note = read_note(directory)
    except CopyUnknown:
        return False
    return note.purpose is Purpose.PREVIEW and note.stage is not Stage.MAKING and note.is_of_this_boot
