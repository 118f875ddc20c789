"""Who the gateway is at the database, and whom it can become."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from wedsync.errors import LoginRoleUnfit
from wedsync.sql import statements


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRole:
    """The role that was signed in with."""

    name: str
    inherits: bool
    is_superuser: bool
    bypasses_rls: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposedRole:
    """A role that requests run as."""

    name: str
    exists: bool
    may_be_taken: bool


def check_login(login: LoginRole, exposed: Iterable[ExposedRole]) -> tuple[str, ...]:
    """What is to be said of a login role that works but has more rights than it needs.

    Raises `LoginRoleUnfit` naming every exposed role that it cannot become.
    """
    missing = [role for role in exposed if not role.may_be_taken]
    if missing:
        raise LoginRoleUnfit(
            f"{login.name!r} cannot become {', '.join(repr(role.name) for role in missing)}",
            detail="; ".join(
                f"{role.name}: {'not granted' if role.exists else 'no such role'}" for role in missing
            ),
            hint="; ".join(
                f'grant "{role.name}" to "{login.name}"' if role.exists else f'create role "{role.name}" nologin'
                for role in missing
            ),
        )
    said: list[str] = []
    if login.is_superuser:
        said.append(f"{login.name!r} is a superuser: a mistake in the gateway would reach everything")
    elif login.bypasses_rls:
        said.append(f"{login.name!r} bypasses row-level security: alter role it nobypassrls")
    if login.inherits and not login.is_superuser:
        said.append(f"{login.name!r} inherits the rights of the roles it serves: alter role it noinherit")
    return tuple(said)


async def read_login(
    connection: AsyncConnection[TupleRow], roles: Sequence[str]
) -> tuple[LoginRole, list[ExposedRole]]:
    """The role of `connection`, and what it is to each of `roles`."""
    sql = statements("pipeline")
    async with connection.cursor(row_factory=class_row(LoginRole)) as cursor:
        await cursor.execute(sql["login_role"])
        login = await cursor.fetchone()
    if login is None:
        raise LoginRoleUnfit("the role that was signed in with is not in pg_roles")
    async with connection.cursor(row_factory=class_row(ExposedRole)) as cursor:
        await cursor.execute(sql["roles_taken"], {"roles": [*roles]})
        return login, await cursor.fetchall()
