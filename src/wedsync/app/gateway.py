"""Put the gateway's HTTP side together: for a home, and for any PostgreSQL without one."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar

import psycopg
from starlette.types import ASGIApp, Receive, Scope, Send

from wedsync.api.callers import ApiKeys, Callers, KeyFile, KeySet, TokenRules, Tokens
from wedsync.api.front import Closed, CrossOrigin, Forwarded, Front, Meter, Mount, Vitals
from wedsync.api.limits import ConcurrencyLimit, OnceOnly, RateLimit
from wedsync.api.rest import RestApp, RestSettings
from wedsync.api.webhooks import WebhookApp
from wedsync.app.gateway_login import read_login_facts, refuse_unfit, warnings_about
from wedsync.clock import Clock, SystemClock
from wedsync.config import GatewayConfig, PoolConfig
from wedsync.database import ConnectionTarget
from wedsync.database.catalogue import CatalogueSource
from wedsync.database.pipeline import PipelinePool
from wedsync.errors import CannotConnect, SignInRefused, WedsyncError
from wedsync.events import Event, observe
from wedsync.web import serve

_FIRST_PAUSE = timedelta(milliseconds=250)
_LONGEST_PAUSE = timedelta(seconds=5)
_FIRST_TRY_S = 2.0
_LARGEST_WEBHOOK = 1_000_000
_KEYS_EVERY = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseServed(Event):
    """The data API serves a database from now on."""

    database: str
    login: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseNotServed(Event):
    """The data API cannot serve its database; it is tried again."""

    level: ClassVar[str] = "warning"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginUnfit(Event):
    """The role that the gateway signs in as works, and is not as it should be."""

    level: ClassVar[str] = "warning"
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Which database is served to whom."""

    target: ConnectionTarget
    keys: KeySet | KeyFile
    settings: GatewayConfig
    roles: frozenset[str] | None = None
    """Roles that tokens may name; `None`: those that the login may become."""
    min_connections: int = 10
    max_connections: int = 100
    pool: PoolConfig = field(default_factory=PoolConfig)
    """What else holds for its connections."""
    api_keys: bool = False
    """Whether the database has keys of organizations: a schema of ours."""
    webhook_secrets: Callable[[str], Sequence[str]] | None = None
    """Of a payment provider; `None`: its messages are not taken."""
    gives_up: bool = False
    """Whether a login that does not fit ends the process, instead of being tried again."""
    clock: Clock = field(default_factory=SystemClock)


