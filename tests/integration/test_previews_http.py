"""Previews over HTTP: made, read in PostgREST's dialect, compared with now, moved on, removed."""

from collections.abc import AsyncIterator
from datetime import datetime
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


async def test_a_preview_is_made_read_compared_moved_and_removed(desk: Desk) -> None:
    own = desk.own
    couple, other = await wedding(own, 20), await wedding(own, 5)
    before = await own.moment()
    await run_sql(own, "delete from guests where couple_id = %s and last_name::int <= 12", couple)
    await run_sql(own, "update guests set first_name = 'Later' where couple_id = %s and last_name = '20'", couple)
    await run_sql(own, "insert into guests (couple_id, first_name, last_name) values (%s, 'New', '99')", couple)
    after = await own.moment()
    await own.commit()
    await run_sql(own, "alter table guests add column seat_colour text")

    preview = await desk.preview(before)
    listed = (await desk.http.get("/recovery/previews")).json()["previews"]
    assert [(each["id"], each["state"]) for each in listed] == [(preview, "ready")]
    assert str(own.home.root) not in str(listed)

    # its rows, with the catalogue of that moment
    rows = await desk.rows(preview, f"guests?couple_id=eq.{couple}&select=last_name,couples(partner_one_name)")
    assert rows.status_code == 200, rows.text
    assert len(rows.json()) == 20
    assert rows.json()[0]["couples"] == {"partner_one_name": "Ada"}
    unknown = await desk.rows(preview, "guests?select=seat_colour")
    assert (unknown.status_code, unknown.json()["code"]) == (400, "42703")
    counted = await desk.http.head(
        f"/recovery/previews/{preview}/rest/v1/guests", headers={"Prefer": "count=exact"}
    )
    assert (counted.headers["Content-Range"], counted.content) == ("0-24/25", b"")

    # by table and by couple
    found = (await desk.http.get(f"/recovery/previews/{preview}/difference")).json()
    tables = {each["table"]: each for each in found["tables"]}
    guests = tables["public.guests"]
    assert (guests["returns"], guests["changes"], guests["vanishes"]) == (12, 1, 1)
    assert guests["notes"]
    assert (tables["public.couples"]["returns"], tables["public.couples"]["now_rows"]) == (0, 2)
    assert not [name for name in tables if name.startswith(("audit.", "ops."))]
    (changed,) = found["couples"]
    assert (changed["couple"], changed["name"]) == (couple, "Ada & Grace")
    assert changed["words"] == ("12 guests come back; 1 guests loses later changes; 1 guests that is newer goes")
    of_other = (await desk.http.get(f"/recovery/previews/{preview}/difference", params={"couple": other})).json()
    assert of_other["couples"] == []
    assert {each["returns"] + each["changes"] + each["vanishes"] for each in of_other["tables"]} == {0}
    mistyped = {"couple": "019b6091-5612-74ff-ad37-8df00c000000"}
    nobody = await desk.http.get(f"/recovery/previews/{preview}/difference", params=mistyped)
    assert (nobody.status_code, nobody.json()["errors"][0]["code"]) == (404, "WS630")

    # its rows, in pages
    address, seen = f"/recovery/previews/{preview}/difference?table=public.guests&limit=5", []
    while address:
        page = (await desk.http.get(address)).json()
        assert len(page["rows"]) <= 5
        seen += page["rows"]
        address = (page["next"] or "").removeprefix("/api")
    assert len(seen) == 14
    assert len({tuple(each["key"]) for each in seen}) == 14
    (later,) = [each for each in seen if each["kind"] == "changes"]
    assert "first_name" in later["columns"]
    assert later["past"] is None
    values = await desk.http.get(
        f"/recovery/previews/{preview}/difference",
        params={"table": "public.guests", "couple": couple, "values": "true"},
    )
    (later,) = [each for each in values.json()["rows"] if each["kind"] == "changes"]
    assert (later["past"]["first_name"], later["now"]["first_name"]) == ("Guest", "Later")
    assert (
        await desk.http.get(f"/recovery/previews/{preview}/difference", params={"table": "public.nothing"})
    ).status_code == 404

    # on to a later moment: the door is another one
    moved = await desk.http.post(f"/recovery/previews/{preview}/move", json={"at": after.isoformat()})
    assert moved.status_code == 200, moved.text
    assert datetime.fromisoformat(moved.json()["at"]) == after
    assert len((await desk.rows(preview, f"guests?couple_id=eq.{couple}")).json()) == 9
    back = await desk.http.post(f"/recovery/previews/{preview}/move", json={"at": before.isoformat()})
    assert (back.status_code, back.json()["errors"][0]["code"]) == (409, "WS423")

    removed = await desk.http.delete(f"/recovery/previews/{preview}")
    assert removed.status_code == 200, removed.text
    assert (await desk.rows(preview, "guests")).status_code == 404
    assert (await desk.http.get(f"/recovery/previews/{preview}")).status_code == 404
    assert (await desk.http.get("/recovery/previews")).json()["previews"] == []
    assert not desk.doors.open
    actions = [each["action"] for each in (await desk.http.get("/audit", params={"limit": 500})).json()["actions"]]
    assert {
        "recover preview",
        "api recover preview",
        "api recover preview move",
        "api recover preview remove",
    } <= set(actions)


