"""`/admin/…` and `/invite`: accounts in the hands of whoever has the service key."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wedsync.api.auth.errors import AuthError, invalid, no_phone
from wedsync.api.auth.http import json_answer, origin_of, read, require_administrator
from wedsync.api.auth.mfa import drop_factor
from wedsync.api.auth.policy import clean_email
from wedsync.api.auth.service import OneTime, Service
from wedsync.api.auth.sign_up import BY_EMAIL
from wedsync.api.auth.store import UNIQUE_VIOLATION, Person, person_in, scalar_in
from wedsync.database.pipeline import Statement, StatementFailed

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|m|s|ms)")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_MOST_A_PAGE = 1000


class UserOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The body that makes or changes an account."""

    id: UUID | None = None
    email: str | None = None
    phone: str | None = None
    password: str | None = None
    password_hash: str | None = None
    email_confirm: bool = False
    user_metadata: dict[str, object] | None = None
    app_metadata: dict[str, object] | None = None
    ban_duration: str | None = None


class InviteOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an invitation."""

    email: str
    data: dict[str, object] | None = None


class LinkOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The body that asks for a link without a letter."""

    type: str
    email: str
    new_email: str = ""
    password: str = ""
    data: dict[str, object] | None = None
    redirect_to: str = ""


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a deletion."""

    should_soft_delete: bool = False


def ban_of(text: str) -> timedelta | None:
    """How long an account is shut: `24h`, `1h30m`; `none`: not any more. Raises `AuthError` for anything else."""
    if text == "none":
        return None
    if not re.fullmatch(f"(?:{_DURATION.pattern})+", text):
        raise invalid(f"invalid format for ban duration: {text[:40]!r}; write it like 24h, or none")
    seconds = sum(float(number) * _UNIT_S[unit] for number, unit in _DURATION.findall(text))
    return timedelta(seconds=min(seconds, 3e9))


class AdminEndpoints:
    """All for administrators only."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def list(self, request: Request) -> Response:
        """A page of accounts; how many there are, and where the next page is, in the headers."""
        require_administrator(self._service, request)
        page, size = _number(request, "page", 1), min(_MOST_A_PAGE, _number(request, "per_page", 50))
        store = self._service.store
        counted, found = await store.run(
            store.statement("count_accounts"), store.statement("accounts", size, (page - 1) * size)
        )
        total = int(scalar_in(counted) or 0)
        last = max(1, -(-total // size))
        path = f"{self._service.api_url}/auth/v1/admin/users"
        links = [f'<{path}?page={page + 1}&per_page={size}>; rel="next"'] if page < last else []
        links.append(f'<{path}?page={last}&per_page={size}>; rel="last"')
        return json_answer(
            {"users": [msgspec.Raw(row[0] or b"{}") for row in found.rows], "aud": "authenticated"},
            headers={"X-Total-Count": str(total), "Link": ", ".join(links)},
        )

    async def add(self, request: Request) -> Response:
        """A new account; no letter goes out."""
        require_administrator(self._service, request)
        order = await read(request, UserOrder)
        if order.phone:
            raise no_phone("Phone numbers are not used")
        if not order.email:
            raise invalid("Cannot create a user without either an email or phone")
        ban = None if order.ban_duration is None else ban_of(order.ban_duration)
        added = self._service.store.statement(
            "add_account",
            order.id or uuid4(),
            clean_email(order.email),
            await self._hash_of(order),
            {**BY_EMAIL, **(order.app_metadata or {})},
            order.user_metadata or {},
            False,
            order.email_confirm,
            False,
            None if ban is None else ban.total_seconds(),
        )
        result = (await self._service.store.run(added, origin=origin_of(request)))[0]
        return json_answer(msgspec.Raw(scalar_in(result) or b"{}"))

    async def show(self, request: Request) -> Response:
        """One account."""
        require_administrator(self._service, request)
        return json_answer((await self._person(request)).shown)

    async def change(self, request: Request) -> Response:
        """Change an account as it is said, without letters."""
        require_administrator(self._service, request)
        order = await read(request, UserOrder)
        if order.phone:
            raise no_phone("Phone numbers are not used")
        person = await self._person(request)
        user, store = person.account.id, self._service.store
        steps: list[Statement] = []
        if order.email:
            is_confirmed = order.email_confirm or person.account.email_confirmed_at is not None
            steps.append(store.statement("set_email", user, clean_email(order.email), is_confirmed))
        elif order.email_confirm:
            steps.append(store.statement("confirm_email", user))
        new_hash = await self._hash_of(order)
        if new_hash is not None:
            steps += [store.statement("set_password", user, new_hash), store.statement("end_all_sessions", user)]
        if order.user_metadata is not None:
            steps.append(store.statement("merge_user_metadata", user, order.user_metadata))
        if order.app_metadata is not None:
            steps.append(store.statement("merge_app_metadata", user, order.app_metadata))
        if order.ban_duration is not None:
            ban = ban_of(order.ban_duration)
            steps.append(
                store.statement("ban", user, ban.total_seconds()) if ban else store.statement("unban", user)
            )
        steps.append(store.statement("account_by_id", user))
        results = await store.run(*steps, origin=origin_of(request))
        return json_answer(msgspec.Raw(scalar_in(results[-1]) or b"{}"))

    async def remove(self, request: Request) -> Response:
        """Delete an account with all that hangs on it; or close it: its row stays, without anything personal."""
        require_administrator(self._service, request)
        soft = (await read(request, Deletion)).should_soft_delete
        user, store = _user_of(request), self._service.store
        steps = [store.statement("close_account" if soft else "delete_account", user)]
        if soft:
            steps.append(store.statement("end_all_sessions", user))
        if not (await store.run(*steps, origin=origin_of(request)))[0].rows:
            raise _no_user()
        return json_answer({})

    async def factors(self, request: Request) -> Response:
        """The second factors of an account."""
        require_administrator(self._service, request)
        shown = msgspec.json.decode((await self._person(request)).shown)
        return json_answer(shown["factors"])

    async def remove_factor(self, request: Request) -> Response:
        """Take a factor away from somebody who lost it."""
        require_administrator(self._service, request)
        person = await self._person(request)
        try:
            factor = UUID(request.path_params["factor_id"])
        except ValueError as error:
            raise invalid("factor_id must be an UUID") from error
        await drop_factor(self._service, person.account.id, factor, request, by=None)
        return json_answer({"id": str(factor)})

    async def invite(self, request: Request) -> Response:
        """An account, and a letter that invites its owner."""
        require_administrator(self._service, request)
        order = await read(request, InviteOrder)
        redirect_to = self._service.redirects.choose(request.query_params.get("redirect_to"))
        person, once = await self._invited(clean_email(order.email), order.data, redirect_to, request, send=True)
        self._service.delivery.wake()
        del once
        return json_answer(person.shown)

    async def generate_link(self, request: Request) -> Response:
        """The link and the code of a letter, without the letter."""
        require_administrator(self._service, request)
        order = await read(request, LinkOrder)
        redirect_to = self._service.redirects.choose(order.redirect_to or request.query_params.get("redirect_to"))
        email = clean_email(order.email)
        if order.type == "invite":
            person, once = await self._invited(email, order.data, redirect_to, request, send=False)
        else:
            person, once = await self._linked(order, email, redirect_to, request)
        shown = msgspec.json.decode(person.shown, type=dict[str, object])
        return json_answer(
            {
                **shown,
                "action_link": once.link,
                "email_otp": once.code,
                "hashed_token": once.token,
                "verification_type": order.type,
                "redirect_to": redirect_to,
            }
        )

    async def _linked(
        self, order: LinkOrder, email: str, redirect_to: str, request: Request
    ) -> tuple[Person, OneTime]:
        service, store = self._service, self._service.store
        known = await store.person("account_by_email", email)
        before: list[Statement] = []
        user = known.account.id if known else str(uuid4())
        recipient, new_email = email, None
        match order.type:
            case "signup":
                if known is not None and known.account.email_confirmed_at is not None:
                    raise _taken()
                service.require_strong(order.password)
                password_hash = await service.passwords.hash(order.password)
                before.append(
                    store.statement("sign_up_again", user, password_hash, order.data or {})
                    if known
                    else store.statement(
                        "add_account",
                        user,
                        email,
                        password_hash,
                        BY_EMAIL,
                        order.data or {},
                        False,
                        False,
                        False,
                        None,
                    )
                )
            case "magiclink" | "recovery":
                if known is None:
                    raise _no_user()
            case "email_change_current" | "email_change_new":
                if known is None:
                    raise _no_user()
                new_email = clean_email(order.new_email)
                before.append(store.statement("ask_email_change", user, new_email))
                recipient = new_email if order.type == "email_change_new" else email
            case _:
                raise invalid(f"Invalid email action link type requested: {order.type[:40]!r}")
        once = service.one_time(
            order.type, user_id=user, email=recipient, redirect_to=redirect_to, new_email=new_email
        )
        results = await store.run(
            *before, *once.keep, store.statement("account_by_id", user), origin=origin_of(request)
        )
        return _found(person_in(results[-1])), once

    async def _invited(
        self, email: str, data: dict[str, object] | None, redirect_to: str, request: Request, *, send: bool
    ) -> tuple[Person, OneTime]:
        service, store = self._service, self._service.store
        known = await store.person("account_by_email", email)
        if known is not None and known.account.email_confirmed_at is not None:
            raise _taken()
        user = known.account.id if known else str(uuid4())
        added = store.statement("add_account", user, email, None, BY_EMAIL, data or {}, False, False, True, None)
        once = service.one_time("invite", user_id=user, email=email, redirect_to=redirect_to)
        steps = [*([] if known else [added]), *once.keep, *(once.send if send else ())]
        try:
            results = await store.run(*steps, store.statement("account_by_id", user), origin=origin_of(request))
        except StatementFailed as error:
            if error.sqlstate == UNIQUE_VIOLATION:
                raise _taken() from error
            raise
        return _found(person_in(results[-1])), once

    async def _hash_of(self, order: UserOrder) -> str | None:
        if order.password is not None and order.password_hash is not None:
            raise invalid("Only a password or a password hash should be provided")
        if order.password_hash is not None:
            if not self._service.passwords.is_hash(order.password_hash):
                raise invalid("password_hash is not an Argon2 hash")
            return order.password_hash
        if not order.password:
            return None
        self._service.require_strong(order.password)
        return await self._service.passwords.hash(order.password)

    async def _person(self, request: Request) -> Person:
        return _found(await self._service.store.person("account_by_id", _user_of(request)))


def _user_of(request: Request) -> UUID:
    try:
        return UUID(request.path_params["user_id"])
    except ValueError as error:
        raise AuthError(404, "validation_failed", "user_id must be an UUID") from error


def _found(person: Person | None) -> Person:
    if person is None:
        raise _no_user()
    return person


def _no_user() -> AuthError:
    return AuthError(404, "user_not_found", "User not found")


def _taken() -> AuthError:
    return AuthError(422, "email_exists", "A user with this email address has already been registered")


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 10**9:
        raise invalid(f"{name} is a number from 1")
    return int(text)
