"""The transaction of a request: as whom, what it is told, which statements."""

from dataclasses import dataclass

from starlette.types import Scope

from wedsync.api.callers import Caller
from wedsync.api.rest.headers import Headers
from wedsync.api.rest.openapi import visible_to_caller
from wedsync.api.rest.payload import Content
from wedsync.api.rest.plan import Plan
from wedsync.api.rest.prepared import Prepared, parameters
from wedsync.api.rest.query import Shape
from wedsync.api.rest.request import Action
from wedsync.api.rest.route import Route
from wedsync.api.rest.settings import RestSettings
from wedsync.database.pipeline import Statement, Work

NO_QUERY = Shape("", ())
_CONSTRAINTS_NOW = Statement(b"set constraints all immediate")


@dataclass(slots=True)
class Incoming:
    """A request as it came."""

    scope: Scope
    caller: Caller
    headers: Headers
    body: bytes
    shape: Shape = NO_QUERY
    """Of its query string."""
    content: Content | None = None
    """Its body, read."""


def work_of(incoming: Incoming, route: Route, prepared: Prepared, plan: Plan, settings: RestSettings) -> Work:
    """The transaction that carries out a plan. Raises `RestError` for a value that cannot be converted."""
    values, body, content = incoming.shape.values, b"", incoming.content
    if content is not None:
        body = content.text
        if content.pairs is not None:
            values = (*values, *(value for _, value in content.pairs))
    statements: tuple[Statement, ...] = (Statement(plan.sql, parameters(plan.slots, values, body)),)
    if plan.estimate is not None:
        statements += (Statement(plan.estimate.sql, parameters(plan.estimate.slots, values, body)),)
    if prepared.undo and not plan.read_only:
        statements += (_CONSTRAINTS_NOW,)
    timeout = prepared.statement_timeout_ms
    if timeout is None:
        timeout = settings.timeout_ms(incoming.caller.role)
    told = _told(incoming, route)
    return Work(
        role=incoming.caller.role,
        settings=told + prepared.settings if prepared.settings else told,
        statements=statements,
        read_only=plan.read_only or not incoming.caller.may_write,
        statement_timeout_ms=timeout,
        undo=prepared.undo,
        calls=prepared.action is Action.CALL,
    )


def work_of_description(incoming: Incoming, route: Route, settings: RestSettings) -> Work:
    """The transaction that asks what the caller may use of a schema."""
    return Work(
        role=incoming.caller.role,
        settings=_told(incoming, route),
        statements=(visible_to_caller(route.profile.schema),),
        read_only=True,
        statement_timeout_ms=settings.timeout_ms(incoming.caller.role),
    )


def _told(incoming: Incoming, route: Route) -> tuple[tuple[str, bytes], ...]:
    """Always the same names, in the same order: the statement that sets them is prepared once."""
    scope, headers = incoming.scope, incoming.headers
    return (
        route.search_path,
        ("request.jwt.claims", incoming.caller.claims_json),
        route.method_setting,
        route.path_setting,
        ("request.headers", headers.request),
        ("request.cookies", headers.cookies),
        ("request.id", scope.get("request_id", b"")),
        ("request.forwarded_for", scope.get("forwarded_for", b"")),
    )
