"""Previews that are lost, removed or outlive what serves them, while somebody reads them over HTTP."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from support.commands import running_home
from support.events import eventually
from support.previews import Desk, desk_of, only_ours, run_sql, wedding
from support.recoveries import Protected
from wedsync.app import remove_preview
from wedsync.cluster.datadir import processes_in
from wedsync.config import Home


@pytest.fixture
async def desk(protected: Protected, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    only_ours(monkeypatch)
    async with desk_of(protected) as made:
        yield made


def processes_of(own: Protected, preview: str) -> list[int]:
    """The processes of a preview's server, its postmaster first."""
    pgdata = Home(own.home.copies / preview).pgdata
    postmaster = int((pgdata / "postmaster.pid").read_text().splitlines()[0])
    return [postmaster, *(pid for pid in processes_in(pgdata) if pid != postmaster)]


def send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def under_way(desk: Desk, preview: str) -> "asyncio.Task[httpx.Response]":
    """A request that hangs: the processes that would answer it stand still."""
    send(processes_of(desk.own, preview)[1:], signal.SIGSTOP)
    asked = asyncio.create_task(desk.rows(preview, "guests?select=id"))
    await eventually(lambda: desk.doors.open[preview].under_way == 1, what="the request is under way")
    return asked


async def waits_for_a_table(own: Protected) -> bool:
    """Whether somebody waits for a lock in the live database."""
    async with await own.platform.server.target().connect() as connection:
        row = await (await connection.execute("select count(*) from pg_locks where not granted")).fetchone()
    return row is not None and row[0] > 0


async def test_a_preview_whose_server_is_killed_under_a_request_says_so_and_comes_back(desk: Desk) -> None:
    """Lost: nothing.
    Seen: 503 with WS440, "its server ended"; the next request is answered by the server started again.
    """
    couple = await wedding(desk.own, 30)
    preview = await desk.preview(await desk.own.moment())
    assert len((await desk.rows(preview, f"guests?couple_id=eq.{couple}")).json()) == 30
    asked = await under_way(desk, preview)
    send(processes_of(desk.own, preview), signal.SIGKILL)
    answer = await asked
    assert (answer.status_code, answer.json()["code"]) == (503, "WS440"), answer.text
    assert answer.json()["message"] == f"preview {preview} was lost while it was asked"
    assert answer.json()["details"] == "its server ended"
    assert "Retry-After" in answer.headers
    assert str(desk.own.home.root) not in answer.text
    stopped = (await desk.http.get(f"/recovery/previews/{preview}")).json()
    assert stopped["state"] == "stopped"

    again = await desk.rows(preview, f"guests?couple_id=eq.{couple}")
    assert (again.status_code, len(again.json())) == (200, 30), again.text
    assert (await desk.http.get(f"/recovery/previews/{preview}")).json()["state"] == "ready"
    await desk.http.delete(f"/recovery/previews/{preview}")


async def test_a_preview_that_is_removed_while_it_is_read_leaves_nothing_behind(desk: Desk) -> None:
    """Lost: nothing; the preview was to go.
    Seen: its rows, or 503 or 404 that names the preview, then 404; no task and no connection is left of it.
    """
    await wedding(desk.own, 5)
    preview = await desk.preview(await desk.own.moment())
    before = len(asyncio.all_tasks())
    assert (await desk.rows(preview, "guests")).status_code == 200
    asked = await under_way(desk, preview)
    await remove_preview(desk.own.platform, preview, by="the command line")
    answer = await asked
    assert answer.status_code in {200, 503, 404}, answer.text
    if answer.status_code == 200:  # its server was let go on, to end in good order
        assert len(answer.json()) == 5
    else:
        assert preview in answer.json()["message"]
    gone = await desk.rows(preview, "guests")
    assert (gone.status_code, gone.json()["code"]) == (404, "WS841")
    await eventually(lambda: not desk.doors.open, what="its door is closed")
    await eventually(lambda: len(asyncio.all_tasks()) <= before, what="no task is left of it")
    assert not (desk.own.home.copies / preview).exists()
    assert processes_in(desk.own.home.copies / preview / "pgdata") == []


