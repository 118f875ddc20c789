"""The gateway of a database, as a home's process has it, without a port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import msgspec
from starlette.types import ASGIApp

from support.events import eventually
from wedsync.api.callers import KeySet
from wedsync.api.front import Vitals
from wedsync.app.gateway import DataGateway, Served
from wedsync.config import GatewayConfig
from wedsync.database import ConnectionTarget

SECRET = "a signing key of these tests, long enough"
WEBHOOK_SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSBwcm92aWRlciBpbiB0aGVzZSB0ZXN0cw=="


def token(role: str, user: str | None = None, **more: object) -> dict[str, str]:
    """The headers of a caller, as supabase-js sends them."""
    claims: dict[str, object] = {"role": role, "exp": 4_000_000_000, **({"sub": user} if user else {}), **more}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}


@dataclass(frozen=True, slots=True)
class Way:
    """The way in to a database, and a client at its door."""

    http: httpx.AsyncClient
    gateway: DataGateway
    app: ASGIApp


@asynccontextmanager
async def way_into(target: ConnectionTarget, **settings: Any) -> AsyncIterator[Way]:
    """Serve the database within the `async with`; `target` signs in as the gateway does."""
    served = Served(
        target=target,
        keys=KeySet.from_secret(SECRET),
        settings=msgspec.structs.replace(GatewayConfig(), **settings),
        roles=frozenset({"anon", "authenticated", "service_role"}),
        min_connections=2,
        max_connections=6,
        api_keys=True,
        webhook_secrets=lambda provider: [WEBHOOK_SECRET] if provider == "payco" else [],
        gives_up=True,
    )
    gateway = DataGateway(served)
    app = gateway.front(elsewhere=Vitals(gateway.why_not_ready, gateway.reads_only))
    async with gateway.serving():
        await eventually(lambda: gateway.why_not_ready() is None, what="the gateway serves")
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=30) as http:
            yield Way(http, gateway, app)
