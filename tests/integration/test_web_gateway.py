"""The gateway over a real port in front of a real server that comes and goes."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from support.clusters import ARCHIVE_NOWHERE, START
from support.events import eventually
from support.ports import free_port
from support.status_values import SURVEY
from wedsync.clock import SystemClock
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.errors import CannotConnect, ConfigProblem, PortTaken
from wedsync.monitoring import Facts, Part, Sources, State, StatusView, SurveyFacts, collect, judge
from wedsync.state import StateStore, as_text, open_state
from wedsync.web import create_sign_in_link, gateway_app, serve

CLOCK = SystemClock()
PATIENT = timedelta(seconds=20)
"""For what must be read however busy the machine is."""


async def no_repository() -> SurveyFacts:
    return SurveyFacts(surveyed_at=CLOCK.now())


def sources(server: Server, state: StateStore | None, **changes: object) -> Sources:
    given = {
        "config": server.config,
        "home": server.home,
        "target": server.target("wedsync_monitor", server.config.database.name),
        "survey": no_repository,
        "state": state,
        "server_state": server.state,
        "processes": {"keeper": lambda: None, "gateway": os.getpid},
    }
    return Sources(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture
def state(own_cluster: Server) -> Iterator[StateStore]:
    made = open_state(own_cluster.home.state_db)
    yield made
    made.close()


@asynccontextmanager
async def gateway(server: Server, state: StateStore) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway of this server on a port of its own."""

    async def view() -> StatusView:
        facts = await collect(sources(server, state), clock=CLOCK, within=PATIENT)
        return StatusView(facts=facts, verdict=judge(facts, CLOCK.now()))

    async def ready() -> str | None:
        try:
            await (await server.target("wedsync_monitor", "wedsync").connect()).close()
        except CannotConnect as error:
            return error.message
        return None

    port = free_port()
    app = gateway_app(view=view, ready=ready, state=state, clock=CLOCK)
    serving = asyncio.create_task(serve(app, "127.0.0.1", port))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def lives() -> bool:
                with suppress(httpx.TransportError):
                    return (await client.get("/healthz")).status_code == 200
                return False

            await eventually(lives, what="the gateway lives")
            yield client
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def test_the_console_opens_with_a_link_and_tells_that_the_server_is_down(
    own_cluster: Server, state: StateStore
) -> None:
    async with gateway(own_cluster, state) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/admin")).status_code == 401
        token = create_sign_in_link(state, CLOCK)
        assert (await client.get("/admin/sign-in", params={"token": token})).status_code == 200
        signed_in = await client.post("/admin/sign-in", data={"token": token}, follow_redirects=True)
        assert signed_in.status_code == 200
        assert f"PostgreSQL {own_cluster.engine.postgresql_version}." in signed_in.text
        assert "PostgreSQL is down" not in signed_in.text

        await own_cluster.stop()
        await eventually(lambda: has_status(client, "/readyz", 503), what="not ready")
        assert (await client.get("/healthz")).status_code == 200
        page = await client.get("/admin")
        assert page.status_code == 200
        assert "PostgreSQL is down" in page.text
        assert "run bin/up" in page.text

        await own_cluster.start(archive_command=ARCHIVE_NOWHERE, deadline=START)
        await eventually(lambda: has_status(client, "/readyz", 200), what="ready again")
        assert "PostgreSQL is down" not in (await client.get("/admin")).text
        assert "server" not in page.headers


async def nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """An application that is never asked."""


async def has_status(client: httpx.AsyncClient, path: str, status: int) -> bool:
    return (await client.get(path)).status_code == status


async def test_a_taken_port_and_an_address_that_is_not_ours_are_said(
    own_cluster: Server, state: StateStore
) -> None:
    async with gateway(own_cluster, state) as client:
        port = client.base_url.port
        assert port
        with pytest.raises(PortTaken, match=str(port)):
            await serve(nothing, "127.0.0.1", port)
    with pytest.raises(ConfigProblem, match="cannot listen"):
        await serve(nothing, "203.0.113.7", port)


async def test_a_gateway_that_is_cancelled_frees_its_port_at_once(own_cluster: Server, state: StateStore) -> None:
    async with gateway(own_cluster, state) as client:
        port = client.base_url.port
    again = asyncio.create_task(serve(nothing, "127.0.0.1", port or 0))
    await asyncio.sleep(0)
    again.cancel()
    with suppress(asyncio.CancelledError):
        await again


async def facts_of(
    server: Server, state: StateStore | None, *, within: timedelta = PATIENT, **changes: object
) -> Facts:
    return await collect(sources(server, state, **changes), clock=CLOCK, within=within)


