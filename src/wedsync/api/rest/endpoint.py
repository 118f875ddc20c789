"""The data API as an ASGI application: a request is planned once a shape, and is one round trip each time."""

from typing import Protocol

from starlette.types import Receive, Scope, Send

from wedsync.api.callers import Caller, Callers, TokenProblem
from wedsync.api.limits import OnceOnly
from wedsync.api.rest.answer import Answer, answer_of
from wedsync.api.rest.errors import MAY_BE_STALE, RestError, body_malformed, refused, token_refused, unserved
from wedsync.api.rest.headers import Headers, read_headers
from wedsync.api.rest.openapi import Descriptions, Visible, address_of, headers_of
from wedsync.api.rest.payload import Content
from wedsync.api.rest.plan.guards import REFUSAL_SQLSTATE, refusal
from wedsync.api.rest.planning import prepare
from wedsync.api.rest.prepared import Prepared
from wedsync.api.rest.query import Shape
from wedsync.api.rest.recent import Recent
from wedsync.api.rest.repeated import run_once
from wedsync.api.rest.request import WITH_BODY, Action, Asked
from wedsync.api.rest.route import Route, new_route
from wedsync.api.rest.settings import RestSettings
from wedsync.api.rest.transaction import Incoming, work_of, work_of_description
from wedsync.database.catalogue import Catalogue
from wedsync.database.pipeline import Result, StatementFailed, Work
from wedsync.errors import WedsyncError

_PERHAPS_STALE = MAY_BE_STALE | {"PGRST200", "PGRST201", "PGRST202", "PGRST203", "PGRST204", "PGRST205"}
"""Codes of answers that a newer catalogue may make good."""
_NO_CONTENT = 204
_LARGEST_KEPT = 8 * 1024
"""Bytes of a request by which something is kept: who sends large ones does not fill our memory."""


class Runner(Protocol):
    """The pool, as far as it is needed here."""

    async def run(self, work: Work) -> list[Result]: ...


class Catalogues(Protocol):
    """The catalogue as it is now."""

    @property
    def current(self) -> Catalogue: ...
    async def refresh_if_changed(self, seen: Catalogue) -> bool: ...


