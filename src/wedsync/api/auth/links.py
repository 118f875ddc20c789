"""`/otp`, `/magiclink`, `/recover`, `/resend`: letters to whoever asks. No answer tells who has an account."""

from collections.abc import Sequence
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from wedsync.api.auth.errors import invalid, no_phone
from wedsync.api.auth.http import json_answer, origin_of, read
from wedsync.api.auth.policy import clean_email
from wedsync.api.auth.proof import WithProof
from wedsync.api.auth.service import Proof, Service
from wedsync.api.auth.sign_up import BY_EMAIL
from wedsync.api.auth.store import UNIQUE_VIOLATION, Account, Origin, is_banned
from wedsync.database.pipeline import Statement, StatementFailed


class LinkOrder(WithProof, frozen=True, kw_only=True):
    """The body of `/otp`, `/magiclink` and `/recover`."""

    email: str = ""
    phone: str = ""
    create_user: bool = True
    data: dict[str, object] | None = None


class ResendOrder(WithProof, frozen=True, kw_only=True):
    """The body of `/resend`."""

    type: str = ""
    email: str = ""
    phone: str = ""


class LinkEndpoints:
    """Each answers `{}`, whatever becomes of it."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def sign_in(self, request: Request) -> Response:
        """A link and a code to sign in with; makes the account where there is none, unless told not to."""
        origin, order, email = await self._order(request, "otp")
        service = self._service
        await service.require_quiet("magiclink", email, origin)
        redirect_to = service.redirects.choose(request.query_params.get("redirect_to"))
        person = await service.store.person("account_by_email", email)
        if person is not None:
            if not is_banned(person, service.clock):
                await self._send("magiclink", person.account, redirect_to, order.proof(), origin)
        elif order.create_user and service.config.sign_up:
            await self._make_and_send(email, order, redirect_to, origin)
        return json_answer({})

    async def recover(self, request: Request) -> Response:
        """A link to choose a new password."""
        origin, order, email = await self._order(request, "recover")
        await self._service.require_quiet("recovery", email, origin)
        redirect_to = self._service.redirects.choose(request.query_params.get("redirect_to"))
        person = await self._service.store.person("account_by_email", email)
        if person is not None and not is_banned(person, self._service.clock):
            await self._send("recovery", person.account, redirect_to, order.proof(), origin)
        return json_answer({})

    async def resend(self, request: Request) -> Response:
        """Once more the letter of a sign-up or of a change of address."""
        origin = origin_of(request)
        service = self._service
        service.calls.take("otp", origin.network)
        order = await read(request, ResendOrder)
        if order.type not in {"signup", "email_change"}:
            raise invalid("Missing one of these types: signup, email_change")
        email = clean_email(order.email)
        await service.require_quiet(order.type, email, origin)
        redirect_to = service.redirects.choose(request.query_params.get("redirect_to"))
        person = await service.store.person("account_by_email", email)
        if person is None or is_banned(person, service.clock):
            return json_answer({})
        account = person.account
        if order.type == "signup" and account.email_confirmed_at is None:
            await self._send("signup", account, redirect_to, order.proof(), origin)
        elif order.type == "email_change" and account.new_email:
            steps = change_letters(service, account, account.new_email, redirect_to, order.proof())
            await service.store.run(*steps, origin=origin)
            service.delivery.wake()
        return json_answer({})

    async def _order(self, request: Request, kind: str) -> tuple[Origin, LinkOrder, str]:
        origin = origin_of(request)
        self._service.calls.take(kind, origin.network)
        order = await read(request, LinkOrder)
        if order.phone:
            raise no_phone("Unsupported phone provider")
        if not order.email:
            raise invalid("One of email or phone must be set")
        order.proof()
        return origin, order, clean_email(order.email)

    async def _send(
        self, purpose: str, account: Account, redirect_to: str, proof: Proof | None, origin: Origin
    ) -> None:
        service = self._service
        once = service.one_time(
            purpose, user_id=account.id, email=account.email, redirect_to=redirect_to, proof=proof
        )
        await service.store.run(*once.keep, *once.send, origin=origin)
        service.delivery.wake()

    async def _make_and_send(self, email: str, order: LinkOrder, redirect_to: str, origin: Origin) -> None:
        service, user = self._service, str(uuid4())
        added = service.store.statement(
            "add_account", user, email, None, BY_EMAIL, order.data or {}, False, False, False, None
        )
        once = service.one_time(
            "magiclink", user_id=user, email=email, redirect_to=redirect_to, proof=order.proof()
        )
        try:
            await service.store.run(added, *once.keep, *once.send, by=user, origin=origin)
        except StatementFailed as error:
            if error.sqlstate != UNIQUE_VIOLATION:  # else a second request made it, and sent its letter
                raise
        service.delivery.wake()


def change_letters(
    service: Service,
    account: Account,
    new_email: str,
    redirect_to: str,
    proof: Proof | None,
    *,
    is_free: bool = True,
) -> Sequence[Statement]:
    """Letters about a change of address: to the new one, and to the present one where both are to confirm.

    The new one gets none if it is somebody else's.
    """
    steps: list[Statement] = [service.store.statement("drop_change_tokens", account.id)]
    wanted = [("email_change_new", new_email)] if is_free else []
    if service.config.both_addresses and account.email:
        wanted.append(("email_change_current", account.email))
    for purpose, recipient in wanted:
        once = service.one_time(
            purpose, user_id=account.id, email=recipient, redirect_to=redirect_to, proof=proof, new_email=new_email
        )
        steps += [*once.keep, *once.send]
    return steps
