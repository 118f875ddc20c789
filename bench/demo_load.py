"""How fast `demo load` is, beside psql's bare COPY of the same rows in the same run.

    python bench/demo_load.py 'host=/run/… port=54329 dbname=scratch user=wedsync_owner' [SIZE]

Give it a scratch database (the schema is applied if it is missing): each round empties all tables. The peer
has its rows ready in files and one psql copies them in one transaction, with the foreign keys checked row by
row as it always is, and without the triggers that record changes; ours makes the rows, copies them, checks the
keys at the end and records each load.
"""

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from wedsync.database import ConnectionTarget
from wedsync.demo import DEFAULT_SEED, load
from wedsync.demo.generate import season_lines
from wedsync.demo.season import Season
from wedsync.demo.wedding import COLUMNS, qualified
from wedsync.migrations import up

ROUNDS = 3


async def empty(target: ConnectionTarget) -> None:
    async with await target.connect() as connection:
        for words in ("disable trigger user", "enable trigger user"):  # emptying is not what is measured
            for table in COLUMNS:
                await connection.execute(f"alter table {'.'.join(qualified(table))} {words}".encode())
            if words.startswith("disable"):
                await connection.execute("truncate public.organizations, auth.users cascade")
        await connection.execute("drop table if exists ops.demo_loads")


def bare_copy(dsn: str, directory: Path) -> float:
    """Seconds that psql needs for the files, in one transaction."""
    script = "".join(
        f"alter table {'.'.join(qualified(table))} disable trigger user;\n"
        f"\\copy {'.'.join(qualified(table))} ({columns}) from '{directory / table}'\n"
        f"alter table {'.'.join(qualified(table))} enable trigger user;\n"
        for table, columns in COLUMNS.items()
    )
    started = time.perf_counter()
    subprocess.run(
        [shutil.which("psql") or "psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", dsn],
        input=script.encode(),
        check=True,
    )
    return time.perf_counter() - started


async def main(dsn: str, size: float) -> None:
    target = ConnectionTarget.from_dsn(dsn)
    await up(target)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        files = {table: (directory / table).open("w") for table in COLUMNS}
        for lines in season_lines(Season(seed=DEFAULT_SEED, size=size, today=datetime.now(UTC).date())):
            for table, rows in lines.items():
                files[table].writelines(rows)
        for file in files.values():
            file.close()
        ours: list[float] = []
        bare: list[float] = []
        rows = 0
        for _ in range(ROUNDS):
            await empty(target)
            bare.append(bare_copy(dsn, directory))
            await empty(target)
            loaded = await load(target, size=size)
            ours.append(loaded.took_s)
            rows = loaded.rows_in_all
    took, peer = statistics.median(ours), statistics.median(bare)
    print(f"{rows:,} rows, median of {ROUNDS}")
    print(f"demo load   {took:6.2f} s  {rows / took:9,.0f} rows/s  (rows made, copied, keys checked)")
    print(f"psql \\copy  {peer:6.2f} s  {rows / peer:9,.0f} rows/s  (rows ready in files)")
    print(f"ratio       {took / peer:6.2f}    (below 1: ours is faster)")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0))
