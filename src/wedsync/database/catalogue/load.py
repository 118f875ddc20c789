"""Read the catalogue of a database in one snapshot."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, args_row

from wedsync.database.catalogue.build import Circumstances, build
from wedsync.database.catalogue.model import Catalogue
from wedsync.database.catalogue.rows import (
    CatalogueRows,
    ColumnRow,
    FunctionRow,
    HandlerRow,
    KeyRow,
    RowFunctionRow,
    TableRow,
    ViewRow,
)
from wedsync.errors import SchemaMissing
from wedsync.sql import statements

Row = TypeVar("Row")
Parameters = dict[str, list[str]]


class _Server(NamedTuple):
    version_num: int
    has_postgis: bool


class _Schema(NamedTuple):
    name: str
    description: str | None


_LONGEST = timedelta(seconds=60)
"""For one statement: a catalogue of a hundred thousand tables takes some seconds."""
_LOCK = timedelta(seconds=1)
"""For a view that a migration holds: rather the old catalogue, and another try, than requests that wait for it."""


async def load_catalogue(
    connection: AsyncConnection[TupleRow],
    schemas: Sequence[str],
    *,
    extra_search_path: Sequence[str] = (),
    time_zones: frozenset[str] | None = None,
) -> Catalogue:
    """What the schemas hold, whoever asks; on a connection in autocommit mode that nothing else uses meanwhile.

    `time_zones`, if known from an earlier load, are not asked for again: that takes longer than the rest of a
    small catalogue. Raises `SchemaMissing` if a schema is not there.
    """
    parameters: Parameters = {"schemas": list(schemas), "search_path": list(extra_search_path)}
    await connection.execute(_sql("begin"))
    try:
        await _prepare(connection)
        await _all_there(connection, parameters)
        rows, around = await _read(connection, parameters, time_zones)
    finally:
        if not connection.closed and not connection.broken:
            await connection.execute("rollback")
    # a thousand views take a second of this processor: requests go on meanwhile
    return await asyncio.to_thread(build, rows, around)


async def read_fingerprint(
    connection: AsyncConnection[TupleRow], schemas: Sequence[str], *, extra_search_path: Sequence[str] = ()
) -> str:
    """What `Catalogue.fingerprint` is at this moment."""
    parameters: Parameters = {"schemas": list(schemas), "search_path": list(extra_search_path)}
    (found,) = await _rows(connection, "fingerprint", parameters, str)
    return found


async def _prepare(connection: AsyncConnection[TupleRow]) -> None:
    limits = {"statement_timeout": _LONGEST, "lock_timeout": _LOCK}
    in_ms = {name: str(round(limit.total_seconds() * 1000)) for name, limit in limits.items()}
    await connection.execute(_sql("prepare"), in_ms)


async def _all_there(connection: AsyncConnection[TupleRow], parameters: Parameters) -> None:
    missing = await _rows(connection, "missing_schemas", parameters, str)
    if missing:
        words = ", ".join(missing)
        raise SchemaMissing(
            f"the data API shall show schema {words}, which {'is' if len(missing) == 1 else 'are'} not there",
            detail=f"database {connection.info.dbname!r} on {connection.info.host}:{connection.info.port}",
            hint="create it, or name other schemas",
        )


async def _read(
    connection: AsyncConnection[TupleRow], parameters: Parameters, time_zones: frozenset[str] | None
) -> tuple[CatalogueRows, Circumstances]:
    (fingerprint,) = await _rows(connection, "fingerprint", parameters, str)
    (server,) = await _rows(connection, "server", parameters, _Server)
    described = await _rows(connection, "schemas", parameters, _Schema)
    if time_zones is None:
        time_zones = frozenset(await _rows(connection, "time_zones", parameters, str))
    rows = CatalogueRows(
        tables=await _rows(connection, "tables", parameters, TableRow),
        columns=await _rows(connection, "columns", parameters, ColumnRow),
        keys=await _rows(connection, "keys", parameters, KeyRow),
        views=await _rows(connection, "views", parameters, ViewRow),
        functions=await _rows(connection, "functions", parameters, FunctionRow),
        row_functions=await _rows(connection, "row_functions", parameters, RowFunctionRow),
        handlers=await _rows(connection, "media_handlers", parameters, HandlerRow),
    )
    around = Circumstances(
        schemas=tuple(parameters["schemas"]),
        extra_search_path=tuple(parameters["search_path"]),
        schema_descriptions={row.name: row.description for row in described if row.description},
        time_zones=time_zones,
        version_num=server.version_num,
        has_postgis=server.has_postgis,
        fingerprint=fingerprint,
    )
    return rows, around


async def _rows(
    connection: AsyncConnection[TupleRow], name: str, parameters: Parameters, make: Callable[..., Row]
) -> list[Row]:
    """The rows of one statement of `sql/catalogue.sql`, each made of its columns in their order."""
    async with connection.cursor(row_factory=args_row(make)) as cursor:
        await cursor.execute(_sql(name), parameters)
        return await cursor.fetchall()


def _sql(name: str) -> bytes:
    return statements("catalogue")[name]
