"""Which rows of which tables are about a couple, an organization or a user: decided from the catalogue.

A new table is found by its columns, by its foreign key, or not at all, and then nothing is exported or erased
before somebody has said where it belongs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg.sql import SQL, Composed, Identifier, Literal

from wedsync.errors import TablesUnplaced
from wedsync.tenants.subject import Subject, SubjectKind
from wedsync.tenants.tables import Reference, Table

SHARED: Final = {
    "public.core_field_definitions": "names of fields that all weddings have in common",
    "auth.throttles": "counts of failures under keyed hashes, gone after a day",
}
"""Tables that hold nothing of any tenant or person, and what they hold."""
INSIDE_JSON: Final[Mapping[tuple[SubjectKind, str], tuple[str, str]]] = {
    (SubjectKind.COUPLE, "public.webhook_events"): ("payload", "couple_id"),
}
"""Ids that are inside a JSON column: the column and the key."""
ADDRESSEES: Final[Mapping[str, str]] = {"public.invitations": "accepted_by"}
"""Columns that say which user a row was for: it is that person's, as is one with the person's address."""
_TENANT_COLUMNS: Final = ("couple_id", "organization_id", "user_id")
_AUTHOR_SUFFIXES: Final = ("_by", "author_id", "sender_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The rows of one table that are about the subject."""

    table: Table
    where: Composed
    why: str
    """How they were found, in words."""
    by: Reference | None = None
    """The foreign key that leads to them, where the table itself does not name the subject."""
    authored: tuple[str, ...] = ()
    """Columns that name the user as author of somebody else's row; then the row is not the user's own."""
    is_own: bool = True
    email: str | None = None
    """The address by which the rows were found."""


def author_columns(table: Table) -> tuple[str, ...]:
    """Columns that say which user wrote a row."""
    return tuple(
        column.name for column in table.columns if column.type == "uuid" and column.name.endswith(_AUTHOR_SUFFIXES)
    )


def find_reach(tables: Sequence[Table], subject: Subject, *, email: str | None = None) -> tuple[Reach, ...]:
    """Everything about the subject; `email` is a user's own address, when it is confirmed.

    Raises `TablesUnplaced` where a table belongs to nobody.
    """
    require_placed(tables)
    by_name = {table.name: table for table in tables}
    found: list[Reach] = []
    for table in tables:
        found += _of_table(table, by_name, subject, email)
    return tuple(found)


def require_placed(tables: Sequence[Table]) -> None:
    """Raise `TablesUnplaced` for tables that no kind of subject leads to."""
    by_name = {table.name: table for table in tables}
    roots = {kind.root for kind in SubjectKind}
    unplaced = [
        table.name
        for table in tables
        if table.name not in SHARED
        and table.name not in roots
        and not any(table.has(column) for column in _TENANT_COLUMNS)
        and _parent(table, by_name, SubjectKind.COUPLE) is None
    ]
    if unplaced:
        raise TablesUnplaced(
            f"whose rows these tables hold is not known: {', '.join(unplaced)}",
            detail="they have no couple_id, organization_id or user_id, and no foreign key to a table that has",
            hint="give them the column, or say in tenants/reach.py that they hold nothing of anybody",
        )


def _of_table(table: Table, by_name: Mapping[str, Table], subject: Subject, email: str | None) -> list[Reach]:
    own = _own_rows(table, subject)
    if own is not None:
        return [own]
    if subject.kind is SubjectKind.USER:
        return _of_person(table, subject, email)
    if table.name == SubjectKind.USER.root:
        return [_accounts(table, subject)]
    if subject.kind is SubjectKind.ORGANIZATION:
        return []  # what hangs on its weddings is the couples'
    reference = _parent(table, by_name, subject.kind)
    return [_by_parent(table, reference, by_name[reference.table], subject)] if reference is not None else []


def _own_rows(table: Table, subject: Subject) -> Reach | None:
    """Rows of a table that names the subject itself."""
    kind, value = subject.kind, Literal(subject.id)
    if table.name == kind.root:
        return Reach(table=table, where=SQL("id = {}").format(value), why="its own row")
    if table.has(kind.column):
        where = SQL("{} = {}").format(Identifier(kind.column), value)
        return Reach(table=table, where=where, why=f"by {kind.column}")
    inside = INSIDE_JSON.get((kind, table.name))
    if inside is not None:
        column, name = inside
        where = SQL("{} ->> {} = {}").format(Identifier(column), Literal(name), Literal(str(subject.id)))
        return Reach(table=table, where=where, why=f"by {name} in its {column}")
    return None


def _by_parent(table: Table, reference: Reference, parent: Table, subject: Subject) -> Reach:
    """Rows that belong to the subject by the row they refer to."""
    where = SQL("({}) in (select {} from {} where {} = {})").format(
        _columns(reference.columns),
        _columns(reference.referenced),
        parent.identifier,
        Identifier(subject.kind.column),
        Literal(subject.id),
    )
    return Reach(table=table, where=where, why=f"by its {reference.table}", by=reference)


def _accounts(table: Table, subject: Subject) -> Reach:
    """The accounts of a tenant's members: told of, but not the tenant's own."""
    members = "couple_members" if subject.kind is SubjectKind.COUPLE else "organization_members"
    where = SQL("id in (select user_id from {} where {} = {})").format(
        Identifier("public", members), Identifier(subject.kind.column), Literal(subject.id)
    )
    return Reach(table=table, where=where, why="accounts of its members", is_own=False)


def _of_person(table: Table, subject: Subject, email: str | None) -> list[Reach]:
    """Rows of others that name the person."""
    found: list[Reach] = []
    addressee = ADDRESSEES.get(table.name)
    if addressee is not None:
        found.append(_addressed(table, addressee, subject, email))
    authored = tuple(name for name in author_columns(table) if name != addressee)
    if authored:
        where = SQL(" or ").join(SQL("{} = {}").format(Identifier(name), Literal(subject.id)) for name in authored)
        if found:
            where = SQL("({}) and not {}").format(where, found[0].where)
        found.append(
            Reach(
                table=table,
                where=SQL("({})").format(where),
                why=f"by {' or '.join(authored)}",
                authored=authored,
                is_own=False,
            )
        )
    if email is not None and table.has("email") and addressee is None:
        where = SQL("lower(email) = lower({})").format(Literal(email))
        if authored:
            where = SQL("{} and not ({})").format(where, found[0].where)
        found.append(Reach(table=table, where=where, why="by the e-mail address", is_own=False, email=email))
    return found


def _addressed(table: Table, addressee: str, subject: Subject, email: str | None) -> Reach:
    """Rows that were meant for the person, whoever wrote them."""
    where = SQL("({} is not distinct from {}{})").format(
        Identifier(addressee),
        Literal(subject.id),
        SQL("") if email is None else SQL(" or lower(email) = lower({})").format(Literal(email)),
    )
    why = f"by {addressee}" if email is None else f"by {addressee} or the e-mail address"
    return Reach(table=table, where=where, why=why, email=email)


def _parent(table: Table, by_name: Mapping[str, Table], kind: SubjectKind) -> Reference | None:
    """The foreign key to a table that names the subject, for one that does not itself."""
    for reference in table.references:
        parent = by_name.get(reference.table)
        if parent is not None and parent.name != kind.root and parent.has(kind.column):
            return reference
    return None


def _columns(names: Sequence[str]) -> Composed:
    return SQL(", ").join(map(Identifier, names))
