"""Killed servers, cut and silent connections, a pooler in between: nothing wrong is ever said."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from support.clusters import ARCHIVE_NOWHERE, START
from support.events import eventually
from support.pgbouncer import PgBouncer, pgbouncer
from support.pipelines import SCHEMA, a_pool, gateway_login, value, work, write
from support.ports import free_port
from support.recoveries import processes_in
from wedsync.cluster import Server, ServerState, capabilities, examine
from wedsync.cluster.poolers import has_known_holes
from wedsync.database import ConnectionTarget
from wedsync.database.pipeline import PipelinePool, StatementFailed
from wedsync.errors import CannotConnect, CommitUnknown, Overloaded, PipelineBroken


@pytest.fixture
async def login(own_cluster: Server) -> ConnectionTarget:
    """A database with the tables of `SCHEMA`, as the gateway signs in."""
    name = own_cluster.config.database.name
    async with await own_cluster.target("wedsync_owner", name).connect() as connection:
        await connection.execute(SCHEMA)
    return gateway_login(own_cluster, name)


async def backends(server: Server, login: ConnectionTarget) -> list[int]:
    """The server's processes behind the pool."""
    async with await server.target("postgres", login.dbname).connect() as connection:
        found = await connection.execute(
            "select pid from pg_stat_activity where usename = %s and pid <> pg_backend_pid()", (login.user,)
        )
        return [row[0] for row in await found.fetchall()]


async def kept(pool: PipelinePool, like: str) -> set[str]:
    """Which keys of `noted` are there."""
    (result,) = await pool.run(work("select id from noted where id like $1", like.encode()))
    return {(row[0] or b"").decode() for row in result.rows}


async def write_until(pool: PipelinePool, stop: asyncio.Event, name: str, said: dict[str, object]) -> None:
    """Insert keys one after the other; `said` gets what was told of each."""
    i = 0
    while not stop.is_set():
        key = f"{name}-{i}"
        i += 1
        try:
            await pool.run(write("insert into noted (id) values ($1)", key.encode()))
        except (CommitUnknown, CannotConnect, Overloaded, PipelineBroken) as error:
            said[key] = error
            await asyncio.sleep(0.01)
        else:
            said[key] = None


def check(said: dict[str, object], there: set[str]) -> None:
    """What was acknowledged is there, what was refused is not; of the rest it was said that nobody knows."""
    acknowledged = {key for key, error in said.items() if error is None}
    refused = {key for key, error in said.items() if error is not None and not isinstance(error, CommitUnknown)}
    assert acknowledged
    assert acknowledged <= there
    assert not refused & there


@pytest.mark.parametrize("how", ["kill a backend", "kill the server", "restart the server", "terminate backends"])
async def test_what_was_acknowledged_is_there_and_what_was_refused_is_not(
    own_cluster: Server, login: ConnectionTarget, how: str
) -> None:
    """Lost: nothing that was acknowledged.
    Seen: `CommitUnknown` where nobody can know, else a refusal that holds.
    """
    said: dict[str, object] = {}
    stop = asyncio.Event()
    async with a_pool(login, min_size=3) as pool:
        writers = [asyncio.create_task(write_until(pool, stop, f"w{n}", said)) for n in range(12)]
        await eventually(lambda: len(said) > 200)
        match how:
            case "kill a backend":  # the postmaster then ends all others: shared memory may be damaged
                os.kill((await backends(own_cluster, login))[0], signal.SIGKILL)
            case "kill the server":
                for process in processes_in(own_cluster.home.pgdata):
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                await eventually(lambda: own_cluster.state() is ServerState.CRASHED)
                await own_cluster.start(archive_command=ARCHIVE_NOWHERE, deadline=START)
            case "restart the server":
                await own_cluster.stop()
                await own_cluster.start(archive_command=ARCHIVE_NOWHERE, deadline=START)
            case _:
                for backend in await backends(own_cluster, login):
                    os.kill(backend, signal.SIGTERM)
        before = sum(error is None for error in said.values())
        await eventually(lambda: sum(error is None for error in said.values()) > before + 200)
        stop.set()
        await asyncio.gather(*writers)
        there = await kept(pool, "w%")
    check(said, there)


async def test_reads_under_way_when_the_server_restarts_are_answered(
    own_cluster: Server, login: ConnectionTarget
) -> None:
    """Lost: nothing.
    Seen: nothing: the reads are answered.
    """
    async with a_pool(login) as pool:
        reads = [asyncio.create_task(pool.run(work("select pg_sleep(0.2), 7"))) for _ in range(4)]
        await asyncio.sleep(0.05)
        await own_cluster.stop()
        await own_cluster.start(archive_command=ARCHIVE_NOWHERE, deadline=START)
        assert [answer[0].rows[0][1] for answer in await asyncio.gather(*reads)] == [b"7"] * 4


async def test_while_the_database_is_away_requests_are_told_so_and_then_served(
    own_cluster: Server, login: ConnectionTarget
) -> None:
    """Lost: nothing.
    Seen: `the database is away`, at once; then answers again.
    """
    async with a_pool(login) as pool:
        await own_cluster.stop()
        began = monotonic()
        with pytest.raises(CannotConnect, match="away"):
            await pool.run(work("select 7"))
        assert monotonic() - began < 15
        began = monotonic()
        with pytest.raises(CannotConnect, match="away"):
            await pool.run(work("select 7"))
        assert monotonic() - began < 0.5  # it is known by now
        assert not (await pool.health()).healthy
        await own_cluster.start(archive_command=ARCHIVE_NOWHERE, deadline=START)

        async def is_served() -> bool:
            return (await pool.health()).healthy

        await eventually(is_served)
        assert value(await pool.run(work("select 7"))) == b"7"


