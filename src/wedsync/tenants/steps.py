"""What an erasure does with each table: plain decisions, in the order that foreign keys ask for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, LiteralString

from psycopg.sql import SQL, Composable, Identifier, Literal

from wedsync.errors import TablesUnplaced
from wedsync.tenants.reach import ADDRESSEES, INSIDE_JSON, Reach
from wedsync.tenants.subject import Subject, SubjectKind
from wedsync.tenants.tables import Table

ERASED: Final = "(erased)"


class Action(StrEnum):
    """What happens to rows."""

    DELETE = "delete"
    CHANGE = "change"
    """They stay; what is personal in them is taken out."""
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One statement of an erasure, or the reason why there is none."""

    table: Table
    action: Action
    where: Composable
    why: str
    changes: Composable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    action: Action
    why: str
    only: LiteralString | None = None
    """A further condition on the rows."""
    changes: LiteralString | None = None


_SENT = "status <> 'draft'"
_LAW = "accounting law wants it kept"
_INVOICES: Final = (
    _Rule(action=Action.DELETE, why="a draft", only="status = 'draft'"),
    _Rule(action=Action.CHANGE, why=f"was sent: {_LAW}; its notes go", only=_SENT, changes="notes = null"),
)
_PAYMENTS: Final = (_Rule(action=Action.KEEP, why=_LAW),)
_RULES: Final[Mapping[tuple[SubjectKind, str], tuple[_Rule, ...]]] = {
    (SubjectKind.COUPLE, "public.invoices"): _INVOICES,
    (SubjectKind.COUPLE, "public.payments"): _PAYMENTS,
    (SubjectKind.COUPLE, "public.webhook_events"): (
        _Rule(
            action=Action.CHANGE,
            why="the message of a payment provider: that it came stays, so that it is not taken twice",
            changes="payload = '{\"erased\": true}'",
        ),
    ),
    (SubjectKind.COUPLE, "public.couples"): (
        _Rule(
            action=Action.DELETE,
            why="no invoice needs it",
            only="not exists (select from public.invoices i where i.couple_id = couples.id)",
        ),
        _Rule(
            action=Action.CHANGE,
            why="kept invoices need a row; nothing in it tells who it was",
            only="exists (select from public.invoices i where i.couple_id = couples.id)",
            changes=(
                "partner_one_name = '(erased)', partner_two_name = '(erased)', email = null, venue_name = null,"
                " venue_address = null, wedding_date = '1970-01-01', status = 'cancelled'"
            ),
        ),
    ),
    (SubjectKind.ORGANIZATION, "public.invoices"): _INVOICES,
    (SubjectKind.ORGANIZATION, "public.payments"): _PAYMENTS,
    (SubjectKind.ORGANIZATION, "public.couples"): (
        _Rule(action=Action.KEEP, why="weddings that were erased before it"),
    ),
    (SubjectKind.ORGANIZATION, "public.organizations"): (
        _Rule(
            action=Action.DELETE,
            why="nothing kept needs it",
            only=(
                "not exists (select from public.invoices i where i.organization_id = organizations.id)"
                " and not exists (select from public.couples c where c.organization_id = organizations.id)"
            ),
        ),
        _Rule(
            action=Action.CHANGE,
            why="kept invoices need a row; nothing in it tells who it was",
            only=(
                "(exists (select from public.invoices i where i.organization_id = organizations.id)"
                " or exists (select from public.couples c where c.organization_id = organizations.id))"
            ),
            changes="name = '(erased)', slug = 'erased-' || replace(id::text, '-', '')",
        ),
    ),
}
_NAMES_OF_AUTHORS: Final[Mapping[str, tuple[str, str]]] = {"public.messages": ("sender_id", "sender_name")}
"""Where a user's name is written beside the id."""


def erasure_steps(reach: Sequence[Reach], subject: Subject) -> tuple[Step, ...]:
    """The steps in order: rows that refer to others go before those."""
    steps: list[Step] = []
    for item in _children_first(reach):
        rules = _RULES.get((subject.kind, item.table.name))
        if rules is not None:
            steps += [_by_rule(item, rule) for rule in rules]
        elif subject.kind is SubjectKind.USER and item.authored:
            steps.append(_without_author(item, subject))
        elif item.is_own:
            steps.append(Step(table=item.table, action=Action.DELETE, where=item.where, why=item.why))
        else:
            steps.append(Step(table=item.table, action=Action.KEEP, where=item.where, why=_why_kept(item)))
    return tuple(steps)


