"""Previews of a home over HTTP, in this process: the operations API with the data API of each preview."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from support.commands import SOURCE
from support.events import eventually
from support.operations import administrator_callers, operations_of
from support.recoveries import Protected
from wedsync.app.preview_desk import home_doors
from wedsync.app.preview_doors import PreviewDoors


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The operations API of a home with the data API of its previews."""

    own: Protected
    http: httpx.AsyncClient
    doors: PreviewDoors

    async def ended(self, answer: httpx.Response) -> dict[str, Any]:
        """The run behind a 202, once it has ended."""
        assert answer.status_code == 202, answer.text
        address = answer.headers["Location"].removeprefix("/api")

        async def look() -> dict[str, Any] | None:
            found = (await self.http.get(address)).json()
            return found if found["state"] != "running" else None

        found = await eventually(look, within_s=120, what=f"{address} ends")
        assert found is not None
        return found

    async def preview(self, at: datetime) -> str:
        """A new preview at a moment; its id."""
        answer = await self.http.post("/recovery/previews", json={"at": at.isoformat(), "new": True})
        done = await self.ended(answer)
        assert done["state"] == "done", done
        made: str = done["result"]["id"]
        return made

    async def rows(self, preview: str, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(f"/recovery/previews/{preview}/rest/v1/{path}", headers=headers)


@asynccontextmanager
async def desk_of(own: Protected) -> AsyncIterator[Desk]:
    """The desk, its doors kept as the gateway keeps them."""
    doors = home_doors(own.platform, administrator_callers())
    assert doors is not None
    keeping = asyncio.create_task(doors.run())
    try:
        async with operations_of(own.platform, doors=doors) as http:
            yield Desk(own=own, http=http, doors=doors)
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        assert not doors.open


def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that a gateway starts see this checkout, and no variable of the tests."""
    for name in [name for name in os.environ if name.startswith(("WEDSYNC_", "PG"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))


async def wedding(own: Protected, guests: int) -> str:
    """A couple with guests; gives the couple's id."""
    couple, organization = str(uuid4()), str(uuid4())
    async with await own.platform.owner_target.connect() as connection:
        await connection.execute(
            "insert into organizations (id, name, slug) values (%s, 'Studio', 'studio-' || left(%s, 8))",
            (organization, organization),
        )
        await connection.execute(
            "insert into couples (id, organization_id, partner_one_name, partner_two_name, wedding_date,"
            " time_zone) values (%s, %s, 'Ada', 'Grace', current_date + 90, 'UTC')",
            (couple, organization),
        )
        await connection.execute(
            "insert into guests (couple_id, first_name, last_name) select %s, 'Guest', n::text"
            " from generate_series(1, %s) n",
            (couple, guests),
        )
    return couple


async def run_sql(own: Protected, statement: str, *values: object) -> None:
    async with await own.platform.owner_target.connect() as connection:
        await connection.execute(statement.encode(), values)