class Wire:
    """A way to the server that can be cut, or fall silent."""

    def __init__(self, behind: ConnectionTarget) -> None:
        self._behind = behind
        self._writers: list[asyncio.StreamWriter] = []
        self._flows = asyncio.Event()
        self._flows.set()
        self.port = free_port()

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def silence(self) -> None:
        """From now on nothing arrives, in either direction."""
        self._flows.clear()

    def cut(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._flows.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        socket = f"{self._behind.host}/.s.PGSQL.{self._behind.port}"
        far_reader, far_writer = await asyncio.open_unix_connection(socket)
        self._writers += [writer, far_writer]

        async def one_way(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                await self._flows.wait()
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(one_way(reader, far_writer), one_way(far_reader, writer), return_exceptions=True)


async def test_a_write_whose_answer_is_lost_is_said_to_be_unknown_and_a_read_is_asked_again(
    own_cluster: Server, login: ConnectionTarget
) -> None:
    """Lost: nothing that was acknowledged.
    Seen: `CommitUnknown` for the write; the read is answered.
    """
    async with Wire(login) as wire:
        through = replace(login, host="127.0.0.1", port=wire.port, sslmode="disable")
        async with a_pool(through, min_size=1) as pool:
            await pool.run(work("select 7"))
            wire.silence()
            lost = asyncio.create_task(pool.run(write("insert into noted (id) values ('lost')")))
            read = asyncio.create_task(pool.run(work("select 7")))
            await asyncio.sleep(0.1)
            wire.cut()
            with pytest.raises(CommitUnknown):
                await lost
            assert value(await read) == b"7"


async def test_a_silent_connection_costs_those_on_it_a_wait_and_others_nothing(login: ConnectionTarget) -> None:
    """Lost: nothing.
    Seen: nothing: others are answered on another connection.
    """
    async with Wire(login) as wire:
        through = replace(login, host="127.0.0.1", port=wire.port, sslmode="disable")
        async with a_pool(through, min_size=1, max_size=4) as pool:
            await pool.run(work("select 7"))
            wire.silence()
            stuck = asyncio.create_task(pool.run(work("select 7")))
            await asyncio.sleep(0.15)
            wire._flows.set()  # a new connection gets through; what the old one swallowed is late
            assert value(await pool.run(work("select 8"))) == b"8"
            assert value(await stuck) == b"7"


@pytest.fixture
async def bouncer(login: ConnectionTarget, tmp_path: Path) -> AsyncIterator[PgBouncer]:
    async with pgbouncer(login, tmp_path / "pgbouncer", servers=2) as running:
        yield running


async def test_through_pgbouncer_in_transaction_mode_nobody_gets_anothers_statement_or_role(
    bouncer: PgBouncer,
) -> None:
    """Lost: nothing.
    Seen: each caller's own answer.
    """
    async with (
        a_pool(bouncer.target, min_size=6, max_size=6) as one,
        a_pool(bouncer.target, min_size=6, max_size=6) as other,
    ):
        assert one.is_pooled
        mine = "select current_setting('request.jwt.claims')::json ->> 'sub', current_user, $1::text, {}"

        async def ask(pool: PipelinePool, i: int) -> bool:
            role = ("authenticated", "anon")[i % 2]
            try:
                got = await pool.run(work(mine.format(i % 7), b"%d" % i, sub=f"u{i}", role=role, undo=i % 5 == 0))
            except Overloaded:
                return False
            assert got[0].rows == [(b"u%d" % i, role.encode(), b"%d" % i, b"%d" % (i % 7))]
            return True

        asked = 0
        for _ in range(20):
            answers = await asyncio.gather(*(ask((one, other)[i % 2], i) for i in range(24)))
            with pytest.raises(StatementFailed):
                await one.run(write("select 1 / 0", undo=True))
            asked += sum(answers)
        assert asked > 200


async def test_doctor_sees_the_pooler_and_says_whether_it_is_safe(bouncer: PgBouncer) -> None:
    """Lost: nothing.
    Seen: `doctor` names PgBouncer and whether its version is safe.
    """
    facts = await examine(bouncer.target)
    assert facts.pooler is not None
    assert "PgBouncer" in facts.pooler
    (found,) = [each for each in capabilities(facts) if each.feature == "safe pooler"]
    assert found.available is (has_known_holes(facts.pooler) is False)


async def test_a_restarted_pgbouncer_is_found_again(
    bouncer: PgBouncer,
) -> None:
    """Lost: nothing that was acknowledged.
    Seen: a pause, then answers.
    """
    said: dict[str, object] = {}
    stop = asyncio.Event()
    async with a_pool(bouncer.target, min_size=3) as pool:
        writers = [asyncio.create_task(write_until(pool, stop, f"b{n}", said)) for n in range(4)]
        await eventually(lambda: len(said) > 50)
        await bouncer.kill()
        await bouncer.start()
        before = sum(error is None for error in said.values())
        await eventually(lambda: sum(error is None for error in said.values()) > before + 50)
        stop.set()
        await asyncio.gather(*writers)
        there = await kept(pool, "b%")
    check(said, there)


async def test_another_host_is_taken_when_the_first_is_gone(own_cluster: Server, login: ConnectionTarget) -> None:
    """Lost: nothing.
    Seen: nothing: the next host of the address answers.
    """
    several = ConnectionTarget.from_dsn(
        f"postgresql://127.0.0.1:{free_port()},localhost:{login.port}/{login.dbname}?user={login.user}&password={login.password}"
        "&target_session_attrs=read-write&sslmode=require",
        any_host=True,
    )
    async with a_pool(several) as pool:
        assert value(await pool.run(write("select inet_server_port()"))) == b"%d" % login.port