class DataGateway:
    """The data API of one database: its callers, its connections, and its way in."""

    def __init__(self, served: Served) -> None:
        settings = served.settings
        self._served = served
        self._anonymous = settings.anon_role or None
        self.pool = _pool_of(served)
        self.tokens = Tokens(
            served.keys,
            TokenRules(
                anonymous_role=self._anonymous,
                roles=served.roles,
                audience=settings.audience or None,
                role_claim=settings.role_claim,
            ),
        )
        self.callers = Callers(self.tokens, ApiKeys(self.pool.run) if served.api_keys else None)
        self.catalogues = CatalogueSource(
            served.target,
            settings.shown_schemas(),
            extra_search_path=settings.searched_schemas(),
            clock=served.clock,
        )
        self.meter = Meter(slow_ms=settings.slow_request.total_seconds() * 1000)
        self._why_not: str | None = "the database was not reached yet"
        self.is_refused = False
        """Whether the database is there, but does not let its login do what the data API needs."""
        self._tried = asyncio.Event()

    def why_not_ready(self) -> str | None:
        """Why requests cannot be served now; `None` if they can."""
        if self._why_not is None and self.pool.status().total_connections == 0:
            return "there is no connection to the database"
        return self._why_not

    def reads_only(self) -> str | None:
        """Of when reads are while the database is being taken back; `None`: it takes writes, or is away."""
        replay = self.pool.replay
        return None if replay is None or self.why_not_ready() is not None else replay.words

    def staleness(self, from_now_on: bool) -> Sequence[tuple[bytes, bytes]]:
        """The headers of answers from a database that is being taken back (RFC 7234, section 5.5.1).

        The moment is never later than that of what was read: replay may make minutes of a second.
        """
        replay = self.pool.replay if from_now_on else self.pool.first_replay
        if replay is None:
            return ()
        warning = b'110 wedsync "the database is being taken back"'
        if replay.as_of is None:
            return ((b"warning", warning),)
        return ((b"x-wedsync-as-of", replay.words.encode()), (b"warning", warning))

    async def settled(self) -> None:
        """Return once the database was tried for the first time: a gateway that has just begun knows nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_TRY_S):
                await self._tried.wait()

    def front(self, *, elsewhere: ASGIApp, mounts: Mapping[str, Mount] | None = None) -> ASGIApp:
        """The whole application; `mounts` are further ones beside the data API."""
        settings = self._served.settings
        app = RestApp(self.pool, self.catalogues, self.callers, rest_settings(settings), once=OnceOnly(self.pool))
        rest = Mount(app=self._once_open(app), identifies=True, body_bytes=settings.largest_body)
        mounted = {"/rest/v1": rest, **(mounts or {})}
        if self._served.webhook_secrets is not None:
            webhooks = WebhookApp(self.pool.run, self._served.webhook_secrets)
            mounted["/webhooks/v1"] = Mount(app=webhooks, body_bytes=_LARGEST_WEBHOOK)
        return Front(
            mounted,
            elsewhere=elsewhere,
            callers=self.callers,
            meter=self.meter,
            cross_origin=CrossOrigin(settings.cors_origins.split()),
            forwarded=Forwarded(settings.trusted_proxies.split()),
            rates=RateLimit(per_second=settings.rate_per_second, burst=settings.rate_burst)
            if settings.rate_per_second
            else None,
            at_once=ConcurrencyLimit(settings.at_once) if settings.at_once else None,
            staleness=self.staleness,
        )

    def _once_open(self, app: ASGIApp) -> ASGIApp:
        """The application; before the database is open, words that it is not."""
        closed = Closed()

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if not self._tried.is_set():
                await self.settled()
            await (app if self._why_not is None else closed)(scope, receive, send)

        return answer

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        """Serve within the `async with`: the database is opened as soon as it lets us in, and closed last.

        Ends the body with `GatewayRefused`, `SignInRefused` or their like where the login does not fit and
        nobody mends it.
        """
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep(), name="data gateway")
            try:
                yield
            finally:
                keeping.cancel()

    async def _keep(self) -> None:
        await self._open()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.catalogues.run(), name="catalogue")
                group.create_task(self._keep_keys(), name="keys")
        finally:
            self._why_not = "the gateway is stopping"
            await self.pool.close()

    async def _open(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._try_to_open()
            except (WedsyncError, psycopg.Error) as error:
                passes = isinstance(error, CannotConnect | psycopg.Error) and not isinstance(error, SignInRefused)
                self.is_refused = not passes
                if self._served.gives_up and not passes:
                    raise
                self._not_served(error)
            else:
                self._why_not, self.is_refused = None, False
                return
            finally:
                self._tried.set()
            await self._served.clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _try_to_open(self) -> None:
        served, schemas = self._served, self._served.settings.shown_schemas()
        async with await served.target.connect() as connection:
            facts = await read_login_facts(connection, schemas=schemas, anon_role=self._anonymous)
        refuse_unfit(facts, anon_role=self._anonymous)
        await self.catalogues.refresh()
        await self.pool.open()
        for problem in (*warnings_about(facts, connections=served.max_connections), *self.pool.remarks):
            observe(LoginUnfit(problem=problem))
        observe(DatabaseServed(database=str(served.target), login=facts.login, version=facts.version_num // 10000))

    def _not_served(self, error: Exception) -> None:
        said = error.in_one_line() if isinstance(error, WedsyncError) else " ".join(str(error).split())
        if said != self._why_not:
            observe(DatabaseNotServed(reason=said))
        self._why_not = said

    async def _keep_keys(self) -> None:
        """Take a replaced file of keys, also when all tokens that come are known already."""
        while True:
            await self._served.clock.sleep(_KEYS_EVERY)
            self.tokens.look_for_new_keys()


def _pool_of(served: Served) -> PipelinePool:
    more = served.pool
    return PipelinePool(
        served.target,
        min_size=served.min_connections,
        max_size=served.max_connections,
        idle_timeout=more.idle_timeout,
        connect_timeout=more.connect_timeout,
        acquire_timeout=more.acquire_timeout,
        slow_after=more.slow_statement,
        prepared_statements=more.prepared_statements,
        roles=sorted(served.roles or ()),
        reads_in_recovery=served.settings.reads_in_recovery,
    )


def rest_settings(settings: GatewayConfig) -> RestSettings:
    """What the data API may do, as configured."""
    timeouts = settings.statement_timeout
    return RestSettings(
        max_rows=settings.max_rows,
        aggregates=settings.aggregates,
        allow_rollback=settings.rollback_allowed,
        statement_timeout_ms=_ms(timeouts.others),
        role_timeouts_ms={
            settings.anon_role: _ms(timeouts.anon),
            "authenticated": _ms(timeouts.authenticated),
            "service_role": _ms(timeouts.service_role),
        },
    )


def _ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)


async def serve_any(served: Served, *, on_listening: Callable[[], None]) -> None:
    """Serve a database that has no home, until cancelled."""
    gateway = DataGateway(served)
    settings = served.settings
    app = gateway.front(elsewhere=Vitals(gateway.why_not_ready, gateway.reads_only))
    async with gateway.serving():
        await serve(app, settings.host, settings.port, on_listening=on_listening)
