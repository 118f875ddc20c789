"""A couple's rows as they were: which rows those are, who changed them since, and who must not come back."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Identifier, Literal

from wedsync.database import ConnectionTarget
from wedsync.errors import ErasedForGood, TenantUnknown
from wedsync.rows import CHANGES, Scope, Staged
from wedsync.sql import statements
from wedsync.tenants.erasures import Erasure
from wedsync.tenants.reach import find_reach
from wedsync.tenants.steps import Action, Step, erasure_steps
from wedsync.tenants.subject import Subject, SubjectKind
from wedsync.tenants.tables import Table, read_tables

OWNER_COLUMNS: Final = ("couple_id", "organization_id", "user_id")
"""Columns that say whose a row is."""
LEFT_ALONE: Final = {
    "public.webhook_events": "what payment providers told: a message that is forgotten is taken twice",
}
"""Tables that only ever grow: they say what happened, and that did happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoupleRows:
    """The rows that are a couple's, and what is left as it is."""

    scopes: tuple[Scope, ...]
    notes: tuple[str, ...]


def couple_rows(tables: Sequence[Table], couple: UUID) -> CoupleRows:
    """What an erasure of the couple would reach and is its own, but for what only ever grows."""
    reach = find_reach(tables, Subject(kind=SubjectKind.COUPLE, id=couple))
    own = [item for item in reach if item.is_own and item.table.name not in LEFT_ALONE]
    return CoupleRows(
        scopes=tuple(Scope(table=item.table.name, where=item.where) for item in own),
        notes=tuple(
            f"{item.table.name} stays as it is: {LEFT_ALONE[item.table.name]}"
            for item in reach
            if item.table.name in LEFT_ALONE
        ),
    )


async def read_couple_rows(
    now: ConnectionTarget, past: ConnectionTarget, couple: UUID, erasures: Iterable[Erasure]
) -> CoupleRows:
    """The couple's rows. Raises `ErasedForGood`, and `TenantUnknown` if it is in neither database."""
    subject = Subject(kind=SubjectKind.COUPLE, id=couple)
    erased = next((item for item in erasures if item.subject == subject), None)
    if erased is not None:
        raise ErasedForGood(
            f"{subject} was erased for good: it does not come back",
            detail=f"erasure {erased.id}, asked for at {erased.asked_at.isoformat(sep=' ', timespec='seconds')}"
            f" by {erased.asked_by}",
        )
    async with await now.connect() as live, await past.connect() as copy:
        if not await _is_there(live, couple) and not await _is_there(copy, couple):
            raise TenantUnknown(f"there is no {subject}, neither now nor then")
        return couple_rows(await read_tables(live), couple)


async def _is_there(connection: AsyncConnection[TupleRow], couple: UUID) -> bool:
    cursor = await connection.execute(statements("tenants")["couple_is_there"], {"couple": couple})
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


class AuditHistory:
    """Who changed rows, from the history in the database."""

    def __init__(self, couple: UUID | None = None) -> None:
        """`couple`: all staged rows are its own; then its history is read by index, and whole."""
        self._couple = couple

    async def fill(self, live: AsyncConnection[TupleRow], staged: Sequence[Staged], since: datetime) -> None:
        """Every version that was committed after `since`."""
        if self._couple is not None:
            await live.execute(
                statements("tenants")["changes_of_couple"], {"couple": self._couple, "since": since}
            )
        for item in staged:
            if self._couple is None or "couple_id" not in item.written:
                await live.execute(self._of_rows(item, since))

    def _of_rows(self, item: Staged, since: datetime) -> Composed:
        """Versions of the rows that differ; those that the couple's own history does not have."""
        same_couple = SQL("and v.couple_id = d.couple_id") if "couple_id" in item.pairing.key else SQL("")
        return SQL(
            "insert into {changes}"
            " select v.table_name, v.row_key, audit.committed_at(v.xmin, v.transaction_id, v.changed_at),"
            "        v.transaction_id::text, coalesce(v.user_id::text, v.role_name), v.operation, v.id"
            "   from audit.record_version v join {diff} d on v.row_key = d.ws_key {same_couple}"
            "  where v.table_name = {name} and v.changed_at > {since}::timestamptz - interval '1 day'"
            "    and audit.committed_at(v.xmin, v.transaction_id, v.changed_at) > {since}::timestamptz"
            "    and ({couple}::uuid is null or v.couple_id is distinct from {couple}::uuid)"
        ).format(
            changes=CHANGES,
            diff=item.diff,
            same_couple=same_couple,
            name=Literal(item.name),
            since=Literal(since),
            couple=Literal(self._couple),
        )


async def scrub_erased(
    past: ConnectionTarget, now: ConnectionTarget, erasures: Iterable[Erasure]
) -> Callable[[str, Identifier], Sequence[Composed]] | None:
    """Erases once more, in rows of the past, whoever was erased for good; `None` if nobody was."""
    subjects = {item.subject for item in erasures}
    if not subjects:
        return None
    steps: list[Step] = []
    async with await now.connect() as live, await past.connect() as copy:
        tables = await read_tables(live)
        for subject in subjects:
            email = await _email_then(copy, subject)
            steps += erasure_steps(find_reach(tables, subject, email=email), subject)

    def scrub(table: str, staged: Identifier) -> Sequence[Composed]:
        return [
            _statement(step, staged)
            for step in steps
            if step.table.name == table and step.action is not Action.KEEP
        ]

    return scrub


async def _email_then(copy: AsyncConnection[TupleRow], subject: Subject) -> str | None:
    if subject.kind is not SubjectKind.USER:
        return None
    row = await (await copy.execute(statements("tenants")["email_of_user"], {"id": subject.id})).fetchone()
    return None if row is None else row[0]


def _statement(step: Step, staged: Identifier) -> Composed:
    """A step of an erasure, on the staged rows; conditions name the table as always."""
    alias = Identifier(step.table.relation)
    if step.changes is None:
        return SQL("delete from {} as {} where {}").format(staged, alias, step.where)
    return SQL("update {} as {} set {} where {}").format(staged, alias, step.changes, step.where)
