"""Answers in one write: the same bytes as uvicorn's own, and left to it where they have to be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from starlette.types import Receive, Scope, Send

from support.ports import free_port
from wedsync.api.front.dispatch import WHOLE_ANSWER as ASKED_FOR
from wedsync.web import serve
from wedsync.web.bounded import WHOLE_ANSWER

HEADERS = [(b"content-type", b"text/plain"), (b"x-request-id", b"1"), (b"content-length", b"5")]


@asynccontextmanager
async def listening(app: object) -> AsyncIterator[int]:
    port, ready = free_port(), asyncio.Event()
    running = asyncio.create_task(serve(app, "127.0.0.1", port, on_listening=ready.set))  # type: ignore[arg-type]
    try:
        await asyncio.wait_for(ready.wait(), 10)
        yield port
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def answers(port: int, request: bytes) -> bytes:
    """Everything that comes until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    found = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return b"\r\n".join(line for line in found.split(b"\r\n") if not line.lower().startswith(b"date:"))


class App:
    """Answers `hello`, whole if it can, with the headers given."""

    def __init__(self, *, whole: bool, headers: list[tuple[bytes, bytes]], status: int = 200) -> None:
        self.whole, self.headers, self.status = whole, headers, status
        self.said: list[bool] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        if self.whole:
            self.said.append(scope["extensions"][WHOLE_ANSWER]["put"](self.status, self.headers, b"hello"))
            if self.said[-1]:
                return
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"hello"})


def test_both_sides_mean_the_same_extension() -> None:
    assert ASKED_FOR == WHOLE_ANSWER


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    ],
)
async def test_a_whole_answer_has_the_bytes_of_one_in_parts(request_text: bytes) -> None:
    found: list[bytes] = []
    for whole in (True, False):
        app = App(whole=whole, headers=HEADERS)
        async with listening(app) as port:
            found.append(await answers(port, request_text))
        assert all(app.said)
    assert found[0].count(b"hello") == request_text.count(b"HTTP/1.")
    assert found[0] == found[1]


async def test_the_connection_stays_open_for_the_next_request() -> None:
    app = App(whole=True, headers=HEADERS)
    async with listening(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await asyncio.wait_for(reader.readuntil(b"hello"), 10)).startswith(b"HTTP/1.1 200 OK")
        writer.close()
    assert app.said == [True] * 3


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        (b"HEAD", HEADERS),
        (b"GET", HEADERS[:2]),
        (b"GET", [*HEADERS, (b"x-odd", b"a\x01b")]),
    ],
    ids=["head", "no length", "not for a header"],
)
async def test_what_cannot_be_written_at_once_is_left_to_the_server(
    method: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    app = App(whole=True, headers=headers)
    async with listening(app) as port:
        found = await answers(port, method + b" / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert app.said == [False]
    assert (b"hello" in found) == (method == b"GET" and len(headers) == 2)


async def test_a_line_break_in_a_header_never_reaches_a_client() -> None:
    app = App(whole=True, headers=[*HEADERS, (b"x-odd", b"a\r\nset-cookie: b")])
    async with listening(app) as port:
        found = await answers(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert app.said == [False]
    assert b"set-cookie" not in found
