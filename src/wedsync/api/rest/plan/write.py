"""Insert, upsert, put, update, delete: one statement that writes, and makes the answer of what was written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import LiteralString

from wedsync.api.rest.errors import column_not_found, put_filters_wrong, put_key_mismatch
from wedsync.api.rest.plan.columns import expression
from wedsync.api.rest.plan.conditions import condition
from wedsync.api.rest.plan.guards import ANY_NUMBER
from wedsync.api.rest.plan.model import Plan
from wedsync.api.rest.plan.node import Child, Node, Reading, Source, part_source, table_source
from wedsync.api.rest.plan.read import NO_BODY, RESPONSE, ROWS, select_from
from wedsync.api.rest.plan.records import GIVEN, Member, records
from wedsync.api.rest.plan.sql import NOTHING, Sql, column, compose, identifier, joined, qualified, rendered
from wedsync.api.rest.query import Field, Filter, Level, Query, SelectField
from wedsync.database.catalogue import Table

WRITTEN = "wedsync_written"
"""The rows that were written, as a part of the statement."""
_INSERTED = compose("nullif(current_setting('wedsync.inserted', true), '')::bigint")
_NO_ROWS_COUNTED = compose("null::bigint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What is known of the body when a write is planned."""

    columns: tuple[str, ...]
    is_object: bool
    """One object, not a list of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What of the written rows is answered."""

    body: Sql | None = None
    """Makes the body of the rows; `None`: no rows are wanted."""
    media_type: str = "application/json"
    location: bool = False
    """Tell the key of the one row."""
    guard: Sql = ANY_NUMBER
    """Counts the rows, and refuses numbers that may not be."""


def plan_insert(
    query: Query,
    table: Table,
    reading: Reading,
    payload: Payload,
    answering: Answering,
    *,
    merge: bool | None = None,
    defaults: bool = False,
) -> Plan:
    """The plan of `POST /table`. Raises `RestError`.

    `merge`: rows that are there already are changed (true), left (false), or refused (none). `defaults`: what a row
    does not name gets its default, not null.
    """
    members = _members(table, query.columns or payload.columns, defaults=defaults)
    target = query.on_conflict or table.primary_key
    given = records(members, is_object=payload.is_object)
    if merge is None or not target:
        return _plan(query, table, reading, answering, _insert(table, members, given, NOTHING, NOTHING))
    return _upsert(query, table, reading, answering, members, given, target, merge=merge)


def plan_put(query: Query, table: Table, reading: Reading, payload: Payload, answering: Answering) -> Plan:
    """The plan of `PUT /table?key=eq.…`: the row with that key is what the body says. Raises `RestError`."""
    root = _root(query)
    keys = [each.field.name for each in root.where if isinstance(each, Filter) and _is_key_filter(each)]
    if not table.primary_key or set(keys) != set(table.primary_key) or len(keys) != len(root.where):
        raise put_filters_wrong()
    members = _members(table, payload.columns, defaults=False)
    body_rows = Node(
        source=Source(sql=NOTHING, table=table, alias=GIVEN, is_table=False), alias=GIVEN, fields=(), where=root.where
    )
    missing = [key for key in table.primary_key if key not in payload.columns]
    if missing:
        raise put_key_mismatch()
    where = _conditions(body_rows, reading)
    given = records(members, is_object=payload.is_object, one=True)
    return _upsert(
        query, table, reading, answering, members, given, table.primary_key, merge=True, where=where
    )


def plan_update(
    query: Query, table: Table, reading: Reading, payload: Payload, answering: Answering, *, defaults: bool = False
) -> Plan:
    """The plan of `PATCH /table?filters`. Raises `RestError`."""
    members = _members(table, query.columns or payload.columns, defaults=defaults)
    target = _target(query, table)
    if not members:
        nothing = compose(
            "select {} from {} as {} where false",
            _returned(query, table, reading, answering, target),
            target.source.sql,
            identifier(target.alias),
        )
        return _plan(query, table, reading, answering, nothing, complete=True)
    changes = [compose("{} = {}", identifier(each.name), column(GIVEN, each.name)) for each in members]
    write = compose(
        "update {} as {} set {} from {}{}",
        target.source.sql,
        identifier(target.alias),
        joined(", ", changes),
        records(members, is_object=payload.is_object, one=True),
        _where(" where {}", _conditions(target, reading)),
    )
    return _plan(query, table, reading, answering, write)


