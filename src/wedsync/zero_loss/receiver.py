"""Receive WAL as it comes about: pg_receivewal with a slot of its own, started again whenever it ends."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow, class_row

from wedsync.clock import Clock
from wedsync.cluster import Engine
from wedsync.database import ConnectionTarget
from wedsync.errors import ReceiverFailed, ServerNotReady, WedsyncError
from wedsync.events import Event, observe
from wedsync.process import run
from wedsync.sql import statements
from wedsync.zero_loss.directory import drop_empty, run_to_continue, tidy

RECEIVER = "wedsync_receiver"
"""Name of the slot, and of the connection: what commits wait for."""
_PAUSE = timedelta(seconds=1)
_TIDY_EVERY_S = 30.0
_CREATES = timedelta(seconds=30)
_ENDS_S = 5.0
_GONE = "has already been removed"
_SERVER_WAITS = "-c wal_sender_timeout=10s"
"""The server lets go of a receiver that was cut off, so that it can come back: not after a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverStarted(Event):
    """WAL is being received."""

    directory: str
    timeline: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverEnded(Event):
    """WAL is not received any more; it is tried again."""

    level: ClassVar[str] = "warning"
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRenewed(Event):
    """The slot was lost with WAL that nobody fetched in time; what lies between is in the archive alone."""

    level: ClassVar[str] = "error"
    slot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the server says before WAL is received from it."""

    timeline: int
    last_archived: str | None
    lacks_from: str | None
    """The first segment that the second region may lack while it is given up."""
    slot_status: str | None
    """`reserved`, `extended`, `unreserved`, `lost`; `None`: there is no slot."""


class Receiver:
    """Receives the WAL of one server into one directory."""

    def __init__(
        self,
        *,
        engine: Engine,
        target: ConnectionTarget,
        directory: Path,
        clock: Clock,
        keep: timedelta,
        slot: str = RECEIVER,
        may_run: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`target` signs in as a role with REPLICATION. `may_run` says why it has to wait now."""
        self._engine = engine
        self._target = replace(target, application_name=slot)
        self._directory = directory
        self._clock = clock
        self._keep = keep
        self._slot = slot
        self._may_run = may_run
        self._is_behind = False

    async def run(self) -> None:
        """Receive until cancelled; whatever ends it, it begins again a second later."""
        told = ""
        while True:
            why = self._may_run()
            if why is None:
                try:
                    why = await self._receive()
                except ServerNotReady as error:
                    why = error.in_one_line()
                except (WedsyncError, DatabaseError, OSError) as error:
                    why = " ".join(str(error).split())
            self._is_behind = _GONE in why
            if why != told:
                observe(ReceiverEnded(why=why))
            told = why
            await self._clock.sleep(_PAUSE)

    async def _receive(self) -> str:
        """Receive until pg_receivewal ends; why it did."""
        async with await self._target.connect(connect_timeout=timedelta(seconds=5)) as connection:
            place = await self._place(connection)
            if place is None:
                return "the server is in recovery"
            if place.slot_status == "lost":
                await connection.execute(statements("zero_loss")["drop_slot"], {"slot": self._slot})
                observe(SlotRenewed(slot=self._slot))
            joins = place.slot_status not in {None, "lost"}
            if not joins:
                await self._create_slot()
            elif self._is_behind:  # what was received before ends where the server's WAL begins no more
                joins = False
            run_directory = run_to_continue(self._directory, timeline=place.timeline, joins=joins)
            run_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            drop_empty(self._directory, but=(run_directory,))
            return await self._stream(connection, place, run_directory)

    async def _place(self, connection: AsyncConnection[TupleRow]) -> Place | None:
        async with connection.cursor(row_factory=class_row(Place)) as cursor:
            await cursor.execute(statements("zero_loss")["place"], {"slot": self._slot})
            return await cursor.fetchone()

    async def _create_slot(self) -> None:
        words = [*self._words(), "--create-slot", "--if-not-exists"]
        finished = await run(words, deadline=_CREATES, env=self._environment())
        finished.check(hint="has the role the attribute REPLICATION, and is there a slot left?")

    async def _stream(self, connection: AsyncConnection[TupleRow], place: Place, directory: Path) -> str:
        words = [*self._words(), "-D", directory, "--synchronous", "--no-loop", "--status-interval=1"]
        # Not longer than this process: an orphan would keep the slot.
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "--", *map(str, words)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment(),
            start_new_session=True,
        )
        observe(ReceiverStarted(directory=str(directory), timeline=place.timeline))
        said = asyncio.create_task(_last_words(process))
        tidying = asyncio.create_task(self._tidy(connection))
        try:
            status = await process.wait()
            return f"pg_receivewal ended with {status}: {await said or 'it said nothing'}"
        finally:
            tidying.cancel()
            await asyncio.gather(tidying, return_exceptions=True)
            await _end(process)
            said.cancel()

    async def _tidy(self, connection: AsyncConnection[TupleRow]) -> None:
        """Now and then: remove what is in the archive. What cannot be asked is not removed."""
        while True:
            with suppress(DatabaseError, OSError):
                place = await self._place(connection)
                if place is not None:
                    tidy(
                        self._directory,
                        archived_up_to=place.last_archived,
                        lacks_from=place.lacks_from,
                        keep=self._keep,
                        now=self._clock.now(),
                    )
            await asyncio.sleep(_TIDY_EVERY_S)

    def _words(self) -> list[str | Path]:
        given = self._target.parameters()
        given.pop("password", None)
        given.pop("dbname", None)
        given["options"] = f"{given.get('options', '')} {_SERVER_WAITS}".strip()
        # A server that vanished says nothing more: the status of each second is not acknowledged then.
        given.setdefault("tcp_user_timeout", "10000")
        return [
            self._engine.program("pg_receivewal"),
            "--no-password",
            f"--slot={self._slot}",
            f"--dbname={make_conninfo(**given)}",
        ]

    def _environment(self) -> dict[str, str]:
        environment = self._engine.environment
        if self._target.password is not None:
            environment["PGPASSWORD"] = self._target.password
        return environment


async def _last_words(process: asyncio.subprocess.Process) -> str:
    """The last line of what it said that is no news of segments."""
    assert process.stderr is not None  # noqa: S101 - it was asked for
    last = ""
    async for line in process.stderr:
        text = line.decode(errors="replace").strip()
        last = text or last
    return last


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it in good order: it writes down what it has."""
    for number in (signal.SIGINT, signal.SIGCONT, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(_ENDS_S if number is signal.SIGINT else 1.0):
                await process.wait()


def require_directory(directory: Path) -> None:
    """Make the directory; `ReceiverFailed` where nothing can be written."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = directory / ".probe"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise ReceiverFailed(
            "the directory for received WAL cannot be written",
            detail=str(error),
            hint="backup.zero_loss.directory names a directory of this user, on a disk with room",
        ) from error
