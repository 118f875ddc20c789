"""How long readers of a table wait while its change waits for somebody's open transaction."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from contestants import Contestant
from files import one_column
from ground import Ground

from wedsync.database import ConnectionTarget

TABLE = "bench_seats"
_READERS = 4
_PAUSE_S = 0.002
_WAITING = "select from pg_locks where locktype = 'relation' and mode = 'AccessExclusiveLock' and not granted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """What readers saw."""

    quiet_ms: float
    """Their worst read with nothing going on."""
    worst_ms: float
    """Their worst read from the tool's start to its end."""
    took_s: float
    """The tool's own time, waiting included."""


def make_table(ground: Ground) -> None:
    """The table that is read and changed."""

    async def make() -> None:
        async with await ground.target.connect() as connection:
            await connection.execute(f"create table public.{TABLE} (id int primary key)".encode())
            await connection.execute(f"insert into public.{TABLE} select generate_series(1, 1000)".encode())

    asyncio.run(make())


def measure(ground: Ground, contestant: Contestant, *, hold_s: float) -> Stall:
    """Let a transaction hold the table for `hold_s` while the contestant changes it under readers."""
    ground.new_database()
    make_table(ground)
    contestant.prepare([one_column(TABLE)])
    return asyncio.run(_measure(ground.target, contestant, hold_s))


async def _measure(target: ConnectionTarget, contestant: Contestant, hold_s: float) -> Stall:
    async with _readers(target) as reads:
        await asyncio.sleep(1)
        quiet_ms = reads.worst_ms()
        reads.ended_ms.clear()
        async with await target.connect(autocommit=False) as holder:
            await holder.execute(f"select count(*) from public.{TABLE}".encode())
            running = asyncio.create_task(asyncio.to_thread(contestant.run))
            await _until_it_waits(target, running)
            await asyncio.sleep(hold_s)
            worst_ms = reads.worst_ms()
            await holder.commit()
        cost = await running
        return Stall(quiet_ms=quiet_ms, worst_ms=max(worst_ms, reads.worst_ms()), took_s=cost.wall_s)


@dataclass(slots=True)
class _Reads:
    """What clients that read one row after the other have seen."""

    ended_ms: list[float] = field(default_factory=list)
    under_way: dict[int, float] = field(default_factory=dict)
    """When the read of each client began that has not ended."""

    def worst_ms(self) -> float:
        """The longest read, one that still waits included."""
        now = time.perf_counter()
        return max(self.ended_ms + [(now - began) * 1000 for began in self.under_way.values()])


@contextlib.asynccontextmanager
async def _readers(target: ConnectionTarget) -> AsyncIterator[_Reads]:
    """Clients that read all the time."""
    reads = _Reads()

    async def read(client: int) -> None:
        async with await target.connect() as connection:
            while True:
                reads.under_way[client] = began = time.perf_counter()
                await connection.execute(f"select id from public.{TABLE} where id = %s".encode(), (client,))
                reads.ended_ms.append((time.perf_counter() - began) * 1000)
                del reads.under_way[client]
                await asyncio.sleep(_PAUSE_S)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read(client)) for client in range(1, _READERS + 1)]
        try:
            yield reads
        finally:
            for task in tasks:
                task.cancel()


async def _until_it_waits(target: ConnectionTarget, running: asyncio.Task[object]) -> None:
    """Until the tool's statement has asked for the table that it cannot have."""
    async with await target.connect() as connection:
        while not running.done():
            if await (await connection.execute(_WAITING)).fetchone() is not None:
                return
            await asyncio.sleep(_PAUSE_S)
    raise AssertionError("the table was changed although a transaction held it")
