"""`POST /signup`: an account for an address, or one without any."""

from dataclasses import dataclass
from uuid import uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wedsync.api.auth.errors import AuthError, invalid, no_phone
from wedsync.api.auth.http import json_answer, origin_of, read
from wedsync.api.auth.letters import Content
from wedsync.api.auth.policy import clean_email
from wedsync.api.auth.proof import WithProof
from wedsync.api.auth.service import OneTime, Proof, Service
from wedsync.api.auth.store import UNIQUE_VIOLATION, Origin, Person, person_in, scalar_in
from wedsync.database.pipeline import StatementFailed

BY_EMAIL = {"provider": "email", "providers": ["email"]}


class SignUp(WithProof, frozen=True, kw_only=True):
    """The body."""

    email: str = ""
    phone: str = ""
    password: str | None = None
    data: dict[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A sign-up that was looked at."""

    email: str
    password_hash: str
    data: dict[str, object]
    proof: Proof | None
    redirect_to: str
    origin: Origin


class SignUpEndpoint:
    """Answers the same whether or not the address has an account, as long as addresses are confirmed by letter."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request) -> Response:
        """A session where nothing is to be confirmed, else the account as it will be."""
        origin = origin_of(request)
        self._service.calls.take("sign_up", origin.network)
        order = await read(request, SignUp)
        if not self._service.config.sign_up:
            raise AuthError(422, "signup_disabled", "Signups not allowed for this instance")
        if order.phone:
            raise no_phone("Phone signups are disabled")
        if not order.email and not order.password:
            return json_answer(await self._anonymous(order, origin))
        if not order.password:
            raise invalid("Signup requires a valid password")
        email = clean_email(order.email)
        self._service.require_strong(order.password)
        wanted = _Wanted(
            email=email,
            password_hash=await self._service.passwords.hash(order.password),  # always: the time tells nothing
            data=order.data or {},
            proof=order.proof(),
            redirect_to=self._service.redirects.choose(request.query_params.get("redirect_to")),
            origin=origin,
        )
        return json_answer(await self._by_email(wanted))

    async def _anonymous(self, order: SignUp, origin: Origin) -> object:
        if not self._service.config.anonymous:
            raise AuthError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
        store, user = self._service.store, str(uuid4())
        added = store.statement("add_account", user, None, None, {}, order.data or {}, True, False, False, None)
        person = person_in((await store.run(added, origin=origin))[0])
        if person is None:
            raise AuthError(500, "unexpected_failure", "no account was made")
        return await self._service.begin(person.account, "anonymous", origin)

    async def _by_email(self, wanted: _Wanted) -> object:
        service = self._service
        if service.config.confirm_email:
            await service.require_quiet("signup", wanted.email, wanted.origin)
        known = await service.store.person("account_by_email", wanted.email)
        if known is None:
            try:
                return await self._add(wanted)
            except StatementFailed as error:
                if error.sqlstate != UNIQUE_VIOLATION:
                    raise
                known = await service.store.person("account_by_email", wanted.email)
                if known is None:
                    raise
        if not service.config.confirm_email:
            raise AuthError(422, "user_already_exists", "User already registered")
        return await self._again(known, wanted)

    async def _add(self, wanted: _Wanted) -> object:
        service, store, user = self._service, self._service.store, str(uuid4())
        confirmed = not service.config.confirm_email
        added = store.statement(
            "add_account",
            user,
            wanted.email,
            wanted.password_hash,
            BY_EMAIL,
            wanted.data,
            False,
            confirmed,
            False,
            None,
        )
        if confirmed:
            person = person_in((await store.run(added, by=user, origin=wanted.origin))[0])
            if person is None:
                raise AuthError(500, "unexpected_failure", "no account was made")
            return await service.begin(person.account, "password", wanted.origin)
        once = self._letter(user, wanted)
        read_back = store.statement("account_just_made", user)
        results = await store.run(added, *once.keep, *once.send, read_back, by=user, origin=wanted.origin)
        service.delivery.wake()
        return msgspec.Raw(scalar_in(results[-1]) or b"{}")

    async def _again(self, known: Person, wanted: _Wanted) -> object:
        """The address has an account: its owner hears of it, the caller does not."""
        service, store, user = self._service, self._service.store, known.account.id
        if known.account.email_confirmed_at is None:
            once = self._letter(user, wanted)
            latest = store.statement("sign_up_again", user, wanted.password_hash, wanted.data)
            steps = (latest, *once.keep, *once.send)
        else:
            told = Content(site=service.redirects.site_url)
            steps = (service.letter("already_here", user, wanted.email, told),)
        imagined = store.statement(
            "imagine_account",
            {
                "id": str(uuid4()),
                "email": wanted.email,
                "raw_app_meta_data": BY_EMAIL,
                "raw_user_meta_data": wanted.data,
                "is_anonymous": False,
            },
        )
        results = await store.run(*steps, imagined, origin=wanted.origin)
        service.delivery.wake()
        return msgspec.Raw(scalar_in(results[-1]) or b"{}")

    def _letter(self, user: str, wanted: _Wanted) -> OneTime:
        return self._service.one_time(
            "signup", user_id=user, email=wanted.email, redirect_to=wanted.redirect_to, proof=wanted.proof
        )
