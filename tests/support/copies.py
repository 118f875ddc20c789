"""Copies in tests: small, quick, and what is in them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from support.recoveries import Protected
from wedsync.copies import Copy, CopyOrder, Effort, Purpose
from wedsync.database import Lsn

SMALL = Effort(nice=0, idle_disk=False, processes=2, memory_bytes=16 * 1024 * 1024, least_free_bytes=0)


@asynccontextmanager
async def copy_at(
    own: Protected, target: datetime | Lsn, *, purpose: Purpose = Purpose.DRILL, effort: Effort = SMALL
) -> AsyncIterator[Copy]:
    """A copy at a moment, removed at the end."""
    copies = own.platform.copies
    plan = await copies.plan(CopyOrder(target=target))
    copy = await copies.make(plan, directory=copies.new_directory(purpose), effort=effort, purpose=purpose)
    try:
        yield copy
    finally:
        await copy.remove()


async def rows_in(copy: Copy) -> list[int]:
    """Numbers of the rows in a copy."""
    async with await copy.target(dbname="postgres").connect() as connection:
        found = await (await connection.execute("select n from marks order by n")).fetchall()
    return [row[0] for row in found]