def plan_delete(query: Query, table: Table, reading: Reading, answering: Answering) -> Plan:
    """The plan of `DELETE /table?filters`. Raises `RestError`."""
    target = _target(query, table)
    write = compose(
        "delete from {} as {}{}",
        target.source.sql,
        identifier(target.alias),
        _where(" where {}", _conditions(target, reading)),
    )
    return _plan(query, table, reading, answering, write)


def _insert(
    table: Table, members: Sequence[Member], given: Sql, where: Sql, conflict: Sql
) -> Sql:
    names = joined(", ", [identifier(each.name) for each in members])
    values = joined(", ", [column(GIVEN, each.name) for each in members])
    columns = compose(" ({})", names) if members else NOTHING
    return compose(
        "insert into {} as {}{} select {} from {}{}{}",
        qualified(table.id),
        identifier(table.name),
        columns,
        values,
        given,
        where,
        conflict,
    )


def _upsert(
    query: Query,
    table: Table,
    reading: Reading,
    answering: Answering,
    members: Sequence[Member],
    given: Sql,
    target: Sequence[str],
    *,
    merge: bool,
    where: Sequence[Sql] = (),
) -> Plan:
    """The key itself is never set: it is equal already, and callers need not have the right to change it."""
    key = joined(", ", [identifier(name) for name in target])
    changed = [each.name for each in members if each.name not in target] if merge else []
    if not changed:
        return _insert_if_new(query, table, reading, answering, members, given, target, merge=merge, where=where)
    changes = joined(", ", [compose("{} = excluded.{}", identifier(name), identifier(name)) for name in changed])
    conflict = compose(
        " on conflict ({}) do update set {} where {}", key, changes, _counting("-1", "<> '-1'")
    )
    counted = [*where, _counting("+1", "<> '0'")]
    write = _insert(table, members, given, _where(" where {}", counted), conflict)
    return _plan(query, table, reading, answering, write, inserted=_INSERTED)


def _insert_if_new(
    query: Query,
    table: Table,
    reading: Reading,
    answering: Answering,
    members: Sequence[Member],
    given: Sql,
    target: Sequence[str],
    *,
    merge: bool,
    where: Sequence[Sql],
) -> Plan:
    """Rows that are there stay as they are; with `merge` they are answered all the same."""
    key = joined(", ", [identifier(name) for name in target])
    conflict = compose(" on conflict ({}) do nothing", key)
    write = _insert(table, members, given, _where(" where {}", where), conflict)
    if not merge or not members:
        return _plan(query, table, reading, answering, write)
    node = _target(query, table)
    returned = _returned(query, table, reading, answering, node)
    same = joined(
        " and ", [compose("{} = {}", column(table.name, name), column(GIVEN, name)) for name in target]
    )
    there = compose(
        "select {} from {} as {}, {} where {}", returned, qualified(table.id), identifier(table.name), given,
        joined(" and ", [same, *where]),
    )
    both = compose(
        "select * from wedsync_new union all select * from ({}) as there", there
    )
    parts = compose("wedsync_new as ({} returning {}), ", write, returned)
    inserted = compose("(select count(*) from wedsync_new)")
    return _plan(query, table, reading, answering, both, complete=True, inserted=inserted, before=parts)


