"""`POST /signup`: an account for an address, or one without any."""

from uuid import uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wedsync.api.auth.errors import AuthError, invalid
from wedsync.api.auth.http import json_answer, origin_of, read
from wedsync.api.auth.letters import Content
from wedsync.api.auth.policy import clean_email
from wedsync.api.auth.proof import WithProof
from wedsync.api.auth.service import Service
from wedsync.api.auth.store import Origin, Person, person_in, scalar_in
from wedsync.database.pipeline import StatementFailed

_UNIQUE = "23505"
BY_EMAIL = {"provider": "email", "providers": ["email"]}


class SignUp(WithProof, frozen=True, kw_only=True):
    """The body."""

    email: str = ""
    phone: str = ""
    password: str | None = None
    data: dict[str, object] | None = None


class SignUpEndpoint:
    """Answers the same whether or not the address has an account, as long as addresses are confirmed by letter."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request) -> Response:
        """A session where nothing is to be confirmed, else the account as it will be."""
        origin = origin_of(request)
        self._service.calls.take("sign_up", origin.ip)
        order = await read(request, SignUp)
        if not self._service.config.sign_up:
            raise AuthError(422, "signup_disabled", "Signups not allowed for this instance")
        if order.phone:
            raise AuthError(400, "phone_provider_disabled", "Phone signups are disabled: there is no text message service")
        if not order.email and not order.password:
            return json_answer(await self._anonymous(order, origin))
        if not order.password:
            raise invalid("Signup requires a valid password")
        email = clean_email(order.email)
        self._service.require_strong(order.password)
        redirect_to = self._service.redirects.choose(request.query_params.get("redirect_to"))
        return json_answer(await self._by_email(order, email, order.password, redirect_to, origin))

    async def _anonymous(self, order: SignUp, origin: Origin) -> object:
        if not self._service.config.anonymous:
            raise AuthError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
        store, user = self._service.store, str(uuid4())
        added = store.statement("add_account", user, None, None, {}, order.data or {}, True, False, False, None)
        person = person_in((await store.run(added, origin=origin))[0])
        if person is None:
            raise AuthError(500, "unexpected_failure", "no account was made")
        return await self._service.begin(person.account, "anonymous", origin)

    async def _by_email(self, order: SignUp, email: str, password: str, redirect_to: str, origin: Origin) -> object:
        service = self._service
        password_hash = await service.passwords.hash(password)  # always: the time taken tells nothing
        if service.config.confirm_email:
            await service.require_quiet("signup", email, origin)
        known = await service.store.person("account_by_email", email)
        if known is None:
            try:
                return await self._add(order, email, password_hash, redirect_to, origin)
            except StatementFailed as error:
                if error.sqlstate != _UNIQUE:
                    raise
                known = await service.store.person("account_by_email", email)
                if known is None:
                    raise
        if not service.config.confirm_email:
            raise AuthError(422, "user_already_exists", "User already registered")
        return await self._again(known, order, email, password_hash, redirect_to, origin)

    async def _add(
        self, order: SignUp, email: str, password_hash: str, redirect_to: str, origin: Origin
    ) -> object:
        service, user = self._service, str(uuid4())
        confirmed = not service.config.confirm_email
        added = service.store.statement(
            "add_account", user, email, password_hash, BY_EMAIL, order.data or {}, False, confirmed, False, None
        )
        if confirmed:
            person = person_in((await service.store.run(added, by=user, origin=origin))[0])
            if person is None:
                raise AuthError(500, "unexpected_failure", "no account was made")
            return await service.begin(person.account, "password", origin)
        once = service.one_time(
            "signup", user_id=user, email=email, redirect_to=redirect_to, proof=order.proof()
        )
        read_back = service.store.statement("account_by_id", user)
        results = await service.store.run(added, *once.keep, *once.send, read_back, by=user, origin=origin)
        service.delivery.wake()
        return msgspec.Raw(scalar_in(results[-1]) or b"{}")

    async def _again(
        self, known: Person, order: SignUp, email: str, password_hash: str, redirect_to: str, origin: Origin
    ) -> object:
        """The address has an account: its owner hears of it, the caller does not."""
        service, store = self._service, self._service.store
        user = known.account.id
        if known.account.email_confirmed_at is None:
            once = service.one_time(
                "signup", user_id=user, email=email, redirect_to=redirect_to, proof=order.proof()
            )
            latest = store.statement("sign_up_again", user, password_hash, order.data or {})
            steps = (latest, *once.keep, *once.send)
        else:
            steps = (service.letter("already_here", user, email, Content(site=service.redirects.site_url)),)
        imagined = store.statement(
            "imagine_account",
            {
                "id": str(uuid4()),
                "email": email,
                "raw_app_meta_data": BY_EMAIL,
                "raw_user_meta_data": order.data or {},
                "is_anonymous": False,
            },
        )
        results = await store.run(*steps, imagined, origin=origin)
        service.delivery.wake()
        return msgspec.Raw(scalar_in(results[-1]) or b"{}")


