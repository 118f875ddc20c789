"""Rollbacks run in a shadow of the database: whether they work, and what they would take away."""

from collections.abc import Sequence
from typing import TypeVar

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row
from psycopg.sql import SQL, Composable, Identifier

from wedsync.database import ConnectionTarget
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.files.statements import Statement
from wedsync.migrations.run.failure import failed, first_error
from wedsync.migrations.run.session import Session
from wedsync.migrations.shadow.database import ShadowMaker, shadow_of
from wedsync.migrations.shadow.observation import Held, Relation
from wedsync.migrations.undo.losses import Column, Loss, LossKind, Threat, dropped
from wedsync.sql import statements

_KEPT = "this was tried in a shadow of the database: the database itself was not changed"
_WRITES = "RowExclusiveLock"
_NO_LOSS = {("audit", "watched")}
"""Written by `audit.watch` in the very migration that is undone: a table's entry, which goes with it."""

T = TypeVar("T")


async def rehearse(target: ConnectionTarget, maker: ShadowMaker, files: Sequence[MigrationFile]) -> list[Threat]:
    """Run rollbacks, given as files to run, in a shadow of `target`; what each does to rows and columns.

    Raises `MigrationFailed` for a rollback that does not work, `ShadowRefused` where no shadow can be made.
    """
    threats: list[Threat] = []
    async with shadow_of(target, maker) as shadow, await shadow.connect() as connection:
        session = await Session.begin(connection, target=shadow, by=None, key=None)
        existing = {it.oid: it for it in await _rows(connection, "existing_relations", Relation)}
        for file in files:
            before = await _rows(connection, "columns", Column)
            for group in _transactions(file):
                threats += await _run(session, file, group, existing)
            await session.send(session.bound("end_of_file") + session.settings())
            threats += dropped(file.id, before, await _rows(connection, "columns", Column))
    return [it for it in threats if it.kind is LossKind.TABLE or (it.schema, it.table) not in _NO_LOSS]


async def count(target: ConnectionTarget, threats: Sequence[Threat]) -> tuple[Loss, ...]:
    """How many rows there are that each threat is about; those of which there are none are left out."""
    tables = {(it.schema, it.table) for it in threats if it.kind is LossKind.TABLE}
    losses: list[Loss] = []
    async with await target.connect() as connection:
        await connection.execute(statements("shadow")["count_only"])
        for threat in dict.fromkeys(threats):
            if threat.kind is not LossKind.TABLE and (threat.schema, threat.table) in tables:
                continue  # told with the whole table
            rows = await _counted(connection, threat)
            if rows:
                losses.append(Loss(threat=threat, rows=rows))
    return tuple(losses)


def _transactions(file: MigrationFile) -> list[Sequence[Statement]]:
    return [file.statements] if file.options.transaction else [[statement] for statement in file.statements]


async def _run(
    session: Session, file: MigrationFile, group: Sequence[Statement], existing: dict[int, Relation]
) -> list[Threat]:
    from wedsync.migrations.undo.row_changes import row_changes  # noqa: PLC0415 - needs the parser

    threats: list[Threat] = []
    alone = len(group) == 1 and group[0].needs_own_transaction
    if not alone:
        await session.send("begin")
    for statement in group:
        await _checked(session, file, statement.text, statement)
        if alone:
            continue
        held = [it for it in await _rows(session.connection, "sample", Held) if it.oid in existing]
        writes = {it.oid for it in held if _WRITES in it.modes and existing[it.oid].kind in {"r", "p"}}
        read = row_changes(file.id, statement)
        if read is not None:
            threats += read
        else:
            threats += [_unknown(file.id, existing[oid]) for oid in sorted(writes)]
    if not alone:
        await _checked(session, file, "commit")
    return threats


def _unknown(migration: str, relation: Relation) -> Threat:
    return Threat(migration=migration, kind=LossKind.UNKNOWN, schema=relation.schema, table=relation.bare_name)


async def _checked(session: Session, file: MigrationFile, text: str, statement: Statement | None = None) -> None:
    failure = first_error(await session.send(text))
    if failure is not None:
        error, _ = failure
        line = None if statement is None else statement.line
        raise failed(file, error, statement=statement, line=line, kept=_KEPT) from error


async def _counted(connection: AsyncConnection[TupleRow], threat: Threat) -> int:
    table = Identifier(threat.schema, threat.table)
    exists = await (await connection.execute("select to_regclass(%s)", (table.as_string(connection),))).fetchone()
    if exists is None or exists[0] is None:
        return 0
    what: Composable = SQL("*") if threat.column is None else Identifier(threat.column)
    asked = SQL("select count({}) from {}").format(what, table).as_string(connection)
    if threat.where is not None:
        asked += f" where {threat.where}"
    row = await (await connection.execute(asked.encode())).fetchone()
    return int(row[0]) if row else 0


async def _rows(connection: AsyncConnection[TupleRow], name: str, kind: type[T]) -> list[T]:
    async with connection.cursor(row_factory=class_row(kind)) as cursor:
        await cursor.execute(statements("shadow")[name])
        return await cursor.fetchall()
