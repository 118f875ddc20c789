"""From what is asked to a plan: the one place that knows which plan an action needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote

from wedsync.api.rest.bodies import Result, body_of
from wedsync.api.rest.errors import (
    max_affected_needs_set,
    put_with_limit,
    table_not_found,
)
from wedsync.api.rest.media import Kind, MediaType, Negotiated, accepted, media_type, negotiate
from wedsync.api.rest.plan import NO_BODY, Count, Plan, Reading, plan_read
from wedsync.api.rest.plan.call import Arguments, plan_call
from wedsync.api.rest.plan.explain import explained
from wedsync.api.rest.plan.guards import ANY_NUMBER, ONE_KEY, ONE_OBJECT, at_most
from wedsync.api.rest.plan.overload import function_for, takes_whole_body
from wedsync.api.rest.plan.sql import Sql
from wedsync.api.rest.plan.write import Payload, plan_delete, plan_insert, plan_put, plan_update
from wedsync.api.rest.plan.written import Answering, Writing
from wedsync.api.rest.prefer import Count as Counted
from wedsync.api.rest.prefer import Missing, Preferences, Resolution, Return, Transaction, preferences
from wedsync.api.rest.prepared import Header, Prepared
from wedsync.api.rest.query import Query, SelectField, parse
from wedsync.api.rest.query.shape import TAKEN
from wedsync.api.rest.request import Action, Asked
from wedsync.api.rest.settings import RestSettings
from wedsync.database.catalogue import Catalogue, Function, Table

_COUNTS = {Counted.EXACT: Count.EXACT, Counted.PLANNED: Count.PLANNED, Counted.ESTIMATED: Count.ESTIMATED}
_VARY: Header = (b"vary", b"Accept, Prefer, Range")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planning:
    """One request being planned."""

    asked: Asked
    catalogue: Catalogue
    settings: RestSettings
    prefer: Preferences
    query: Query

    @property
    def reading(self) -> Reading:
        return Reading(
            catalogue=self.catalogue,
            schema=self.asked.profile.schema,
            max_rows=self.settings.max_rows,
            aggregates=self.settings.aggregates,
        )

    @property
    def selects_rows(self) -> bool:
        """Whether whole rows are selected: what makes a media type of rows is for these only."""
        return [item.field.name for item in self.query.select if isinstance(item, SelectField)] == ["*"] and len(
            self.query.select
        ) == 1

    def table(self) -> Table:
        name = self.asked.profile.schema, self.asked.target.table or ""
        table = self.catalogue.tables.get(name)
        if table is None:
            raise table_not_found(self.catalogue, *name)
        return table

    def negotiated(self, of: tuple[str, str]) -> Negotiated:
        return negotiate(
            accepted(self.asked.headers.accept),
            self.catalogue,
            of,
            whole_rows=self.selects_rows,
            plans=self.asked.may_see_plans,
        )

    def headers(self, *applied: str | None) -> tuple[Header, ...]:
        told = [value for value in applied if value]
        return (_VARY, *((b"preference-applied", value.encode("latin-1", "replace")) for value in told))

    def body_headers(self, media: MediaType) -> tuple[Header, ...]:
        profile = self.asked.profile
        return (
            (b"content-type", media.content_type.encode("latin-1", "replace")),
            *([(b"content-profile", profile.schema.encode())] if profile.is_told else []),
        )


def prepare(asked: Asked, catalogue: Catalogue, settings: RestSettings) -> Prepared:
    """Plan what is asked. Raises `RestError`."""
    prefer = preferences(
        asked.headers.prefer, allow_rollback=settings.allow_rollback, time_zones=catalogue.time_zones
    )
    planning = _Planning(
        asked=asked,
        catalogue=catalogue,
        settings=settings,
        prefer=prefer,
        query=parse(asked.shape_key, settings.limits),
    )
    prepared = _PREPARE[asked.target.action](planning)
    prefer.require_known()
    return replace(
        prepared,
        undo=prefer.transaction is Transaction.ROLLBACK,
        settings=(("timezone", prefer.time_zone.encode()),) if prefer.time_zone else (),
    )


def _read(planning: _Planning) -> Prepared:
    table = planning.table()
    negotiated = planning.negotiated(table.id)
    plan = plan_read(
        planning.query,
        table,
        planning.reading,
        count=_COUNTS.get(planning.prefer.count) if planning.prefer.count else None,
        body=NO_BODY if planning.asked.method == "HEAD" else body_of(negotiated),
    )
    return Prepared(
        action=Action.READ,
        plan=_finished(plan, negotiated),
        headers=(*planning.headers(planning.prefer.applied()), *_warned(plan)),
        body_headers=planning.body_headers(negotiated.media),
        address=b"/" + quote(table.name, safe="").encode(),
        one_object=negotiated.media.kind is Kind.OBJECT,
    )


def _warned(plan: Plan) -> tuple[Header, ...]:
    """RFC 7234's header for what goes away. Names in it are the client's: they must not end header or text."""
    if plan.warning is None:
        return ()
    text = "".join(
        character if character.isprintable() and character != '"' else "?" for character in plan.warning
    )
    return ((b"warning", f'299 wedsync "{text}"'.encode("latin-1", "replace")),)


def _write(planning: _Planning) -> Prepared:
    action = planning.asked.target.action
    table, query, prefer = planning.table(), planning.query, planning.prefer
    if action is Action.PUT and any(
        not level.path and (level.limit is not None or level.offset is not None) for level in query.levels
    ):
        raise put_with_limit()
    negotiated = planning.negotiated(table.id)
    most = prefer.most_affected if action in {Action.UPDATE, Action.DELETE} else None
    one_object = negotiated.media.kind is Kind.OBJECT and action is not Action.PUT
    guard = (
        ONE_KEY
        if action is Action.PUT
        else ONE_OBJECT
        if one_object
        else ANY_NUMBER
        if most is None
        else at_most(most)
    )
    answering = Answering(
        body=body_of(negotiated) if prefer.wants_rows else None,
        location=action is Action.INSERT and prefer.representation is Return.HEADERS_ONLY,
        guard=guard,
    )
    plan = _plan_of_write(
        planning, Writing(query=query, table=table, reading=planning.reading, answering=answering)
    )
    can_resolve = action is Action.INSERT and bool(table.primary_key or query.on_conflict)
    applied = prefer.applied(
        resolution=can_resolve,
        representation=True,
        missing=action in {Action.INSERT, Action.UPDATE},
        affected=action in {Action.UPDATE, Action.DELETE},
    )
    return Prepared(
        action=action,
        plan=_finished(plan, negotiated),
        headers=planning.headers(applied),
        body_headers=planning.body_headers(negotiated.media),
        address=b"/" + quote(table.name, safe="").encode(),
        has_body=prefer.wants_rows,
        tells_total=prefer.tells_count,
        merges=prefer.resolution is Resolution.MERGE,
        is_guarded=guard is not ANY_NUMBER,
    )


def _plan_of_write(planning: _Planning, writing: Writing) -> Plan:
    content = planning.asked.content
    if content is None:
        return plan_delete(writing)
    payload = Payload(columns=content.columns, is_object=content.is_object)
    defaults = planning.prefer.missing is Missing.DEFAULT
    match planning.asked.target.action:
        case Action.PUT:
            return plan_put(writing, payload)
        case Action.UPDATE:
            return plan_update(writing, payload, defaults=defaults)
        case _:
            resolution = planning.prefer.resolution
            merge = None if resolution is None else resolution is Resolution.MERGE
            return plan_insert(writing, payload, merge=merge, defaults=defaults)


def _call(planning: _Planning) -> Prepared:
    function, arguments = _called(planning)
    prefer, asked = planning.prefer, planning.asked
    of = function.returns_table or (function.schema, function.name)
    negotiated = planning.negotiated(of)
    most = prefer.most_affected
    if most is not None and not function.returns_set:
        raise max_affected_needs_set()
    guard = _guard(one_object=negotiated.media.kind is Kind.OBJECT, most=most)
    without_body = asked.method == "HEAD" or function.returns_void
    plan = plan_call(
        planning.query,
        function,
        planning.reading,
        arguments,
        body=None if without_body else body_of(negotiated, Result.of(function)),
        read_only=asked.method != "POST" or function.volatility != "v",
        guard=guard,
        count=_COUNTS.get(prefer.count) if prefer.count else None,
    )
    return Prepared(
        action=Action.CALL,
        plan=_finished(plan, negotiated),
        headers=planning.headers(prefer.applied(affected=True)),
        body_headers=planning.body_headers(negotiated.media),
        has_body=not function.returns_void,
        is_guarded=guard is not ANY_NUMBER,
        statement_timeout_ms=_timeout_ms(function),
    )


def _called(planning: _Planning) -> tuple[Function, Arguments]:
    asked, content = planning.asked, planning.asked.content
    name = asked.target.function or ""
    posted = media_type(asked.headers.content_type.decode("latin-1")).name if content is not None else None
    if content is None:
        values = planning.query.arguments
        names = tuple(dict.fromkeys(given for given, _ in values))
        arguments = Arguments(names=names, values=values)
    elif content.pairs is not None:
        arguments = Arguments(names=content.columns, values=content.values_after(asked.shape_key.count(TAKEN)))
    else:
        names = planning.query.columns or content.columns
        arguments = Arguments(names=names, is_object=content.is_object)
    function = function_for(planning.catalogue, asked.profile.schema, name, arguments.names, posted=posted)
    if takes_whole_body(function, posted):
        arguments = Arguments(whole_body=True)
    return function, arguments


def _options(planning: _Planning) -> Prepared:
    target = planning.asked.target
    if target.function is not None:
        function, _ = _called(planning)
        allowed = "OPTIONS,POST" if function.volatility == "v" else "OPTIONS,GET,HEAD,POST"
    elif target.table is not None:
        allowed = _allowed(planning.table())
    else:
        allowed = "OPTIONS,GET,HEAD"
    return Prepared(
        action=Action.OPTIONS, plan=None, headers=(_VARY, (b"allow", allowed.encode())), has_body=False
    )


def _allowed(table: Table) -> str:
    methods = {
        "POST": table.insertable,
        "PUT": table.insertable and table.updatable and bool(table.primary_key),
        "PATCH": table.updatable,
        "DELETE": table.deletable,
    }
    return ",".join(["OPTIONS,GET,HEAD", *(method for method, can in methods.items() if can)])


def _guard(*, one_object: bool, most: int | None) -> Sql:
    if one_object:
        return ONE_OBJECT
    return ANY_NUMBER if most is None else at_most(most)


def _finished(plan: Plan, negotiated: Negotiated) -> Plan:
    media = negotiated.media
    plan = replace(plan, is_marked=negotiated.handler is not None)
    return explained(plan, media.plan_format, media.plan_options) if media.kind is Kind.PLAN else plan


def _timeout_ms(function: Function) -> int | None:
    """The function's own `statement_timeout`, in milliseconds as PostgreSQL keeps it, or with a unit."""
    text = (function.settings or {}).get("statement_timeout")
    if text is None:
        return None
    units = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "": 1}
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip()
    return round(float(digits) * units[unit]) if digits and unit in units else None


_PREPARE: dict[Action, Callable[[_Planning], Prepared]] = {
    Action.READ: _read,
    Action.INSERT: _write,
    Action.UPDATE: _write,
    Action.PUT: _write,
    Action.DELETE: _write,
    Action.CALL: _call,
    Action.OPTIONS: _options,
}
