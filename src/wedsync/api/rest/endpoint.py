"""The data API as an ASGI application: a request is planned once a shape, and is one round trip each time."""

from collections import OrderedDict
from typing import Protocol

from starlette.types import Receive, Scope, Send

from wedsync import errors
from wedsync.api.callers import Caller, Callers, TokenProblem
from wedsync.api.limits import LONGEST_KEY_BYTES, OnceOnly, digest_of
from wedsync.api.rest.answer import Answer, answer_of
from wedsync.api.rest.errors import (
    MAY_BE_STALE,
    RestError,
    body_malformed,
    key_malformed,
    key_not_kept,
    refused,
    token_refused,
    unserved,
)
from wedsync.api.rest.headers import Headers, read_headers
from wedsync.api.rest.media import media_type
from wedsync.api.rest.openapi import Descriptions, Visible, address_of, headers_of, visible_to_caller
from wedsync.api.rest.payload import Content, arguments_of, rows_of
from wedsync.api.rest.plan import Plan
from wedsync.api.rest.plan.guards import REFUSAL_SQLSTATE, refusal
from wedsync.api.rest.planning import prepare
from wedsync.api.rest.prepared import Prepared, parameters
from wedsync.api.rest.query import Shape, shape_of
from wedsync.api.rest.request import Action, Asked, Target, profile_of, target_of
from wedsync.api.rest.settings import RestSettings
from wedsync.database.catalogue import Catalogue
from wedsync.database.pipeline import Result, Statement, StatementFailed, Work

_UNKNOWN_NAME = MAY_BE_STALE | {"PGRST200", "PGRST202", "PGRST204", "PGRST205"}
_NO_FUNCTION = "42883"
_CONSTRAINTS_NOW = Statement(b"set constraints all immediate")


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
        self._plans: OrderedDict[object, Prepared] = OrderedDict()
        self._planned_with: Catalogue | None = None
        self._search_paths: dict[str, bytes] = {}
        self._descriptions = Descriptions()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope, receive)
        except RestError as error:
            answer = Answer.of_problem(error.problem)
        except TokenProblem as problem:
            answer = Answer.of_problem(token_refused(problem))
        except errors.WedsyncError as error:
            answer = Answer.of_problem(unserved(error))
        status, headers, body = answer.status, answer.headers, answer.body
        if status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        caller: Caller | None = scope.get("caller")
        if caller is None:
            names: dict[bytes, bytes] = scope["headers_by_name"]
            caller = await self._callers.identify(names.get(b"authorization"), names.get(b"apikey"))
        request = _Request(scope, caller)
        if request.method in {"POST", "PATCH", "PUT"}:
            request.body = await _body(receive)
        catalogue = self._catalogues.current
        for is_last in (False, True):
            try:
                return await self._attempt(request, catalogue)
            except RestError as error:
                stale = error.problem.code in _UNKNOWN_NAME and not is_last
                if not stale or not await self._catalogues.refresh_if_changed(catalogue):
                    raise
            except StatementFailed as failure:
                stale = failure.sqlstate in MAY_BE_STALE and not is_last
                if not stale or not await self._catalogues.refresh_if_changed(catalogue):
                    raise _refusal(failure, request) from failure
            catalogue = self._catalogues.current
        raise AssertionError("the last attempt answers or raises")

    async def _attempt(self, request: "_Request", catalogue: Catalogue) -> Answer:
        if request.target.action is Action.DESCRIBE:
            return await self._describe(request, catalogue)
        prepared = self._prepared(request, catalogue)
        request.prepared = prepared
        if prepared.plan is None:
            return answer_of(prepared, [], request.shape, request.query)
        work = self._work(request, prepared, prepared.plan, catalogue)
        if request.key is not None and not work.read_only and not work.undo:
            return await self._answer_once(request, prepared, work, request.key)
        results = await self._pool.run(work)
        return answer_of(prepared, results, request.shape, request.query)

    async def _describe(self, request: "_Request", catalogue: Catalogue) -> Answer:
        """The root: what the caller may use of a schema."""
        profile = profile_of(request.method, request.headers, catalogue)
        headers = headers_of(profile, request.headers.accept)
        question = Work(
            role=request.caller.role,
            settings=(),
            statements=(visible_to_caller(profile.schema),),
            read_only=True,
            statement_timeout_ms=self._settings.statement_timeout_ms,
        )
        visible = Visible.read(await self._pool.run(question))
        address = address_of(request.scope)
        return Answer(200, headers, await self._descriptions.of(catalogue, profile.schema, visible, address))

    async def _answer_once(self, request: "_Request", prepared: Prepared, work: Work, key: bytes) -> Answer:
        """The answer to a write that names itself: of this time, or of the first."""
        if self._once is None:
            raise key_not_kept()
        if not 0 < len(key) <= LONGEST_KEY_BYTES or not key.isascii() or not key.decode().isprintable():
            raise key_malformed()
        headers = request.headers
        profile = (headers.content_profile or "").encode()
        relevant = (headers.content_type, headers.accept, headers.prefer, profile)
        digest = digest_of(request.method, request.path, request.query, request.body, relevant)
        try:
            done = await self._once.run(work, key=key, digest=digest)
        except StatementFailed as failure:
            if failure.sqlstate == _NO_FUNCTION and "begin_request" in failure.said.message:
                raise key_not_kept() from failure
            raise
        answer = answer_of(prepared, done.results, request.shape, request.query)
        if done.is_repeat:
            answer.headers.append((b"idempotency-replayed", b"true"))
        return answer

    def _prepared(self, request: "_Request", catalogue: Catalogue) -> Prepared:
        """The plan for requests like this one: known, or made now."""
        if catalogue is not self._planned_with:
            self._plans.clear()
            self._search_paths.clear()
            self._planned_with = catalogue
        key = request.read(self._settings)
        prepared = self._plans.get(key)
        if prepared is not None:
            self._plans.move_to_end(key)
            return prepared
        asked = Asked(
            method=request.method,
            target=request.target,
            profile=profile_of(request.method, request.headers, catalogue),
            shape_key=request.shape.key,
            headers=request.headers,
            content=request.content,
            may_see_plans=request.caller.role == self._settings.plans_for,
        )
        prepared = self._plans[key] = prepare(asked, catalogue, self._settings)
        if len(self._plans) > self._settings.most_plans:
            self._plans.popitem(last=False)
        return prepared

    def _work(self, request: "_Request", prepared: Prepared, plan: Plan, catalogue: Catalogue) -> Work:
        caller, headers = request.caller, request.headers
        values = request.values
        body = b"" if request.content is None else request.content.text
        statements = [Statement(plan.sql, parameters(plan.slots, values, body))]
        if plan.estimate is not None:
            statements.append(Statement(plan.estimate.sql, parameters(plan.estimate.slots, values, body)))
        if prepared.undo and not plan.read_only:
            statements.append(_CONSTRAINTS_NOW)
        schema = profile_of(request.method, headers, catalogue).schema
        settings = [
            ("search_path", self._search_path(schema, catalogue)),
            ("request.jwt.claims", caller.claims_json),
            ("request.method", request.method.encode()),
            ("request.path", request.path.encode()),
            ("request.headers", headers.request),
            ("request.cookies", headers.cookies),
            ("request.id", request.id),
            ("request.forwarded_for", request.forwarded_for),
        ]
        if prepared.time_zone is not None:
            settings.append(("timezone", prepared.time_zone))
        timeout = prepared.statement_timeout_ms
        if timeout is None:
            timeout = self._settings.role_timeouts_ms.get(caller.role, self._settings.statement_timeout_ms)
        return Work(
            role=caller.role,
            settings=tuple(settings),
            statements=tuple(statements),
            read_only=plan.read_only or not caller.may_write,
            statement_timeout_ms=timeout,
            undo=prepared.undo,
        )

    def _search_path(self, schema: str, catalogue: Catalogue) -> bytes:
        known = self._search_paths.get(schema)
        if known is None:
            names = dict.fromkeys((schema, *catalogue.extra_search_path))
            quoted = ('"' + name.replace('"', '""') + '"' for name in names)
            known = self._search_paths[schema] = ", ".join(quoted).encode()
        return known


