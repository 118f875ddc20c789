"""Processor time of one batch in the gateway: our pipeline beside psycopg's own, with the same SQL.

With the DSN of a login that may become `authenticated`:

    PYTHONPATH=src nice -n 10 python -P bench/gateway/pipeline.py postgresql://user@host/database
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import psycopg
import uvloop

from wedsync.database import ConnectionTarget
from wedsync.database.pipeline import PipelinePool, Statement, Work

SECONDS = 2.0
SQL = (
    b"select coalesce(json_agg(t), '[]')::text from (select n, md5(n::text) from generate_series(1, $1::int) n) t"
)
CLAIMS = b'{"sub":"00000000-0000-0000-0000-000000000001","role":"authenticated"}'
NAMES = (
    "request.jwt.claims",
    "request.method",
    "request.path",
    "request.headers",
    "request.cookies",
    "request.id",
)
WORK = Work(
    role="authenticated",
    settings=tuple((name, CLAIMS if name.endswith("claims") else b"{}") for name in NAMES),
    statements=(Statement(SQL, (b"1",)),),
    read_only=True,
    statement_timeout_ms=30_000,
)


async def measure(ask: Callable[[], Awaitable[object]], clients: int) -> tuple[float, float]:
    """Batches a second, and milliseconds of processor time for each in this process."""
    done = 0

    async def client(end: float) -> None:
        nonlocal done
        while time.monotonic() < end:
            await ask()
            done += 1

    await asyncio.gather(*(client(time.monotonic() + 0.3) for _ in range(clients)))
    done, cpu, began = 0, time.process_time(), time.monotonic()
    await asyncio.gather(*(client(began + SECONDS) for _ in range(clients)))
    return done / (time.monotonic() - began), (time.process_time() - cpu) / done * 1000


async def psycopgs_own(target: ConnectionTarget, clients: int) -> tuple[float, float]:
    """The same batch through psycopg's `pipeline()`, a connection for each of ten clients at most."""
    size = min(clients, 10)
    connections: asyncio.Queue[psycopg.AsyncConnection] = asyncio.Queue()
    for _ in range(size):
        connections.put_nowait(await target.connect())
    settings = ", ".join(f"set_config('{name}', %s, true)" for name in ("role", "statement_timeout", *NAMES))
    values = ["authenticated", "30000", CLAIMS.decode(), *["{}"] * (len(NAMES) - 1)]
    sql = SQL.replace(b"$1", b"%s")

    async def ask() -> None:
        connection = await connections.get()
        try:
            async with connection.pipeline() as pipeline:
                await connection.execute(f"select {settings}", values, prepare=True)
                cursor = await connection.execute(sql, (1,), prepare=True)
                await pipeline.sync()
                await cursor.fetchall()
        finally:
            connections.put_nowait(connection)

    try:
        return await measure(ask, clients)
    finally:
        while not connections.empty():
            await connections.get_nowait().close()


async def main(dsn: str) -> None:
    """A table: clients, then rate and processor time of both."""
    target = ConnectionTarget.from_dsn(dsn)
    print(f"{'clients':>8} {'ours/s':>9} {'ms CPU':>8} {'psycopg/s':>10} {'ms CPU':>8} {'CPU ratio':>10}")
    async with PipelinePool(target) as pool:
        for clients in (1, 16, 64):
            rate, cpu = await measure(lambda: pool.run(WORK), clients)
            own_rate, own_cpu = await psycopgs_own(target, clients)
            print(
                f"{clients:>8} {rate:>9.0f} {cpu:>8.4f} {own_rate:>10.0f} {own_cpu:>8.4f} {own_cpu / cpu:>10.1f}"
            )


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
