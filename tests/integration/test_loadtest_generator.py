"""The generator of load tests against servers that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from support.ports import free_port
from wedsync.loadtest.connection import fetch
from wedsync.loadtest.figures import OK, Sample
from wedsync.loadtest.flight import Call, Generator, Job

GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """A server whose `handler` gets each connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def heads(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        yield await reader.readuntil(b"\r\n\r\n")


async def sent(
    port: int, moments: list[float], *, connections: int = 1, within_s: float = 5.0, is_safe: bool = True
) -> list[Sample]:
    told: list[Sample] = []
    call = Call("read", REQUEST, is_safe)
    schedule = [(moment, 0) for moment in moments]
    job = Job(
        host="127.0.0.1", port=port, connections=connections, within_s=within_s, calls=[call], schedule=schedule
    )
    generator = Generator(job, told=told.append)
    await generator.open()
    await asyncio.wait_for(generator.run(), 60)
    assert len(told) == len(moments), "each request has one end"
    return sorted(told, key=lambda sample: sample.at_s)


async def test_good_answers_over_connections_that_stay_open() -> None:
    opened = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        async for _ in heads(reader):
            writer.write(GOOD)

    async with serving(handler) as port:
        samples = await sent(port, [at / 100 for at in range(50)], connections=3)
        assert await fetch("127.0.0.1", port, REQUEST, within_s=5) == (200, b"ok")
    assert {sample.outcome for sample in samples} == {OK}
    assert opened == 4


async def test_latency_counts_from_the_moment_a_request_was_due() -> None:
    """The first answer takes 0.4 s on the only connection: those that were due meanwhile waited, and it counts."""
    first = True

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        async for _ in heads(reader):
            if first:
                first = False
                await asyncio.sleep(0.4)
            writer.write(GOOD)

    async with serving(handler) as port:
        samples = await sent(port, [0.0, 0.1, 0.2, 0.3])
    for sample in samples:
        assert sample.is_ok
        assert sample.latency_ms >= (0.4 - sample.at_s) * 1000 - 20


async def test_a_connection_that_closed_while_it_rested_is_opened_again() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await anext(heads(reader))
        writer.write(GOOD)  # and the connection is closed

    async with serving(handler) as port:
        samples = await sent(port, [at / 20 for at in range(10)])
    assert {sample.outcome for sample in samples} == {OK}


async def test_a_read_is_sent_again_on_a_connection_that_closes_under_it_and_a_write_is_not() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = heads(reader)
        await anext(asked)
        writer.write(GOOD)
        await anext(asked)  # the second request gets no byte

    async with serving(handler) as port:
        reads = await sent(port, [0.0, 0.1])
        writes = await sent(port, [0.0, 0.1], is_safe=False)
    assert [sample.outcome for sample in reads] == [OK, OK]
    assert [sample.outcome for sample in writes] == [OK, "closed without an answer"]


async def test_what_hangs_is_given_up_and_the_next_ones_get_a_connection() -> None:
    opened = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        hangs = opened == 1
        async for _ in heads(reader):
            if hangs:
                await asyncio.Event().wait()
            writer.write(GOOD)

    async with serving(handler) as port:
        samples = await sent(port, [0.0, 1.5], within_s=0.5)
    assert [sample.outcome for sample in samples] == ["timeout", OK]
    assert samples[0].latency_ms >= 500


async def test_answers_that_are_none_are_told_by_kind() -> None:
    answers = iter(
        (
            b'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 19\r\n\r\n{"code":"PGRST003"}',
            b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ncut",
            b"SMTP ready\r\n",
        )
    )

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for _ in heads(reader):
            answer = next(answers)
            writer.write(answer)
            if b"503" not in answer and b"502" not in answer:
                return

    async with serving(handler) as port:
        samples = await sent(port, [0.0, 0.2, 0.4, 0.6])
    assert [sample.outcome for sample in samples] == ["status 503 PGRST003", "status 502", "cut off", "cut off"]


async def test_a_closed_port_refuses_every_request() -> None:
    samples = await sent(free_port(), [0.0, 0.0, 0.1], connections=2)
    assert {sample.outcome for sample in samples} == {"refused"}
