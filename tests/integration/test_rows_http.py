"""Rows brought back over HTTP: the plan, then that plan; conflicts are a 409 with the list."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from support.operations import bearer
from support.previews import Desk, desk_of, only_ours, run_sql, wedding
from support.recoveries import Protected


@pytest.fixture
async def desk(protected: Protected, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    only_ours(monkeypatch)
    async with desk_of(protected) as made:
        yield made


async def guests(own: Protected, couple: str) -> list[tuple[Any, ...]]:
    async with await own.platform.owner_target.connect() as connection:
        cursor = await connection.execute(
            "select g::text from guests g where couple_id = %s order by id", (couple,)
        )
        return await cursor.fetchall()


async def test_a_couple_and_a_table_come_back_over_http(desk: Desk) -> None:
    own, post = desk.own, desk.http.post
    couple, other = await wedding(own, 5), await wedding(own, 3)
    before = {each: await guests(own, each) for each in (couple, other)}
    moment = await own.moment()
    await run_sql(own, "delete from guests where couple_id = %s", couple)
    await own.commit()
    here, to = f"/recovery/tenants/{couple}", moment.isoformat()

    # nobody waits for a restore in a request; who is no administrator is not let in
    refused = await post(here, json={"to": to})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "WS430")
    for headers, status in (({"Authorization": ""}, 401), (bearer(role="authenticated", sub=str(uuid4())), 403)):
        assert (await post(here, json={"to": to}, headers=headers)).status_code == status
    await desk.preview(moment)

    # what is asked wrongly
    for address, body, status in (
        ("/recovery/rows", {"to": to, "table": "guests", "where": "true"}, 400),
        ("/recovery/rows", {"to": to, "table": "nothing"}, 409),
        ("/recovery/rows", {"to": to}, 400),
        ("/recovery/tenants/me", {"to": to}, 400),
        (f"/recovery/tenants/{uuid4()}", {"to": to}, 404),
        (here, {"to": to.partition("+")[0]}, 400),
        (f"/recovery/rows/{uuid4()}/undo", {}, 404),
    ):
        answer = await post(address, json=body)
        assert answer.status_code == status, (address, body, answer.text)

    # the plan, and that plan
    plan = await post(here, json={"to": to}, headers=bearer(sub=str(uuid4())))
    assert plan.status_code == 200, plan.text
    planned = plan.json()
    assert (planned["dry_run"], planned["rows_put_back"], planned["recovery"]) == (True, 5, None)
    assert await guests(own, couple) == []
    fingerprint = planned["fingerprint"]
    done = await post(here, json={"to": to, "fingerprint": fingerprint}, headers=bearer(sub=str(uuid4())))
    assert done.status_code == 200, done.text
    assert (done.json()["dry_run"], done.json()["rows_put_back"], done.json()["errors"]) == (False, 5, [])
    assert {each: await guests(own, each) for each in (couple, other)} == before

    # the undo of it, and who did what
    undo = done.json()["undo"].removeprefix("/api")
    planned = (await post(undo, json={}, headers=bearer(sub=str(uuid4())))).json()
    assert (planned["dry_run"], planned["rows_removed"]) == (True, 5)
    undone = await post(undo, json={"fingerprint": planned["fingerprint"]}, headers=bearer(sub=str(uuid4())))
    assert (undone.status_code, await guests(own, couple)) == (200, [])
    again = await post(undo, json={}, headers=bearer(sub=str(uuid4())))
    assert (again.status_code, again.json()["errors"][0]["code"]) == (404, "WS436")
    listed = (await desk.http.get("/recovery/rows")).json()["recoveries"]
    assert [each["id"] for each in listed] == [undone.json()["recovery"], done.json()["recovery"]]
    actions = {each["action"] for each in (await desk.http.get("/audit", params={"limit": 500})).json()["actions"]}
    assert {"api recover tenant", "api recover rows undo", "recover rows"} <= actions


async def test_conflicts_and_an_old_plan_are_refused_with_the_list(desk: Desk) -> None:
    own, post = desk.own, desk.http.post
    couple = await wedding(own, 4)
    moment = await own.moment()
    await run_sql(own, "delete from guests where couple_id = %s and last_name <> '4'", couple)
    await run_sql(own, "update guests set first_name = 'Later' where couple_id = %s", couple)
    await own.commit()
    await desk.preview(moment)
    body: dict[str, Any] = {"to": moment.isoformat(), "table": "guests"}

    planned = (await post("/recovery/rows", json=body, headers=bearer(sub="one"))).json()
    assert (planned["open_conflicts"], planned["rows_put_back"]) == (1, 3)
    body["fingerprint"] = planned["fingerprint"]
    refused = await post("/recovery/rows", json=body, headers=bearer(sub="two"))
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "WS431"), refused.text
    (conflict,) = refused.json()["conflicts"]
    assert (conflict["why"], conflict["choices"], conflict["choice"]) == ("changed_since", ["keep", "past"], None)
    assert "Later" not in refused.text
    assert len(await guests(own, couple)) == 1

    # somebody writes to the row after the plan
    chosen = {**body, "choices": [{"table": "public.guests", "key": conflict["key"], "choice": "past"}]}
    await run_sql(own, "update guests set first_name = 'Latest' where couple_id = %s", couple)
    refused = await post("/recovery/rows", json=chosen, headers=bearer(sub="three"))
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "WS432"), refused.text
    assert len(await guests(own, couple)) == 1

    # each repetition with the same key gets the same answer
    chosen["fingerprint"] = (await post("/recovery/rows", json=body | {"fingerprint": None})).json()["fingerprint"]
    once = {"Idempotency-Key": str(uuid4())}
    first = await post("/recovery/rows", json=chosen, headers=once)
    assert (first.status_code, first.json()["rows_changed"]) == (200, 1), first.text
    second = await post("/recovery/rows", json=chosen, headers=once)
    assert (second.json(), second.headers["Idempotency-Replayed"]) == (first.json(), "true")
    assert [row for row in await guests(own, couple) if "Late" in row[0]] == []
