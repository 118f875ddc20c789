"""Erase a tenant or a person: every table, the history's values, and again after a recovery to before it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier
from psycopg.types.json import Jsonb

from wedsync.clock import Clock
from wedsync.cluster import write_private
from wedsync.database import ConnectionTarget
from wedsync.errors import ErasureRefused, TenantUnknown, WedsyncError
from wedsync.events import Event, observe
from wedsync.sql import statements
from wedsync.state import StateStore
from wedsync.tenants.erasures import Erasure, ErasureBook
from wedsync.tenants.export import count_of, read_reach
from wedsync.tenants.reach import Reach
from wedsync.tenants.steps import Action, Step, erasure_steps, history_columns, history_links
from wedsync.tenants.subject import Subject, SubjectKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantErased(Event):
    """Somebody's rows were erased, or erased once more after a recovery."""

    erasure: str
    subject: str
    rows: int
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureNotRepeated(Event):
    """What had been erased came back with a recovery, and could not be erased again."""

    level: ClassVar[str] = "error"
    erasure: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRows:
    """Rows of one table and what happens, or happened, to them."""

    table: str
    action: Action
    rows: int
    why: str
    keys_sha256: str | None = None
    """SHA-256 over the primary keys, in order: whoever knows a key can show whether it was among them."""

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {
            "table": self.table,
            "action": self.action.value,
            "rows": self.rows,
            "why": self.why,
        }
        return found | ({"keys_sha256": self.keys_sha256} if self.keys_sha256 else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasurePlan:
    """What an erasure would do; rows were counted when it was made."""

    subject: Subject
    tables: tuple[TableRows, ...]
    stored_files: tuple[str, ...]
    """Storage keys of files whose description goes: the bytes lie outside the database."""
    wedding_is_near: str | None

    @property
    def rows(self) -> int:
        return sum(item.rows for item in self.tables if item.action is not Action.KEEP)

    def to_json(self) -> dict[str, object]:
        return {
            "subject": {"kind": self.subject.kind.value, "id": str(self.subject.id)},
            "rows": self.rows,
            "tables": [item.to_json() for item in self.tables],
            "stored_files": list(self.stored_files),
            "wedding_is_near": self.wedding_is_near,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was erased, and the proof of it."""

    id: UUID
    subject: Subject
    at: datetime
    by: str
    tables: tuple[TableRows, ...]
    versions: int
    stored_files: tuple[str, ...]
    gone_from_backups_at: datetime | None
    proof: Path

    @property
    def rows(self) -> int:
        return sum(item.rows for item in self.tables if item.action is not Action.KEEP)

    def to_proof(self) -> dict[str, Any]:
        """The proof document: nothing personal in it but the id that was asked for."""
        return {
            "erasure": str(self.id),
            "subject": {"kind": self.subject.kind.value, "id": str(self.subject.id)},
            "erased_at": self.at.isoformat(),
            "by": self.by,
            "tables": [item.to_json() for item in self.tables],
            "history_versions_emptied": self.versions,
            "stored_files": len(self.stored_files),
            "backups": {
                "gone_at": self.gone_from_backups_at.isoformat() if self.gone_from_backups_at else None,
                "until_then": "a recovery to a moment before the erasure is followed by the same erasure again",
            },
        }

    def to_json(self) -> dict[str, Any]:
        return self.to_proof() | {"stored_files": list(self.stored_files), "proof": str(self.proof)}


class Eraser:
    """Erases tenants and people of one home."""

    def __init__(
        self,
        target: ConnectionTarget,
        *,
        state: StateStore,
        clock: Clock,
        proofs: Path,
        backups_keep: timedelta | None,
    ) -> None:
        """`target` is the owner of the tables, `proofs` the directory of the proof documents.

        `backups_keep`: how long a backup may be kept at the most; `None` where none are taken from here.
        """
        self._target = target
        self._book = ErasureBook(state)
        self._clock = clock
        self._proofs = proofs
        self._backups_keep = backups_keep

    async def plan(self, subject: Subject) -> ErasurePlan:
        """Count what would be erased; change nothing.

        Raises `TenantUnknown`, `TablesUnplaced`, and `ErasureRefused` for a business that weddings depend on.
        """
        async with await self._target.connect() as connection, connection.transaction():
            await connection.execute(statements("tenants")["snapshot"])
            await connection.execute(statements("tenants")["see_every_row"])
            reach = await read_reach(connection, subject)
            await _require_alone(connection, subject)
            tables = [
                TableRows(
                    table=step.table.name,
                    action=step.action,
                    rows=await _count(connection, count_of(step.table, step.where)),
                    why=step.why,
                )
                for step in erasure_steps(reach, subject)
            ]
            return ErasurePlan(
                subject=subject,
                tables=tuple(item for item in tables if item.rows),
                stored_files=await _stored_files(connection, reach),
                wedding_is_near=await self._near(connection, subject),
            )

    async def erase(self, subject: Subject, *, by: str, override: str | None = None) -> Erased:
        """Erase now, in one transaction, and write the proof.

        Raises `ErasureRefused` for a wedding that is today or tomorrow, unless `override` says why it must be.
        """
        plan = await self.plan(subject)
        if plan.wedding_is_near is not None and not override:
            raise ErasureRefused(
                f"the wedding of {subject} is near: {plan.wedding_is_near}",
                hint="erase it afterwards, or give the reason: --override REASON",
            )
        erasure = Erasure(
            id=uuid4(),
            subject=subject,
            asked_at=self._clock.now(),
            asked_by=by,
            erased_at=None,
            gone_from_backups_at=None,
        )
        self._book.begin(erasure)
        try:
            return await self._carry_out(erasure, plan.stored_files, again=False)
        except (WedsyncError, psycopg.Error):
            if await self._was_undone(erasure.id):
                self._book.forget(erasure.id)
            raise

    async def repeat(self) -> tuple[Erased, ...]:
        """Erase again what the database does not know to be erased: it was taken back to before it.

        Nothing to do costs one query. One that fails is said and left for the next time.
        """
        known = await self.learn()
        done: list[Erased] = []
        for erasure in self._book.all():
            if erasure.id in known:
                continue
            try:
                done.append(await self._carry_out(erasure, (), again=True))
            except TenantUnknown:
                continue  # the database went back to before there was anything of them
            except (WedsyncError, psycopg.Error) as error:
                said = error.in_one_line() if isinstance(error, WedsyncError) else str(error).partition("\n")[0]
                observe(ErasureNotRepeated(erasure=str(erasure.id), message=said))
        return tuple(done)

    async def learn(self) -> set[UUID]:
        """Note the erasures that the database knows; their ids.

        The state file may be younger than they are: it went with a lost machine, and a later recovery to before
        them has to erase them again all the same.
        """
        async with await self._target.connect() as connection:
            if not await _count(connection, statements("tenants")["history_is_there"]):
                return set()
            cursor = await connection.execute(statements("tenants")["erasures_in_database"])
            rows = await cursor.fetchall()
        for id_, erased_at, kind, subject, by in rows:
            self._book.learn(
                Erasure(
                    id=id_,
                    subject=Subject(kind=SubjectKind(kind), id=subject),
                    asked_at=erased_at,
                    asked_by=by,
                    erased_at=erased_at,
                    gone_from_backups_at=None,
                )
            )
        return {row[0] for row in rows}

    async def _was_undone(self, erasure: UUID) -> bool:
        """Whether nothing was erased for certain: a connection that is lost at the commit leaves that open."""
        try:
            async with await self._target.connect() as connection:
                return not await _count(connection, statements("tenants")["erasure_in_database"], {"id": erasure})
        except (WedsyncError, psycopg.Error):
            return False

    async def _carry_out(self, erasure: Erasure, stored_files: tuple[str, ...], *, again: bool) -> Erased:
        subject = erasure.subject
        async with await self._target.connect() as connection, connection.transaction():
            await connection.execute(statements("tenants")["see_every_row"])
            reach = await read_reach(connection, subject)
            await _require_alone(connection, subject)
            kept = await _count(connection, statements("tenants")["row_recoveries_are_there"])
            if kept:  # with what undo keeps of rows that were brought back, while the person's address is known
                await _forget_kept_rows(connection, subject)
            if again:
                stored_files = await _stored_files(connection, reach)
            tables = [await _apply(connection, step) for step in erasure_steps(reach, subject)]
            versions = await _count(
                connection,
                statements("tenants")["erase_history"],
                {
                    "erasure": erasure.id,
                    "kind": subject.kind.value,
                    "subject": subject.id,
                    "by": erasure.asked_by,
                    "links": Jsonb(history_links(reach)),
                    "columns": Jsonb(history_columns(reach, subject)),
                },
            )
        now = self._clock.now()
        gone_at = now + self._backups_keep if self._backups_keep is not None else None
        done = Erased(
            id=erasure.id,
            subject=subject,
            at=now,
            by=erasure.asked_by,
            tables=tuple(item for item in tables if item.rows),
            versions=versions,
            stored_files=stored_files,
            gone_from_backups_at=gone_at,
            proof=self._proofs / f"{now:%Y%m%dT%H%M%S}_{erasure.id}.json",
        )
        self._book.end(
            erasure.id,
            at=now,
            gone_at=gone_at,
            summary={f"{item.action.value} {item.table}": item.rows for item in done.tables},
        )
        self._write_proof(done, again=again)
        observe(TenantErased(erasure=str(done.id), subject=str(subject), rows=done.rows, again=again))
        return done

    def _write_proof(self, done: Erased, *, again: bool) -> None:
        content = done.to_proof() | {"again_after_a_recovery": again}
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        sealed = content | {"sha256": hashlib.sha256(text.encode()).hexdigest()}
        write_private(done.proof, (json.dumps(sealed, indent=2, ensure_ascii=False) + "\n").encode())

    async def _near(self, connection: AsyncConnection[TupleRow], subject: Subject) -> str | None:
        if subject.kind is not SubjectKind.COUPLE:
            return None
        cursor = await connection.execute(
            statements("tenants")["wedding_is_near"], {"id": subject.id, "now": self._clock.now()}
        )
        row = await cursor.fetchone()
        return f"{row[0]}, {row[1]}" if row is not None else None


async def _forget_kept_rows(connection: AsyncConnection[TupleRow], subject: Subject) -> None:
    email = ""
    if subject.kind is SubjectKind.USER:
        cursor = await connection.execute(statements("tenants")["email_of_user"], {"id": subject.id})
        row = await cursor.fetchone()
        email = row[0] if row is not None else ""
    await connection.execute(
        statements("tenants")["erase_row_recoveries"],
        {"column": subject.kind.column, "subject": subject.id, "email": email},
    )


async def _require_alone(connection: AsyncConnection[TupleRow], subject: Subject) -> None:
    """Raise `ErasureRefused` for a business that weddings still depend on."""
    if subject.kind is not SubjectKind.ORGANIZATION:
        return
    weddings = await _count(connection, statements("tenants")["weddings_looked_after"], {"id": subject.id})
    if weddings:
        raise ErasureRefused(
            f"{subject} looks after {weddings} weddings",
            detail="a wedding belongs to its couple: it does not go with the business",
            hint="give them to another organization (couples.organization_id), or erase them first",
        )


async def _apply(connection: AsyncConnection[TupleRow], step: Step) -> TableRows:
    rows, digest = 0, None
    if step.action is Action.KEEP:
        rows = await _count(connection, count_of(step.table, step.where))
    else:
        cursor = await connection.execute(_statement(step))
        found = await cursor.fetchone()
        rows, digest = (int(found[0]), found[1]) if found is not None else (0, None)
    return TableRows(table=step.table.name, action=step.action, rows=rows, why=step.why, keys_sha256=digest)


def _statement(step: Step) -> Composed:
    """The change of one step; gives its number of rows and the hash of their keys."""
    key = SQL("jsonb_build_array({})::text").format(SQL(", ").join(map(Identifier, step.table.key)))
    name = step.table.identifier
    if step.changes is None:
        change = SQL("delete from {} where {}").format(name, step.where)
    else:
        change = SQL("update {} set {} where {}").format(name, step.changes, step.where)
    return SQL(
        "with gone as ({} returning {} as key) select count(*),"
        " encode(sha256(convert_to(coalesce(string_agg(key, ',' order by key), ''), 'UTF8')), 'hex') from gone"
    ).format(change, key)


async def _stored_files(connection: AsyncConnection[TupleRow], reach: Sequence[Reach]) -> tuple[str, ...]:
    """Where the bytes of the subject's own files lie."""
    for item in reach:
        if item.table.name == "public.files" and item.is_own:
            query = SQL("select storage_key from {} where {} order by 1").format(item.table.identifier, item.where)
            return tuple(str(row[0]) for row in await (await connection.execute(query)).fetchall())
    return ()


async def _count(
    connection: AsyncConnection[TupleRow], query: bytes | Composed, values: dict[str, object] | None = None
) -> int:
    row = await (await connection.execute(query, values)).fetchone()
    return 0 if row is None else int(row[0])
