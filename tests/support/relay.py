"""A way to a server that a test can cut: refuse connections, or swallow what is said and never answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

from support.ports import free_port


class Way(StrEnum):
    """How the way is."""

    OPEN = "open"
    CLOSED = "closed"
    """Nothing listens."""
    BLACK_HOLE = "black hole"
    """Connections are taken and nothing ever comes back, also on those that were open."""


@dataclass(kw_only=True)
class Relay:
    """Passes connections to `to` on; its own port stays the same."""

    port: int
    to: int
    way: Way = Way.OPEN
    cuts_left: int = 0
    """Connections that are still to be cut in the middle."""
    _cut_after_bytes: int = 0
    _then: Way = Way.OPEN
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def set(self, way: Way) -> None:
        """Change the way; what is open is cut where it closes."""
        self.way = way
        if way is Way.CLOSED and self._server is not None:
            self._server.close()
            self._server = None
        if way is not Way.BLACK_HOLE:
            for writer in self._writers:
                writer.transport.abort()
        if way is not Way.CLOSED and self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def cut_after(self, size_bytes: int, *, times: int = 1, then: Way = Way.OPEN) -> None:
        """Cut the next connections that send more than so much; `then` the way is like this."""
        self._cut_after_bytes, self.cuts_left, self._then = size_bytes, times, then

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.way is Way.BLACK_HOLE:
                while await reader.read(65536):
                    pass
                return
            behind_reader, behind = await asyncio.open_connection("127.0.0.1", self.to)
            self._writers.add(behind)
            try:
                await asyncio.gather(self._pass(reader, behind, may_cut=True), self._pass(behind_reader, writer))
            finally:
                self._writers.discard(behind)
                behind.transport.abort()
        except OSError:
            pass  # one side is gone: so is the other
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, may_cut: bool = False
    ) -> None:
        sent = 0
        while chunk := await reader.read(65536):
            sent += len(chunk)
            if may_cut and self.cuts_left > 0 and sent > self._cut_after_bytes:
                self.cuts_left -= 1
                if self.cuts_left == 0:
                    await self.set(self._then)
                raise ConnectionAbortedError
            if self.way is not Way.BLACK_HOLE:
                writer.write(chunk)
                await writer.drain()
        with suppress(OSError):
            writer.write_eof() if writer.can_write_eof() else None


@asynccontextmanager
async def relay(to: int) -> AsyncIterator[Relay]:
    """A relay to a port of this machine, open at first."""
    made = Relay(port=free_port(), to=to)
    await made.set(Way.OPEN)
    try:
        yield made
    finally:
        await made.set(Way.CLOSED)
