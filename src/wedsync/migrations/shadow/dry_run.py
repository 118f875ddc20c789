"""A run of what is pending in a shadow of the database: what it would do, statement by statement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import psycopg
from psycopg.rows import class_row

from wedsync.database import ConnectionTarget
from wedsync.errors import BeyondShadow
from wedsync.migrations.files.directory import SHIPPED
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.files.statements import Statement
from wedsync.migrations.run.failure import connection_lost, failed, first_error
from wedsync.migrations.run.runner import Conditions, up
from wedsync.migrations.run.session import Session, prepare_ledger
from wedsync.migrations.shadow.database import ShadowMaker, shadow_of
from wedsync.migrations.shadow.fingerprint import (
    Difference,
    Fingerprint,
    differences,
    fingerprint_of,
    read_fingerprint,
)
from wedsync.migrations.shadow.observation import Held, Observer, Relation, Size, Touched
from wedsync.sql import statements

OnFile: TypeAlias = Callable[[MigrationFile], None]

LEDGER = frozenset({"ops.migrations", "ops.migration_head", "ops.migration_steps"})
"""Tables of the runner itself: made by it, not by a file."""
_KEPT = "this was a dry run: nothing was changed"
_EMPTY = "the shadow's tables are empty: what needs rows to be there can fail in it and pass in the real run"
_NEEDS_ROWS = frozenset({"23503", "P0002", "P0004", "23502"})
"""foreign_key_violation, no_data_found, assert_failure, not_null_violation (of an empty sub-select)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementTried:
    """One statement in the shadow."""

    line: int
    text: str
    """Its first line."""
    took_s: float
    own_transaction: bool
    """It ends its own transaction: its lock is the manual's, not seen."""
    touched: tuple[Touched, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTried:
    """One file in the shadow."""

    file: MigrationFile
    took_s: float
    statements: tuple[StatementTried, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What the pending files would do."""

    files: tuple[FileTried, ...]
    sizes: Mapping[str, Size]
    """Of the tables in use that they touch, by name."""
    changes: tuple[Difference, ...]
    """What the catalogue would have besides."""
    unlike: tuple[Difference, ...]
    """Where the shadow was not like the database before the first statement."""
    before: Fingerprint
    after: Fingerprint
    """Of the database itself, before and after the dry run."""
    took_s: float
    shadow_s: float
    """To make the shadow."""
    meanwhile: tuple[Difference, ...] = field(default=())
    """What somebody else changed in the database while this went on."""

    @property
    def target_unchanged(self) -> bool:
        """Whether the database's catalogue is as before."""
        return self.before.digest == self.after.digest

    def to_json(self) -> dict[str, object]:
        return {
            "dry_run": True,
            "applied": [],
            "would_apply": [tried.file.id for tried in self.files],
            "files": [
                {
                    "id": tried.file.id,
                    "took_ms": round(tried.took_s * 1000, 1),
                    "statements": [
                        {
                            "line": it.line,
                            "statement": it.text,
                            "took_ms": round(it.took_s * 1000, 1),
                            "own_transaction": it.own_transaction,
                            "tables": [touched.to_json(self.sizes.get(touched.table)) for touched in it.touched],
                        }
                        for it in tried.statements
                    ],
                }
                for tried in self.files
            ],
            "changes": [change.to_json() for change in self.changes],
            "shadow": {
                "made_in_s": round(self.shadow_s, 3),
                "differs_from_target": [it.to_json() for it in self.unlike],
            },
            "target": {
                "unchanged": self.target_unchanged,
                "fingerprint_before": self.before.digest,
                "fingerprint_after": self.after.digest,
                "changed_meanwhile": [it.to_json() for it in self.meanwhile],
            },
            "took_s": round(self.took_s, 3),
        }


async def dry_run(
    target: ConnectionTarget,
    maker: ShadowMaker,
    *,
    directory: Path = SHIPPED,
    allow_out_of_order: bool = False,
    conditions: Conditions,
    on_file: OnFile = lambda _: None,
) -> DryRun:
    """Run what is pending in a shadow of `target`, which itself is only read.

    Raises what a real run raises before its first statement and for a statement that fails, with file and line;
    `BeyondShadow` for one that would change more than its database, `ShadowRefused` where no shadow can be made.
    """
    from wedsync.migrations.shadow.beyond import refuse_what_reaches_beyond  # noqa: PLC0415 - needs the parser

    started = monotonic()
    pending = await up(
        target, directory=directory, allow_out_of_order=allow_out_of_order, dry_run=True, conditions=conditions
    )
    for file in pending.would_apply:
        refuse_what_reaches_beyond(file)
    before = await read_fingerprint(target)
    making = monotonic()
    async with shadow_of(target, maker) as shadow, await shadow.connect() as connection:
        shadow_s = monotonic() - making
        copied = await fingerprint_of(connection)
        session = await Session.begin(connection, target=shadow, by=conditions.by, key=None)
        await prepare_ledger(session)
        trial = _Trial(session, await _existing(session))
        files: list[FileTried] = []
        for file in pending.would_apply:
            on_file(file)
            files.append(await trial.run(file))
        reached = await fingerprint_of(connection)
    after = await read_fingerprint(target)
    return DryRun(
        files=tuple(files),
        sizes=await _sizes(target, files),
        changes=differences(copied.without(LEDGER), reached.without(LEDGER)),
        unlike=differences(before, copied),
        before=before,
        after=after,
        meanwhile=differences(before, after),
        took_s=monotonic() - started,
        shadow_s=shadow_s,
    )


class _Trial:
    """Files run in a shadow, a statement at a time."""

    def __init__(self, session: Session, existing: Sequence[Relation]) -> None:
        self._session = session
        self._observer = Observer(existing)
        self._names = {it.oid: it.name for it in existing}

    async def run(self, file: MigrationFile) -> FileTried:
        started = monotonic()
        if file.options.transaction:
            tried = await self._in_one_transaction(file, file.statements)
        else:
            tried: list[StatementTried] = []
            for statement in file.statements:
                if statement.needs_own_transaction:
                    tried.append(await self._alone(file, statement))
                else:
                    tried += await self._in_one_transaction(file, [statement])
        await self._checked(file, self._session.bound("end_of_file") + self._session.settings())
        return FileTried(file=file, took_s=monotonic() - started, statements=tuple(tried))

    async def _in_one_transaction(
        self, file: MigrationFile, statements_: Sequence[Statement]
    ) -> list[StatementTried]:
        self._observer.new_transaction()
        await self._checked(file, "begin")
        tried: list[StatementTried] = []
        for statement in statements_:
            took_s = await self._timed(file, statement)
            touched = self._observer.after(await self._sample())
            tried.append(_tried(statement, took_s, touched))
        await self._refuse_beyond(file)
        await self._checked(file, "commit")
        return tried

    async def _alone(self, file: MigrationFile, statement: Statement) -> StatementTried:
        from wedsync.migrations.shadow.known_locks import known_lock  # noqa: PLC0415 - needs the parser

        took_s = await self._timed(file, statement)
        lock = known_lock(statement.node)
        return _tried(statement, took_s, () if lock is None else self._known(statement, lock))

    def _known(self, statement: Statement, lock: str) -> tuple[Touched, ...]:
        relation = getattr(statement.node, "relation", None)
        if relation is None:
            return ()
        schema = f"{relation.schemaname}." if relation.schemaname else "public."
        name = f"{schema}{relation.relname}"
        index = getattr(statement.node, "idxname", None)
        if name not in self._names.values():
            return ()
        return (Touched(table=name, lock=lock, scanned=True, indexes=(f"{schema}{index}",) if index else ()),)

    async def _timed(self, file: MigrationFile, statement: Statement) -> float:
        started = monotonic()
        await self._checked(file, statement.text, statement)
        return monotonic() - started

    async def _checked(self, file: MigrationFile, text: str, statement: Statement | None = None) -> None:
        try:
            failure = first_error(await self._session.send(text))
        except psycopg.OperationalError as error:
            raise connection_lost(file, error) from error
        if failure is None:
            return
        error, _ = failure
        line = None
        if statement is not None:
            at = int(error.diag.statement_position or 1)
            line = statement.line + statement.text.count("\n", 0, at - 1)
        kept = f"{_KEPT}; {_EMPTY}" if error.sqlstate in _NEEDS_ROWS else _KEPT
        raise failed(file, error, statement=statement, line=line, kept=kept) from error

    async def _sample(self) -> list[Held]:
        async with self._session.connection.cursor(row_factory=class_row(Held)) as cursor:
            await cursor.execute(_sql("sample"))
            return await cursor.fetchall()

    async def _refuse_beyond(self, file: MigrationFile) -> None:
        """What the parser did not see: statements inside DO blocks and functions."""
        row = await (await self._session.connection.execute(_sql("beyond"))).fetchone()
        if row and row[0]:
            await self._session.send("rollback")
            raise BeyondShadow(
                f"{file.file_name}: changes what belongs to the whole server; a shadow cannot keep that to itself",
                detail=f"it writes to {', '.join(row[0])}; that was undone",
                hint=BeyondShadow.HINT,
            )


def _tried(statement: Statement, took_s: float, touched: tuple[Touched, ...]) -> StatementTried:
    return StatementTried(
        line=statement.line,
        text=statement.first_line,
        took_s=took_s,
        own_transaction=statement.needs_own_transaction,
        touched=touched,
    )


async def _existing(session: Session) -> list[Relation]:
    async with session.connection.cursor(row_factory=class_row(Relation)) as cursor:
        await cursor.execute(_sql("existing_relations"))
        return await cursor.fetchall()


async def _sizes(target: ConnectionTarget, files: Sequence[FileTried]) -> dict[str, Size]:
    names = sorted({touched.table for file in files for it in file.statements for touched in it.touched})
    async with await target.connect() as connection:
        cursor = await connection.execute(_sql("live_sizes"), {"names": names})
        return {name: Size(rows=rows, size_bytes=size_bytes) for name, rows, size_bytes in await cursor.fetchall()}


def _sql(name: str) -> bytes:
    return statements("shadow")[name]
