"""The gateway during a recovery in place: reads as soon as the server is consistent, writes when it is done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import httpx
import pytest

from support.events import eventually
from support.gateways import Way, token, way_into
from support.recoveries import Protected
from wedsync.cluster import Secrets
from wedsync.config import ReadsInRecovery
from wedsync.database import ConnectionTarget
from wedsync.errors import RecoveryFailed
from wedsync.recovery import replay, replaying

SERVICE = token("service_role")
ROWS = "/rest/v1/seen?select=n&order=n"


@dataclass(kw_only=True)
class Reader:
    """Asks for all rows without a pause, and keeps every answer."""

    answers: list[tuple[int, list[int], datetime | None]] = field(default_factory=list)
    writes: list[tuple[int, str, str | None]] = field(default_factory=list)

    @property
    def stale(self) -> list[tuple[list[int], datetime]]:
        """What was read from the server in recovery, and as of when it said that was."""
        return [(rows, as_of) for status, rows, as_of in self.answers if status == 200 and as_of is not None]


async def prepare(own: Protected) -> None:
    """A table that the data API shows; its rows are the witnesses of the state that is read."""
    async with await own.platform.server.target(dbname="wedsync").connect() as connection:
        await connection.execute("create table public.seen (n bigint primary key, at timestamptz not null)")
        await connection.execute("grant select, insert, update on public.seen to service_role")


async def add(own: Protected, n: int) -> datetime:
    """Commit row `n`; gives the server's clock right after it."""
    async with await own.platform.server.target(dbname="wedsync").connect() as connection:
        await connection.execute("insert into public.seen values (%s, clock_timestamp())", (n,))
        row = await (await connection.execute("select clock_timestamp()")).fetchone()
    assert row is not None
    return row[0].astimezone(UTC)


def gateway_target(own: Protected) -> ConnectionTarget:
    """As the home's gateway connects: through the socket, with its password."""
    return own.platform.gateway_target


async def read(http: httpx.AsyncClient) -> tuple[int, list[int], datetime | None]:
    answer = await http.get(ROWS, headers=SERVICE)
    as_of = answer.headers.get("x-wedsync-as-of")
    rows = [row["n"] for row in answer.json()] if answer.status_code == 200 else []
    return answer.status_code, rows, None if as_of is None else datetime.fromisoformat(as_of)


@asynccontextmanager
async def reading(way: Way) -> AsyncIterator[Reader]:
    """Read and write all the time within the `async with`."""
    seen = Reader()

    async def read_on() -> None:
        while True:
            seen.answers.append(await read(way.http))
            await asyncio.sleep(0.005)

    async def write_on() -> None:
        while True:
            answer = await way.http.patch("/rest/v1/seen?n=eq.0", json={"n": 0}, headers=SERVICE)
            seen.writes.append((answer.status_code, answer.text, answer.headers.get("retry-after")))
            await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(read_on()), asyncio.create_task(write_on())]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


@pytest.fixture
async def season(protected: Protected) -> AsyncIterator[Protected]:
    await prepare(protected)
    yield protected


