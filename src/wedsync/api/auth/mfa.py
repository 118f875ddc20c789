"""`/factors`: a second factor is enrolled, asked for, shown, given up."""

from typing import Literal
from uuid import UUID, uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wedsync.api.auth import totp
from wedsync.api.auth.errors import AuthError, invalid
from wedsync.api.auth.http import SignedIn, json_answer, origin_of, read, signed_in
from wedsync.api.auth.secret_values import hash_of, new_token
from wedsync.api.auth.service import Service
from wedsync.api.auth.store import UNIQUE_VIOLATION, outcome_in, scalar_in
from wedsync.api.auth.throttle import OF_ACCOUNT
from wedsync.database.pipeline import StatementFailed

_MOST_WRONG = 5


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an enrolment."""

    factor_type: str = "totp"
    friendly_name: str = ""
    issuer: str = ""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a verification."""

    challenge_id: UUID
    code: str = ""


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was asked."""

    id: str
    type: Literal["totp"] = "totp"
    expires_at: int


class FactorEndpoints:
    """For whoever is signed in; each code is taken once, and five wrong ones end a challenge."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def enrol(self, request: Request) -> Response:
        """A new factor with its secret, which is shown this once."""
        caller, origin = await signed_in(self._service, request), origin_of(request)
        order = await read(request, Enrolment)
        if order.factor_type != "totp":
            raise AuthError(
                422,
                "mfa_phone_enroll_not_enabled",
                f"factor_type {order.factor_type[:20]!r} is not offered: use totp",
            )
        account = caller.person.account
        if account.has_second_factor and caller.session.aal != "aal2":
            raise AuthError(403, "insufficient_aal", "AAL2 required to enroll a new factor")
        service, store = self._service, self._service.store
        factor, secret = uuid4(), totp.new_secret()
        issuer = order.issuer or service.redirects.site_url.partition("://")[2].partition("/")[0] or "WedSync"
        uri = totp.uri_of(secret, issuer=issuer, account=account.email or account.id)
        try:
            results = await store.run(
                store.statement("drop_unverified_factors", caller.id),
                store.statement(
                    "add_factor",
                    factor,
                    caller.id,
                    order.friendly_name,
                    service.secret.seal(secret, factor),
                    service.config.max_factors,
                ),
                by=caller.id,
                origin=origin,
            )
        except StatementFailed as error:
            if error.sqlstate == UNIQUE_VIOLATION:
                raise AuthError(
                    422,
                    "mfa_factor_name_conflict",
                    f'A factor with the friendly name "{order.friendly_name}" for this user already exists',
                ) from error
            raise
        if not results[-1].rows:
            raise AuthError(
                422,
                "too_many_enrolled_mfa_factors",
                "Maximum number of enrolled factors reached, unenroll to continue",
            )
        return json_answer(
            {
                "id": str(factor),
                "type": "totp",
                "friendly_name": order.friendly_name,
                "totp": {"qr_code": totp.picture_of(uri), "secret": totp.as_text(secret), "uri": uri},
            }
        )

    async def challenge(self, request: Request) -> Response:
        """A question to answer within five minutes."""
        caller, factor = await signed_in(self._service, request), _factor_of(request)
        store = self._service.store
        asked = store.statement("challenge_factor", factor, caller.id)
        result = (await store.run(asked, by=caller.id, origin=origin_of(request)))[0]
        if not result.rows:
            raise _no_factor()
        identity, expires_at = result.rows[0]
        return json_answer(Challenge(id=(identity or b"").decode(), expires_at=int(expires_at or 0)))

    async def verify(self, request: Request) -> Response:
        """A session of two factors for the right code."""
        caller, factor = await signed_in(self._service, request), _factor_of(request)
        self._service.calls.take("verify", origin_of(request).network)
        given = await read(request, Shown)
        step = await self._step_of(caller, factor, given, request)
        refresh_token = new_token()
        service, store = self._service, self._service.store
        accepted = store.statement(
            "accept_factor",
            factor,
            given.challenge_id,
            caller.id,
            UUID(caller.session.id),
            step,
            hash_of(refresh_token),
        )
        results = await store.run(
            accepted, service.throttle.forget("factor", caller.id), by=caller.id, origin=origin_of(request)
        )
        outcome = outcome_in(results[0])
        match outcome.outcome:
            case "done":
                return json_answer(service.answer(outcome, refresh_token))
            case "replayed":
                raise _wrong_code()
            case _:
                raise _over(given.challenge_id)

    async def give_up(self, request: Request) -> Response:
        """Take a factor away; one that counts only from a session that showed it."""
        caller, factor = await signed_in(self._service, request), _factor_of(request)
        known = {item.id: item for item in caller.person.account.factors}.get(str(factor))
        if known is None:
            raise _no_factor()
        if known.status == "verified" and caller.session.aal != "aal2":
            raise AuthError(422, "insufficient_aal", "AAL2 required to unenroll verified factor")
        await drop_factor(self._service, caller.id, factor, request, by=caller.id)
        return json_answer({"id": str(factor)})

    async def _step_of(self, caller: SignedIn, factor: UUID, given: Shown, request: Request) -> int:
        """The half minute that the code belongs to; a wrong one is counted."""
        service, store, origin = self._service, self._service.store, origin_of(request)
        waits, found = await store.run(
            service.throttle.question(("factor", caller.id)),
            store.statement("factor_to_check", factor, caller.id, given.challenge_id),
            origin=origin,
        )
        service.throttle.require_free(waits)
        if not found.rows:
            raise _no_factor()
        sealed, last_step, at_s, wrong = found.rows[0]
        if wrong is None or int(wrong) >= _MOST_WRONG:
            raise _over(given.challenge_id)
        secret = service.secret.open(bytes.fromhex((sealed or b"").decode()), factor)
        if secret is None:
            raise AuthError(500, "unexpected_failure", "The factor was sealed with another key of the home")
        step = totp.matching_step(
            secret, given.code, at_s=float(at_s or 0), after=None if last_step is None else int(last_step)
        )
        if step is None:
            await store.run(
                store.statement("count_wrong_factor_code", given.challenge_id),
                service.throttle.hit("factor", caller.id, OF_ACCOUNT),
                by=caller.id,
                origin=origin,
            )
            raise _wrong_code()
        return step


async def drop_factor(service: Service, user_id: str, factor: UUID, request: Request, *, by: str | None) -> None:
    """Delete a factor; without another one no session has two."""
    store = service.store
    results = await store.run(
        store.statement("drop_factor", factor, user_id),
        store.statement("sessions_without_factor", user_id),
        by=by,
        origin=origin_of(request),
    )
    if scalar_in(results[0]) is None:
        raise _no_factor()


def _factor_of(request: Request) -> UUID:
    try:
        return UUID(request.path_params["factor_id"])
    except ValueError as error:
        raise invalid("factor_id must be an UUID") from error


def _no_factor() -> AuthError:
    return AuthError(404, "mfa_factor_not_found", "Factor not found")


def _wrong_code() -> AuthError:
    return AuthError(422, "mfa_verification_failed", "Invalid TOTP code entered")


def _over(challenge: UUID) -> AuthError:
    return AuthError(
        422,
        "mfa_challenge_expired",
        f"MFA challenge {challenge} has expired, verify against another challenge or create a new challenge.",
    )
