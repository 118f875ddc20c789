"""The roles of the platform, its database and what they may do there."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import LiteralString

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier, Literal

from wedsync.cluster.access import RECEIVER_ROLE
from wedsync.cluster.settings import application_connections
from wedsync.config import Config, ZeroLossMode
from wedsync.database import ConnectionTarget
from wedsync.sql import statements

ROLES: dict[str, LiteralString] = {
    "anon": "nologin noinherit",
    "authenticated": "nologin noinherit",
    "service_role": "nologin noinherit bypassrls",
    "wedsync_owner": "login inherit bypassrls",
    "wedsync_monitor": "login inherit",
    "wedsync_backup": "login inherit bypassrls",
    "wedsync_gateway": "login noinherit",
}
"""The roles of the platform and their attributes (docs/explanation/cluster.md)."""
_IDLE_IN_TRANSACTION = timedelta(minutes=1)
_NOTHING_MORE = "nosuperuser nocreatedb nocreaterole noreplication"
_CONNECTS = "wedsync_owner, wedsync_monitor, wedsync_backup, wedsync_gateway"
_RECEIVER: LiteralString = "login noinherit nosuperuser nocreatedb nocreaterole replication connection limit 5"
_LOCK = 0x57454453594E43  # "WEDSYNC": two runs at once would create the same role twice


async def ensure_roles(
    superuser: ConnectionTarget, *, config: Config, passwords: Mapping[str, str] | None = None
) -> None:
    """Make roles, database, extension and schemas, or put them right; idempotent.

    `superuser` is a target with superuser rights, in any database. `passwords` are those of the roles
    that connect over TCP; they are sent as SCRAM verifiers, never as text.
    """
    sql = statements("cluster")
    name = config.database.name
    async with await superuser.connect() as connection:
        # It may be that nobody receives WAL before this is done, and that commits wait for who does.
        await connection.execute("set synchronous_commit = local")
        await connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        async with connection.transaction():
            await _create_roles(connection)
            if config.backup.zero_loss.mode is not ZeroLossMode.OFF:
                await _create_receiver(connection)
            await connection.execute(sql["grant_memberships"])
            await _bound_gateway(connection, config)
            await _set_passwords(connection, passwords or {})
        cursor = await connection.execute(sql["database_exists"], {"name": name})
        found = await cursor.fetchone()
        if found is None or not found[0]:
            await connection.execute(SQL("create database {} owner wedsync_owner").format(Identifier(name)))
        await connection.execute(sql["grant_functions"])
        await prepare_database(replace(superuser, dbname=name))


async def prepare_database(superuser: ConnectionTarget) -> None:
    """What a database of the platform has before its first migration: extension, schemas, rights; idempotent."""
    sql = statements("cluster")
    name = Identifier(superuser.dbname)
    async with await superuser.connect() as inside, inside.transaction():
        await inside.execute("set local synchronous_commit = local")
        await inside.execute(SQL("revoke all on database {} from public").format(name))
        await inside.execute(SQL("grant connect on database {} to {}").format(name, SQL(_CONNECTS)))
        await inside.execute(sql["create_schemas"])
        await inside.execute(sql["grant_functions"])


async def _create_roles(connection: AsyncConnection[TupleRow]) -> None:
    """Make the roles; attributes are set again each time: what was changed by hand goes back."""
    cursor = await connection.execute(statements("cluster")["platform_roles"], {"names": [*ROLES]})
    there = {str(row[0]) for row in await cursor.fetchall()}
    for role, attributes in ROLES.items():
        if role not in there:
            await connection.execute(SQL("create role {}").format(Identifier(role)))
        wanted = SQL("alter role {} " + attributes + " " + _NOTHING_MORE)
        await connection.execute(wanted.format(Identifier(role)))


async def _create_receiver(connection: AsyncConnection[TupleRow]) -> None:
    """The role that receives WAL: it can copy everything, and change nothing."""
    cursor = await connection.execute(statements("cluster")["platform_roles"], {"names": [RECEIVER_ROLE]})
    if await cursor.fetchone() is None:
        await connection.execute(SQL("create role {}").format(Identifier(RECEIVER_ROLE)))
    await connection.execute(SQL("alter role {} " + _RECEIVER).format(Identifier(RECEIVER_ROLE)))


async def _bound_gateway(connection: AsyncConnection[TupleRow], config: Config) -> None:
    """What the application may take at most, whatever its client asks for or forgets."""
    limit = Literal(application_connections(config))
    await connection.execute(SQL("alter role wedsync_gateway connection limit {}").format(limit))
    for setting, duration in (
        ("statement_timeout", config.database.pool.statement_timeout),
        ("idle_in_transaction_session_timeout", _IDLE_IN_TRANSACTION),
    ):
        value = Literal(f"{round(duration.total_seconds() * 1000)}ms")
        change = SQL("alter role wedsync_gateway set {} = {}")
        await connection.execute(change.format(Identifier(setting), value))


async def _set_passwords(connection: AsyncConnection[TupleRow], passwords: Mapping[str, str]) -> None:
    cursor = await connection.execute(statements("cluster")["password_verifiers"], {"roles": [*passwords]})
    has = {str(role): str(verifier) for role, verifier in await cursor.fetchall()}
    for role, password in passwords.items():
        if not is_password_of(has.get(role, ""), password):
            verifier = connection.pgconn.encrypt_password(
                password.encode(), role.encode(), b"scram-sha-256"
            ).decode()
            await connection.execute(SQL("alter role {} password {}").format(Identifier(role), Literal(verifier)))


def is_password_of(verifier: str, password: str) -> bool:
    """Whether a SCRAM verifier of `pg_authid` belongs to an ASCII password (RFC 5802, section 3)."""
    match = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)", verifier)
    if match is None:
        return False
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(match[2]), int(match[1]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), base64.b64decode(match[3]))
