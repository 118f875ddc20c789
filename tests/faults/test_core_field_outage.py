"""Partners edit one core field at the same time, through a network that is away for a second."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import psycopg
from psycopg.types.json import Jsonb

from support.clusters import role_passwords
from support.databases import migrated_database
from support.events import eventually
from support.isolation import make_two_tenants
from support.wire import wire_to
from wedsync.client import ClientSettings, Session, Transaction, connect
from wedsync.cluster import Server
from wedsync.errors import CommitUnknown

_EDITS = 25
_OUTAGE_S = 1.0
_READ = "select value, version from core_field_values where couple_id = %s and field_key = 'dress_code'"
_CHANGE = "update core_field_values set value = %s, version = %s where couple_id = %s and field_key = 'dress_code'"


async def edit(session: Session, couple: str, words: str) -> None:
    """Add words to what is there; whoever was quicker is read again. Nothing is added twice."""

    async def work(tx: Transaction) -> None:
        row = await tx.fetch_one(_READ, (couple,))
        assert row is not None
        if words not in row["value"].split():
            touched = await tx.execute(_CHANGE, (Jsonb(f"{row['value']} {words}"), row["version"], couple))
            assert touched == 1

    while True:
        try:
            await session.run(work)
        except CommitUnknown:
            continue  # perhaps it is there: the next try looks
        except psycopg.Error as error:
            if error.sqlstate != "PT409":
                raise
            await asyncio.sleep(0.01)  # the other one was quicker
        else:
            return


async def test_edits_of_one_core_field_survive_an_outage_with_an_audit_trail(cluster: Server) -> None:
    """Lost: nothing: both partners' edits are kept.
    Seen: every edit in the audit trail, with its author.
    """
    async with migrated_database(cluster) as owner, wire_to(cluster.config.cluster.port) as wire:
        tenants = await make_two_tenants(owner)
        couple, people = tenants.ours.couple, tenants.ours.people
        target = cluster.tcp_target(
            "wedsync_gateway", role_passwords(cluster.home)["wedsync_gateway"], owner.dbname
        )
        dsn = replace(target, port=wire.port).dsn(with_password=True)
        chosen = ClientSettings(
            min_connections=2, max_connections=6, acquire_timeout=timedelta(seconds=60), application_name="edits"
        )
        async with connect(dsn, settings=chosen) as db:
            service = db.as_service()
            await service.execute(
                "insert into core_field_values (couple_id, field_key, value)"
                " values (%s, 'dress_code', '\"start\"')"
                " on conflict (couple_id, field_key) do update set value = excluded.value",
                (couple,),
            )
            first = await service.fetch_one(_READ, (couple,))
            assert first is not None
            done: list[str] = []

            async def edit_all(person: str) -> None:
                session = db.as_user({"sub": people[person]})
                for number in range(_EDITS):
                    words = f"{person}-{number}"
                    await edit(session, couple, words)
                    done.append(words)

            async with asyncio.TaskGroup() as group:
                group.create_task(edit_all("partner"))
                group.create_task(edit_all("boss"))
                await eventually(lambda: len(done) >= 5, what="both edit")
                await wire.cut()
                at_cut = len(done)
                await asyncio.sleep(_OUTAGE_S)  # the outage itself: it has to last a second
                assert len(done) <= at_cut + 2, "somebody wrote through a wire that was cut"
                await wire.join()
            last = await service.fetch_one(_READ, (couple,))
        assert last is not None
        assert sorted(last["value"].split()[1:]) == sorted(done)
        assert len(done) == 2 * _EDITS
        assert last["version"] == first["version"] + len(done)
        async with await owner.connect() as connection:
            rows = await (
                await connection.execute(
                    "select (new_row ->> 'version')::int, user_id::text, new_row ->> 'value'"
                    "  from audit.record_version where table_name = 'public.core_field_values'"
                    "   and couple_id = %s and new_row ->> 'field_key' = 'dress_code' and statement = 'UPDATE'"
                    "   and user_id is not null order by 1",
                    (couple,),
                )
            ).fetchall()
        assert [row[0] for row in rows] == list(range(first["version"] + 1, last["version"] + 1))
        assert {row[1] for row in rows} == {people["partner"], people["boss"]}
        for _, user, value in rows:
            author = value.split()[-1].split("-")[0]
            assert people[author] == user, "the trail names somebody else than who wrote it"
