"""Secrets that integrations need, encrypted in the database with a key that only the home has."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from wedsync.cluster import Secrets, random_password, write_private
from wedsync.database import ConnectionTarget
from wedsync.sql import statements

KEY: Final = "integration_key"
_NEXT: Final = "integration_key.next"


class IntegrationSecrets:
    """Signing secrets of webhooks and tokens of integrations; the gateway's and the keeper's way to them."""

    def __init__(self, target: ConnectionTarget, secrets: Secrets) -> None:
        """`target` is the owner, or connects as a role that may become `service_role` and has become it."""
        self._target = target
        self._secrets = secrets

    async def put(self, organization: UUID, name: str, value: str) -> None:
        """Keep a secret, or replace it."""
        async with self._with_key() as connection:
            await connection.execute(
                statements("tenants")["put_secret"], {"organization": organization, "name": name, "value": value}
            )

    async def get(self, organization: UUID, name: str) -> str | None:
        """A secret; `None` if there is none of this name.

        A database that was taken back to before a rotation is read with the key of then, which is kept.
        """
        values = {"organization": organization, "name": name}
        async with self._with_key() as connection:
            row = await (await connection.execute(statements("tenants")["key_of_secret"], values)).fetchone()
            if row is None:
                return None
            await connection.execute(statements("tenants")["give_key"], {"key": self._key(str(row[0]))})
            row = await (await connection.execute(statements("tenants")["get_secret"], values)).fetchone()
            return None if row is None else row[0]

    async def rotate(self) -> int:
        """Encrypt everything with a new key; gives how many secrets there were.

        The old key is kept: older backups need it. Broken off half-way, the next call goes on.
        """
        old = self._secrets.get_or_create(KEY)
        new = self._secrets.get_or_create(_NEXT, make=random_password)
        write_private(self._secrets.path(f"{KEY}.{key_id(old)}"), old.encode())
        async with self._with_key() as connection:
            await connection.execute(statements("tenants")["give_new_key"], {"key": new})
            row = await (await connection.execute(statements("tenants")["rotate_secrets"])).fetchone()
        write_private(self._secrets.path(KEY), new.encode(), replace=True)
        self._secrets.path(_NEXT).unlink()
        return 0 if row is None else int(row[0])

    def _key(self, wanted: str) -> str:
        """The key that this id belongs to; raises `SecretProblem` if it is not in the home."""
        for name in (KEY, _NEXT):
            if self._secrets.path(name).exists() and key_id(self._secrets.read(name)) == wanted:
                return self._secrets.read(name)
        return self._secrets.read(f"{KEY}.{wanted}")

    @asynccontextmanager
    async def _with_key(self) -> AsyncGenerator[AsyncConnection[TupleRow]]:
        """A transaction that was given the key, as a parameter: no statement's text has it."""
        key = self._secrets.get_or_create(KEY)
        async with await self._target.connect() as connection, connection.transaction():
            await connection.execute(statements("tenants")["give_key"], {"key": key})
            yield connection


def key_id(key: str) -> str:
    """What a key is recognised by, as `app.key_id` has it."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]
