"""One HTTP/1.1 connection that sends bytes made before and reads the answer's status, and does nothing else.

The generator shares its processors with what it measures: a request costs a sixth of what aiohttp takes
(docs/explanation/measurements.md).
"""

import asyncio
from collections.abc import Callable
from typing import TypeAlias, cast

import httptools

_ERROR = 400
_ENOUGH = 4096

Answered: TypeAlias = Callable[["Connection", int], None]
"""Told the status of an answer."""
Lost: TypeAlias = Callable[["Connection", bool], None]
"""Told that the connection ended; whether any byte of an answer had come."""


class Connection(asyncio.Protocol):
    """A connection on which one request at a time is under way.

    Bodies are kept with `keep_body`, else only those of errors, for the code in them.
    """

    def __init__(self, *, answered: Answered, lost: Lost, keep_body: bool = False) -> None:
        self._answered = answered
        self._lost = lost
        self._keep_body = keep_body
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._begun = False
        self.body = b""

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes) -> None:
        """Send a request; `answered` or `lost` hears of its end."""
        self._begun = False
        self.body = b""
        if self._transport is None:
            raise ConnectionResetError("the connection is closed")
        self._transport.write(request)

    def close(self) -> None:
        """Close it; nobody is told."""
        self._lost = _nobody
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # of a TCP connection it is one

    def data_received(self, data: bytes) -> None:
        self._begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - of the protocol
        self._transport = None
        self._lost(self, self._begun)

    # httptools

    def on_body(self, body: bytes) -> None:
        if self._keep_body or (self._parser.get_status_code() >= _ERROR and len(self.body) < _ENOUGH):
            self.body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
        self._parser = httptools.HttpResponseParser(self)
        self._answered(self, status)


def _nobody(connection: Connection, begun: bool) -> None:
    """Nobody wants to know any more."""


async def fetch(host: str, port: int, request: bytes, *, within_s: float) -> tuple[int, bytes]:
    """Status and body of one answer. Raises `OSError` (a `TimeoutError` is one) where none comes."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[int, bytes]] = loop.create_future()

    def answered(connection: Connection, status: int) -> None:
        if not done.done():
            done.set_result((status, connection.body))

    def lost(_: Connection, begun: bool) -> None:
        if not done.done():
            done.set_exception(ConnectionResetError("cut off" if begun else "closed without an answer"))

    async with asyncio.timeout(within_s):
        _, connection = await loop.create_connection(
            lambda: Connection(answered=answered, lost=lost, keep_body=True), host, port
        )
        try:
            connection.send(request)
            return await done
        finally:
            connection.close()
