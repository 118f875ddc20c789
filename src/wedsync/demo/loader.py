"""Load the demo season: one transaction, at the speed of COPY.

Rows are made by a second process and copied by this one, so the two overlap. The foreign keys of the big
tables are taken off before and put back after (PostgreSQL then checks them all by one join each): a third of
the time of checking row by row. The history says when these tables were loaded and how many rows they got, not
each row. All of it is one transaction: whoever looks sees no season or the whole.
"""

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from time import monotonic
from typing import Final, TypeAlias

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow, class_row
from psycopg.types.json import Jsonb

from wedsync.database import ConnectionTarget
from wedsync.demo.season import Season
from wedsync.demo.wedding import COLUMNS, qualified
from wedsync.errors import DemoRefused
from wedsync.sql import statements

DEFAULT_SEED: Final = 20_260_613
_LOCK_KEY: Final = int.from_bytes(b"demoload")
_ROWS_PER_COUPLE: Final = 590  # measured; the progress bar's guess until the end
_FRAME_LIMIT: Final = 1 << 20
_RELAXED: Final = (
    "households",
    "guests",
    "timeline_events",
    "photo_groups",
    "photo_group_members",
    "core_field_values",
    "messages",
)
"""The big tables: their foreign keys are checked once, at the end; their history begins with one record."""