async def test_a_preview_is_read_while_the_live_database_is_down(desk: Desk) -> None:
    """Lost: nothing.
    Seen: rows of the past as before; the difference is 503 with WS442, "there is no now to compare with".
    """
    couple = await wedding(desk.own, 7)
    preview = await desk.preview(await desk.own.moment())
    await desk.own.kill()
    answer = await desk.rows(preview, f"guests?couple_id=eq.{couple}")
    assert (answer.status_code, len(answer.json())) == (200, 7), answer.text
    refused = await desk.http.get(f"/recovery/previews/{preview}/difference")
    (problem,) = refused.json()["errors"]
    assert (refused.status_code, problem["code"]) == (503, "WS442")
    assert problem["message"].startswith("there is no now to compare with")
    assert str(desk.own.home.root) not in refused.text
    await desk.own.start()
    found = (await desk.http.get(f"/recovery/previews/{preview}/difference")).json()
    assert found["couples"] == []
    await desk.http.delete(f"/recovery/previews/{preview}")


async def test_a_comparison_during_which_the_preview_dies_changes_nothing_and_says_so(desk: Desk) -> None:
    """Lost: nothing.
    Seen: an error in words, never a difference of half the tables; the next comparison is whole.
    """
    couple = await wedding(desk.own, 40)
    preview = await desk.preview(await desk.own.moment())
    await run_sql(desk.own, "delete from guests where couple_id = %s", couple)
    address = f"/recovery/previews/{preview}/difference"
    assert (await desk.http.get(address)).json()["couples"][0]["returns"] == 40
    async with await desk.own.platform.server.target(dbname="wedsync").connect(autocommit=False) as holder:
        await holder.execute("lock table guests in access exclusive mode")
        asked = asyncio.create_task(desk.http.get(address))
        await eventually(lambda: waits_for_a_table(desk.own), what="the comparison has come to that table")
        send(processes_of(desk.own, preview), signal.SIGKILL)
        await holder.rollback()
    broken = await asked
    (problem,) = broken.json()["errors"]
    assert (broken.status_code, problem["code"]) == (503, "WS440"), broken.text
    assert problem["message"].startswith("the comparison was broken off")
    whole = (await desk.http.get(address)).json()
    assert (whole["couples"][0]["couple"], whole["couples"][0]["returns"]) == (couple, 40)
    await desk.http.delete(f"/recovery/previews/{preview}")


async def test_a_preview_outlives_the_gateway_that_serves_it(protected_template: Home, tmp_path: Path) -> None:
    """Lost: nothing; the request that was under way is made again.
    Seen: the gateway is started again by itself, lists the preview, and reads it.
    """
    async with running_home(tmp_path / "place", template=protected_template) as commands:
        key = (await commands.json("keys"))["service_role"]
        address = f"http://127.0.0.1:{commands.port}"
        async with httpx.AsyncClient(
            base_url=f"{address}/api", headers={"Authorization": f"Bearer {key}"}, timeout=60
        ) as http:
            begun = await http.post("/recovery/previews", json={"at": "latest"})
            assert begun.status_code == 202, begun.text
            run = begun.headers["Location"].removeprefix("/api")

            async def made() -> str | None:
                found = (await http.get(run)).json()
                assert found["state"] != "failed", found
                return found["result"]["id"] if found["state"] == "done" else None

            preview = await eventually(made, within_s=120, what="the preview is made")
            rows = f"/recovery/previews/{preview}/rest/v1/couples"
            assert (await http.get(rows)).status_code == 200
            gateway = commands.pid("gateway")
            assert gateway is not None
            os.kill(gateway, signal.SIGKILL)
            await commands.another_pid("gateway", than=gateway)

            async def answers() -> httpx.Response | None:
                with suppress(httpx.TransportError):
                    found = await http.get(rows)
                    return found if found.status_code == 200 else None
                return None

            again = await eventually(answers, within_s=60, what="the preview is read again")
            assert again is not None
            assert json.loads(again.text) == []
            listed = (await http.get("/recovery/previews")).json()["previews"]
            assert [each["id"] for each in listed] == [preview]
            assert (await http.delete(f"/recovery/previews/{preview}")).status_code == 200
