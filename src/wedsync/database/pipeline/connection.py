"""One connection in libpq's pipeline mode: batches go out as they come, answers come back in order."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Protocol

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow

from wedsync.database.pipeline.batch import UNNAMED, Batch, Parse
from wedsync.database.pipeline.failure import ServerError
from wedsync.database.pipeline.prepared import Prepared, PreparedNames
from wedsync.database.pipeline.settings import settings_of
from wedsync.database.pipeline.work import Result
from wedsync.database.target import ConnectionTarget

# Plain numbers: libpq answers with them, and comparing with members of an enum costs more than the call.
_GOOD = (int(ExecStatus.TUPLES_OK), int(ExecStatus.COMMAND_OK))
_ABORTED, _SYNC = int(ExecStatus.PIPELINE_ABORTED), int(ExecStatus.PIPELINE_SYNC)
_FATAL_ERROR = int(ExecStatus.FATAL_ERROR)
_ANY_ROLE = ""
"""In whose name settings are prepared: they look at no table, so their plan is everybody's."""


class Owner(Protocol):
    """Who is told what became of batches."""

    def finished(self, connection: "PipelinedConnection", batch: Batch, now: float) -> None:
        """The server is ready for the next batch; `batch` has its results or its refusal."""
        ...

    def lost(self, connection: "PipelinedConnection", batches: Sequence[Batch], why: str) -> None:
        """The connection ended; `batches` were under way, the oldest first."""
        ...


