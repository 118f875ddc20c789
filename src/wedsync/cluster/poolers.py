"""A pooler in front of a server: whether there is one, which, and whether it has known holes."""

import re
from dataclasses import replace
from datetime import timedelta

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from wedsync.database import ConnectionTarget
from wedsync.errors import CannotConnect

SAFE_PGBOUNCER = (1, 26, 1)
"""First PgBouncer without known holes (its changelog of 14 October 2026): CVE-2026-6664, a packet ends it, before
1.25.2; CVE-2026-107350, one user signs in as another, 1.17.0 to 1.26.0."""
UNKNOWN_POOLER = "a pooler of unknown kind"
_ASKED_WITHIN = timedelta(seconds=5)


async def find_pooler(connection: AsyncConnection[TupleRow], target: ConnectionTarget) -> str | None:
    """What is between `connection` and its server, such as `PgBouncer 1.18.0`; none if nothing is.

    libpq is told the process id of its backend when it connects; a pooler makes one up.
    """
    cursor = await connection.execute("select pg_catalog.pg_backend_pid()")
    row = await cursor.fetchone()
    if row is not None and row[0] == connection.info.backend_pid:
        return None
    try:
        console = await replace(target, dbname="pgbouncer").connect(connect_timeout=_ASKED_WITHIN)
        async with console:
            cursor = await console.execute("show version")
            row = await cursor.fetchone()
    except (CannotConnect, psycopg.Error):
        return UNKNOWN_POOLER  # not PgBouncer, or its console is not for this role
    return UNKNOWN_POOLER if row is None else str(row[0])


def has_known_holes(pooler: str) -> bool | None:
    """Whether this version of PgBouncer is known to be vulnerable; `None` if its version is not known."""
    found = re.search(r"PgBouncer (\d+)\.(\d+)\.(\d+)", pooler, re.IGNORECASE)
    return None if found is None else tuple(int(part) for part in found.groups()) < SAFE_PGBOUNCER
