"""`/verify`: the link of a letter was followed (GET), or its code entered (POST)."""

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wedsync.api.auth.errors import AuthError, banned, invalid, no_phone
from wedsync.api.auth.http import json_answer, origin_of, read
from wedsync.api.auth.policy import clean_email
from wedsync.api.auth.secret_values import hash_of, new_token
from wedsync.api.auth.service import Service
from wedsync.api.auth.sessions import Opening
from wedsync.api.auth.store import UNIQUE_VIOLATION, Origin, Outcome, outcome_in
from wedsync.api.auth.throttle import OF_ADDRESS, OF_CODES
from wedsync.database.pipeline import StatementFailed

PURPOSES: Mapping[str, tuple[str, ...]] = {
    "signup": ("signup", "magiclink"),
    "magiclink": ("magiclink", "signup"),
    "email": ("signup", "magiclink"),
    "recovery": ("recovery",),
    "invite": ("invite",),
    "email_change": ("email_change_new", "email_change_current"),
}
"""Which letters each type of the protocol stands for."""
HALF = "Confirmation link accepted. Please proceed to confirm link sent to the other email"
_ERROR_OF_STATUS = {400: "invalid_request", 401: "unauthorized_client", 403: "access_denied", 422: "access_denied"}


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The body of POST."""

    type: str = ""
    token: str = ""
    token_hash: str = ""
    email: str = ""
    phone: str = ""
    redirect_to: str = ""


class VerifyEndpoint:
    """Each link and each code works once."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def enter(self, request: Request) -> Response:
        """A session for address and code, or for the token of a link."""
        origin = origin_of(request)
        self._service.calls.take("verify", origin.network)
        given = await read(request, Verification)
        purposes = _purposes(given.type)
        opening = self._service.opening(origin)
        if given.token_hash:
            outcome = await self._redeem(purposes, opening, origin, link=given.token_hash)
        elif given.token and given.email and not given.phone:
            outcome = await self._redeem(
                purposes, opening, origin, email=clean_email(given.email), code=given.token
            )
        else:
            raise invalid("Only an email address and its token, or a token hash should be provided on verify")
        if outcome.outcome == "half":
            return json_answer({"msg": HALF, "code": "200"})
        return json_answer(self._service.answer(outcome, opening.refresh_token))

    async def follow(self, request: Request) -> Response:
        """On to the application: with the session in the fragment, or with a code for it (PKCE)."""
        origin = origin_of(request)
        redirect_to = self._service.redirects.choose(request.query_params.get("redirect_to"))
        if request.method == "HEAD":  # a scanner of mail looks; the link is for the reader
            return Response(status_code=204, headers={"Cache-Control": "no-store"})
        kind = request.query_params.get("type", "")
        code = new_token()
        opening = self._service.opening(origin)
        try:
            self._service.calls.take("verify", origin.network)
            token = request.query_params.get("token", "")
            if not token:
                raise invalid("Verify requires a token or a token hash")
            outcome = await self._redeem(_purposes(kind), opening, origin, link=token, auth_code=code)
        except AuthError as error:
            refusal = error.refusal
            return _away(
                redirect_to,
                fragment={
                    "error": _ERROR_OF_STATUS.get(refusal.status, "server_error"),
                    "error_code": refusal.code,
                    "error_description": refusal.message,
                },
            )
        match outcome.outcome:
            case "half":
                return _away(redirect_to, fragment={"message": HALF})
            case "code":
                return _away(redirect_to, query={"code": code})
            case _:
                session = self._service.answer(outcome, opening.refresh_token)
                names = ("access_token", "expires_at", "expires_in", "refresh_token", "token_type")
                return _away(redirect_to, fragment={**{name: str(session[name]) for name in names}, "type": kind})

    async def _redeem(
        self,
        purposes: tuple[str, ...],
        opening: Opening,
        origin: Origin,
        *,
        link: str | None = None,
        email: str | None = None,
        code: str | None = None,
        auth_code: str | None = None,
    ) -> Outcome:
        service, store = self._service, self._service.store
        # Wrong codes count by account too: each letter allows five, and letters can be asked for again and again.
        counted = [("verify address", origin.network, OF_ADDRESS)]
        if email is not None:
            counted.append(("code", email, OF_CODES))
        asked = await store.run(
            service.throttle.question(*((kind, value) for kind, value, _ in counted)), origin=origin
        )
        service.throttle.require_free(asked[0])
        redeemed = store.statement(
            "redeem",
            purposes,
            None if link is None else hash_of(link),
            email,
            None if email is None or code is None else service.secret.code_hash(email, code),
            None if auth_code is None else hash_of(auth_code),
            service.config.both_addresses,
            opening.facts,
        )
        try:
            outcome = outcome_in((await store.run(redeemed, origin=origin))[0])
        except StatementFailed as error:
            if error.sqlstate == UNIQUE_VIOLATION:  # the new address was taken meanwhile
                raise AuthError(
                    422, "email_exists", "A user with this email address has already been registered"
                ) from error
            raise
        if outcome.outcome == "unknown":
            await store.run(*(service.throttle.hit(*subject) for subject in counted), origin=origin)
            raise AuthError(
                403,
                "otp_expired",
                "Email link is invalid or has expired" if link else "Token has expired or is invalid",
            )
        if outcome.outcome == "banned":
            raise banned()
        if email is not None:
            await store.run(service.throttle.forget("code", email), origin=origin)
        return outcome


def _purposes(kind: str) -> tuple[str, ...]:
    if not kind:
        raise invalid("Verify requires a verification type")
    if kind in {"sms", "phone_change"}:
        raise no_phone("Phone numbers are not used")
    try:
        return PURPOSES[kind]
    except KeyError:
        raise invalid(f"Invalid email verification type: {kind[:40]!r}") from None


def _away(
    url: str, *, query: Mapping[str, str] | None = None, fragment: Mapping[str, str] | None = None
) -> Response:
    """303 to an address that was chosen from the allowed ones."""
    parts = urlsplit(url)
    joined = "&".join(filter(None, (parts.query, urlencode(query or {}))))
    target = urlunsplit(parts._replace(query=joined, fragment=urlencode(fragment or {}) or parts.fragment))
    return RedirectResponse(
        target, status_code=303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )
