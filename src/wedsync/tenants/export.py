"""Everything about one tenant or person as files: JSON and CSV of every table, the history, and what they mean.

All of it is of one moment (one snapshot), and is streamed: the memory taken does not grow with the rows.
"""

import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, LiteralString, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from wedsync.database import ConnectionTarget
from wedsync.errors import ExportFailed, TenantUnknown
from wedsync.sql import statements
from wedsync.tenants.reach import Reach, find_reach
from wedsync.tenants.steps import history_columns
from wedsync.tenants.subject import Subject, SubjectKind
from wedsync.tenants.tables import Column, Reference, Table, read_tables

OnTable: TypeAlias = Callable[[str, int], None]
"""Told of each table that is written, and its rows."""

_HISTORY_COLUMNS: Final = (
    *("changed_at", "table_name", "operation", "statement", "row_key", "couple_id", "organization_id", "user_id"),
    *("role_name", "session_name", "application_name", "client_address", "forwarded_for", "request_id"),
    *("old_row", "new_row"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedTable:
    """One table of an export, as its manifest has it."""

    name: str
    comment: str
    rows: int
    found: tuple[str, ...]
    """How its rows were found."""
    columns: tuple[Column, ...]
    left_out: tuple[str, ...]
    files: dict[str, str]
    """File name and SHA-256."""

    def to_json(self) -> dict[str, object]:
        return {
            "table": self.name,
            "comment": self.comment,
            "rows": self.rows,
            "found": list(self.found),
            "left_out": list(self.left_out),
            "files": self.files,
            "columns": [{"name": item.name, "type": item.type, "comment": item.comment} for item in self.columns],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote."""

    subject: Subject
    at: datetime
    directory: Path
    tables: tuple[ExportedTable, ...]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    def to_json(self) -> dict[str, object]:
        """The manifest."""
        return {
            "subject": {"kind": self.subject.kind.value, "id": str(self.subject.id)},
            "at": self.at.isoformat(),
            "rows": self.rows,
            "tables": [table.to_json() for table in self.tables],
        }


async def export_tenant(
    target: ConnectionTarget, subject: Subject, directory: Path, *, on_table: OnTable | None = None
) -> Exported:
    """Write everything about the subject below `directory`, which must not exist or be empty.

    Raises `TenantUnknown`, `TablesUnplaced`, or `ExportFailed` with nothing left behind.
    """
    draft = directory.with_name(f".{directory.name}.new")
    _require_empty(directory)
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o700)
        async with await target.connect() as connection, connection.transaction():
            await connection.execute(statements("tenants")["snapshot"])
            await connection.execute(statements("tenants")["see_every_row"])
            at = await _value(connection, "now")
            reach = await read_reach(connection, subject)
            tables = [
                await _write(connection, draft, name, items, on_table) for name, items in _by_table(reach).items()
            ]
            tables.append(await _write_history(connection, draft, reach, subject, on_table))
        done = Exported(subject=subject, at=at, directory=directory, tables=tuple(tables))
        _finish(draft, done)
    except OSError as error:
        raise ExportFailed(
            f"cannot write the export to {directory}", detail=str(error), hint="free space, or another --to"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return done


def _finish(draft: Path, done: Exported) -> None:
    (draft / "manifest.json").write_text(json.dumps(done.to_json(), indent=2, ensure_ascii=False) + "\n")
    (draft / "README.md").write_text(_readme(done))
    with suppress(FileNotFoundError):
        done.directory.rmdir()
    draft.rename(done.directory)


async def read_reach(connection: AsyncConnection[TupleRow], subject: Subject) -> tuple[Reach, ...]:
    """Everything about the subject in this database.

    Raises `TenantUnknown` if there is nobody of this id, and the history knows nothing of one that was deleted.
    """
    tables = await read_tables(connection)
    email = None
    if subject.kind is SubjectKind.USER:
        row = await (
            await connection.execute(statements("tenants")["email_of_user"], {"id": subject.id})
        ).fetchone()
        email = row[0] if row is not None else None
    reach = find_reach(tables, subject, email=email)
    root = next(item for item in reach if item.table.name == subject.kind.root)
    values = {"kind": subject.kind.value, "id": subject.id}
    for query, given in ((count_of(root.table, root.where), None), (statements("tenants")["in_history"], values)):
        row = await (await connection.execute(query, given)).fetchone()
        if row is not None and row[0]:
            break
    else:
        raise TenantUnknown(
            f"there is no {subject}",
            detail=f"{subject.kind.root} has no row with this id, and its history no values of one",
            hint="was it erased already, or is the database of another home meant?",
        )
    return reach


def count_of(table: Table, where: Composable) -> Composed:
    """A count of the table's rows."""
    return SQL("select count(*) from {} where {}").format(table.identifier, where)


def _require_empty(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ExportFailed(f"{directory} is there already", hint="name a directory that does not exist: --to DIR")


def _by_table(reach: Sequence[Reach]) -> dict[str, list[Reach]]:
    found: dict[str, list[Reach]] = {}
    for item in reach:
        found.setdefault(item.table.name, []).append(item)
    return found


async def _write(
    connection: AsyncConnection[TupleRow],
    directory: Path,
    name: str,
    items: Sequence[Reach],
    on_table: OnTable | None,
) -> ExportedTable:
    table = items[0].table
    # One row may be found in more than one way.
    where = SQL(" or ").join(SQL("({})").format(item.where) for item in items)
    rows = SQL("select {} from {} where {} order by {}").format(
        SQL(", ").join(Identifier(column.name) for column in table.shown),
        table.identifier,
        where,
        SQL(", ").join(map(Identifier, table.key)),
    )
    count, files = await _write_files(connection, directory, name, rows)
    if on_table is not None:
        on_table(name, count)
    return ExportedTable(
        name=name,
        comment=table.comment,
        rows=count,
        found=tuple(item.why for item in items),
        columns=table.shown,
        left_out=table.left_out,
        files=files,
    )


async def _write_history(
    connection: AsyncConnection[TupleRow],
    directory: Path,
    reach: Sequence[Reach],
    subject: Subject,
    on_table: OnTable | None,
) -> ExportedTable:
    name = "audit.record_version"
    rows = SQL("select {} from audit.record_version v where {} order by v.id").format(
        SQL(", ").join(SQL("v.{}").format(Identifier(column)) for column in _HISTORY_COLUMNS),
        history_where(reach, subject),
    )
    count, files = await _write_files(connection, directory, name, rows)
    if on_table is not None:
        on_table(name, count)
    return ExportedTable(
        name=name,
        comment="What was changed, when, by whom and from where: old values, and what became of them.",
        rows=count,
        found=("versions about it, and a user's own changes",),
        columns=tuple(Column(name=column, type="", nullable=True) for column in _HISTORY_COLUMNS),
        left_out=(),
        files=files,
    )


def history_where(reach: Sequence[Reach], subject: Subject) -> Composable:
    """Versions about the subject; of a user also those that the user made."""
    value = Literal(subject.id)
    match subject.kind:
        case SubjectKind.COUPLE:
            ways: list[Composable] = [SQL("v.couple_id = {}").format(value)]
        case SubjectKind.ORGANIZATION:
            ways = [SQL("v.organization_id = {} and v.table_name <> 'public.couples'").format(value)]
        case SubjectKind.USER:
            ways = [SQL("v.user_id = {}").format(value)]
    for column in history_columns(reach, subject):
        ways.append(
            SQL("v.table_name = {} and lower({}) in (lower(v.old_row #>> {}), lower(v.new_row #>> {}))").format(
                Literal(column["table"]),
                Literal(column.get("value", str(subject.id))),
                Literal(column["path"]),
                Literal(column["path"]),
            )
        )
    for item in reach:
        if item.by is not None:
            ways.append(_versions_by_parent(item, item.by, subject))
    return SQL(" or ").join(SQL("({})").format(way) for way in ways)


def _versions_by_parent(item: Reach, by: Reference, subject: Subject) -> Composable:
    """Versions of rows that belong to the couple by another table, also of rows that are gone."""
    return SQL("v.table_name = {} and {} in (select {} from {} where {} union all {})").format(
        Literal(item.table.name),
        _key_of_version("v", by.columns),
        SQL("jsonb_build_array({})").format(SQL(", ").join(map(Identifier, by.columns))),
        item.table.identifier,
        item.where,
        SQL("select {} from audit.record_version p where p.table_name = {} and p.couple_id = {}").format(
            _key_of_version("p", by.referenced), Literal(by.table), Literal(subject.id)
        ),
    )


def _key_of_version(alias: LiteralString, columns: Sequence[str]) -> Composed:
    row = SQL("(coalesce({0}.new_row, '{{}}') || coalesce({0}.old_row, '{{}}'))").format(SQL(alias))
    return SQL("jsonb_build_array({})").format(
        SQL(", ").join(SQL("{} -> {}").format(row, Literal(column)) for column in columns)
    )


async def _write_files(
    connection: AsyncConnection[TupleRow], directory: Path, name: str, rows: Composed
) -> tuple[int, dict[str, str]]:
    count = 0
    json_name, csv_name = f"{name}.json", f"{name}.csv"
    with (directory / json_name).open("wb") as file:
        hashed = _Hashed(file)
        async for line in _json_rows(connection, rows):
            hashed.write(b"[\n" if count == 0 else b",\n")
            hashed.write(line)
            count += 1
        hashed.write(b"\n]\n" if count else b"[]\n")
        files = {json_name: hashed.hexdigest()}
    with (directory / csv_name).open("wb") as file:
        hashed = _Hashed(file)
        async with connection.cursor().copy(
            SQL("copy ({}) to stdout with (format csv, header)").format(rows)
        ) as copy:
            async for part in copy:
                hashed.write(bytes(part))
        files[csv_name] = hashed.hexdigest()
    return count, files


async def _json_rows(connection: AsyncConnection[TupleRow], rows: Composed) -> AsyncIterator[bytes]:
    query = SQL("select row_to_json(r)::text from ({}) as r").format(rows)
    async for row in connection.cursor().stream(query):
        yield str(row[0]).encode()


class _Hashed:
    """A file whose SHA-256 is known when it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    def write(self, part: bytes) -> None:
        self._file.write(part)
        self._digest.update(part)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


async def _value(connection: AsyncConnection[TupleRow], name: str) -> Any:
    row = await (await connection.execute(statements("tenants")[name])).fetchone()
    return None if row is None else row[0]


def _readme(done: Exported) -> str:
    lines = [
        f"# Everything about {done.subject}",
        "",
        f"As it was at {done.at.isoformat()}, {done.rows:,} rows. Each table is here twice, as JSON (an array of",
        "objects) and as CSV (UTF-8, with a head). Moments have their offset from UTC. `manifest.json` has every",
        "file's SHA-256 and every column.",
        "",
    ]
    for table in done.tables:
        if not table.rows:
            continue
        lines += [f"## {table.name}", "", f"{table.comment} {table.rows:,} rows, {'; '.join(table.found)}.", ""]
        if table.left_out:
            lines += [f"Left out, as secrets: {', '.join(table.left_out)}.", ""]
        lines += [
            f"- `{column.name}`{f' ({column.type})' if column.type else ''}"
            + (f": {column.comment}" if column.comment else "")
            for column in table.columns
        ]
        lines.append("")
    empty = [table.name for table in done.tables if not table.rows]
    lines += ["## Nothing in", "", ", ".join(empty) or "–", ""]
    return "\n".join(lines)