def hold_at_target(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Let the recovery wait before it promotes until the event is set: what is read then is what the target is."""
    go, promote = asyncio.Event(), replay.promote

    async def later(server: object) -> None:
        await go.wait()
        await promote(server)  # type: ignore[arg-type]

    monkeypatch.setattr(replaying, "promote", later)
    return go


async def test_reads_come_back_before_writes_and_never_show_what_is_beyond_the_target(
    season: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads go on while the database is taken back; each says of when it is.

    Lost: nothing but what was to be taken back.
    Seen: 503 WS340 with Retry-After for writes, X-Wedsync-As-Of and Warning 110 for reads.
    """
    await add(season, 1)
    await season.backup()  # with the table in it: before it came about, answers are 404, and right
    moment = await add(season, 2)
    await add(season, 3)
    go = hold_at_target(monkeypatch)
    async with way_into(gateway_target(season)) as way:
        assert (await read(way.http))[1] == [1, 2, 3]
        async with reading(way) as seen:
            recovery = asyncio.create_task(season.recover(moment))
            await eventually(lambda: len(seen.stale) > 20, what="reads from the server in recovery")
            refused = await way.http.post("/rest/v1/seen", json={"n": 9, "at": "now"}, headers=SERVICE)
            alive, ready = await way.http.get("/healthz"), await way.http.get("/readyz")
            go.set()
            await recovery
            await eventually(lambda: way.gateway.pool.replay is None, what="writes again")
        assert (
            await way.http.post("/rest/v1/seen", json={"n": 9, "at": "now"}, headers=SERVICE)
        ).status_code == 201
        assert await read(way.http) == (200, [1, 2, 9], None)
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "2"
    assert refused.json()["code"] == "WS340"
    assert "being taken back" in refused.json()["message"]
    assert "reads are served as of 2" in refused.json()["message"]
    assert (alive.status_code, ready.status_code) == (200, 200)
    assert "reads only" in alive.text
    assert "reads only" in ready.text
    assert all(set(rows) <= {1, 2} and as_of <= moment for rows, as_of in seen.stale)
    assert seen.stale[-1][0] == [1, 2]
    statuses = {status for status, _, _ in seen.answers}
    assert statuses <= {200, 503}, statuses
    assert {status for status, _, _ in seen.writes} <= {204, 503, 504}, seen.writes


async def test_reads_may_be_held_until_the_target_is_reached(
    season: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`gateway.reads_in_recovery = "target"`: no earlier state than the target is shown.

    Lost: nothing but what was to be taken back.
    Seen: 503 WS340 until the target is reached, then reads of exactly that state.
    """
    moment = await add(season, 1)
    await add(season, 2)
    go = hold_at_target(monkeypatch)
    held = way_into(gateway_target(season), reads_in_recovery=ReadsInRecovery.TARGET)
    async with held as way, reading(way) as seen:
        recovery = asyncio.create_task(season.recover(moment))
        await eventually(lambda: len(seen.stale) > 5, what="reads at the target")
        go.set()
        await recovery
    assert {tuple(rows) for rows, _ in seen.stale} == {(1,)}


async def test_without_reads_in_recovery_everything_waits_for_its_end(
    season: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`gateway.reads_in_recovery = "never"`.

    Lost: nothing but what was to be taken back.
    Seen: 503 WS340 with Retry-After for reads as well.
    """
    moment = await add(season, 1)
    await add(season, 2)
    go = hold_at_target(monkeypatch)
    async with way_into(gateway_target(season), reads_in_recovery=ReadsInRecovery.NEVER) as way:
        recovery = asyncio.create_task(season.recover(moment))
        await eventually(lambda: way.gateway.pool.replay is not None, what="the server in recovery is seen")
        refused = await way.http.get(ROWS, headers=SERVICE)
        go.set()
        await recovery
        await eventually(lambda: way.gateway.pool.replay is None, what="writes again")
        assert await read(way.http) == (200, [1], None)
    assert refused.status_code == 503
    assert refused.json()["code"] == "WS340"


async def test_a_password_that_was_changed_since_the_target_lets_the_gateway_in_all_the_same(
    season: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The restored cluster knows the gateway's password of then; the gateway of the home has today's.

    Lost: nothing but what was to be taken back.
    Seen: reads during the recovery, and writes behind it, as ever.
    """
    moment = await add(season, 1)
    Secrets(season.home).path("wedsync_gateway").write_text("another password, of today")
    await season.platform.settle_roles()
    await add(season, 2)
    go = hold_at_target(monkeypatch)
    target = replace(gateway_target(season), password="another password, of today")
    async with way_into(target) as way:
        recovery = asyncio.create_task(season.recover(moment))
        await eventually(lambda: way.gateway.pool.replay is not None, what="the server in recovery lets it in")
        assert (await read(way.http))[0] == 200
        go.set()
        await recovery
        await eventually(lambda: way.gateway.pool.replay is None, what="writes again")
        assert await read(way.http) == (200, [1], None)
    # by its password again, and by nothing else
    with pytest.raises(Exception, match="password"):
        await replace(target, password="wrong").connect()
    await (await target.connect()).close()


async def test_a_gateway_that_is_started_during_a_recovery_serves_reads(
    season: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds a server in recovery, reads its catalogue there, and takes writes when the server does.

    Lost: nothing but what was to be taken back.
    Seen: X-Wedsync-As-Of until the end of the recovery.
    """
    moment = await add(season, 1)
    await add(season, 2)
    go = hold_at_target(monkeypatch)
    recovery = asyncio.create_task(season.recover(moment))
    await eventually(
        lambda: any(words.startswith("promote") for words in season.said), what="the target is reached"
    )
    async with way_into(gateway_target(season)) as way:
        status, rows, as_of = await read(way.http)
        assert (status, rows) == (200, [1])
        assert as_of is not None
        assert as_of <= moment
        go.set()
        await recovery
        await eventually(lambda: way.gateway.pool.replay is None, what="writes again")
        assert (
            await way.http.post("/rest/v1/seen", json={"n": 5, "at": "now"}, headers=SERVICE)
        ).status_code == 201


async def test_a_table_that_did_not_exist_then_is_an_answer_and_no_failure(
    season: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests are planned with the catalogue of now, and meet the schema of then.

    Lost: nothing but what was to be taken back.
    Seen: 404 for what is not there any more, and its rows for what is.
    """
    moment = await add(season, 1)
    async with await season.platform.server.target(dbname="wedsync").connect() as connection:
        await connection.execute("create table public.later (n bigint primary key)")
        await connection.execute("grant select on public.later to service_role")
    go = hold_at_target(monkeypatch)
    async with way_into(gateway_target(season)) as way:
        assert (await way.http.get("/rest/v1/later", headers=SERVICE)).status_code == 200
        recovery = asyncio.create_task(season.recover(moment))
        await eventually(lambda: way.gateway.pool.replay is not None, what="the server in recovery is seen")
        await eventually(lambda: any(words.startswith("promote") for words in season.said), what="the target")
        gone = await way.http.get("/rest/v1/later", headers=SERVICE)
        status, rows, _ = await read(way.http)
        go.set()
        await recovery
    assert gone.status_code == 404, gone.text
    assert (status, rows) == (200, [1])


async def test_a_recovery_that_fails_at_its_target_leaves_reads_and_no_writes(
    season: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recovering process ends before it promotes: the server stays at the target, and is read from.

    Lost: nothing; the same command goes on.
    Seen: reads with X-Wedsync-As-Of, 503 WS340 for writes, until the command is run again.
    """
    moment = await add(season, 1)
    await add(season, 2)
    promote = replay.promote

    async def fail(_: object) -> None:
        raise RecoveryFailed("ended here")

    monkeypatch.setattr(replaying, "promote", fail)
    async with way_into(gateway_target(season)) as way:
        with pytest.raises(RecoveryFailed, match="ended here"):
            await season.recover(moment)
        await eventually(lambda: way.gateway.pool.replay is not None, what="the server in recovery is seen")
        status, rows, as_of = await read(way.http)
        assert (status, rows) == (200, [1])
        assert as_of is not None
        refused = await way.http.post("/rest/v1/seen", json={"n": 9, "at": "now"}, headers=SERVICE)
        assert (refused.status_code, refused.json()["code"]) == (503, "WS340")
        monkeypatch.setattr(replaying, "promote", promote)
        await season.recover(moment)
        await eventually(lambda: way.gateway.pool.replay is None, what="writes again")
        assert await read(way.http) == (200, [1], None)