def _plan(
    query: Query,
    table: Table,
    reading: Reading,
    answering: Answering,
    write: Sql,
    *,
    complete: bool = False,
    inserted: Sql = _NO_ROWS_COUNTED,
    before: Sql = NOTHING,
) -> Plan:
    """`complete`: the write says itself what it returns."""
    if not complete:
        write = compose("{} returning {}", write, _returned(query, table, reading, answering, _target(query, table)))
    source = part_source(WRITTEN, table, table.name)
    rows = (
        select_from(_shown(query), source, reading).rows
        if answering.body is not None
        else compose("select * from {}", identifier(WRITTEN))
    )
    sql, slots = rendered(
        compose(
            "with {}{} as ({}) select {} as body, {} as page_total, null::bigint as total, {}, "
            "{} as location, {} as inserted from ({}) as {}",
            before,
            identifier(WRITTEN),
            write,
            answering.body or NO_BODY,
            answering.guard,
            RESPONSE,
            _location() if answering.location and table.primary_key else compose("null::json"),
            inserted,
            rows,
            identifier(ROWS),
        )
    )
    return Plan(sql=sql, slots=slots, read_only=False, media_type=answering.media_type, writes=True)


def _location() -> Sql:
    return compose(
        "case when count(*) = 1 then (select json_agg(json_build_array(each.key, each.value)) "
        "from json_each_text(json_agg({})->0) as each) end",
        identifier(ROWS),
    )


def _returned(query: Query, table: Table, reading: Reading, answering: Answering, target: Node) -> Sql:
    """Only the columns that the answer needs: the caller may not be allowed to see the others."""
    if answering.body is None:
        if not answering.location or not table.primary_key:
            return compose("1 as written")
        return joined(", ", [column(target.alias, name) for name in table.primary_key])
    shown = select_from(_shown(query), part_source(WRITTEN, table, table.name), reading)
    computed = reading.catalogue.computed_fields.get(table.id, {})
    used = [
        item.field
        for item in query.select
        if isinstance(item, SelectField) and item.field.name in computed and item.field.name not in table.columns
    ]
    if shown.needs is None:
        fields = [Field(name="*"), *(Field(name=name) for name in dict.fromkeys(each.name for each in used))]
    else:
        fields = [Field(name=name) for name in sorted(shown.needs)]
    if not fields:
        return compose("1 as written")
    return joined(
        ", ",
        [
            expression(each, target, reading)
            if each.name == "*"
            else compose("{} as {}", expression(each, target, reading), identifier(each.name))
            for each in fields
        ],
    )


def _shown(query: Query) -> Query:
    """What of the query is about the answer: filters and limits of the root are about what is written."""
    levels = tuple(
        replace(level, limit=None, offset=None, where=level.where if level.path else ()) for level in query.levels
    )
    return replace(query, levels=levels)


def _members(table: Table, names: Sequence[str], *, defaults: bool) -> list[Member]:
    """The columns that are filled, with their types. Raises PGRST204."""
    members: list[Member] = []
    for name in dict.fromkeys(names):
        filled = table.columns.get(name)
        if filled is None:
            raise column_not_found(table.name, name)
        members.append(Member(name=name, type=filled.type, default=filled.default if defaults else None))
    return members


def _root(query: Query) -> Level:
    return next((level for level in query.levels if not level.path), Level())


def _target(query: Query, table: Table) -> Node:
    return Node(source=table_source(table), alias=table.name, fields=(), where=_root(query).where)


def _conditions(node: Node, reading: Reading) -> list[Sql]:
    return [condition(each, node, reading, _nothing_embedded) for each in node.where]


def _nothing_embedded(child: Child) -> Sql:
    raise AssertionError(f"a write embeds nothing, {child.key!r} neither")


def _is_key_filter(one: Filter) -> bool:
    return one.operator == "eq" and not one.negated and one.quantifier is None and not one.field.path


def _where(template: LiteralString, conditions: Sequence[Sql]) -> Sql:
    return compose(template, joined(" and ", conditions)) if conditions else NOTHING


def _counting(step: LiteralString, holds: LiteralString) -> Sql:
    """A condition that is always true, and counts the new rows of an upsert as it is asked."""
    template: LiteralString = (
        "set_config('wedsync.inserted', (coalesce(nullif(current_setting('wedsync.inserted', true), '')::int, 0) "
        + step
        + ")::text, true) "
        + holds
    )
    return compose(template)
