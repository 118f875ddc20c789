"""Insert, upsert, put, update, delete: the statements that write."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from wedsync.api.rest.errors import column_not_found, put_filters_wrong, put_key_mismatch
from wedsync.api.rest.plan.model import Plan
from wedsync.api.rest.plan.node import Node, Source
from wedsync.api.rest.plan.records import GIVEN, Member, records
from wedsync.api.rest.plan.sql import NOTHING, Sql, column, compose, identifier, joined, qualified
from wedsync.api.rest.plan.written import Writing, where
from wedsync.api.rest.query import Filter
from wedsync.database.catalogue import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What is known of the body when a write is planned."""

    columns: tuple[str, ...]
    is_object: bool
    """One object, not a list of them."""


def plan_insert(writing: Writing, payload: Payload, *, merge: bool | None = None, defaults: bool = False) -> Plan:
    """The plan of `POST /table`. Raises `RestError`.

    `merge`: rows that are there already are changed (true), left (false), or refused (none). `defaults`: what a
    row does not name gets its default, not null.
    """
    query, table = writing.query, writing.table
    members = _members(table, query.columns or payload.columns, defaults=defaults)
    given = records(members, is_object=payload.is_object)
    target = query.on_conflict or table.primary_key
    if merge is None or not target:
        return writing.plan(_insert(table, members, given, [], NOTHING))
    for name in target:
        if name not in table.columns:
            raise column_not_found(table.name, name)
    return _upsert(writing, members, given, target, [], merge=merge)


def plan_put(writing: Writing, payload: Payload) -> Plan:
    """The plan of `PUT /table?key=eq.…`: the row with that key is what the body says. Raises `RestError`."""
    table, filters = writing.table, writing.target.where
    named = {each.field.name for each in filters if isinstance(each, Filter) and _is_key_filter(each)}
    if not table.primary_key or named != set(table.primary_key) or len(named) != len(filters):
        raise put_filters_wrong()
    if not named <= set(payload.columns):
        raise put_key_mismatch()
    members = _members(table, payload.columns, defaults=False)
    body = Source(sql=NOTHING, table=table, alias=GIVEN, is_table=False)
    same_key = writing.conditions(Node(source=body, alias=GIVEN, fields=(), where=filters))
    given = records(members, is_object=payload.is_object, one=True)
    return _upsert(writing, members, given, table.primary_key, same_key, merge=True)


def plan_update(writing: Writing, payload: Payload, *, defaults: bool = False) -> Plan:
    """The plan of `PATCH /table?filters`. Raises `RestError`."""
    target = writing.target
    alias = identifier(target.alias)
    members = _members(writing.table, writing.query.columns or payload.columns, defaults=defaults)
    if not members:
        return writing.plan_of_rows(
            compose("select {} from {} as {} where false", writing.returned(), target.source.sql, alias)
        )
    changes = [compose("{} = {}", identifier(each.name), column(GIVEN, each.name)) for each in members]
    given = records(members, is_object=payload.is_object, one=True)
    conditions = where(writing.conditions(target))
    return writing.plan(
        compose(
            "update {} as {} set {} from {}{}", target.source.sql, alias, joined(", ", changes), given, conditions
        )
    )


def plan_delete(writing: Writing) -> Plan:
    """The plan of `DELETE /table?filters`. Raises `RestError`."""
    target = writing.target
    conditions = where(writing.conditions(target))
    return writing.plan(compose("delete from {} as {}{}", target.source.sql, identifier(target.alias), conditions))


def _insert(table: Table, members: Sequence[Member], given: Sql, conditions: list[Sql], conflict: Sql) -> Sql:
    names = joined(", ", [identifier(each.name) for each in members])
    values = joined(", ", [column(GIVEN, each.name) for each in members])
    return compose(
        "insert into {} as {}{} select {} from {}{}{}",
        qualified(table.id),
        identifier(table.name),
        compose(" ({})", names) if members else NOTHING,
        values,
        given,
        where(conditions),
        conflict,
    )


def _upsert(
    writing: Writing,
    members: Sequence[Member],
    given: Sql,
    key: Sequence[str],
    conditions: list[Sql],
    *,
    merge: bool,
) -> Plan:
    """The key itself is never set: it is equal already, and callers need not have the right to change it."""
    keys = joined(", ", [identifier(name) for name in key])
    changed = [each.name for each in members if each.name not in key]
    if merge and not changed and members:
        return _insert_or_show(writing, members, given, key, conditions)
    if not merge or not changed:
        conflict = compose(" on conflict ({}) do nothing", keys)
        return writing.plan(_insert(writing.table, members, given, conditions, conflict))
    changes = joined(", ", [compose("{} = excluded.{}", identifier(name), identifier(name)) for name in changed])
    conflict = compose(" on conflict ({}) do update set {} where {}", keys, changes, _counting("-1", "<> '-1'"))
    counted = [*conditions, _counting("+1", "<> '0'")]
    return writing.plan(_insert(writing.table, members, given, counted, conflict), inserted=_INSERTED)


def _insert_or_show(
    writing: Writing, members: Sequence[Member], given: Sql, key: Sequence[str], conditions: list[Sql]
) -> Plan:
    """A merge with nothing to change: rows that are there are answered as they are."""
    table = writing.table
    keys = joined(", ", [identifier(name) for name in key])
    returned = writing.returned()
    write = _insert(table, members, given, conditions, compose(" on conflict ({}) do nothing", keys))
    same = [compose("{} = {}", column(table.name, name), column(GIVEN, name)) for name in key]
    there = compose(
        "select {} from {} as {}, {}{}",
        returned,
        qualified(table.id),
        identifier(table.name),
        given,
        where([*same, *conditions]),
    )
    return writing.plan_of_rows(
        compose("select * from wedsync_new union all select * from ({}) as there", there),
        inserted=compose("(select count(*) from wedsync_new)"),
        before=compose("wedsync_new as ({} returning {}), ", write, returned),
    )


_INSERTED = compose("nullif(current_setting('wedsync.inserted', true), '')::bigint")


def _counting(step: LiteralString, holds: LiteralString) -> Sql:
    """A condition that is always true, and counts the new rows of an upsert as it is asked."""
    template: LiteralString = (
        "set_config('wedsync.inserted', (coalesce(nullif(current_setting('wedsync.inserted', true), '')::int, 0) "
        + step
        + ")::text, true) "
        + holds
    )
    return compose(template)


def _members(table: Table, names: Sequence[str], *, defaults: bool) -> list[Member]:
    """The columns that are filled, with their types. Raises PGRST204."""
    members: list[Member] = []
    for name in dict.fromkeys(names):
        filled = table.columns.get(name)
        if filled is None:
            raise column_not_found(table.name, name)
        members.append(Member(name=name, type=filled.type, default=filled.default if defaults else None))
    return members


def _is_key_filter(one: Filter) -> bool:
    return one.operator == "eq" and not one.negated and one.quantifier is None and not one.field.path
