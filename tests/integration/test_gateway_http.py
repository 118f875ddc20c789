"""The gateway on a port: peers that are slow, malformed or too large; the command that serves any database."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from support.clusters import role_passwords
from support.databases import fresh_database
from support.events import eventually
from support.gateways import SECRET, token
from support.ports import free_port
from wedsync.cluster import Server
from wedsync.web import bounded, serve


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the size of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    listening, chosen = asyncio.Event(), free_port()
    serving = asyncio.create_task(serve(echo, "127.0.0.1", chosen, on_listening=listening.set))
    await listening.wait()
    yield chosen
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def conversation(port: int, *parts: bytes) -> bytes:
    """What comes back until the other side ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def still_serves(port: int) -> bool:
    async with httpx.AsyncClient() as http:
        return (await http.post(f"http://127.0.0.1:{port}/", content=b"12345")).text == "5"


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_and_others_are_served(port: int, said: bytes) -> None:
    answer = await conversation(port, said)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")), answer[:100]
    assert await still_serves(port)


@pytest.mark.parametrize(
    "endless", [b"X-More: " + b"x" * 1000 + b"\r\n", b"x" * 10_000], ids=["many headers", "one header"]
)
async def test_a_head_without_an_end_is_cut_off(port: int, endless: bytes) -> None:
    parts = [b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", *[endless] * 200]
    assert not (await conversation(port, *parts)).startswith(b"HTTP/1.1 200")
    assert await still_serves(port)


async def test_a_large_head_in_one_piece_is_refused(port: int) -> None:
    answer = await conversation(
        port, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * bounded.LONGEST_HEAD_BYTES + b"\r\n\r\n"
    )
    assert not answer.startswith(b"HTTP/1.1 200")
    assert await still_serves(port)


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\nHost:", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"],
    ids=["half a head", "half a body"],
)
async def test_a_peer_that_goes_silent_is_let_go(port: int, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(bounded, "HEAD_WITHIN_S", 0.2)
    monkeypatch.setattr(bounded, "BODY_WITHIN_S", 0.2)
    assert (await conversation(port, said)).startswith(b"HTTP/1.1 408")
    assert await still_serves(port)


async def test_a_peer_that_never_asks_is_let_go_without_an_answer(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "HEAD_WITHIN_S", 0.2)
    assert await conversation(port, b"") == b""
    assert await still_serves(port)


async def test_a_connection_is_used_again_and_again(port: int) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    last = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nabcd"
    answers = await conversation(port, request, request + request, last)
    assert answers.count(b"HTTP/1.1 200") == 4


# -- the command --------------------------------------------------------------------------------------


@asynccontextmanager
async def command(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "wedsync", "gateway", *options, env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_any_database_is_served_without_a_home(cluster: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    port = free_port()
    password = role_passwords(cluster.home)["wedsync_gateway"]
    async with fresh_database(cluster) as owner:
        async with await owner.connect() as connection:
            await connection.execute(
                "create schema api; create table api.items (id int primary key, name text);"
                "insert into api.items select i, 'item ' || i from generate_series(1, 30) i;"
                "grant usage on schema api to anon, authenticated; grant select on api.items to anon;"
                "grant select, insert on api.items to authenticated"
            )
        dsn = cluster.tcp_target("wedsync_gateway", password, owner.dbname).dsn(with_password=True)
        options = ("--db-url", dsn, "--schemas", "api", "--anon-role", "anon", "--jwt-secret-file", str(secret))
        async with (
            command(*options, "--port", str(port), "--max-rows", "10", "--db-pool", "2") as process,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http,
        ):

            async def is_ready() -> bool:
                try:
                    return (await http.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(is_ready, what="the gateway is ready")
            read = await http.get("/rest/v1/items?select=id&order=id")
            assert [row["id"] for row in read.json()] == [*range(1, 11)]
            assert (await http.get("/rest/v1/items?select=id.max(),count()")).json() == [{"max": 30, "count": 30}]
            row = {"id": 31, "name": "new"}
            assert (await http.post("/rest/v1/items", json=row)).status_code == 401
            assert (await http.post("/rest/v1/items", json=row, headers=token("authenticated"))).status_code == 201
            kept = await http.post(
                "/rest/v1/items", json=row, headers=token("authenticated", "ana") | {"Idempotency-Key": "a"}
            )
            assert (kept.status_code, kept.json()["code"]) == (400, "WS833")
            assert (await http.get("/elsewhere")).status_code == 404
            process.send_signal(signal.SIGTERM)
            _, said = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 0, said
            assert password.encode() not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--anon-role", "nobody_here"), "create role"),
        (("--schemas", "nowhere"), 'create schema "nowhere"'),
        (("--jwt-secret-file", "/nonexistent"), "cannot be read"),
        (("--role-claim", "role"), "path of the role"),
        (("--trusted-proxies", "proxy"), "no address"),
    ],
)
async def test_what_cannot_be_served_is_said_with_what_to_do(
    cluster: Server, options: tuple[str, ...], words: str
) -> None:
    password = role_passwords(cluster.home)["wedsync_gateway"]
    dsn = cluster.tcp_target("wedsync_gateway", password, "postgres").dsn(with_password=True)
    async with command("--db-url", dsn, "--port", str(free_port()), *options) as process:
        _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode in {1, 2}
    assert words in said.decode(), said.decode()
    assert "Traceback" not in said.decode()


async def test_a_database_that_is_away_is_waited_for(cluster: Server) -> None:
    port, nowhere = free_port(), free_port()
    async with command("--db-url", f"postgresql://x@127.0.0.1:{nowhere}/x", "--port", str(port)) as process:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

            async def answer() -> httpx.Response | None:
                try:
                    return await http.get("/rest/v1/items")
                except httpx.TransportError:
                    return None

            away = await eventually(answer, what="the gateway listens")
            assert away is not None
            assert (away.status_code, json.loads(away.content)["code"]) == (503, "PGRST002")
            unready = await http.get("/readyz")
            assert (unready.status_code, unready.text) == (503, "not ready: the database is not served now\n")
            assert (await http.get("/healthz")).status_code == 200
        process.send_signal(signal.SIGTERM)
        _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert b"cannot connect" in said
