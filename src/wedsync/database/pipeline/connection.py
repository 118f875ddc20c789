"""One connection in libpq's pipeline mode: batches go out as they come, answers come back in order."""

import asyncio
import fcntl
import sys
import termios
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import Protocol

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import TupleRow

from wedsync.database.pipeline.batch import UNNAMED, Batch, Parse
from wedsync.database.pipeline.failure import ServerError
from wedsync.database.pipeline.prepared import Prepared, PreparedNames
from wedsync.database.pipeline.settings import settings_of
from wedsync.database.pipeline.work import Result
from wedsync.database.waiting import WAIT_FOR_RECEIVER
from wedsync.errors import CannotConnect

# Plain numbers: libpq answers with them, and comparing with members of an enum costs more than the call.
_GOOD = (int(ExecStatus.TUPLES_OK), int(ExecStatus.COMMAND_OK))
_ABORTED, _SYNC = int(ExecStatus.PIPELINE_ABORTED), int(ExecStatus.PIPELINE_SYNC)
_FATAL_ERROR = int(ExecStatus.FATAL_ERROR)
_SMALL_READS = 4
"""So many reads without a whole answer are nothing to look at: libpq's buffer is small at first."""
CLEANING = (
    b"reset all",
    b"select pg_catalog.pg_advisory_unlock_all()",
    b"unlisten *",
    b"discard temporary",
)
"""What `DISCARD ALL` does, but for prepared statements, which are ours, and what no other request can see."""
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
    """A libpq connection shared by many requests; used from one event loop only.

    `depth`, `backlog_s` and `takes` are what the pool looks at for each request: plain attributes.
    """

    def __init__(
        self,
        session: AsyncConnection[TupleRow],
        owner: Owner,
        *,
        names: PreparedNames,
        result_bytes_max: int,
        cleaning: Sequence[bytes] = CLEANING,
    ) -> None:
        """`cleaning` is run after functions that may have changed the session."""
        self._session = session
        self._libpq = session.pgconn
        self._owner = owner
        self._names = names
        self._result_bytes_max = result_bytes_max
        self._cleaning = cleaning
        self._is_soiled = False
        self._loop = asyncio.get_running_loop()
        self._socket = self._libpq.socket
        self._under_way: deque[Batch] = deque()
        self._unflushed: list[Batch] = []
        self._is_writing = False
        self._partial_reads = self._partial_bytes = 0
        self.depth = 0
        """How many batches are under way."""
        self.backlog_s = 0.0
        """How long they usually take together."""
        self.takes = True
        """Whether batches may be queued on it."""
        self.held_by: Batch | None = None
        """The slow batch because of which it takes no others."""
        self.is_lent = False
        self.is_open = True
        self.cancelled_at = float("-inf")
        """When the server was last asked to cancel what runs here."""
        self.used_at = monotonic()
        """When it last had work."""
        self.backend_pid = self._libpq.backend_pid
        self._libpq.nonblocking = 1
        self._libpq.enter_pipeline_mode()
        session.add_notice_handler(self._take_notice)
        self._loop.add_reader(self._socket, self._read)

    def hold(self, batch: Batch) -> None:
        """Take no more batches until `batch` is done."""
        self.held_by = batch
        self.takes = False

    def lend(self, *, is_lent: bool) -> None:
        """Give it to one caller, or take it back."""
        self.is_lent = is_lent
        self.takes = self.is_open and not is_lent and not self._is_soiled and self.held_by is None

    @property
    def head(self) -> Batch | None:
        """The batch that the server is at."""
        return self._under_way[0] if self._under_way else None

    @property
    def last(self) -> Batch | None:
        """The batch that was sent last."""
        return self._under_way[-1] if self._under_way else None

    @property
    def behind(self) -> Sequence[Batch]:
        """The batches that the server has not begun with."""
        return tuple(self._under_way)[1:]

    async def cancel(self, deadline: timedelta) -> None:
        """Ask the server to cancel what runs here; raises `CannotConnect` if it could not be asked."""
        self.cancelled_at = monotonic()
        try:
            await self._session.cancel_safe(timeout=deadline.total_seconds())
        except psycopg.Error as error:
            raise CannotConnect("a statement could not be cancelled", detail=str(error)) from error
        finally:
            self.cancelled_at = monotonic()

    def send(self, batch: Batch, now: float) -> None:
        """Queue `batch` behind what is under way and hand it to the kernel, as far as that takes it.

        A connection that turns out to be broken tells its owner of all batches, this one among them.
        """
        batch.begin()
        batch.tries += 1
        if not self._under_way:
            batch.started_at = now
        self._under_way.append(batch)
        self.depth += 1
        self.backlog_s += batch.cost_s
        try:
            try:
                self._queue_all(batch)
            except Exception as error:
                if self._libpq.status != ConnStatus.OK:
                    raise
                # A parameter that is none, or too many of them. What was queued of it must not be kept.
                batch.mistake = error
                self._say(batch, b"not a statement: this batch was given up")
            self._libpq.pipeline_sync()
            # Behind a Sync of its own, so that it runs after an error too.
            behind = [b"rollback"] if batch.work.undo else []
            if batch.cleans:
                behind += self._cleaning
            if behind:
                for text in behind:
                    self._libpq.send_query_params(text, None)
                self._libpq.pipeline_sync()
                batch.syncs = 2
            self._unflushed.append(batch)
            self._flush()
        except psycopg.Error as error:
            self._end(str(error))

    def forget_names(self) -> None:
        """No prepared statement is known any more; what the server still keeps of them is closed."""
        self._names.forget_all()

    def keep(self) -> None:
        """Now and then: drop notifications that somebody's function has asked for."""
        while self.is_open and self._libpq.notifies() is not None:
            pass

    def close(self) -> None:
        """End the connection at once; what is under way is told to the owner as lost."""
        self._end("closed by us")

    def _queue_all(self, batch: Batch) -> None:
        work = batch.work
        while (old := self._names.to_close()) is not None:  # first: no error comes before it
            self._libpq.send_close_prepared(old)
            batch.expected.append(None)
        if batch.command is not None:
            self._say(batch, batch.command)
            return
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

    def _say(self, batch: Batch, text: bytes) -> None:
        self._libpq.send_query_params(text, None)
        batch.expected.append(None)

    def _queue(self, batch: Batch, role: str, text: bytes, parameters: Sequence[bytes | None]) -> None:
        known = None if batch.without_names else self._names.find(role, text)
        if known is not None:
            self._libpq.send_query_prepared(known.name, parameters)
            batch.expected.append(known)
            return
        is_worth_it = batch.history.is_repeated and not batch.without_names
        asked = self._names.ask(role, text) if is_worth_it else None
        if asked is None:
            self._libpq.send_query_params(text, parameters)
            batch.expected.append(UNNAMED)
            return
        self._libpq.send_prepare(asked.name, text)
        self._libpq.send_query_prepared(asked.name, parameters)
        batch.expected += (Parse(role, text), asked)

    def _take_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        """PostgreSQL tells of a commit whose wait was cancelled by a warning, and then reports success."""
        if notice.source_function == WAIT_FOR_RECEIVER and self._under_way:
            self._under_way[0].is_commit_doubtful = True

    def _flush(self) -> None:
        if self._libpq.flush() == 0:
            for batch in self._unflushed:
                batch.is_sent_whole = True
            self._unflushed.clear()
            if self._is_writing:
                self._is_writing = False
                self._loop.remove_writer(self._socket)
        elif not self._is_writing:
            self._is_writing = True
            self._loop.add_writer(self._socket, self._write)

    def _write(self) -> None:
        try:
            self._flush()
        except psycopg.OperationalError as error:
            self._end(str(error))

    def _read(self) -> None:
        why = "an error of ours"
        is_well = False
        try:
            if self._partial_reads > _SMALL_READS:
                self._partial_bytes += _readable_bytes(self._socket)
            try:
                self._libpq.consume_input()
                if self._unflushed:
                    self._flush()
            except psycopg.OperationalError as error:
                why = str(error)
                self._take_answers()  # what came before the end
                return
            self._take_answers()
            is_well = True
        finally:
            if not is_well:  # also if the code above is wrong: nobody may wait for ever
                self._end(why)

    def _take_answers(self) -> None:
        """Everything that has arrived, batch by batch."""
        libpq = self._libpq
        while self._under_way and self.is_open:
            if libpq.is_busy():
                self._wait_for_more()
                return
            result = libpq.get_result()
            if result is None:
                return  # libpq has given the connection up: there is no more
            if result.status == _SYNC:
                self._settle()
            elif not self._take(self._under_way[0], result):
                return
            else:
                libpq.get_result()  # the null that ends the results of one message

    def _wait_for_more(self) -> None:
        """The answer to the head has come in part, or not at all."""
        self._partial_reads += 1
        if self._partial_bytes > self._result_bytes_max:
            self._under_way[0].is_too_large = True
            self._end(f"a result larger than {self._result_bytes_max} bytes")

    def _settle(self) -> None:
        """ReadyForQuery: the transaction of the head has its outcome."""
        batch = self._under_way[0]
        self._partial_reads = self._partial_bytes = 0
        batch.syncs -= 1
        if batch.syncs:
            batch.is_settled = True
            return
        self._under_way.popleft()
        self.used_at = now = monotonic()
        self.depth -= 1
        if self.held_by is batch:
            self.held_by = None
            self.takes = not self.is_lent and not self._is_soiled
        if self._under_way:
            self._under_way[0].started_at = now
            self.backlog_s -= batch.cost_s
        else:
            self.backlog_s = 0.0  # and no sum of roundings
        self._owner.finished(self, batch, now)
        if self._is_soiled and not self._under_way:
            self._end("what a function had done to its session could not be cleaned away")

    def _take(self, batch: Batch, result: PGresult) -> bool:
        """Keep one answer; whether the connection is in a state to go on."""
        status = result.status
        if status == _FATAL_ERROR and result.error_field(DiagnosticField.SQLSTATE) is None:
            return False  # libpq's own words: the connection ended before an answer came
        if batch.is_settled:
            if status == _FATAL_ERROR:
                self._is_soiled, self.takes = True, False
            return True
        is_at_commit = batch.is_at_commit
        expected = None if is_at_commit else batch.expected[batch.answered]
        batch.answered += 1
        is_good = status in _GOOD
        if isinstance(expected, Parse):
            self._names.settle(expected.role, expected.text, is_parsed=is_good)
        elif is_good and expected is not None:
            taken = _result(result, expected)
            batch.results.append(taken)
            if self._partial_reads > _SMALL_READS and _bytes_of(taken) > self._result_bytes_max:
                batch.is_too_large = True  # libpq read on while it was counted: this count is exact
        elif batch.command is not None:
            batch.tag = result.command_status
        if is_good or status == _ABORTED:
            return True
        if status == _FATAL_ERROR:
            if batch.refusal is None:
                batch.refusal = ServerError.of(result)
                batch.is_refused_at_commit = is_at_commit
            return True
        why = f"{ExecStatus(status).name} has no place in a batch"
        if batch.work.read_only:
            batch.refusal = ServerError(severity="ERROR", sqlstate="0A000", message=why)
        self._end(why)
        return False

    def _end(self, why: str) -> None:
        if not self.is_open:
            return
        self.is_open = self.takes = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._libpq.finish()
        batches = tuple(self._under_way)
        self._under_way.clear()
        self._unflushed.clear()
        self.depth, self.backlog_s = 0, 0.0
        self._owner.lost(self, batches, why)


def _readable_bytes(socket: int) -> int:
    return int.from_bytes(fcntl.ioctl(socket, termios.FIONREAD, bytes(4)), sys.byteorder)


def _bytes_of(result: Result) -> int:
    return sum(len(value) for row in result.rows for value in row if value is not None)


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
