"""One preview as the data API serves it: a few connections, and the catalogue as it was at that moment."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from uuid import UUID

import msgspec
import psycopg

from wedsync.api.callers import Caller, Callers
from wedsync.api.rest import RestApp, RestSettings
from wedsync.clock import Clock
from wedsync.config import ReadsInRecovery
from wedsync.database import ConnectionTarget
from wedsync.database.catalogue import CatalogueSource
from wedsync.database.pipeline import PipelinePool
from wedsync.errors import NotThere, PreviewAway, WedsyncError
from wedsync.sql import statements

CONNECTIONS = 4
_OPENS_WITHIN_S = 20.0
_USER = "authenticated"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewAt:
    """A preview and where it stands: another one as soon as it has moved."""

    id: str
    at: datetime | None
    moves: bool
    """Whether it is on its way to another moment: nobody reads it then."""
    moved: str
    """Differs whenever its server was started for another moment."""
    gateway: ConnectionTarget
    """As the role that may only become those of callers."""
    owner: ConnectionTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """What of a database is served, to which roles."""

    schemas: tuple[str, ...]
    extra_search_path: tuple[str, ...]
    roles: tuple[str, ...]
    rest: RestSettings


@dataclass(slots=True, kw_only=True)
class Door:
    """A preview that is served now."""

    standing: PreviewAt
    pool: PipelinePool
    catalogues: CatalogueSource
    app: RestApp
    used_at: float = field(default_factory=monotonic)
    under_way: int = 0
    people: dict[UUID, Caller] = field(default_factory=dict[UUID, Caller])

    @property
    def idle_s(self) -> float:
        """For how long nobody has asked."""
        return 0.0 if self.under_way else monotonic() - self.used_at

    async def person(self, user: UUID) -> Caller:
        """A user of that moment as a caller who only reads. Raises `NotThere` if there was no such user."""
        if user not in self.people:
            async with await self.standing.owner.connect() as connection:
                cursor = await connection.execute(statements("previews")["claims_of_user"], {"user": user})
                row = await cursor.fetchone()
            if row is None:
                raise NotThere(
                    f"there was no user {user} at that moment",
                    hint="ids: GET …/auth/v1/admin/users, or select them",
                )
            claims: str = row[0]
            self.people[user] = Caller(
                role=_USER,
                claims=msgspec.json.decode(claims, type=dict[str, object]),
                claims_json=claims.encode(),
                is_anonymous=False,
                may_write=False,
            )
        return self.people[user]

    async def close(self) -> None:
        """End its connections; requests under way have a few seconds."""
        try:
            await self.pool.close()
        finally:
            await self.catalogues.close()


async def open_door(standing: PreviewAt, exposed: Exposed, *, callers: Callers, clock: Clock) -> Door:
    """Connect to a preview and read its catalogue. Raises `PreviewAway`; leaves nothing open then."""
    pool = PipelinePool(
        standing.gateway,
        min_size=1,
        max_size=CONNECTIONS,
        roles=exposed.roles,
        reads_in_recovery=ReadsInRecovery.TARGET,  # it may be restarted under us, to replay to another moment
    )
    catalogues = CatalogueSource(
        standing.gateway, exposed.schemas, extra_search_path=exposed.extra_search_path, clock=clock
    )
    try:
        async with asyncio.timeout(_OPENS_WITHIN_S):
            await catalogues.refresh()
            await pool.open()
    except (WedsyncError, psycopg.Error, TimeoutError) as error:
        await _give_up(pool, catalogues)
        raise PreviewAway(
            f"preview {standing.id} cannot be read",
            detail=_said(error),
            hint="it may be moving or being removed: GET /api/recovery/previews says how it stands",
        ) from error
    except BaseException:
        await _give_up(pool, catalogues)
        raise
    # Its catalogue is not watched: what is paused in the past does not change.
    app = RestApp(pool, catalogues, callers, exposed.rest)
    return Door(standing=standing, pool=pool, catalogues=catalogues, app=app)


async def _give_up(pool: PipelinePool, catalogues: CatalogueSource) -> None:
    try:
        await pool.close()
    finally:
        await catalogues.close()


def _said(error: Exception) -> str:
    match error:
        case WedsyncError():
            return error.in_one_line()
        case TimeoutError():
            return f"no answer within {_OPENS_WITHIN_S:g} s"
        case _:
            return " ".join(str(error).split())