class PipelinedConnection:
    """A libpq connection shared by many requests. Made by `open`; used from one event loop only."""

    def __init__(self, session: AsyncConnection[TupleRow], owner: Owner, *, names: PreparedNames) -> None:
        self._session = session
        self._libpq = session.pgconn
        self._owner = owner
        self._names = names
        self._loop = asyncio.get_running_loop()
        self._socket = self._libpq.socket
        self._under_way: deque[Batch] = deque()
        self._unflushed: list[Batch] = []
        self.is_open = True
        """Whether batches can be given to it."""
        self._libpq.nonblocking = 1
        self._libpq.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._read)

    @classmethod
    async def open(cls, target: ConnectionTarget, owner: Owner, *, names: PreparedNames) -> "PipelinedConnection":
        """A new connection to `target`; raises what `ConnectionTarget.connect` raises."""
        in_utf8 = replace(target, further={**target.further, "client_encoding": "utf8"})
        return cls(await in_utf8.connect(), owner, names=names)

    @property
    def depth(self) -> int:
        """How many batches are under way."""
        return len(self._under_way)

    @property
    def head(self) -> Batch | None:
        """The batch that the server is at."""
        return self._under_way[0] if self._under_way else None

    def send(self, batch: Batch, now: float) -> None:
        """Queue `batch` behind what is under way and hand it to the kernel, as far as that takes it.

        A connection that turns out to be broken tells its owner of all batches, this one among them.
        """
        batch.begin()
        batch.tries += 1
        work = batch.work
        if not self._under_way:
            batch.started_at = now
        self._under_way.append(batch)
        try:
            if work.undo:
                self._say(batch, b"begin")
            text, values = settings_of(work)
            self._queue(batch, _ANY_ROLE, text, values)
            batch.expected[-1] = None
            for statement in work.statements:
                self._queue(batch, work.role, statement.text, statement.parameters)
            if work.undo:
                # PostgreSQL would check deferred constraints at commit: the caller is to hear of them too.
                self._say(batch, b"set constraints all immediate")
            self._libpq.pipeline_sync()
            if work.undo:
                # Behind a Sync of its own, so that it runs after an error too.
                self._libpq.send_query_params(b"rollback", None)
                self._libpq.pipeline_sync()
                batch.syncs = 2
            self._unflushed.append(batch)
            self._flush()
        except psycopg.OperationalError as error:
            self._end(str(error))

    def close(self) -> None:
        """End the connection at once; what is under way is told to the owner as lost."""
        self._end("closed by us")

    def _say(self, batch: Batch, text: bytes) -> None:
        self._libpq.send_query_params(text, None)
        batch.expected.append(None)

    def _queue(self, batch: Batch, role: str, text: bytes, parameters: Sequence[bytes | None]) -> None:
        known = None if batch.without_names else self._names.find(role, text)
        if known is not None:
            self._libpq.send_query_prepared(known.name, parameters)
            batch.expected.append(known)
            return
        asked = None if batch.without_names else self._names.ask(role, text)
        if asked is None:
            self._libpq.send_query_params(text, parameters)
            batch.expected.append(UNNAMED)
            return
        while (old := self._names.to_close()) is not None:
            self._libpq.send_close_prepared(old)
            batch.expected.append(None)
        self._libpq.send_prepare(asked.name, text)
        self._libpq.send_query_prepared(asked.name, parameters)
        batch.expected += (Parse(role, text), asked)

    def _flush(self) -> None:
        if self._libpq.flush() == 0:
            for batch in self._unflushed:
                batch.is_sent_whole = True
            if len(self._unflushed) > 1:
                self._loop.remove_writer(self._socket)
            self._unflushed.clear()
        else:
            self._loop.add_writer(self._socket, self._write)

    def _write(self) -> None:
        try:
            self._flush()
        except psycopg.OperationalError as error:
            self._end(str(error))

    def _read(self) -> None:
        try:
            self._libpq.consume_input()
            if self._unflushed:
                self._flush()
        except psycopg.OperationalError as error:
            self._take_answers()  # what came before the end
            self._end(str(error))
        else:
            self._take_answers()

    def _take_answers(self) -> None:
        """Everything that has arrived, batch by batch."""
        libpq = self._libpq
        while self._under_way and self.is_open and not libpq.is_busy():
            result = libpq.get_result()
            if result is None:
                continue
            if result.status == _SYNC:
                self._settle()
            elif not self._take(self._under_way[0], result):
                return
            else:
                libpq.get_result()  # the null that ends the results of one message

    def _settle(self) -> None:
        """ReadyForQuery: the transaction of the head has its outcome."""
        batch = self._under_way[0]
        batch.syncs -= 1
        if batch.syncs:
            return
        self._under_way.popleft()
        now = monotonic()
        if self._under_way:
            self._under_way[0].started_at = now
        self._owner.finished(self, batch, now)

    def _take(self, batch: Batch, result: PGresult) -> bool:
        """Keep one answer; whether the connection is in a state to go on."""
        status = result.status
        if status == _FATAL_ERROR and result.error_field(DiagnosticField.SQLSTATE) is None:
            return False  # libpq's own words: the connection ended before an answer came
        expected = None if batch.is_at_commit else batch.expected[batch.answered]
        batch.answered += 1
        is_good = status in _GOOD
        if isinstance(expected, Parse):
            self._names.settle(expected.role, expected.text, is_parsed=is_good)
        elif is_good and expected is not None:
            batch.results.append(_result(result, expected))
        if is_good or status == _ABORTED:
            return True
        if status == _FATAL_ERROR:
            batch.refusal = batch.refusal or ServerError.of(result)
            return True
        self._end(f"the server answered with {ExecStatus(status).name}, which has no place in a batch")
        return False

    def _end(self, why: str) -> None:
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._libpq.finish()
        batches = tuple(self._under_way)
        self._under_way.clear()
        self._unflushed.clear()
        self._owner.lost(self, batches, why)


def _result(result: PGresult, known: Prepared) -> Result:
    value = result.get_value
    across = range(result.nfields)
    columns = known.columns
    if columns is None:
        columns = tuple((result.fname(column) or b"").decode() for column in across)
        if known is not UNNAMED:
            known.columns = columns
    rows = [tuple([value(row, column) for column in across]) for row in range(result.ntuples)]
    return Result(columns, rows, result.command_tuples)
