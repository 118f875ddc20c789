"""`/settings`, `/health`, `/.well-known/jwks.json`: what anybody may know of sign-in."""

from starlette.requests import Request
from starlette.responses import Response

from wedsync import __version__
from wedsync.api.auth.errors import AuthError
from wedsync.api.auth.http import json_answer
from wedsync.api.auth.service import Service
from wedsync.api.auth.store import scalar_in
from wedsync.errors import SignInNotThere


class AboutEndpoints:
    """No secrets here."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def settings(self, _: Request) -> Response:
        """Which ways in there are."""
        config = self._service.config
        return json_answer(
            {
                "external": {"email": True, "phone": False, "anonymous_users": config.anonymous},
                "disable_signup": not config.sign_up,
                "mailer_autoconfirm": not config.confirm_email,
                "phone_autoconfirm": False,
                "sms_provider": "",
                "saml_enabled": False,
            }
        )

    async def health(self, _: Request) -> Response:
        """Whether one can sign in: the database answers, and has the tables."""
        found = (await self._service.store.run(self._service.store.statement("schema_is_there")))[0]
        if scalar_in(found) != b"t":
            raise SignInNotThere("the database has no tables to sign in with", hint="wedsync migrate up")
        return json_answer(
            {"name": "WedSync sign-in", "version": __version__, "description": "Accounts and sessions"}
        )

    async def key_set(self, _: Request) -> Response:
        """The public keys, for whoever checks tokens without asking us."""
        return json_answer(self._service.keys.jwks(), headers={"Cache-Control": "public, max-age=600"})

    async def no_provider(self, _: Request) -> Response:
        """Sign-in by other companies' accounts is not part of this."""
        raise AuthError(400, "provider_disabled", "Unsupported provider: provider is not enabled")