class _Request:
    """One request while it is answered."""

    __slots__ = (
        "body",
        "caller",
        "content",
        "forwarded_for",
        "headers",
        "id",
        "key",
        "method",
        "path",
        "prepared",
        "query",
        "scope",
        "shape",
        "target",
        "values",
    )

    def __init__(self, scope: Scope, caller: Caller) -> None:
        self.scope = scope
        self.caller = caller
        self.method: str = scope["method"]
        self.path: str = scope["path"][len(scope.get("root_path", "")) :]
        self.query: bytes = scope["query_string"]
        self.headers: Headers = read_headers(tuple(scope["headers"]))
        self.id: bytes = scope.get("request_id", b"")
        self.forwarded_for: bytes = scope.get("forwarded_for", b"")
        self.key: bytes | None = scope.get("headers_by_name", {}).get(b"idempotency-key")
        self.body = b""
        self.content: Content | None = None
        self.target: Target = target_of(self.method, self.path)
        self.shape: Shape
        self.values: tuple[str, ...] = ()
        self.prepared: Prepared | None = None

    def read(self, settings: RestSettings) -> object:
        """Read query string and body; what comes back is the same for requests that have the same plan."""
        method, target, headers = self.method, self.target, self.headers
        self.shape = shape = shape_of(
            self.query,
            header_range=headers.range if method == "GET" else None,
            arguments=target.function is not None and method != "POST",
            limits=settings.limits,
        )
        self.values = shape.values
        kind: object = None
        if method in {"POST", "PATCH", "PUT"}:
            content_type = media_type(headers.content_type.decode("latin-1")).name
            named = method != "PUT" and "columns=" in shape.key
            read = rows_of if target.action is not Action.CALL else arguments_of
            self.content = content = read(self.body, content_type, columns_named=named)
            if content.pairs is not None:
                self.values = (*shape.values, *(value for _, value in content.pairs))
            kind = content.kind, content_type
        profile = headers.accept_profile, headers.content_profile
        return (
            method,
            self.path,
            shape.key,
            headers.accept,
            headers.prefer,
            profile,
            kind,
            self.caller.role if b"pgrst.plan" in headers.accept.lower() else None,
        )


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise body_malformed("The client went away before it had sent the whole body")
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _refusal(failure: StatementFailed, request: _Request) -> RestError:
    """What PostgreSQL refused, or a guard of ours in the statement."""
    if failure.sqlstate == REFUSAL_SQLSTATE and request.prepared is not None and request.prepared.is_guarded:
        found = refusal(failure.said.message)
        if found is not None:
            return found
    return RestError(refused(failure.said, is_anonymous=request.caller.is_anonymous))
