"""Whether the gateway's login fits what it shall serve; asked before anything is served."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from wedsync.errors import GatewayRefused
from wedsync.sql import statements

_OLDEST = 150000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFacts:
    """The database as the gateway's login sees it."""

    version_num: int
    login: str
    missing_schemas: list[str]
    anon_exists: bool
    may_be_anon: bool
    is_superuser: bool
    connection_limit: int | None
    max_connections: int
    is_standby: bool


async def read_login_facts(
    connection: AsyncConnection[TupleRow], *, schemas: Sequence[str], anon_role: str | None
) -> LoginFacts:
    """Ask the database."""
    async with connection.cursor(row_factory=class_row(LoginFacts)) as cursor:
        await cursor.execute(statements("gateway")["login_facts"], {"schemas": list(schemas), "anon": anon_role})
        found = await cursor.fetchone()
    assert found is not None  # noqa: S101 - a select without from has one row
    return found


def refuse_unfit(facts: LoginFacts, *, anon_role: str | None) -> None:
    """Raise `GatewayRefused` for what would fail at every request."""
    if facts.version_num < _OLDEST:
        raise GatewayRefused(
            "this PostgreSQL is too old",
            detail=f"version {facts.version_num // 10000}; 15 or newer is served",
            hint="upgrade the server",
        )
    if facts.missing_schemas:
        words = ", ".join(facts.missing_schemas)
        raise GatewayRefused(
            f"a schema to be shown is not there: {words}",
            detail="as --schemas or gateway.schemas names it",
            hint=f'create schema "{facts.missing_schemas[0]}"; or name the schemas that are there, each in double'
            " quotes if there is a space or a comma in its name",
        )
    if anon_role is None or facts.may_be_anon:
        return
    if not facts.anon_exists:
        raise GatewayRefused(
            f"the role for calls without a token is not there: {anon_role}",
            detail="as --anon-role or gateway.anon_role names it",
            hint=f'create role "{anon_role}" nologin noinherit; grant "{anon_role}" to "{facts.login}"',
        )
    raise GatewayRefused(
        f"{facts.login} may not become {anon_role}",
        detail="each request runs as the role of its caller",
        hint=f'grant "{anon_role}" to "{facts.login}"',
    )


def warnings_about(facts: LoginFacts, *, connections: int) -> list[str]:
    """What works, and is not as it should be."""
    found: list[str] = []
    if facts.is_superuser:
        found.append(
            f"the gateway signs in as {facts.login}, a superuser: a token can name any role."
            " Make one that may only become the roles to be served (docs/how-to/serve-any-postgresql.md)"
        )
    if facts.is_standby:
        found.append("this server is a standby: writes are refused")
    most = min(facts.connection_limit or facts.max_connections, facts.max_connections)
    if connections > most:
        found.append(
            f"up to {connections} connections were asked for, and {facts.login} may have {most}:"
            " give fewer (--db-pool, database.pool.max_size)"
        )
    return found