def history_links(reach: Iterable[Reach]) -> list[dict[str, object]]:
    """How versions of tables that do not name the couple are found (`audit.erase`, p_links)."""
    return [
        {
            "table": item.table.name,
            "columns": list(item.by.columns),
            "parent": item.by.table,
            "parent_columns": list(item.by.referenced),
        }
        for item in reach
        if item.by is not None
    ]


def history_columns(reach: Iterable[Reach], subject: Subject) -> list[dict[str, object]]:
    """Where else the subject's id or address stands in versions that are about it (`audit.erase`, p_columns)."""
    paths: list[tuple[str, Sequence[str]]] = []
    addresses: list[dict[str, object]] = []
    for item in reach:
        name = item.table.name
        inside = INSIDE_JSON.get((subject.kind, name))
        if inside is not None:
            paths.append((name, inside))
        elif subject.kind is not SubjectKind.USER:
            continue
        elif name == subject.kind.root:
            paths.append((name, ["id"]))
        elif item.is_own and name in ADDRESSEES:
            paths.append((name, [ADDRESSEES[name]]))
            if item.email is not None:
                addresses.append({"table": name, "path": ["email"], "value": item.email})
        elif item.is_own:
            paths.append((name, [subject.kind.column]))
        elif item.authored and name in _NAMES_OF_AUTHORS:
            paths.append((name, [_NAMES_OF_AUTHORS[name][0]]))
    return [*({"table": name, "path": list(path)} for name, path in paths), *addresses]


def _by_rule(item: Reach, rule: _Rule) -> Step:
    where: Composable = item.where
    if rule.only is not None:
        where = SQL("{} and {}").format(item.where, SQL(rule.only))
    return Step(
        table=item.table,
        action=rule.action,
        where=where,
        why=rule.why,
        changes=SQL(rule.changes) if rule.changes is not None else None,
    )


def _without_author(item: Reach, subject: Subject) -> Step:
    """Take a user's id (and the name beside it) out of rows that are somebody else's."""
    fixed = [column.name for column in item.table.columns if column.name in item.authored and not column.nullable]
    if fixed:
        raise TablesUnplaced(
            f"{item.table.name}: {', '.join(fixed)} names a user and cannot be emptied",
            hint="make the column nullable, or the row the user's own: user_id",
        )
    # One row may have several authors: only where it is this user.
    changes: list[Composable] = [
        SQL("{0} = nullif({0}, {1})").format(Identifier(name), Literal(subject.id)) for name in item.authored
    ]
    beside = _NAMES_OF_AUTHORS.get(item.table.name)
    if beside is not None:
        changes.append(SQL("{} = {}").format(Identifier(beside[1]), Literal(ERASED)))
    return Step(
        table=item.table,
        action=Action.CHANGE,
        where=item.where,
        why=f"a tenant's own row; only {', '.join(item.authored)} goes",
        changes=SQL(", ").join(changes),
    )


def _why_kept(item: Reach) -> str:
    if item.table.name == SubjectKind.USER.root:
        return f"{item.why}: a person is erased by --user"
    return f"{item.why}: a tenant's own record"


def _children_first(reach: Sequence[Reach]) -> list[Reach]:
    """Tables in an order in which each comes before those it refers to."""
    waiting = list(reach)
    ordered: list[Reach] = []
    while waiting:
        referred = {
            reference.table
            for item in waiting
            for reference in item.table.references
            if reference.table != item.table.name
        }
        free = [item for item in waiting if item.table.name not in referred]
        if not free:
            raise TablesUnplaced(
                f"foreign keys in a circle: {', '.join(sorted(item.table.name for item in waiting))}",
                hint="say in tenants/steps.py which goes first",
            )
        ordered += free
        waiting = [item for item in waiting if item.table.name in referred]
    return ordered
