"""Between HTTP and the endpoints: bodies, callers, answers."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID, uuid4

import jwt
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wedsync.api.auth.errors import API_VERSION, API_VERSION_HEADER, AuthError, Refusal, body_of, is_new
from wedsync.api.auth.service import Service
from wedsync.api.auth.sessions import AUDIENCE
from wedsync.api.auth.store import UNIQUE_VIOLATION, Origin, Person, Session, person_in
from wedsync.api.callers import ADMINISTRATOR, address_of
from wedsync.database.pipeline import StatementFailed
from wedsync.errors import WedsyncError

T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]

_LONGEST_BODY_BYTES = 64 * 1024
_REFUSED_VALUE = ("22", "23")
_TRY_AGAIN = ("08", "40", "53", "57", "25006")
"""Connection, another transaction, the server's resources or its operator were in the way; or it is a standby."""
_AWAY = Refusal(
    status=503,
    code="unexpected_failure",
    message="Signing in is not possible now; try again",
    headers={"Retry-After": "1"},
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Whose token came with a request, and the session it is of."""

    person: Person
    session: Session
    id: str


def json_answer(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; none of them may be kept by a cache."""
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type="application/json",
    )


def refused(request: Request, refusal: Refusal) -> Response:
    """An error answer in the version that the client asked for."""
    asked = request.headers.get(API_VERSION_HEADER)
    headers = {"x-sb-error-code": refusal.code, **refusal.headers}
    if is_new(asked):
        headers[API_VERSION_HEADER] = API_VERSION
    return json_answer(body_of(refusal, asked), status=refusal.status, headers=headers)


def answering(endpoint: Endpoint) -> Endpoint:
    """The endpoint, its errors put into the protocol's words."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except AuthError as error:
            return refused(request, error.refusal)
        except StatementFailed as error:
            return refused(request, _refusal_of(error))
        except WedsyncError as error:
            _log.warning("sign_in_unavailable", exc_info=error)
            return refused(request, _AWAY)

    return answer


def _refusal_of(error: StatementFailed) -> Refusal:
    if error.sqlstate == UNIQUE_VIOLATION:
        return Refusal(
            status=422, code="email_exists", message="A user with this email address has already been registered"
        )
    if error.sqlstate.startswith(_REFUSED_VALUE):
        return Refusal(
            status=400, code="validation_failed", message="The database refuses a value of this request"
        )
    if error.sqlstate.startswith(_TRY_AGAIN):
        _log.warning("sign_in_unavailable", exc_info=error)
        return _AWAY
    _log.error("sign_in_failed", exc_info=error)
    return Refusal(status=500, code="unexpected_failure", message="Unexpected failure; the gateway's log says why")


def origin_of(request: Request) -> Origin:
    """Where a request came from."""
    agent = request.headers.get("user-agent")
    # The way in says what the request is called.
    request_id: bytes | None = request.scope.get("request_id")
    return Origin(
        ip=address_of(request.scope),
        user_agent=None if agent is None else agent[:500],
        request_id=request_id.decode() if request_id else str(uuid4()),
    )


async def read(request: Request, kind: type[T]) -> T:
    """The body of a request as a msgspec type; unknown fields are left out, null is as if it were not there."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_BODY_BYTES:
            raise AuthError(413, "validation_failed", f"The body is larger than {_LONGEST_BODY_BYTES // 1024} kB")
    try:
        found = msgspec.json.decode(body or b"{}", type=dict[str, object])
        return msgspec.convert({name: value for name, value in found.items() if value is not None}, kind)
    except msgspec.ValidationError as error:
        raise AuthError(400, "validation_failed", f"Could not read the body: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AuthError(400, "bad_json", "Could not parse request body as JSON") from error


def claims_of(service: Service, request: Request, *, audience: str | None) -> dict[str, object]:
    """The claims of the token that came along."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise AuthError(401, "no_authorization", "This endpoint requires a valid Bearer token")
    try:
        return service.keys.verify(token.strip(), audience=audience)
    except jwt.PyJWTError as error:
        raise AuthError(
            403, "bad_jwt", f"invalid JWT: unable to parse or verify signature, {type(error).__name__}"
        ) from error


async def signed_in(service: Service, request: Request) -> SignedIn:
    """The person whose token came along, while the session of it lasts."""
    claims = claims_of(service, request, audience=None)
    try:
        user, session = UUID(str(claims["sub"])), UUID(str(claims["session_id"]))
    except (KeyError, ValueError) as error:
        raise AuthError(403, "bad_jwt", "invalid claim: missing sub claim") from error
    if claims.get("aud") != AUDIENCE:
        raise AuthError(403, "bad_jwt", "invalid claim: aud is not ours")
    found = (await service.store.run(service.store.statement("account_and_session", user, session)))[0]
    person = person_in(found)
    if person is None:
        raise AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return SignedIn(
        person=person, session=msgspec.json.decode(found.rows[0][2] or b"{}", type=Session), id=str(user)
    )


def require_administrator(service: Service, request: Request) -> None:
    """Raise 401 or 403 unless the service key came along."""
    if claims_of(service, request, audience=None).get("role") != ADMINISTRATOR:
        raise AuthError(403, "not_admin", "User not allowed")
