"""What a wedding's rows were at a moment, and who changed what since."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from wedsync.database import ConnectionTarget
from wedsync.errors import HistoryUnknown, TenantUnknown
from wedsync.sql import statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row that was added, changed or removed."""

    changed_at: datetime
    table_name: str
    operation: str
    statement: str
    row_key: list[Any] | None
    user_id: str | None
    role_name: str
    session_name: str
    application_name: str | None
    client_address: str | None
    forwarded_for: str | None
    request_id: str | None
    transaction_id: str
    old_row: dict[str, Any] | None
    new_row: dict[str, Any] | None
    erasure_id: str | None

    @property
    def who(self) -> str:
        """The user who was signed in, else the role in force."""
        return f"user {self.user_id}" if self.user_id else self.role_name

    @property
    def what(self) -> str:
        """The change in words: columns that differ and their values before and after."""
        if self.erasure_id is not None:
            return "values erased"
        match self.operation:
            case "update":
                old, new = self.old_row or {}, self.new_row or {}
                return (
                    ", ".join(
                        f"{name}: {_short(old.get(name))} → {_short(value)}"
                        for name, value in new.items()
                        if value != old.get(name) and name not in {"updated_at", "version"}
                    )
                    or "nothing but its time"
                )
            case "insert":
                return _name_of(self.new_row)
            case _:
                return _name_of(self.old_row)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsAsOf:
    """Rows of a table as they were."""

    at: datetime
    table: str
    rows: list[dict[str, Any]]


async def rows_as_of(target: ConnectionTarget, couple: UUID, *, table: str, at: datetime) -> RowsAsOf:
    """A couple's rows of a table as they were committed at a moment, people by name.

    `table` is of public unless it names its schema. A moment without an offset is by the clocks of the
    wedding's place. Raises `TenantUnknown`, `HistoryUnknown`.
    """
    name = table if "." in table else f"public.{table}"
    sql = statements("tenants")
    async with await target.connect() as connection:
        await _require_couple(connection, couple)
        row = await (await connection.execute(sql["table_exists"], {"table": name})).fetchone()
        if row is None or not row[0]:
            raise HistoryUnknown(f"there is no table {name}", hint="such as: --table guests")
        at = await _with_offset(connection, couple, at)
        try:
            cursor = await connection.execute(sql["rows_as_of"], {"table": name, "couple": couple, "at": at})
            rows = [row[0] for row in await cursor.fetchall()]
        except (
            psycopg.errors.UndefinedTable,
            psycopg.errors.UndefinedColumn,
            psycopg.errors.DatetimeFieldOverflow,
        ) as error:
            raise HistoryUnknown(
                str(error.diag.message_primary), hint=error.diag.message_hint or "wedsync tenant changes"
            ) from error
    ordered = sorted(rows, key=lambda row: (str(row.get("last_name", "")), str(row.get("id", row))))
    return RowsAsOf(at=at, table=name, rows=ordered)


async def changes(
    target: ConnectionTarget, couple: UUID, *, since: datetime, table: str | None = None
) -> AsyncIterator[Change]:
    """What was changed about a wedding, oldest first, as it is read. Raises `TenantUnknown`."""
    name = None if table is None else table if "." in table else f"public.{table}"
    async with await target.connect() as connection:
        await _require_couple(connection, couple)
        since = await _with_offset(connection, couple, since)
        values = {"couple": couple, "since": since, "table": name}
        async with connection.cursor(row_factory=class_row(Change)) as cursor:
            async for change in cursor.stream(statements("tenants")["changes"], values):
                yield change


async def _with_offset(connection: AsyncConnection[TupleRow], couple: UUID, at: datetime) -> datetime:
    if at.tzinfo is not None:
        return at
    cursor = await connection.execute(statements("tenants")["moment_there"], {"couple": couple, "at": at})
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - the statement gives one row always
    moment: datetime = row[0]
    return moment


async def _require_couple(connection: AsyncConnection[TupleRow], couple: UUID) -> None:
    cursor = await connection.execute(statements("tenants")["couple_known"], {"couple": couple})
    row = await cursor.fetchone()
    if row is None or not row[0]:
        raise TenantUnknown(
            f"there is no couple {couple}", detail="neither now nor in the history", hint="look at public.couples"
        )


def _short(value: object) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


_NAMES: Final = (
    ("first_name", "last_name"),
    ("name",),
    ("title",),
    ("subject",),
    ("field_key", "value"),
    ("body",),
)


def _name_of(row: dict[str, Any] | None) -> str:
    """What a person would call a row."""
    given = row or {}
    for names in _NAMES:
        if given.get(names[0]) is not None:
            return _short(" ".join(str(given[name]) for name in names if given.get(name) is not None))
    return ""
