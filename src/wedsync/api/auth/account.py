"""`/user`, `/logout`, `/reauthenticate`: what a person does with the own account."""

from datetime import timedelta
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wedsync.api.auth.errors import AuthError, invalid, no_phone
from wedsync.api.auth.http import SignedIn, json_answer, origin_of, read, signed_in
from wedsync.api.auth.letters import Content
from wedsync.api.auth.links import change_letters
from wedsync.api.auth.policy import clean_email
from wedsync.api.auth.proof import WithProof
from wedsync.api.auth.service import Service
from wedsync.api.auth.store import Origin, scalar_in
from wedsync.api.auth.throttle import OF_ACCOUNT
from wedsync.database.pipeline import Statement

_FRESH = timedelta(days=1)
_NO_NONCE = "Nonce has expired or is invalid"


class UserUpdate(WithProof, frozen=True, kw_only=True):
    """The body of PUT."""

    email: str = ""
    phone: str = ""
    password: str | None = None
    nonce: str = ""
    data: dict[str, object] | None = None
    app_metadata: dict[str, object] | None = None


class AccountEndpoints:
    """For whoever is signed in."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def show(self, request: Request) -> Response:
        """The account."""
        return json_answer((await signed_in(self._service, request)).person.shown)

    async def change(self, request: Request) -> Response:
        """Change address (by letter), password or own metadata; gives the account."""
        caller, origin = await signed_in(self._service, request), origin_of(request)
        order = await read(request, UserUpdate)
        self._require_allowed(caller, order)
        store = self._service.store
        steps: list[Statement] = []
        if order.password is not None:
            steps += await self._password_steps(caller, order, order.password, origin)
        if order.data is not None:
            steps.append(store.statement("merge_user_metadata", caller.id, order.data))
        email = clean_email(order.email) if order.email else ""
        if email and email != caller.person.account.email:
            redirect_to = self._service.redirects.choose(request.query_params.get("redirect_to"))
            steps += await self._email_steps(caller, email, order, redirect_to, origin)
        steps.append(store.statement("account_by_id", caller.id))
        results = await store.run(*steps, by=caller.id, origin=origin)
        self._service.delivery.wake()
        return json_answer(msgspec.Raw(scalar_in(results[-1]) or b"{}"))

    async def sign_out(self, request: Request) -> Response:
        """End this session, the others, or all: `scope` local, others, global."""
        scope = request.query_params.get("scope", "global")
        statements = {
            "global": "end_all_sessions",
            "local": "end_session",
            "others": "end_other_sessions",
        }
        if scope not in statements:
            raise invalid(f"Unsupported logout scope {scope[:40]!r}")
        caller = await signed_in(self._service, request)
        values = (caller.id,) if scope == "global" else (caller.id, UUID(caller.session.id))
        ended = self._service.store.statement(statements[scope], *values)
        await self._service.store.run(ended, by=caller.id, origin=origin_of(request))
        return Response(status_code=204)

    async def reauthenticate(self, request: Request) -> Response:
        """A code by letter, to be shown with a new password."""
        caller, origin = await signed_in(self._service, request), origin_of(request)
        account = caller.person.account
        if not account.email:
            raise AuthError(422, "validation_failed", "Reauthentication requires the user to have an email")
        if account.email_confirmed_at is None:
            raise AuthError(422, "email_not_confirmed", "Please verify your email first.")
        await self._service.require_quiet("reauthentication", account.email, origin)
        once = self._service.one_time(
            "reauthentication",
            user_id=account.id,
            email=account.email,
            redirect_to=self._service.redirects.site_url,
        )
        await self._service.store.run(*once.keep, *once.send, by=caller.id, origin=origin)
        self._service.delivery.wake()
        return json_answer({})

    def _require_allowed(self, caller: SignedIn, order: UserUpdate) -> None:
        account = caller.person.account
        if order.app_metadata is not None:
            raise AuthError(403, "not_admin", "Updating app_metadata requires admin privileges")
        if order.phone and order.phone != account.phone:
            raise no_phone("Phone numbers are not used")
        sensitive = order.password is not None or (order.email and order.email.lower() != account.email)
        if sensitive and account.has_second_factor and caller.session.aal != "aal2":
            raise AuthError(
                401,
                "insufficient_aal",
                "AAL2 session is required to update email or password when MFA is enabled.",
            )
        if order.password is not None and account.is_anonymous and not (order.email or account.email):
            raise AuthError(
                422,
                "validation_failed",
                "Updating password of an anonymous user without an email or phone is not allowed",
            )

    async def _password_steps(
        self, caller: SignedIn, order: UserUpdate, password: str, origin: Origin
    ) -> list[Statement]:
        service, store = self._service, self._service.store
        service.require_strong(password)
        is_old = service.clock.now() - caller.session.created_at > _FRESH
        if service.config.reauthenticate and is_old:
            await self._require_nonce(caller, order.nonce, origin)
        if (await service.passwords.check(password, caller.person.password_hash)).is_right:
            raise AuthError(422, "same_password", "New password should be different from the old password.")
        new_hash = await service.passwords.hash(password)
        return [
            store.statement("set_password", caller.id, new_hash),
            store.statement("end_other_sessions", caller.id, UUID(caller.session.id)),
        ]

    async def _require_nonce(self, caller: SignedIn, nonce: str, origin: Origin) -> None:
        if not nonce:
            raise AuthError(400, "reauthentication_needed", "Password update requires reauthentication")
        service, email = self._service, caller.person.account.email
        used = (
            await service.store.run(
                service.store.statement(
                    "use_code", email, ["reauthentication"], service.secret.code_hash(email, nonce)
                ),
                by=caller.id,
                origin=origin,
            )
        )[0]
        if (scalar_in(used) or b"").decode() != caller.id:
            await service.store.run(service.throttle.hit("account", email, OF_ACCOUNT), origin=origin)
            raise AuthError(422, "reauthentication_not_valid", _NO_NONCE)

    async def _email_steps(
        self, caller: SignedIn, email: str, order: UserUpdate, redirect_to: str, origin: Origin
    ) -> list[Statement]:
        """An address that somebody else has gets a letter that says so, without a link: nobody else learns it."""
        service, store, account = self._service, self._service.store, caller.person.account
        await service.require_quiet("email_change", email, origin)
        holder = await store.person("account_by_email", email)
        if account.is_anonymous and not service.config.confirm_email:
            if holder is not None:
                raise AuthError(422, "email_exists", "A user with this email address has already been registered")
            return [store.statement("set_email", caller.id, email, True)]
        steps = [store.statement("ask_email_change", caller.id, email)]
        steps += change_letters(service, account, email, redirect_to, order.proof(), is_free=holder is None)
        if holder is not None:
            told = Content(site=service.redirects.site_url)
            steps.append(service.letter("already_here", holder.account.id, email, told))
        return steps