OnProgress: TypeAlias = Callable[[int, int], None]
"""Told of rows done and rows in all; the second is an estimate until the two are equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What is in the database now."""

    already: bool
    """It was loaded before; nothing was done."""
    seed: int
    size: float
    rows: dict[str, int]
    took_s: float

    @property
    def rows_in_all(self) -> int:
        return sum(self.rows.values())

    @property
    def rows_per_s(self) -> float:
        return self.rows_in_all / self.took_s if self.took_s else 0.0

    def to_json(self) -> dict[str, object]:
        return {
            "already": self.already,
            "seed": self.seed,
            "size": self.size,
            "rows": self.rows,
            "rows_in_all": self.rows_in_all,
            "took_s": round(self.took_s, 3),
            "rows_per_s": round(self.rows_per_s),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marker:
    seed: int
    size: float
    rows: dict[str, int]
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _ForeignKey:
    table_name: str
    name: str
    definition: str


@dataclass(frozen=True, slots=True)
class _Frame:
    table: str
    rows: int
    text: bytes


async def load(
    target: ConnectionTarget,
    *,
    size: float = 1.0,
    seed: int = DEFAULT_SEED,
    today: date | None = None,
    on_progress: OnProgress | None = None,
) -> Loaded:
    """Load a season of `size` × 150 weddings around today; a database that has one is left as it is.

    `target` is the owner of the tables. `today` is the server's date unless given. Raises `DemoRefused`
    where the schema is missing, or where there are weddings that are not the demo's.
    """
    started = monotonic()
    async with await target.connect() as connection:
        await _require_schema(connection, target)
        async with connection.transaction():
            await connection.execute(_sql("one_at_a_time"), {"key": _LOCK_KEY})
            await connection.execute(_sql("create_marker"))
            marker = await _read_marker(connection)
            if marker is not None:
                return Loaded(
                    already=True, seed=marker.seed, size=marker.size, rows=marker.rows, took_s=marker.took_s
                )
            await _require_empty(connection, target)
            season = Season(seed=seed, size=size, today=today or await _today(connection))
            rows = await _copy_season(connection, season, on_progress)
            took_s = monotonic() - started
            await connection.execute(
                _sql("write_marker"),
                {"seed": seed, "size": size, "season_of": season.today, "rows": Jsonb(rows), "took_s": took_s},
            )
        took_s = monotonic() - started
        await connection.execute("analyze")
    return Loaded(already=False, seed=seed, size=size, rows=rows, took_s=took_s)


async def _copy_season(
    connection: AsyncConnection[TupleRow], season: Season, on_progress: OnProgress | None
) -> dict[str, int]:
    rows: Counter[str] = Counter()
    done, expected = 0, season.couples * _ROWS_PER_COUPLE
    async with _generator(season) as frames, _in_bulk(connection), _without_foreign_keys(connection):
        async for frame in frames:
            command = sql.SQL("copy {} ({}) from stdin").format(
                sql.Identifier(*qualified(frame.table)),
                sql.SQL(", ").join(map(sql.Identifier, COLUMNS[frame.table].split(", "))),
            )
            async with connection.cursor().copy(command) as copy:
                await copy.write(frame.text)
            rows[frame.table] += frame.rows
            done += frame.rows
            if on_progress is not None:
                on_progress(done, max(expected, done + 1))
    if on_progress is not None:
        on_progress(done, done)
    return dict(rows)


@asynccontextmanager
async def _in_bulk(connection: AsyncConnection[TupleRow]) -> AsyncGenerator[None]:
    """Record the load of the big tables as a whole; they are empty."""
    tables = {"tables": [f"public.{table}" for table in _RELAXED]}
    await connection.execute(_sql("begin_load"), tables)
    yield
    await connection.execute(_sql("end_load"), tables)


@asynccontextmanager
async def _without_foreign_keys(connection: AsyncConnection[TupleRow]) -> AsyncGenerator[None]:
    """Take the foreign keys of the big tables off and put them back, checked, as they were."""
    async with connection.cursor(row_factory=class_row(_ForeignKey)) as cursor:
        await cursor.execute(_sql("foreign_keys"), {"tables": [f"public.{table}" for table in _RELAXED]})
        keys = await cursor.fetchall()
    for key in keys:
        await connection.execute(
            sql.SQL("alter table {} drop constraint {}").format(
                sql.Identifier("public", key.table_name), sql.Identifier(key.name)
            )
        )
    yield  # after an error there is nothing to put back: the transaction is undone
    for key in keys:
        await connection.execute(
            sql.SQL("alter table {} add constraint {} {}").format(
                sql.Identifier("public", key.table_name),
                sql.Identifier(key.name),
                # PostgreSQL's own text, from pg_get_constraintdef of the key that was taken off
                sql.SQL(key.definition),  # pyright: ignore[reportArgumentType]
            )
        )


@asynccontextmanager
async def _generator(season: Season) -> AsyncGenerator[AsyncIterator[_Frame]]:
    """The frames of `wedsync.demo.generate`, running beside us; it is ended with the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "wedsync.demo.generate"),
        *(str(season.seed), repr(season.size), season.today.isoformat()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_FRAME_LIMIT,
    )
    try:
        yield _frames(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _frames(process: asyncio.subprocess.Process) -> AsyncIterator[_Frame]:
    assert process.stdout is not None  # noqa: S101 - asked for above; told to the type checker
    assert process.stderr is not None  # noqa: S101
    while head := await process.stdout.readline():
        frame = json.loads(head)
        if frame["table"] is None:
            return
        text = await process.stdout.readexactly(frame["size_bytes"])
        yield _Frame(frame["table"], frame["rows"], text)
    said = (await process.stderr.read()).decode(errors="replace").strip()
    raise DemoRefused(
        "the rows of the demo season could not be made",
        detail=said.rpartition("\n")[2] or f"the generator ended with status {await process.wait()}",
        hint="nothing was loaded; run demo load again",
    )


async def _require_schema(connection: AsyncConnection[TupleRow], target: ConnectionTarget) -> None:
    if not await _value(connection, "schema_exists"):
        raise DemoRefused(f"{target} does not have the platform's schema yet", hint="wedsync migrate up")


async def _require_empty(connection: AsyncConnection[TupleRow], target: ConnectionTarget) -> None:
    couples = await _value(connection, "first_couples")
    if couples:
        raise DemoRefused(
            f"{target} holds weddings that are not the demo's",
            detail=f"{couples} weddings" if couples < 1000 else "1,000 weddings or more",  # type: ignore[operator]
            hint="load the demo into a home of its own: bin/up --home DIR",
        )


async def _read_marker(connection: AsyncConnection[TupleRow]) -> _Marker | None:
    async with connection.cursor(row_factory=class_row(_Marker)) as cursor:
        await cursor.execute(_sql("read_marker"))
        return await cursor.fetchone()


async def _today(connection: AsyncConnection[TupleRow]) -> date:
    today = await _value(connection, "today")
    if not isinstance(today, date):
        raise psycopg.DataError(f"current_date gave {today!r}")
    return today


async def _value(connection: AsyncConnection[TupleRow], name: str) -> object:
    row = await (await connection.execute(_sql(name))).fetchone()
    return None if row is None else row[0]


def _sql(name: str) -> bytes:
    return statements("demo")[name]
