"""`POST /token`: a session for a password, a refresh token, or a code with its verifier."""

from dataclasses import dataclass
from typing import ClassVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wedsync.api.auth.errors import AuthError, banned, invalid, no_phone
from wedsync.api.auth.http import json_answer, origin_of, read
from wedsync.api.auth.policy import clean_email
from wedsync.api.auth.secret_values import challenge_of, hash_of
from wedsync.api.auth.service import Service
from wedsync.api.auth.store import Origin, Person, is_banned, outcome_in, person_in
from wedsync.api.auth.throttle import OF_ACCOUNT, OF_ADDRESS
from wedsync.events import Event, observe


class PasswordGrant(msgspec.Struct, frozen=True, kw_only=True):
    """The body for a password."""

    email: str = ""
    phone: str = ""
    password: str = ""


class RefreshGrant(msgspec.Struct, frozen=True, kw_only=True):
    """The body for a refresh token."""

    refresh_token: str = ""


class CodeGrant(msgspec.Struct, frozen=True, kw_only=True):
    """The body for a code."""

    auth_code: str = ""
    code_verifier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenReused(Event):
    """A refresh token came a second time, too late to be the same device: its session was ended."""

    level: ClassVar[str] = "warning"
    user_id: str
    session_id: str


class TokenEndpoint:
    """One endpoint, three grants."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request) -> Response:
        """A session."""
        origin = origin_of(request)
        self._service.calls.take("token", origin.network)
        match request.query_params.get("grant_type"):
            case "password":
                return json_answer(await self._by_password(await read(request, PasswordGrant), origin))
            case "refresh_token":
                return json_answer(await self._refreshed(await read(request, RefreshGrant), origin))
            case "pkce":
                return json_answer(await self._by_code(await read(request, CodeGrant), origin))
            case "id_token" | "web3":
                raise AuthError(400, "provider_disabled", "Provider is not enabled")
            case _:
                raise AuthError(400, "invalid_credentials", "unsupported_grant_type")

    async def _by_password(self, grant: PasswordGrant, origin: Origin) -> object:
        if grant.phone:
            raise no_phone("Phone logins are disabled")
        if not grant.email or not grant.password:
            raise invalid("missing email or phone" if not grant.email else "missing password")
        service, store = self._service, self._service.store
        email = clean_email(grant.email)
        subjects = (("account", email), ("address", origin.network))
        waits, found = await store.run(
            service.throttle.question(*subjects), store.statement("account_by_email", email), origin=origin
        )
        service.throttle.require_free(waits)
        person = person_in(found)
        checked = await service.passwords.check(grant.password, person.password_hash if person else None)
        if person is None or not checked.is_right:
            await store.run(
                service.throttle.hit("account", email, OF_ACCOUNT),
                service.throttle.hit("address", origin.network, OF_ADDRESS),
                origin=origin,
            )
            raise AuthError(400, "invalid_credentials", "Invalid login credentials")
        self._require_usable(person)
        before = [service.throttle.forget("account", email)]
        if checked.new_hash is not None:
            before.append(
                store.statement("rehash_password", person.account.id, checked.new_hash, person.password_hash)
            )
        return await service.begin(person.account, "password", origin, *before)

    def _require_usable(self, person: Person) -> None:
        """Said only to who knows the password."""
        if person.account.email_confirmed_at is None:
            raise AuthError(400, "email_not_confirmed", "Email not confirmed")
        if is_banned(person, self._service.clock):
            raise banned()

    async def _refreshed(self, grant: RefreshGrant, origin: Origin) -> object:
        if not grant.refresh_token:
            raise invalid("refresh_token required")
        service = self._service
        successor = service.tokens.successor(grant.refresh_token)
        outcome = outcome_in(
            (
                await service.store.run(
                    service.store.statement(
                        "rotate_refresh_token",
                        hash_of(grant.refresh_token),
                        hash_of(successor),
                        service.config.refresh_again_within.total_seconds(),
                        service.config.session_idle.total_seconds(),
                    ),
                    origin=origin,
                )
            )[0]
        )
        match outcome.outcome:
            case "rotated":
                return service.answer(outcome, successor)
            case "reused":
                observe(RefreshTokenReused(user_id=outcome.user_id or "", session_id=outcome.session_id or ""))
                raise AuthError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
            case "expired":
                raise AuthError(400, "session_expired", "Invalid Refresh Token: Session Expired")
            case "banned":
                raise banned()
            case _:
                raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")

    async def _by_code(self, grant: CodeGrant, origin: Origin) -> object:
        if not grant.auth_code or not grant.code_verifier:
            raise invalid("invalid request: both auth code and code verifier should be non-empty")
        service = self._service
        opening = service.opening(origin)
        outcome = outcome_in(
            (
                await service.store.run(
                    service.store.statement(
                        "exchange_code",
                        hash_of(grant.auth_code),
                        grant.code_verifier,
                        challenge_of(grant.code_verifier),
                        opening.facts,
                    ),
                    origin=origin,
                )
            )[0]
        )
        match outcome.outcome:
            case "done":
                return service.answer(outcome, opening.refresh_token)
            case "wrong_verifier":
                raise AuthError(
                    400, "bad_code_verifier", "code challenge does not match previously saved code verifier"
                )
            case "banned":
                raise banned()
            case _:
                raise AuthError(404, "flow_state_not_found", "invalid flow state, no valid flow state found")
