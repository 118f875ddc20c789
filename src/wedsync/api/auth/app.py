"""The application to mount at `/auth/v1`, and the service that delivers its letters."""

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from wedsync.api.auth.about import AboutEndpoints
from wedsync.api.auth.account import AccountEndpoints
from wedsync.api.auth.admin import AdminEndpoints
from wedsync.api.auth.delivery import Delivery
from wedsync.api.auth.errors import Refusal
from wedsync.api.auth.http import Endpoint, answering, refused
from wedsync.api.auth.links import LinkEndpoints
from wedsync.api.auth.mfa import FactorEndpoints
from wedsync.api.auth.passwords import Passwords
from wedsync.api.auth.policy import Redirects
from wedsync.api.auth.post import Post
from wedsync.api.auth.secret_values import AuthSecret
from wedsync.api.auth.service import Service
from wedsync.api.auth.sessions import TokenMaker
from wedsync.api.auth.sign_up import SignUpEndpoint
from wedsync.api.auth.store import Database, Store
from wedsync.api.auth.throttle import CallsByAddress, Throttle
from wedsync.api.auth.tokens import TokenEndpoint
from wedsync.api.auth.verify import VerifyEndpoint
from wedsync.api.callers import SigningKeys
from wedsync.clock import Clock, SystemClock
from wedsync.config import AuthConfig


@dataclass(frozen=True, slots=True)
class SignIn:
    """Signing in: what answers, and what delivers letters (`await delivery.run()` in a task of its own)."""

    app: ASGIApp
    delivery: Delivery


def auth_app(
    database: Database,
    *,
    keys: SigningKeys,
    config: AuthConfig,
    api_url: str,
    secret: str,
    post: Post,
    clock: Clock | None = None,
    passwords: Passwords | None = None,
) -> SignIn:
    """Sign-in over `database`, whose role may become service_role and which has migration 0018.

    `api_url` is the address of the gateway without a path; `secret` the home's secret for codes, refresh tokens
    and factors: with another one, those that are under way are void, passwords are not.
    """
    public_url = (config.api_url or api_url).rstrip("/")
    clock = clock or SystemClock()
    store, auth_secret = Store(database), AuthSecret.of(secret)
    delivery = Delivery(store, post, sender=config.mail.sender)
    service = Service(
        config=config,
        api_url=public_url,
        store=store,
        secret=auth_secret,
        keys=keys,
        tokens=TokenMaker(
            keys, auth_secret, issuer=f"{public_url}/auth/v1", lasts=config.token_lasts, clock=clock
        ),
        passwords=passwords or Passwords(),
        throttle=Throttle(store, auth_secret),
        calls=CallsByAddress(config.calls_per_minute),
        redirects=Redirects(config.site_url or public_url, config.redirect_urls.split()),
        delivery=delivery,
        clock=clock,
    )
    return SignIn(
        app=Starlette(
            routes=[
                Route(path, answering(endpoint), methods=list(methods))
                for path, methods, endpoint in _table(service)
            ],
            exception_handlers={HTTPException: _no_such, Exception: _failed},
        ),
        delivery=delivery,
    )


def _table(service: Service) -> list[tuple[str, tuple[str, ...], Endpoint]]:
    about, account, admin = AboutEndpoints(service), AccountEndpoints(service), AdminEndpoints(service)
    factors, links, verify = FactorEndpoints(service), LinkEndpoints(service), VerifyEndpoint(service)
    get, post, put, delete = ("GET",), ("POST",), ("PUT",), ("DELETE",)
    return [
        ("/settings", get, about.settings),
        ("/health", get, about.health),
        ("/.well-known/jwks.json", get, about.key_set),
        ("/authorize", get, about.no_provider),
        ("/signup", post, SignUpEndpoint(service).answer),
        ("/token", post, TokenEndpoint(service).answer),
        ("/otp", post, links.sign_in),
        ("/magiclink", post, links.sign_in),
        ("/recover", post, links.recover),
        ("/resend", post, links.resend),
        ("/verify", post, verify.enter),
        ("/verify", get, verify.follow),
        ("/user", get, account.show),
        ("/user", put, account.change),
        ("/logout", post, account.sign_out),
        ("/reauthenticate", ("GET", "POST"), account.reauthenticate),
        ("/factors", post, factors.enrol),
        ("/factors/{factor_id}", delete, factors.give_up),
        ("/factors/{factor_id}/challenge", post, factors.challenge),
        ("/factors/{factor_id}/verify", post, factors.verify),
        ("/invite", post, admin.invite),
        ("/admin/users", get, admin.list),
        ("/admin/users", post, admin.add),
        ("/admin/users/{user_id}", get, admin.show),
        ("/admin/users/{user_id}", put, admin.change),
        ("/admin/users/{user_id}", delete, admin.remove),
        ("/admin/users/{user_id}/factors", get, admin.factors),
        ("/admin/users/{user_id}/factors/{factor_id}", delete, admin.remove_factor),
        ("/admin/generate_link", post, admin.generate_link),
    ]


async def _no_such(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = "not_found" if error.status_code == 404 else "validation_failed"
    headers = dict(error.headers or {})
    return refused(request, Refusal(status=error.status_code, code=code, message=error.detail, headers=headers))


async def _failed(request: Request, _: Exception) -> Response:
    """An error that is ours; it is in the log with all that was seen."""
    message = "Unexpected failure; the gateway's log says why"
    return refused(request, Refusal(status=500, code="unexpected_failure", message=message))
