"""The schema changes while requests come in: none of them fails for that."""

import asyncio
from collections import Counter

import pytest

from support.events import eventually
from support.migrations import tell
from support.rest_hall import Hall, hall_of
from wedsync.cluster import Server

ROUNDS = 12


async def _clients(hall: Hall, requests: list[str], stop: asyncio.Event, seen: Counter[tuple[str, int]]) -> None:
    async def client(number: int) -> None:
        turn = number
        while not stop.is_set():
            request = requests[turn % len(requests)]
            answer = await hall.gate.ask(request)
            seen[request, answer.status_code] += 1
            turn += 1

    await asyncio.gather(*(client(number) for number in range(4)))


@pytest.mark.parametrize("follows", [True, False], ids=["notified", "unknown names alone"])
async def test_no_request_fails_while_the_schema_changes(cluster: Server, follows: bool) -> None:
    """What the requests use is there all the time; what is beside it comes and goes and changes its name."""
    requests = [
        "GET /tables?select=id,name,orders(id,bills(*))&order=id",
        "GET /tables?select=*",
        "GET /people?select=name",
        "GET /rpc/two_or_three",
    ]
    async with hall_of(cluster, follows=follows) as hall:
        await tell(hall.owner, "create function hall.two_or_three() returns int language sql stable as 'select 2'")
        stop, seen = asyncio.Event(), Counter[tuple[str, int]]()
        load = asyncio.create_task(_clients(hall, requests, stop, seen))
        try:
            for number in range(ROUNDS):
                notify = "; notify pgrst, 'reload schema'" if follows else ""
                for change in (
                    f"alter table hall.tables add column c{number} int default 0",
                    f"create table hall.t{number} (id int primary key, table_id int references hall.tables)",
                    f"alter table hall.t{number} rename to u{number}",
                    f"alter table hall.tables rename column c{number} to d{number}",
                    "create or replace function hall.two_or_three() returns int language sql stable as 'select 3'",
                    f"alter table hall.tables drop column d{number}",
                    f"drop table hall.u{number}",
                ):
                    await tell(hall.owner, change + notify)
                    await asyncio.sleep(0)
        finally:
            stop.set()
            await load
        assert {status for _, status in seen} == {200}, seen
        assert {request for request, _ in seen} == set(requests)
        assert sum(seen.values()) >= ROUNDS


async def test_what_was_made_a_moment_ago_is_served_at_once(cluster: Server) -> None:
    async with hall_of(cluster) as hall:
        for number in range(5):
            await tell(
                hall.owner,
                f"create table hall.new{number} (id int primary key, table_id int references hall.tables);"
                f"create function hall.made{number}() returns int language sql stable as 'select {number}';"
                "grant select, insert on all tables in schema hall to authenticated",
            )
            assert (await hall.gate.ask(f"GET /new{number}?select=id,tables(name)")).json() == []
            assert (await hall.gate.ask(f"GET /rpc/made{number}")).json() == number
            await tell(hall.owner, f"alter table hall.tables add column extra{number} int default {number}")
            answer = await hall.gate.ask(f"GET /tables?select=extra{number}&id=eq.1")
            assert answer.json() == [{f"extra{number}": number}]
            written = await hall.gate.ask(
                f"PATCH /tables?id=eq.1&columns=extra{number}",
                sends={f"extra{number}": 7},
                headers={"prefer": "return=minimal"},
            )
            assert written.status_code == 204


async def test_a_table_that_got_another_name_is_found_by_it_and_not_by_the_old_one(cluster: Server) -> None:
    async with hall_of(cluster) as hall:
        assert (await hall.gate.ask("GET /bills?select=amount&order_id=eq.2")).json() == [{"amount": 30.00}]
        await tell(hall.owner, "alter table hall.bills rename to invoices")
        assert (await hall.gate.ask("GET /invoices?select=amount&order_id=eq.2")).json() == [{"amount": 30.00}]
        gone = await hall.gate.ask("GET /bills?select=amount&order_id=eq.2")
        assert (gone.status_code, gone.json()["code"]) == (404, "PGRST205")
        await tell(hall.owner, "alter table hall.invoices rename column amount to total")
        assert (await hall.gate.ask("GET /invoices?select=total&order_id=eq.2")).json() == [{"total": 30.00}]
        stale = await hall.gate.ask("GET /invoices?select=amount&order_id=eq.2")
        assert (stale.status_code, stale.json()["code"]) == (400, "42703")


async def test_a_foreign_key_that_was_made_a_moment_ago_embeds(cluster: Server) -> None:
    async with hall_of(cluster) as hall:
        await tell(hall.owner, "alter table hall.diary add column table_id int")
        answer = await hall.gate.ask("GET /diary?select=id,tables(name)")
        assert (answer.status_code, answer.json()["code"]) == (400, "PGRST200")
        await tell(hall.owner, "alter table hall.diary add foreign key (table_id) references hall.tables")
        assert (await hall.gate.ask("GET /diary?select=id,tables(name)")).json() == []


async def test_what_was_ambiguous_a_moment_ago_is_no_more(cluster: Server) -> None:
    async with hall_of(cluster) as hall:
        await tell(
            hall.owner,
            "create function hall.either(a int) returns int language sql stable as 'select a';"
            "create function hall.either(a text) returns int language sql stable as 'select 7';"
            "alter table hall.diary add column here int references hall.tables, add column there int "
            "constraint there references hall.tables",
        )
        assert (await hall.gate.ask("GET /rpc/either?a=1")).status_code == 300
        assert (await hall.gate.ask("GET /diary?select=id,tables(name)")).status_code == 300
        await tell(hall.owner, "drop function hall.either(text); alter table hall.diary drop constraint there")
        assert (await hall.gate.ask("GET /rpc/either?a=1")).json() == 1
        await tell(
            hall.owner,
            "alter table hall.diary add constraint there foreign key (there) references hall.tables;"
            "create function hall.either(a text) returns int language sql stable as 'select 7'",
        )
        assert await hall.catalogues.refresh_if_changed(hall.catalogues.current)
        assert (await hall.gate.ask("GET /diary?select=id,tables(name)")).status_code == 300
        await tell(hall.owner, "alter table hall.diary drop constraint there")
        assert (await hall.gate.ask("GET /diary?select=id,tables(name)")).json() == []


async def test_a_notification_reaches_the_plans(cluster: Server) -> None:
    async with hall_of(cluster, follows=True) as hall:
        before = hall.catalogues.current
        await tell(hall.owner, "comment on table hall.diary is 'Words'; notify pgrst, 'reload schema'")
        await eventually(lambda: hall.catalogues.current is not before, what="the catalogue of a comment")
        document = (await hall.gate.ask("GET /")).json()
        assert document["definitions"]["diary"]["description"] == "Words"
