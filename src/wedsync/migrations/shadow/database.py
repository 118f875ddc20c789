"""A second database with the same schema and no rows, beside the one that it is a shadow of.

It has a name of its own, a comment that says what it is, and a lock that whoever made it holds while alive:
what a killed run left behind is told from the shadow of a run under way, and from a database that is none.
"""

import hashlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow, class_row
from psycopg.sql import SQL, Composed, Identifier, Literal

from wedsync.database import ConnectionTarget
from wedsync.errors import ProgramFailed, ShadowRefused
from wedsync.process import run
from wedsync.sql import statements

_COPY_WITHIN = timedelta(minutes=5)
_LOCK_WAIT_MS = 5000

Fill: TypeAlias = Callable[[ConnectionTarget], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowMaker:
    """What it takes to make a shadow."""

    admin: ConnectionTarget
    """The database to make it of, as a role that may create databases."""
    pg_dump: Path
    psql: Path
    environment: Mapping[str, str]
    """Of those programs."""
    prepare: Fill | None = None
    """Puts into an empty database what every database of the platform has before its first migration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Original:
    encoding: str
    lc_collate: str
    lc_ctype: str
    provider: str
    locale: str | None
    owner: str


class _Comment(msgspec.Struct, frozen=True, kw_only=True):
    """What the comment on a shadow says."""

    wedsync: str = "shadow"
    of: str
    made_at: datetime


@asynccontextmanager
async def shadow_of(
    target: ConnectionTarget, maker: ShadowMaker, *, empty: bool = False
) -> AsyncGenerator[ConnectionTarget]:
    """A shadow of `target`, as the same role; gone at the end, and at the next call after a kill.

    It has the schema of this moment, or with `empty` only what `maker.prepare` puts there. Raises
    `ShadowRefused` where the server does not allow it.
    """
    async with await maker.admin.connect() as admin:
        await _tidy(admin, maker)
        name = f"{_prefix(maker.admin.dbname)}{secrets.token_hex(6)}"
        # Before the database is there: whoever sees it finds it locked.
        await admin.execute(_sql("try_lock"), {"key": _key(name)})
        try:
            await _create(admin, name, maker.admin.dbname)
            if not empty:
                await _copy_schema(maker, name)
                await _copy_extension_owners(admin, replace(maker.admin, dbname=name))
            elif maker.prepare is not None:
                await maker.prepare(replace(maker.admin, dbname=name))
            yield replace(target, dbname=name)
        finally:
            if not admin.closed and not admin.broken:
                await admin.execute(_drop(name))


async def _create(admin: AsyncConnection[TupleRow], name: str, original_name: str) -> None:
    async with admin.cursor(row_factory=class_row(_Original)) as cursor:
        await cursor.execute(_sql("database_to_copy"))
        original = await cursor.fetchone()
    assert original is not None  # noqa: S101 - the database that we are connected to
    comment = msgspec.json.encode(_Comment(of=original_name, made_at=datetime.now(UTC))).decode()
    try:
        await admin.execute(_creation(name, original))
        await admin.execute(SQL("comment on database {} is {}").format(Identifier(name), Literal(comment)))
        await admin.execute(SQL("revoke all on database {} from public").format(Identifier(name)))
    except psycopg.errors.InsufficientPrivilege as error:
        role = Identifier(admin.info.user).as_string(admin)
        raise ShadowRefused(
            f"{admin.info.user} may not create a database, and a dry run needs one beside {original_name}",
            detail=error.diag.message_primary,
            hint=f"a superuser allows it: alter role {role} createdb; it is used for the time of a dry run only",
        ) from error
    except psycopg.Error as error:
        raise ShadowRefused(
            f"no database could be made beside {original_name}", detail=error.diag.message_primary or str(error)
        ) from error


def _creation(name: str, original: _Original) -> Composed:
    options = [
        SQL("owner {}").format(Identifier(original.owner)),
        SQL("template template0"),
        SQL("encoding {}").format(Literal(original.encoding)),
        SQL("lc_collate {}").format(Literal(original.lc_collate)),
        SQL("lc_ctype {}").format(Literal(original.lc_ctype)),
        SQL("locale_provider {}").format(
            SQL("icu") if original.provider == "icu" else Identifier(original.provider)
        ),
    ]
    if original.locale is not None and original.provider == "icu":
        options.append(SQL("icu_locale {}").format(Literal(original.locale)))
    elif original.locale is not None and original.provider == "builtin":
        options.append(SQL("builtin_locale {}").format(Literal(original.locale)))
    return SQL("create database {} {}").format(Identifier(name), SQL(" ").join(options))


def _drop(name: str) -> Composed:
    return SQL("drop database if exists {} with (force)").format(Identifier(name))


async def _copy_schema(maker: ShadowMaker, name: str) -> None:
    """The schema as `pg_dump` writes it, read by `psql`: the two programs that keep up with PostgreSQL itself."""
    source, shadow = maker.admin, replace(maker.admin, dbname=name)
    dump = [maker.pg_dump, "--schema-only", "--no-subscriptions", "--no-password", "--encoding=UTF8"]
    try:
        dumped = await run(
            [*dump, f"--lock-wait-timeout={_LOCK_WAIT_MS}", "--dbname", _words(source)],
            deadline=_COPY_WITHIN,
            env=_environment(maker, source),
        )
        dumped.check()
        read = [
            maker.psql,
            "-X",
            "-q",
            "--no-password",
            "--single-transaction",
            "-v",
            "ON_ERROR_STOP=1",
            "-f",
            "-",
        ]
        loaded = await run(
            [*read, "--dbname", _words(shadow)],
            deadline=_COPY_WITHIN,
            env=_environment(maker, shadow),
            stdin=dumped.stdout.encode(),
        )
        loaded.check()
    except ProgramFailed as error:
        raise ShadowRefused(
            f"the schema of {source.dbname} could not be copied: {error.message}",
            detail=error.detail,
            hint=f"{source.user} has to be able to read and to make everything in it: a superuser, "
            "or the owner of all of it who may create databases and extensions",
        ) from error


async def _copy_extension_owners(admin: AsyncConnection[TupleRow], shadow: ConnectionTarget) -> None:
    cursor = await admin.execute(_sql("extension_owners"))
    owners = await cursor.fetchall()
    async with await shadow.connect() as inside:
        for name, owner in owners:
            if owner != admin.info.user:
                quoted = Identifier(owner).as_string(inside)
                await inside.execute(_sql("set_extension_owner"), {"name": name, "owner": quoted})


def _words(target: ConnectionTarget) -> str:
    """libpq's connection string without the password: other users see the words of a call."""
    return make_conninfo(**{name: value for name, value in target.parameters().items() if name != "password"})


def _environment(maker: ShadowMaker, target: ConnectionTarget) -> dict[str, str]:
    password = {} if target.password is None else {"PGPASSWORD": target.password}
    return {**maker.environment, "PGCLIENTENCODING": "UTF8", **password}


async def _tidy(admin: AsyncConnection[TupleRow], maker: ShadowMaker) -> None:
    """Remove what killed runs left: shadows of this database that nobody holds."""
    cursor = await admin.execute(_sql("like_shadows"), {"prefix": _prefix(maker.admin.dbname)})
    for name, comment in await cursor.fetchall():
        locked = await (await admin.execute(_sql("try_lock"), {"key": _key(name)})).fetchone()
        if locked is None or not locked[0]:
            continue  # of a run under way
        try:
            if await _is_leftover(maker, name, comment):
                await admin.execute(_drop(name))
        finally:
            await admin.execute(_sql("unlock"), {"key": _key(name)})


async def _is_leftover(maker: ShadowMaker, name: str, comment: str | None) -> bool:
    """Whether a database named like a shadow is one of ours: its comment says so.

    A run that was killed between creating it and writing the comment left it without one, and empty: an
    empty database of that name is no loss to anybody.
    """
    if comment is not None:
        try:
            said = msgspec.json.decode(comment, type=_Comment)
        except msgspec.DecodeError:
            return False
        return (said.wedsync, said.of) == ("shadow", maker.admin.dbname)
    async with await replace(maker.admin, dbname=name).connect() as inside:
        relations = await (await inside.execute(_sql("relations"))).fetchone()
    return relations == (0,)


def _prefix(original: str) -> str:
    return f"wedsync_shadow_{hashlib.sha256(original.encode()).hexdigest()[:8]}_"


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)


def _sql(name: str) -> bytes:
    return statements("shadow")[name]
