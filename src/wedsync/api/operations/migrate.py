"""`/api/database/migrate`: apply what is pending, try it in a shadow, accept a file that was edited."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wedsync.api.callers import ADMINISTRATOR, Callers
from wedsync.api.limits import CallLimit
from wedsync.api.operations.answers import body_of, error_to_json, headers_of, json_answer, status_of
from wedsync.clock import Clock
from wedsync.errors import UsageProblem, WedsyncError
from wedsync.state import StateStore, record_action

AsProblem = Callable[[Exception], WedsyncError | None]


class MigrateOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of POST."""

    dry_run: bool
    override: str | None = None
    """Why it goes ahead on a day on which the schema does not change."""


class RepairOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of PUT."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What came of a call."""

    migrations: tuple[str, ...]
    """Applied; in a dry run: those that would be; in a repair: the one that was repaired."""
    more: Mapping[str, object] = field(default_factory=dict[str, object])


class SchemaChanges(Protocol):
    """What the endpoint asks of the platform."""

    async def try_in_shadow(self) -> Changed: ...

    async def apply(self, *, by: str, override: str | None) -> Changed: ...

    async def accept(self, identity: str, *, by: str, reason: str) -> Changed: ...


class MigrateEndpoint:
    """Answers for administrators, five times a minute; every call is in the operators' audit trail."""

    def __init__(
        self, changes: SchemaChanges, *, callers: Callers, state: StateStore, clock: Clock, as_problem: AsProblem
    ) -> None:
        """`as_problem` puts errors of the outside into our words."""
        self._changes = changes
        self._callers = callers
        self._state = state
        self._clock = clock
        self._as_problem = as_problem
        self._limit = CallLimit(clock)

    async def answer(self, request: Request) -> Response:
        """POST applies or tries; PUT repairs."""
        dry_run = False
        try:
            await self._callers.require_administrator(
                request.headers.get("authorization"), request.headers.get("apikey")
            )
            order = await self._order(request)
            dry_run = isinstance(order, MigrateOrder) and order.dry_run
            done = await self._carry_out(request, order)
        except Exception as error:
            problem = error if isinstance(error, WedsyncError) else self._as_problem(error)
            if problem is None:
                raise
            return self._answer([problem], dry_run=dry_run, migrations=())
        return self._answer([], dry_run=dry_run, migrations=done.migrations, more=done.more)

    async def _order(self, request: Request) -> MigrateOrder | RepairOrder:
        """What an administrator asks for; a call that is refused here is recorded too."""
        try:
            self._limit.take()
            return await _checked(request, RepairOrder if request.method == "PUT" else MigrateOrder)
        except WedsyncError as error:
            self._record(request, "api migrate refused", method=request.method, refused=error.in_one_line())
            raise

    async def _carry_out(self, request: Request, order: MigrateOrder | RepairOrder) -> Changed:
        match order:
            case RepairOrder():
                self._record(request, "api migrate repair", id=order.id, reason=order.reason)
                return await self._changes.accept(order.id, by=_who(request), reason=order.reason)
            case MigrateOrder():
                self._record(request, "api migrate", dry_run=order.dry_run, override=order.override)
                if order.dry_run:
                    return await self._changes.try_in_shadow()
                return await self._changes.apply(by=_who(request), override=order.override)

    def _record(self, request: Request, action: str, **detail: object) -> None:
        record_action(self._state, at=self._clock.now(), operator=_who(request), action=action, detail=detail)

    def _answer(
        self,
        errors: Sequence[WedsyncError],
        *,
        dry_run: bool,
        migrations: Sequence[str],
        more: Mapping[str, object] | None = None,
    ) -> Response:
        content = {
            "success": not errors,
            "dry_run": dry_run,
            "applied_migrations": migrations,
            "errors": [error_to_json(error) for error in errors],
            "timestamp": self._clock.now().isoformat(),
            **(more or {}),
        }
        if not errors:
            return json_answer(content)
        return json_answer(content, status=status_of(errors[0]), headers=headers_of(errors[0]))


async def _checked(request: Request, kind: type[MigrateOrder] | type[RepairOrder]) -> MigrateOrder | RepairOrder:
    try:
        return await body_of(request, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fields = ", ".join(kind.__struct_fields__)
        raise UsageProblem(
            "the body is not what this takes", detail=str(error), hint=f"JSON with: {fields}"
        ) from error


def _who(request: Request) -> str:
    return f"{ADMINISTRATOR} from {request.client.host if request.client else 'unknown'}"
