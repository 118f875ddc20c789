"""`recover moments` and the timeline over HTTP: the moment right before a mistake, to the commit."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from support.operations import operations_of
from support.recoveries import Protected
from wedsync.app import read_timeline
from wedsync.errors import UsageProblem
from wedsync.recovery import Happening, HappeningKind, Timeline

GUESTS = 217


async def wedding(own: Protected, guests: int) -> str:
    """A couple with guests, each committed by itself; gives the couple's id."""
    couple = str(uuid4())
    async with await own.platform.owner_target.connect() as connection:
        organization = uuid4()
        await connection.execute(
            "insert into organizations (id, name, slug) values (%s, 'Studio Lumen', 'studio-lumen')",
            (organization,),
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


async def guests_of(own: Protected, couple: str) -> int:
    async with await own.platform.owner_target.connect() as connection:
        row = await (
            await connection.execute("select count(*) from guests where couple_id = %s", (couple,))
        ).fetchone()
    assert row is not None
    return int(row[0])


def the_mistake(found: Timeline) -> Happening:
    (mistake,) = [each for each in found.happenings if each.kind is HappeningKind.ROWS_CHANGED]
    return mistake


async def test_right_before_a_commit_its_rows_are_there_and_right_behind_it_they_are_gone(
    protected: Protected,
) -> None:
    couple = await wedding(protected, GUESTS)
    async with await protected.platform.owner_target.connect(autocommit=False) as connection:
        await connection.execute("set application_name to 'a script'")
        await connection.execute("delete from guests where couple_id = %s", (couple,))
        await connection.execute("select pg_sleep(0.05)")  # the statement is not the commit
        before_commit = await protected.moment()
        await connection.commit()
    await protected.commit()
    await protected.archive()

    mistake = the_mistake(await read_timeline(protected.platform))
    assert mistake.exact
    assert mistake.restorable
    assert mistake.at > before_commit
    assert [(each.table, each.deleted, each.changed) for each in mistake.tables] == [("public.guests", GUESTS, 0)]
    assert mistake.words == f"{GUESTS} guests deleted in one transaction"
    assert mistake.by == "wedsync_owner (a script)"
    assert (mistake.couple, mistake.detail["couple_name"]) == (couple, "Ada & Grace")
    assert mistake.before == mistake.at - timedelta(microseconds=1)

    await protected.recover(mistake.before)
    assert await guests_of(protected, couple) == GUESTS
    await protected.undo()
    assert await guests_of(protected, couple) == 0
    await protected.recover(mistake.at)
    assert await guests_of(protected, couple) == 0


async def test_few_rows_are_left_out_unless_they_are_asked_for(protected: Protected) -> None:
    couple = await wedding(protected, 4)
    async with await protected.platform.owner_target.connect() as connection:
        await connection.execute("update guests set last_name = 'X' where couple_id = %s", (couple,))
    assert not [
        each
        for each in (await read_timeline(protected.platform)).happenings
        if each.kind is HappeningKind.ROWS_CHANGED
    ]
    mistake = the_mistake(await read_timeline(protected.platform, least=4))
    assert mistake.words == "4 guests changed in one transaction"


async def test_the_timeline_over_http_says_what_it_does_not_know(protected: Protected) -> None:
    couple = await wedding(protected, 12)
    async with await protected.platform.owner_target.connect() as connection:
        await connection.execute("truncate guests cascade")
    async with operations_of(protected.platform) as client:
        found = (await client.get("/recovery/timeline")).json()
        assert found["unknown"] == []
        assert found["windows"]
        assert found["backups"]
        (gone,) = [each for each in found["happenings"] if each["kind"] == "rows_changed"]
        assert {"table": "public.guests", "deleted": 12, "changed": 0} in gone["tables"]
        assert gone["couple"] == couple
        kinds = {each["kind"] for each in found["happenings"]}
        assert {"schema_changed", "named_point"} <= kinds
        later = await client.get("/recovery/timeline", params={"from": gone["at"][:-1] + "9Z", "rows": 1})
        assert not [each for each in later.json()["happenings"] if each["kind"] == "rows_changed"]
        backwards = await client.get(
            "/recovery/timeline", params={"from": "2026-06-14T10:00:00Z", "to": "2026-06-13T10:00:00Z"}
        )
        assert backwards.status_code == 400
        assert (await client.get("/recovery/timeline", params={"from": "2026-06-14T10:00:00"})).status_code == 400

        await protected.platform.server.stop()
        without = (await client.get("/recovery/timeline")).json()
    assert [each["from"] for each in without["windows"]] == [each["from"] for each in found["windows"]]
    assert [each["kind"] for each in without["happenings"]] == []
    (missing,) = without["unknown"]
    assert missing["what"] == "who changed what, and changes of the schema"
    assert "cannot connect" in missing["why"]
    assert str(protected.home.root) not in str(without)


async def test_moments_in_the_wrong_order_are_refused(protected: Protected) -> None:
    now = datetime.now(UTC)
    with pytest.raises(UsageProblem, match="nothing lies between"):
        await read_timeline(protected.platform, since=now, until=now - timedelta(hours=1))