async def test_the_facts_of_a_running_server_are_read_as_a_mere_monitor(
    own_cluster: Server, state: StateStore
) -> None:
    facts = await facts_of(own_cluster, state)
    database = facts.database
    assert database is not None
    assert facts.unread == {}
    assert (database.connects, database.server_state, database.error) == (True, "running", None)
    assert database.version
    assert database.version.startswith(str(own_cluster.engine.postgresql_version))
    assert database.in_recovery is False
    assert database.connections_used
    assert database.connections_max
    assert database.size_bytes
    assert database.archiver is not None
    assert database.archiver.enabled
    assert database.archiver.timeout == own_cluster.config.backup.archive_timeout
    assert database.archiver.waiting_segments is not None
    assert facts.certificate_expires_at
    assert facts.certificate_expires_at > CLOCK.now() + timedelta(days=300)
    assert facts.disks
    assert facts.processes == {"keeper": False, "gateway": True}


async def test_a_failing_archive_command_is_told_with_its_segment(own_cluster: Server, state: StateStore) -> None:
    await own_cluster.write_configuration("/bin/false pgbackrest")
    await own_cluster.reload()

    async def failing() -> Facts | None:
        async with await own_cluster.target().connect() as connection:
            await connection.execute("select pg_create_restore_point('one'), pg_switch_wal()")
        facts = await facts_of(own_cluster, state)
        assert facts.database
        archiver = facts.database.archiver
        return facts if archiver and archiver.is_failing else None

    facts = await eventually(failing, what="archiving fails")
    assert facts
    issues = {issue.code: issue for issue in judge(facts, CLOCK.now()).issues}
    assert issues["archiving_fails"].severity is State.CRITICAL


async def test_no_bad_part_hides_the_others(own_cluster: Server) -> None:
    async def hangs() -> SurveyFacts:
        await asyncio.Event().wait()
        raise AssertionError

    def breaks() -> int | None:
        raise PermissionError("no entry")

    await own_cluster.stop()
    (own_cluster.home.tls / "server.crt").unlink()
    began = asyncio.get_running_loop().time()
    two = timedelta(seconds=2)
    facts = await facts_of(own_cluster, None, within=two, survey=hangs, processes={"keeper": breaks})
    assert asyncio.get_running_loop().time() - began < 10
    assert set(facts.unread) == {Part.REPOSITORIES, Part.RECORDS, Part.PROCESSES, Part.CERTIFICATE}
    assert facts.database is not None
    assert (facts.database.server_state, facts.database.connects) == ("stopped", False)
    assert facts.disks
    verdict = judge(facts, CLOCK.now())
    assert verdict.state is State.DOWN
    assert verdict.sentence.startswith("PostgreSQL is down: run bin/up.")


async def test_a_server_that_does_not_answer_is_given_up_in_time(own_cluster: Server, state: StateStore) -> None:
    async def say_nothing(*_: asyncio.StreamReader | asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        target = ConnectionTarget(host="127.0.0.1", port=port, dbname="x", user="x")
        began = asyncio.get_running_loop().time()
        facts = await facts_of(own_cluster, state, within=timedelta(seconds=1), target=target)
    assert asyncio.get_running_loop().time() - began < 10
    assert facts.database is not None
    assert facts.database.connects is False


async def test_the_records_of_runs_recoveries_and_processes_are_read(
    own_cluster: Server, state: StateStore
) -> None:
    now = as_text(CLOCK.now())
    state.write(
        "insert into backup_runs (repo, kind, reason, started_at, outcome, pid)"
        " values (1, 'full', 'first', ?, 'running', ?)",
        (now, os.getpid()),
    )
    state.write(
        "insert into recoveries (id, target, phase, started_at, outcome, plan)"
        " values ('r1', 'latest', 'replaying', ?, 'running', '{}')",
        (now,),
    )
    state.write(
        "insert into process_events (at, process, what, detail) values (?, 'keeper', 'died', 'process 7')", (now,)
    )
    facts = await facts_of(own_cluster, state, survey=lambda: asyncio.sleep(0, SURVEY))
    records = facts.records
    assert records is not None
    assert [(run.outcome, run.alive) for run in records.runs] == [("running", True)]
    assert records.recovery is not None
    assert (records.recovery.phase, records.recovery.alive) == ("replaying", False)
    assert [event.what for event in records.events] == ["died"]
    assert facts.survey is not None
    assert [item.full_every for item in facts.survey.repositories] == [timedelta(days=1)] * 2
