"""What the Python client costs beside bare psycopg, on one connection, in one run.

Run: PYTHONPATH=src .venv/bin/python bench/client.py DSN [ROUNDS]
The DSN's role has to be a member of service_role, as wedsync_gateway is.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter, process_time

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from wedsync.client import ClientSettings, connect

_SQL = "select g as number, 'guest ' || g as name from generate_series(1, %s) g"
_ROWS = (20,)
_BECOME = "select set_config('role', 'service_role', true), set_config('request.jwt.claims', %s, true)"
_CLAIMS = ('{"role":"service_role"}',)


async def measure(work: Callable[[], Awaitable[object]], calls: int) -> tuple[float, float]:
    """Milliseconds and processor milliseconds a call."""
    for _ in range(50):
        await work()
    began, used = perf_counter(), process_time()
    for _ in range(calls):
        await work()
    return (perf_counter() - began) * 1000 / calls, (process_time() - used) * 1000 / calls


async def main(dsn: str, rounds: int) -> None:
    """Each pair in turn, so that what the machine does besides hits both."""
    settings = ClientSettings(min_connections=1, max_connections=1)
    async with (
        connect(dsn, settings=settings) as db,
        await AsyncConnection.connect(dsn, autocommit=True, row_factory=dict_row) as bare,
    ):
        service = db.as_service()

        async def bare_fetch() -> object:
            return await (await bare.execute(_SQL, _ROWS)).fetchall()

        async def bare_as_service() -> object:
            async with bare.transaction():
                await bare.execute(_BECOME, _CLAIMS)
                return await (await bare.execute(_SQL, _ROWS)).fetchall()

        async def transaction() -> object:
            async with service.transaction() as tx:
                return await tx.fetch(_SQL, _ROWS)

        async def fetch() -> object:
            return await db.fetch(_SQL, _ROWS)

        async def as_service() -> object:
            return await service.fetch(_SQL, _ROWS)

        pairs = {
            "fetch": (bare_fetch, fetch),
            "fetch as a role": (bare_as_service, as_service),
            "transaction as a role": (bare_as_service, transaction),
        }
        print(f"{'20 rows':24} {'psycopg':>9} {'client':>9} {'ratio':>7} {'processor':>10}")
        for name, (theirs, ours) in pairs.items():
            found = [(await measure(theirs, 500), await measure(ours, 500)) for _ in range(rounds)]
            bare_ms, own_ms = (median(pair[side][0] for pair in found) for side in (0, 1))
            cpu = median(pair[1][1] / pair[0][1] for pair in found)
            print(f"{name:24} {bare_ms:6.3f} ms {own_ms:6.3f} ms {own_ms / bare_ms:7.2f} {cpu:10.2f}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5))
