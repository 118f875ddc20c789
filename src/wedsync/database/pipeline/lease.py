"""A connection lent to one caller, for a transaction that takes more than one round trip."""

import asyncio
from datetime import timedelta
from time import monotonic

from wedsync.database.pipeline.batch import Batch
from wedsync.database.pipeline.connection import PipelinedConnection
from wedsync.database.pipeline.failure import ServerError, StatementFailed
from wedsync.database.pipeline.history import History
from wedsync.database.pipeline.observed import ConnectionOverdue
from wedsync.database.pipeline.work import Result, Work
from wedsync.errors import LeaseOverdue, PipelineBroken
from wedsync.events import observe

_NOTHING = Work(role="", settings=(), statements=(), read_only=False, statement_timeout_ms=0)
_ABORTED = ServerError(
    severity="ERROR", sqlstate="25P02", message="the transaction had failed before: it was rolled back"
)


class Lent:
    """A lent connection with a transaction open on it."""

    def __init__(
        self, connection: PipelinedConnection, *, purpose: str, taken_at: str, at_most: timedelta
    ) -> None:
        self._connection = connection
        self._purpose = purpose
        self._taken_at = taken_at
        self._since = monotonic()
        self._at_most = at_most
        self._overdue: LeaseOverdue | None = None
        self._calls = False
        self._deadline = asyncio.get_running_loop().call_later(at_most.total_seconds(), self._take_back)

    async def run(self, work: Work) -> list[Result]:
        """What the statements of `work` gave, as part of the open transaction; they are not committed by it.

        Its role and settings hold until the next `run`. After `StatementFailed` the transaction can only be
        rolled back: let the error leave the `async with`.
        """
        self._calls = self._calls or work.calls
        return (await self._answer(self._send(work, None))).results

    async def begin(self) -> None:
        """Open the transaction."""
        await self._answer(self._send(_NOTHING, b"begin"))

    async def commit(self) -> None:
        """Commit; raises `CommitUnknown` if the connection is lost before the answer."""
        batch = await self._answer(self._send(_NOTHING, b"commit"))
        if batch.tag == b"ROLLBACK":
            raise StatementFailed(_ABORTED)

    def roll_back(self) -> None:
        """Undo, without waiting for it: what is asked of the connection later comes after it."""
        if self._connection.is_open:
            self._connection.hold(self._send(_NOTHING, b"rollback"))

    def end(self) -> None:
        """It goes back to the pool."""
        self._deadline.cancel()
        self._connection.lend(is_lent=False)

    def _send(self, work: Work, command: bytes | None) -> Batch:
        if self._overdue is not None:
            raise self._overdue
        if not self._connection.is_open:
            raise PipelineBroken("the lent connection was lost", hint="nothing was changed: ask again")
        now = monotonic()
        batch = Batch(work, asyncio.get_running_loop().create_future(), History(), asked_at=now)
        batch.command = command
        batch.is_leased = True
        batch.cleans = self._calls and command is not None
        self._connection.send(batch, now)
        return batch

    async def _answer(self, batch: Batch) -> Batch:
        try:
            await batch.future
        except PipelineBroken as error:
            raise self._overdue or error from error
        return batch

    def _take_back(self) -> None:
        held_s = round(monotonic() - self._since, 3)
        self._overdue = LeaseOverdue(
            f"a connection for {self._purpose!r} was not given back within {self._at_most.total_seconds():g} s",
            detail=f"taken at {self._taken_at}; its transaction is undone",
            hint="let lent connections go before you wait for anything else",
        )
        observe(ConnectionOverdue(purpose=self._purpose, taken_at=self._taken_at, held_s=held_s))
        self._connection.close()
