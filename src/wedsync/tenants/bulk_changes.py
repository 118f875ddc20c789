"""Transactions that touched many rows, from the history: where somebody who looks for a mistake looks first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from wedsync.recovery import ChangedTable, Happening, HappeningKind, right_before
from wedsync.sql import statements
from wedsync.tenants.couples import names_of_couples

_NAMED_TABLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changed:
    transaction_id: str
    began_at: datetime
    committed_at: datetime | None
    user_id: str | None
    role_name: str
    session_name: str
    application_name: str | None
    request_id: str | None
    couple_id: str | None
    tables: str

    @property
    def who(self) -> str:
        """The user who was signed in, else the role in force; and with which program."""
        return _with_program(f"user {self.user_id}" if self.user_id else self.role_name, self.application_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    transaction_id: str
    began_at: datetime
    committed_at: datetime | None
    session_name: str
    application_name: str | None
    rows: int
    tables: int


async def read_bulk_changes(
    connection: AsyncConnection[TupleRow], *, since: datetime, until: datetime, least: int, limit: int
) -> list[Happening]:
    """Transactions that deleted or changed at least so many rows: the newest `limit` of them, newest first."""
    sql = statements("timeline")
    values = {"since": since, "until": until, "least": least, "limit": limit}
    async with connection.cursor(row_factory=class_row(_Changed)) as cursor:
        await cursor.execute(sql["bulk_changes"], values)
        found = await cursor.fetchall()
    couples = sorted({change.couple_id for change in found if change.couple_id is not None})
    names = await names_of_couples(connection, couples)
    return [_happening(change, names) for change in found]


async def read_loads(
    connection: AsyncConnection[TupleRow], *, since: datetime, until: datetime
) -> list[Happening]:
    """Times at which empty tables were filled in bulk."""
    async with connection.cursor(row_factory=class_row(_Loaded)) as cursor:
        await cursor.execute(statements("timeline")["loads"], {"since": since, "until": until})
        return [
            Happening(
                at=load.committed_at or load.began_at,
                kind=HappeningKind.LOADED,
                words=f"{load.rows} rows loaded into {load.tables} empty {_tables(load.tables)}",
                by=_with_program(load.session_name, load.application_name),
                before=right_before(load.committed_at or load.began_at),
                exact=load.committed_at is not None,
                detail={"transaction": load.transaction_id},
            )
            for load in await cursor.fetchall()
        ]


def change_words(tables: Sequence[ChangedTable]) -> str:
    """What a transaction did: `217 guests deleted, 3 households changed`."""
    done = [
        *((table.deleted, table.table, "deleted") for table in tables if table.deleted),
        *((table.changed, table.table, "changed") for table in tables if table.changed),
    ]
    done.sort(key=lambda item: -item[0])
    said = [f"{count} {table.removeprefix('public.')} {what}" for count, table, what in done[:_NAMED_TABLES]]
    rest = done[_NAMED_TABLES:]
    if rest:
        others = len({table for _, table, _ in rest})
        said.append(f"and {sum(item[0] for item in rest)} rows of {others} more {_tables(others)}")
    return ", ".join(said)


def _with_program(person: str, program: str | None) -> str:
    return f"{person} ({program})" if program else person


def _tables(count: int) -> str:
    return "table" if count == 1 else "tables"


def _happening(change: _Changed, names: Mapping[str, str]) -> Happening:
    tables = msgspec.json.decode(change.tables, type=list[ChangedTable])
    couple: dict[str, Any] = {}
    if change.couple_id is not None and change.couple_id in names:
        couple = {"couple_name": names[change.couple_id]}
    return Happening(
        at=change.committed_at or change.began_at,
        kind=HappeningKind.ROWS_CHANGED,
        words=f"{change_words(tables)} in one transaction",
        by=change.who,
        before=right_before(change.committed_at or change.began_at),
        exact=change.committed_at is not None,
        tables=tables,
        couple=change.couple_id,
        detail={"transaction": change.transaction_id, "request": change.request_id, **couple},
    )