class RestApp:
    """Answers below its mount (`/rest/v1`): `/table`, `/rpc/function`, and the root.

    The scope holds what the way in (`api/front`) puts there: `root_path`, `caller`, `headers_by_name`,
    `request_id` and `forwarded_for`.
    """

    def __init__(
        self,
        pool: Runner,
        catalogues: Catalogues,
        callers: Callers,
        settings: RestSettings | None = None,
        *,
        once: OnceOnly | None = None,
    ) -> None:
        """`once` does writes that name themselves; without it an `Idempotency-Key` is refused."""
        self._pool = pool
        self._once = once
        self._catalogues = catalogues
        self._callers = callers
        self._settings = settings or RestSettings()
        self._descriptions = Descriptions()
        self._planned_with: Catalogue | None = None
        self._headers = Recent[tuple[tuple[bytes, bytes], ...], Headers](self._settings.most_plans)
        self._routes = Recent[tuple[object, ...], Route](self._settings.most_plans)
        self._plans = Recent[tuple[object, ...], Prepared](self._settings.most_plans)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope, receive)
        except RestError as error:
            answer = Answer.of_problem(error.problem)
        except TokenProblem as problem:
            answer = Answer.of_problem(token_refused(problem))
        except WedsyncError as error:
            answer = Answer.of_problem(unserved(error))
        headers, body = answer.headers, answer.body
        if scope["method"] == "HEAD":
            body = b""
        elif answer.status != _NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        caller: Caller | None = scope.get("caller")
        if caller is None:
            names: dict[bytes, bytes] = scope["headers_by_name"]
            caller = await self._callers.identify(names.get(b"authorization"), names.get(b"apikey"))
        body = await _body(receive) if scope["method"] in WITH_BODY else b""
        incoming = Incoming(scope, caller, self._headers_of(scope), body)
        catalogue = self._catalogues.current
        try:
            return await self._attempt(incoming, catalogue)
        except RestError as error:
            if error.problem.code not in _PERHAPS_STALE or not await self._catalogues.refresh_if_changed(
                catalogue
            ):
                raise
        return await self._attempt(incoming, self._catalogues.current)

    def _headers_of(self, scope: Scope) -> Headers:
        """The headers: read once for all requests that have the same."""
        key = tuple(scope["headers"])
        headers = self._headers.get(key)
        if headers is None:
            headers = read_headers(key)
            if len(headers.request) <= _LARGEST_KEPT:
                self._headers.keep(key, headers)
        return headers

    async def _attempt(self, incoming: Incoming, catalogue: Catalogue) -> Answer:
        """Plan, run, answer; `RestError` of all that can be told to the client."""
        if catalogue is not self._planned_with:
            self._planned_with = catalogue
            self._routes.clear()
            self._plans.clear()
        route = self._route(incoming, catalogue)
        if route.target.action is Action.DESCRIBE:
            return await self._describe(incoming, route, catalogue)
        query: bytes = incoming.scope["query_string"]
        incoming.shape = shape = route.shape(query, incoming.headers, self._settings.limits)
        incoming.content = content = route.content(incoming.body, shape)
        prepared = self._prepared(route, shape, content, catalogue)
        if prepared.plan is None:
            return answer_of(prepared, [], shape, query)
        work = work_of(incoming, route, prepared, prepared.plan, self._settings)
        try:
            if incoming.headers.key is None or work.read_only or work.undo:
                return answer_of(prepared, await self._pool.run(work), shape, query)
            done = await run_once(self._once, incoming, work, incoming.headers.key)
        except StatementFailed as failure:
            raise _refusal(failure, incoming.caller, is_guarded=prepared.is_guarded) from failure
        answer = answer_of(prepared, done.results, shape, query)
        if done.is_repeat:
            answer.headers.append((b"idempotency-replayed", b"true"))
        return answer

    def _route(self, incoming: Incoming, catalogue: Catalogue) -> Route:
        """Where the request goes: known, or found now."""
        scope, headers = incoming.scope, incoming.headers
        method, path = scope["method"], scope["path"]
        may_see_plans = incoming.caller.role == self._settings.plans_for
        key = (
            method,
            path,
            headers.accept,
            headers.prefer,
            headers.content_type,
            headers.accept_profile,
            headers.content_profile,
            may_see_plans,
        )
        route = self._routes.get(key)
        if route is None:
            own_path = path[len(scope.get("root_path", "")) :]
            route = new_route(method, own_path, headers, catalogue, may_see_plans=may_see_plans)
            if len(path) + len(headers.request) <= _LARGEST_KEPT:
                self._routes.keep(key, route)
        return route

    def _prepared(self, route: Route, shape: Shape, content: Content | None, catalogue: Catalogue) -> Prepared:
        """The plan for requests like this one: known, or made now."""
        key = (route, shape.key, None if content is None else content.kind)
        prepared = self._plans.get(key)
        if prepared is None:
            asked = Asked(
                method=route.method,
                target=route.target,
                profile=route.profile,
                shape_key=shape.key,
                headers=route.headers,
                content=content,
                may_see_plans=route.may_see_plans,
            )
            prepared = prepare(asked, catalogue, self._settings)
            if len(shape.key) <= _LARGEST_KEPT:
                self._plans.keep(key, prepared)
        return prepared

    async def _describe(self, incoming: Incoming, route: Route, catalogue: Catalogue) -> Answer:
        headers = headers_of(route.profile, incoming.headers.accept)
        try:
            results = await self._pool.run(work_of_description(incoming, route, self._settings))
        except StatementFailed as failure:
            raise _refusal(failure, incoming.caller, is_guarded=False) from failure
        document = await self._descriptions.of(
            catalogue, route.profile.schema, Visible.read(results), address_of(incoming.scope)
        )
        return Answer(200, headers, document)


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise body_malformed("The client went away before it had sent the whole body")
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _refusal(failure: StatementFailed, caller: Caller, *, is_guarded: bool) -> RestError:
    """What PostgreSQL refused, or a guard of ours in the statement."""
    if is_guarded and failure.sqlstate == REFUSAL_SQLSTATE:
        found = refusal(failure.said.message)
        if found is not None:
            return found
    return RestError(refused(failure.said, is_anonymous=caller.is_anonymous))
