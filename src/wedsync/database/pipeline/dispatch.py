"""Batches on their way: which connection takes them, how long they wait, what follows when one fails."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import assert_never

from wedsync.database.pipeline.batch import Batch
from wedsync.database.pipeline.connection import PipelinedConnection
from wedsync.database.pipeline.failure import ServerError, StatementFailed
from wedsync.database.pipeline.history import Histories
from wedsync.database.pipeline.limit import ConcurrencyLimit
from wedsync.database.pipeline.members import Members
from wedsync.database.pipeline.observed import ConnectionLost, SlowStatement, StatementMoved
from wedsync.database.pipeline.placement import DEEP, Crowd, idle, place, slow_places, wanted
from wedsync.database.pipeline.replay import RecoveryWatch
from wedsync.database.pipeline.retries import TRIES, Verdict, after_loss, after_refusal
from wedsync.database.pipeline.work import Work
from wedsync.errors import (
    CannotConnect,
    CommitUnknown,
    Overloaded,
    PipelineBroken,
    PoolClosed,
    ResultTooLarge,
    ServerNotReady,
    WedsyncError,
)
from wedsync.events import observe

PATIENCE_S = 0.1
"""A batch that no connection has taken after this long is refused: the caller hears of it while it can act."""
_BURST_S = 1.0
"""But a queue that has stood for less than this, and moves, is a burst: it will be worked off."""
_PATIENCE_ALONE_S = 1.0
BRIDGED_S = 5.0
"""While no connection is left, requests wait for one this long, so that a restart is only a pause."""
_HOLD_S = 0.02
"""A connection whose server has been at one batch for this long takes no more."""
_MOVE_S = 0.1
"""After this long a batch that others wait behind is cancelled and run alone."""
_TICK_S = 0.01
_CANCEL_DEADLINE = timedelta(seconds=2)
_CANCEL_ECHO_S = 1.0
"""A cancel may hit what came after the batch that it was meant for, for this long."""
_TEXT_LOGGED = 300


class Dispatcher:
    """Owner of the connections of a pool: hands batches to them and settles what comes back."""

    def __init__(self, *, min_size: int, slow_after: timedelta) -> None:
        self._min_size = min_size
        self._slow_after_s = slow_after.total_seconds()
        self._waiting: deque[Batch] = deque()
        self._waiting_alone: deque[Batch] = deque()
        self._borrowers: deque[asyncio.Future[PipelinedConnection]] = deque()
        self._cancels: set[asyncio.Task[None]] = set()
        self._crowded_since: float | None = None
        """Since when batches wait without the queue having been worked off; `None`: it was, last."""
        self._finished_at = float("-inf")
        self._tick_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._took_s = self._quiet_s = 0.0
        self.strain = 1.0
        """How much longer statements take than when the server is quiet, of late."""
        self.under_way = 0
        """Requests that were let in and have no answer yet."""
        self.deep = DEEP
        self.is_closed = False
        self.limit = ConcurrencyLimit()
        self.histories = Histories()
        self.members: Members
        self.recovery: RecoveryWatch
        self.is_at_receiver: Callable[[int], Awaitable[bool]]
        """Whether the backend with this pid has committed and waits for a receiver of WAL."""

    @property
    def waiting(self) -> int:
        """Requests that no connection has taken yet."""
        return len(self._waiting) + len(self._waiting_alone) + len(self._borrowers)

    def submit(self, work: Work) -> Batch:
        """Let one request in; raises `Overloaded` or why there is no connection before anything is run."""
        if self.is_closed:
            raise PoolClosed("the pool is closed")
        now = monotonic()
        away_since = self.members.away_since
        if away_since is not None and now - away_since > BRIDGED_S:
            raise self._away()
        if self.recovery.now is not None and work.read_only:
            self.recovery.require_readable(work)
        if not self.limit.admits(self.under_way):
            raise Overloaded(
                "more requests than the database serves in good time",
                detail=f"{self.under_way} are under way, as many as are let in now",
                retry_after_s=1,
            )
        loop = asyncio.get_running_loop()
        history = self.histories.of(work.statements[0].text)
        batch = Batch(work, loop.create_future(), history, asked_at=now)
        self._wind_up(now)
        if batch.alone:
            self._waiting_alone.append(batch)
            self._hand_out(now)
        elif self._waiting:
            self._waiting.append(batch)
        elif (connection := place(self.members.all, history.usual_s, deep=self.deep)) is not None:
            self._crowded_since = None
            self._send(connection, batch, now)
        else:
            if self._crowded_since is None:
                self._crowded_since = now
            self._waiting.append(batch)
        return batch

    def finished(self, connection: PipelinedConnection, batch: Batch, now: float) -> None:
        """The outcome of `batch` is known; the next one of the connection begins."""
        self._finished_at = now
        head = connection.head
        if head is not None:
            self.limit.started(head.asked_at, now)
        if batch.mistake is not None:
            _fail(batch, batch.mistake)
        elif batch.is_too_large and batch.work.read_only:
            _fail(batch, _too_large(batch, "more than the gateway takes into its memory"))
        elif batch.refusal is not None:
            self._refused(connection, batch, now)
        elif batch.is_commit_doubtful:
            _fail(batch, _unknown("the wait for the receiver of WAL was broken off"))
        else:
            self._succeeded(batch, now)
        if self._waiting or self._waiting_alone or self._borrowers:
            self._hand_out(now)

    def lost(self, connection: PipelinedConnection, batches: Sequence[Batch], why: str) -> None:
        """A connection ended with `batches` on it; what is safe to run again will be, elsewhere."""
        self.members.remove(connection)
        if batches or not self.is_closed:
            observe(ConnectionLost(why=" ".join(why.split()), under_way=len(batches)))
        # What the server ended in so many words, it had not begun behind the batch that it was at.
        said = batches[0].refusal if batches else None
        spared = said is not None and said.ends_connection
        for place_in_line, batch in reversed(list(enumerate(batches))):
            if batch.is_settled and batch.refusal is None and batch.mistake is None:
                self._succeeded(batch, monotonic())
            elif batch.refusal is not None:
                self._follow(batch, after_refusal(batch.refusal, batch.attempt()), why)
            elif batch.is_too_large:
                _fail(batch, _too_large(batch, why))
            elif spared and place_in_line > 0 and batch.tries < TRIES:
                self._follow(batch, Verdict.LATER, why)
            else:
                self._follow(batch, after_loss(batch.attempt()), why)
        if not self.is_closed:
            asyncio.get_running_loop().call_soon(self._tick_now)

    def changed(self) -> None:
        """A connection came, or did not."""
        if not self.is_closed:
            self._tick_now()

    def close(self) -> None:
        """Refuse all that wait."""
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._cancels:
            task.cancel()
        for batch in (*self._waiting, *self._waiting_alone):
            _fail(batch, PoolClosed("the pool was closed"))
        for borrower in self._borrowers:
            if not borrower.done():
                borrower.set_exception(PoolClosed("the pool was closed"))

    async def drained(self, deadline: timedelta) -> None:
        """Wait until every connection is done with what was sent, `deadline` at the most."""
        ends = [last.future for each in self.members.all if (last := each.last) is not None]
        if ends:
            await asyncio.wait(ends, timeout=deadline.total_seconds())

    def borrow(self) -> "asyncio.Future[PipelinedConnection]":
        """A connection for one caller alone, as soon as one is free."""
        borrower: asyncio.Future[PipelinedConnection] = asyncio.get_running_loop().create_future()
        self._borrowers.append(borrower)
        self._tick_now()
        return borrower

    def _send(self, connection: PipelinedConnection, batch: Batch, now: float) -> None:
        if batch.alone:
            connection.hold(batch)
        connection.send(batch, now)
        if batch.started_at:
            self.limit.started(batch.asked_at, now)

    def _hand_out(self, now: float) -> None:
        """Give what waits to connections that have room: the oldest first, quick work before slow."""
        connections = self.members.all
        while self._waiting:
            batch = self._waiting[0]
            if not batch.future.done():
                connection = place(connections, batch.history.usual_s, deep=self.deep)
                if connection is None:
                    break
                self._waiting.popleft()
                self._send(connection, batch, now)
                if not self._waiting:
                    self._crowded_since = None
            else:
                self._waiting.popleft()
        while self._waiting_alone or self._borrowers:
            held = sum(not each.takes for each in connections)
            free = idle(connections) if held < slow_places(self.members.max_size) else None
            if free is None:
                return
            if self._borrowers:
                borrower = self._borrowers.popleft()
                if not borrower.done():
                    free.lend(is_lent=True)
                    borrower.set_result(free)
            else:
                batch = self._waiting_alone.popleft()
                if not batch.future.done():
                    self._send(free, batch, now)

    def _succeeded(self, batch: Batch, now: float) -> None:
        history = batch.history
        took_s = now - batch.started_at
        history.ran(took_s)
        if history.quiet_s:
            self._took_s += took_s
            self._quiet_s += history.quiet_s
        if took_s > self._slow_after_s:
            _tell_slow(batch, now)
        if not batch.future.done():
            batch.future.set_result(batch.results)

    def _refused(self, connection: PipelinedConnection, batch: Batch, now: float) -> None:
        assert batch.refusal is not None  # noqa: S101 - the caller looked
        was_cancelled = now - connection.cancelled_at < _CANCEL_ECHO_S
        verdict = after_refusal(batch.refusal, batch.attempt(was_cancelled=was_cancelled))
        if verdict is Verdict.WITHOUT_NAMES:
            connection.forget_names()
        self._follow(batch, verdict, "")

    def _follow(self, batch: Batch, verdict: Verdict, why: str) -> None:
        if batch.future.done():
            return
        if batch.command is not None or batch.is_leased:
            verdict = (
                Verdict.UNKNOWN if verdict is Verdict.UNKNOWN and batch.command == b"commit" else Verdict.FAIL
            )
        match verdict:
            case Verdict.FAIL:
                refusal = batch.refusal
                broken = PipelineBroken(
                    "the connection to the database was lost", detail=why, hint="nothing was changed: ask again"
                )
                _fail(batch, broken if refusal is None else self._failure_of(refusal, batch))
            case Verdict.UNKNOWN:
                _fail(batch, _unknown(why))
            case Verdict.LATER:
                pause_s = random.uniform(0.005, 0.02) * 4 ** (batch.tries - 1)  # noqa: S311 - no secret
                asyncio.get_running_loop().call_later(pause_s, self._again, batch)
            case Verdict.WITHOUT_NAMES:
                batch.without_names = True
                self._again(batch)
            case Verdict.ALONE:
                batch.alone = True
                self._again(batch)
            case _:
                assert_never(verdict)

    def _failure_of(self, refusal: ServerError, batch: Batch) -> WedsyncError:
        """What the caller is told of a statement that was refused, and stays so."""
        waits = self.recovery.refusal(refusal, read_only=batch.work.read_only)
        return waits or StatementFailed(refusal)

    def _again(self, batch: Batch) -> None:
        """Put it where it is next in turn."""
        if self.is_closed:
            _fail(batch, PoolClosed("the pool was closed"))
            return
        batch.queued_at = monotonic()
        (self._waiting_alone if batch.alone else self._waiting).appendleft(batch)
        asyncio.get_running_loop().call_soon(self._tick_now)

    def _tick_now(self) -> None:
        if not self.is_closed:
            now = monotonic()
            self._hand_out(now)
            self._grow(now)
            self._wind_up(now)

    def _wind_up(self, now: float) -> None:
        if self._timer is None:
            self._tick_due = now + _TICK_S
            self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        """While anything is under way: look after slow heads, long waits and the size of the pool."""
        self._timer = None
        if self.is_closed:
            return
        now = monotonic()
        for connection in self.members.all:
            head = connection.head
            if head is not None and not connection.is_lent:
                self._look_at(connection, head, now - head.started_at)
        if now - self._tick_due < PATIENCE_S / 2:
            self._refuse_late(now)
        # Otherwise it is this process that was held up: answers may lie there to be read, and places be free.
        if self._quiet_s:
            self.strain += (self._took_s / self._quiet_s - self.strain) * 0.2
            self._took_s = self._quiet_s = 0.0
        if self.under_way or self.waiting:
            self._tick_now()
        else:
            self.strain = 1.0

    def _look_at(self, connection: PipelinedConnection, head: Batch, age_s: float) -> None:
        if age_s > _HOLD_S and connection.held_by is None:
            connection.hold(head)
        if age_s < _MOVE_S or monotonic() - connection.cancelled_at < _CANCEL_ECHO_S:
            return
        nobody_waits = head.future.done() and head.work.read_only
        if (connection.depth > 1 and head.tries < TRIES) or nobody_waits:
            connection.cancelled_at = monotonic()
            task = asyncio.create_task(self._move(connection, head, age_s))
            self._cancels.add(task)
            task.add_done_callback(self._cancels.discard)

    async def _move(self, connection: PipelinedConnection, head: Batch, age_s: float) -> None:
        """Cancel a slow head, so that others get on. A commit that waits for a receiver of WAL is not cancelled.

        It would be reported as done without being safe. Reads behind it are asked elsewhere instead.
        """
        if not head.work.read_only and await self.is_at_receiver(connection.backend_pid):
            for batch in connection.behind:
                if batch.work.read_only and not (batch.is_leased or batch.is_asked_elsewhere):
                    batch.is_asked_elsewhere = True
                    twin = Batch(batch.work, batch.future, batch.history, asked_at=batch.asked_at)
                    twin.queued_at = monotonic()
                    self._waiting.append(twin)
            self._tick_now()
        elif connection.head is head:
            observe(StatementMoved(ran_ms=round(age_s * 1000), behind=connection.depth - 1))
            with suppress(CannotConnect):  # the statement then ends at its timeout, and others go round it
                await connection.cancel(_CANCEL_DEADLINE)

    def _refuse_late(self, now: float) -> None:
        away_since = self.members.away_since
        in_burst = self._is_burst(now)
        for queue in (self._waiting, self._waiting_alone):
            while queue:
                batch = queue[0]
                if batch.future.done():
                    queue.popleft()
                elif away_since is not None:
                    if now - away_since <= BRIDGED_S:
                        break
                    _fail(queue.popleft(), self._away())
                elif now - max(batch.queued_at, self.members.back_at) > _patience_s(batch, in_burst=in_burst):
                    queue.popleft()
                    _fail(batch, self._late(batch, now))
                else:
                    break

    def _is_burst(self, now: float) -> bool:
        """Whether what waits came in one heap, or met a stall: more than a moment's work, but no overload.

        It is not while nothing moves and what runs is not known to be quick: that may take any time.
        """
        since = self._crowded_since
        if since is not None and now - max(since, self.members.back_at) > _BURST_S:
            return False
        heads = (each.head for each in self.members.all)
        return now - self._finished_at < PATIENCE_S or any(head and head.history.is_quick for head in heads)

    def _late(self, batch: Batch, now: float) -> Overloaded:
        self.limit.started(batch.asked_at, now)
        waited_ms = (now - batch.queued_at) * 1000
        return Overloaded(
            "the database is busy",
            detail=f"no connection was free within {waited_ms:.0f} ms; {len(self.members.all)} are there",
            retry_after_s=1,
        )

    def _grow(self, now: float) -> None:
        members = self.members
        oldest = min((queue[0].queued_at for queue in (self._waiting, self._waiting_alone) if queue), default=now)
        held = sum(not each.takes for each in members.all) + len(self._borrowers)
        crowd = Crowd(
            total=len(members.all),
            opening=members.opening,
            held=held,
            longest_wait_s=now - oldest,
            strain=self.strain,
        )
        members.ask(wanted(crowd, min_size=self._min_size, max_size=members.max_size))

    def _away(self) -> WedsyncError:
        failure = self.members.failure
        kind = type(failure) if failure is not None else ServerNotReady
        return kind(
            "the database is away",
            detail=failure.in_one_line() if failure is not None else "no connection has come about yet",
            hint="requests are served again as soon as it is back",
        )


def _patience_s(batch: Batch, *, in_burst: bool) -> float:
    """What was begun once, and is run again for no fault of its own, is not refused like a newcomer.

    And who asks for what takes long anyway can wait until a connection has been opened for it.
    """
    if batch.tries:
        return BRIDGED_S
    if batch.alone:
        return _PATIENCE_ALONE_S
    return _BURST_S if in_burst else PATIENCE_S


def _fail(batch: Batch, error: Exception) -> None:
    if not batch.future.done():
        batch.future.set_exception(error)


def _unknown(why: str) -> CommitUnknown:
    return CommitUnknown(
        "whether this was committed is not known: the connection was lost before the answer",
        detail=" ".join(why.split()),
        hint="look whether the change is there before you ask again, or ask with an Idempotency-Key",
    )


def _too_large(batch: Batch, why: str) -> WedsyncError:
    if not batch.work.read_only:
        return _unknown(why)
    return ResultTooLarge("the result is too large", detail=why, hint="ask for less at a time: limit and offset")


def _tell_slow(batch: Batch, now: float) -> None:
    statement = batch.work.statements[0]
    request_id = next((value for name, value in batch.work.settings if name == "request.id"), None)
    observe(
        SlowStatement(
            took_ms=round((now - batch.asked_at) * 1000),
            waited_ms=round((batch.started_at - batch.asked_at) * 1000),
            text=statement.text[:_TEXT_LOGGED].decode("utf-8", "replace"),
            parameters=len(statement.parameters),
            role=batch.work.role,
            request_id=None if request_id is None else request_id.decode("utf-8", "replace"),
        )
    )
