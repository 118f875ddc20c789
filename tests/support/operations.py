"""The operations API of a home, asked in this process, and what it takes to be let in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt

from wedsync.api.callers import Callers, KeySet, TokenRules, Tokens
from wedsync.api.operations import TokenAdministrators
from wedsync.app import Platform, StatusReader
from wedsync.app.operations import home_operations
from wedsync.app.preview_doors import PreviewDoors

KEY = "a signing key of these tests, long enough"
_FOREVER = datetime(2046, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 18, 9, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    async def sleep(self, pause: timedelta) -> None:
        self.time += pause


def administrators() -> TokenAdministrators:
    """Lets in whoever has a token of `service_role`, signed with `KEY`."""
    return TokenAdministrators(administrator_callers())


def administrator_callers() -> Callers:
    """Knows tokens that were signed with `KEY`."""
    return Callers(Tokens(KeySet.from_secret(KEY), TokenRules()))


def bearer(**changes: Any) -> dict[str, str]:
    """The header of an administrator, or of somebody else."""
    claims = {"iss": "wedsync", "role": "service_role", "exp": _FOREVER, **changes}
    return {"Authorization": "Bearer " + jwt.encode(claims, KEY, algorithm="HS256")}


@asynccontextmanager
async def operations_of(
    platform: Platform, *, doors: PreviewDoors | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the operations API of a home, as an administrator."""
    app = home_operations(platform, administrators=administrators(), reader=StatusReader(platform), doors=doors)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gateway", headers=bearer(), timeout=120
    ) as client:
        yield client
