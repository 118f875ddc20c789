"""The connections that all requests share."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from types import TracebackType
from typing import Self

from wedsync.database.pipeline.batch import Batch
from wedsync.database.pipeline.connection import PipelinedConnection
from wedsync.database.pipeline.failure import StatementFailed
from wedsync.database.pipeline.prepared import PreparedNames
from wedsync.database.pipeline.work import Result, Work
from wedsync.database.target import ConnectionTarget
from wedsync.errors import CommitUnknown, PipelineBroken, PoolClosed

_NAMES = 100


class PipelinePool:
    """A few connections, each with batches of many requests queued on it.

    `async with PipelinePool(target) as pool: await pool.run(work)`. Used from one event loop.
    """

    def __init__(self, target: ConnectionTarget, *, min_size: int = 10, max_size: int = 100) -> None:
        self._target = target
        self._min_size = min_size
        self._max_size = max_size
        self._connections: list[PipelinedConnection] = []

    async def open(self) -> None:
        """Open the connections that are always there."""
        opened = await asyncio.gather(*(self._connect() for _ in range(self._min_size)))
        self._connections.extend(opened)

    async def close(self) -> None:
        """End all connections."""
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, work: Work) -> list[Result]:
        """What the statements of `work` gave, in their order, once the transaction has committed.

        Raises `StatementFailed` where PostgreSQL refused one (all is undone), `CommitUnknown` where the
        connection was lost after a write was sent, `Overloaded` before anything is run.
        """
        if not self._connections:
            raise PoolClosed("the pool has no connection", hint="open it first")
        now = monotonic()
        batch = Batch(work, asyncio.get_running_loop().create_future(), now)
        min(self._connections, key=lambda connection: connection.depth).send(batch, now)
        return await batch.future

    def finished(self, connection: PipelinedConnection, batch: Batch, now: float) -> None:
        """The outcome of a batch is known."""
        del connection, now
        if batch.future.done():
            return
        if batch.refusal is not None:
            batch.future.set_exception(StatementFailed(batch.refusal))
        else:
            batch.future.set_result(batch.results)

    def lost(self, connection: PipelinedConnection, batches: Sequence[Batch], why: str) -> None:
        """A connection ended."""
        if connection in self._connections:
            self._connections.remove(connection)
        for batch in batches:
            if not batch.future.done():
                error = PipelineBroken if batch.work.read_only else CommitUnknown
                batch.future.set_exception(error("the connection was lost under way", detail=why))

    async def _connect(self) -> PipelinedConnection:
        return await PipelinedConnection.open(self._target, self, names=PreparedNames(_NAMES))
