"""What each call passes on its way in: who it is from, how often, what it says, whether it came before."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from wedsync.api.limits import CallLimits
from wedsync.api.operations.answers import encode, headers_of, json_answer, problem_of, status_of
from wedsync.api.operations.operation import AnyOperation, Call, Failure, Problem
from wedsync.api.operations.repeated import Remembered, RepeatedCalls
from wedsync.api.operations.requests import read_body, understand_body, understand_place
from wedsync.api.operations.trail import Trail
from wedsync.clock import Clock
from wedsync.errors import WedsyncError
from wedsync.state import StateStore

AsProblem = Callable[[Exception], WedsyncError | None]

_KEY = "idempotency-key"
_NOTHING_WAS_DONE = frozenset({409, 423, 429, 503})
"""A call that ended like this may be made again with the same key."""
_FAILED = Problem(code="WS000", message="this failed; the gateway's log says why")


class Administrators(Protocol):
    """Who may come in."""

    async def administrator(self, request: Request) -> str:
        """Whom the audit trail names; raises `NotSignedIn` or `NotAdministrator`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    status: int
    content: bytes
    headers: dict[str, str]


class Entrance:
    """Lets calls in, carries them out, answers."""

    def __init__(
        self, *, administrators: Administrators, state: StateStore, clock: Clock, as_problem: AsProblem
    ) -> None:
        """`as_problem` puts errors of the outside into our words."""
        self._administrators = administrators
        self._clock = clock
        self._as_problem = as_problem
        self._limits = CallLimits(clock)
        self._repeated = RepeatedCalls(state, now=clock.now())
        self._trail = Trail(state)

    async def answer(self, operation: AnyOperation, request: Request) -> Response:
        """One call, from the request to the answer."""
        now = self._clock.now()
        try:
            who = await self._administrators.administrator(request)
        except WedsyncError as error:
            return _response(self._failed(operation, None, error, now))
        try:
            if operation.sensitive:
                self._limits.take(f"{operation.path} {who}")
            body = await read_body(request)
            call = Call(
                who=who,
                at=now,
                place=understand_place(request, operation.place),
                body=None if operation.body is type(None) else understand_body(body, operation.body),
            )
            key = request.headers.get(_KEY) if operation.takes_key else None
            if key is not None:
                wanted = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + body
                before = self._repeated.begin(who, key, request=wanted, at=now)
                if before is not None:
                    return json_answer(
                        before.content,
                        status=before.status,
                        headers={**before.headers, "Idempotency-Replayed": "true"},
                    )
        except WedsyncError as error:
            why = error.in_one_line()
            self._trail.refused(who, operation.action, method=operation.method, why=why, at=now)
            return _response(self._failed(operation, None, error, now))
        if key is None:
            return _response(await self._carry_out(operation, call))
        return _response(await self._once(operation, call, key))

    async def _once(self, operation: AnyOperation, call: Call[Any, Any], key: str) -> _Done:
        """Carry out a call with a key, and keep its answer."""
        done = await self._carry_out(operation, call)
        if done.status in _NOTHING_WAS_DONE:
            self._repeated.forget(call.who, key)
        else:
            kept = Remembered(status=done.status, content=done.content, headers=done.headers)
            self._repeated.end(call.who, key, kept)
        return done

    async def _carry_out(self, operation: AnyOperation, call: Call[Any, Any]) -> _Done:
        try:
            if operation.writes:
                self._trail.wrote(call.who, operation.action, _said(call), at=call.at)
            else:
                self._trail.read(call.who, operation.action, at=call.at)
            answer = await operation.carry_out(call)
        except Exception as error:
            problem = error if isinstance(error, WedsyncError) else self._as_problem(error)
            if problem is None:
                structlog.get_logger().exception("operation_failed", operation=operation.name)
                return _Done(
                    status=500,
                    content=encode(_failure(operation, call.body, _FAILED, self._clock.now())),
                    headers={},
                )
            return self._failed(operation, call.body, problem, self._clock.now())
        return _Done(status=answer.status, content=encode(answer.content), headers=dict(answer.headers))

    def _failed(self, operation: AnyOperation, body: object, error: WedsyncError, now: datetime) -> _Done:
        return _Done(
            status=status_of(error),
            content=encode(_failure(operation, body, problem_of(error), now)),
            headers=headers_of(error),
        )


def _failure(operation: AnyOperation, body: object, problem: Problem, now: datetime) -> msgspec.Struct:
    if operation.failed is not None:
        return operation.failed(body, [problem], now)
    return Failure(errors=[problem], timestamp=now)


def _said(call: Call[Any, Any]) -> dict[str, object]:
    """What path, query and body say, for the audit trail; none of them holds a secret."""
    said = (msgspec.to_builtins(part) for part in (call.place, call.body) if part is not None)
    return {name: value for part in said for name, value in part.items()}


def _response(done: _Done) -> Response:
    return json_answer(done.content, status=done.status, headers=done.headers)