async def test_a_preview_is_for_administrators_and_only_read(desk: Desk) -> None:
    own = desk.own
    couple = await wedding(own, 3)
    preview = await desk.preview(await own.moment())
    base = f"/recovery/previews/{preview}/rest/v1"
    for headers, status in (({"Authorization": ""}, 401), (bearer(role="authenticated", sub=str(uuid4())), 403)):
        answer = await desk.http.get(f"{base}/guests", headers=headers)
        assert answer.status_code == status
        assert answer.json()["code"] in {"WS801", "WS802"}
    for method, path in (
        ("POST", "guests"),
        ("PATCH", "guests?id=not.is.null"),
        ("DELETE", "guests?id=not.is.null"),
    ):
        refused = await desk.http.request(method, f"{base}/{path}", json={})
        assert (refused.status_code, refused.json()["code"]) == (405, "25006")
        assert refused.json()["message"] == f"preview {preview} shows the past: it is only read"
        assert refused.headers["Allow"] == "GET, HEAD"
    read = await desk.http.post(f"{base}/rpc/get_table_sizes", json={})
    assert (read.status_code, "guests" in read.text) == (200, True), read.text
    written = await desk.http.post(f"{base}/rpc/analyze_table", json={"table_name": "guests"})
    assert (written.status_code, written.json()["code"]) == (405, "25006"), written.text
    assert len((await desk.http.get(f"{base}/guests")).json()) == 3

    # as a user of that moment: row-level security of that moment decides
    stranger, member = str(uuid4()), str(uuid4())
    unknown = await desk.http.get(f"{base}/guests", headers={"Wedsync-As-User": stranger})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "WS841")
    assert (await desk.http.get(f"{base}/guests", headers={"Wedsync-As-User": "me"})).status_code == 400
    await run_sql(own, "insert into auth.users (id, email) values (%s, 'member@example.com')", member)
    await run_sql(
        own,
        "insert into organization_members (organization_id, user_id, role)"
        " select organization_id, %s, 'owner' from couples where id = %s",
        member,
        couple,
    )
    joined = await own.moment()
    await run_sql(own, "delete from organization_members where user_id = %s", member)
    await wedding(own, 2)
    moved = await desk.http.post(f"/recovery/previews/{preview}/move", json={"at": joined.isoformat()})
    assert moved.status_code == 200, moved.text
    seen = await desk.http.get(f"{base}/guests", headers={"Wedsync-As-User": member})
    assert (seen.status_code, len(seen.json())) == (200, 3), seen.text
    now = await own.moment()
    await desk.http.post(f"/recovery/previews/{preview}/move", json={"at": now.isoformat()})
    assert (await desk.http.get(f"{base}/guests", headers={"Wedsync-As-User": member})).json() == []
    assert len((await desk.http.get(f"{base}/guests")).json()) == 5


async def test_the_moment_right_before_a_truncate_can_be_read(desk: Desk) -> None:
    own = desk.own
    couple = await wedding(own, 11)
    await run_sql(own, "truncate guests cascade")
    await own.commit()
    found = (await desk.http.get("/recovery/timeline", params={"rows": 11})).json()
    (gone,) = [each for each in found["happenings"] if each["kind"] == "rows_changed"]
    preview = await desk.preview(datetime.fromisoformat(gone["before"]))
    assert (await desk.http.get(f"/recovery/previews/{preview}")).json()["state"] == "promoted"
    rows = await desk.rows(preview, f"guests?couple_id=eq.{couple}")
    assert (rows.status_code, len(rows.json())) == (200, 11), rows.text
    difference = (await desk.http.get(f"/recovery/previews/{preview}/difference")).json()
    assert (difference["couples"][0]["couple"], difference["couples"][0]["returns"]) == (couple, 11)
    onward = await desk.http.post(f"/recovery/previews/{preview}/move", json={"at": gone["at"]})
    assert (onward.status_code, onward.json()["errors"][0]["code"]) == (409, "WS423")
    removed = await desk.http.delete(f"/recovery/previews/{preview}")
    assert removed.status_code == 200


async def test_a_moment_that_cannot_be_shown_is_refused_before_anything_is_begun(desk: Desk) -> None:
    long_ago = await desk.http.post("/recovery/previews", json={"at": "2020-01-01T00:00:00Z"})
    assert (long_ago.status_code, long_ago.json()["errors"][0]["code"]) == (409, "WS401")
    nonsense = await desk.http.post("/recovery/previews", json={"at": "yesterday"})
    assert nonsense.status_code == 400
    assert (await desk.http.get("/recovery/previews")).json()["previews"] == []
    for method, path in (
        ("GET", ""), ("DELETE", ""), ("GET", "/difference"), ("POST", "/move"), ("GET", "/rest/v1/guests"),
    ):  # fmt: skip
        answer = await desk.http.request(
            method, f"/recovery/previews/preview-none{path}", json={"at": "latest"} if method == "POST" else None
        )
        assert answer.status_code == 404, answer.text
