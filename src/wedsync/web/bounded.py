"""HTTP with an end to everything: the size of a request's head, the time it may take to arrive."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from functools import partial

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

WHOLE_ANSWER = "wedsync.whole_answer"
"""Extension of the scope, whose member `put` is `put_whole` for this request."""
LONGEST_HEAD_BYTES = 64 * 1024
HEAD_WITHIN_S = 10.0
BODY_WITHIN_S = 60.0
_LOOK_EVERY_S = 1.0
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, for peers that send much, slowly or never."""

    _head_bytes = 0
    _in_head = True
    _waiting_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A peer connected: its first request has to begin."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Bytes came; no head goes on for ever."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > LONGEST_HEAD_BYTES and not self.transport.is_closing():
            self._end(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head = True
        self._waiting_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        if self._head_bytes > LONGEST_HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > LONGEST_HEAD_BYTES:
                self._end(b"431 Request Header Fields Too Large")
                return
        self._in_head = False
        self._head_bytes = 0
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # it begins to run once we have returned to the loop
            self.scope["extensions"] = {WHOLE_ANSWER: {"put": partial(put_whole, self.cycle)}}

    def on_message_complete(self) -> None:
        """It is whole: from here on it waits for us."""
        self._waiting_since = None
        self._in_head = True
        if self.cycle is not None:  # pyright: ignore[reportUnnecessaryComparison] - none if its head was refused
            super().on_message_complete()

    def end_if_late(self, now: float) -> None:
        """Close the connection of a peer that takes too long to say what it wants."""
        since = self._waiting_since
        if since is None or self.transport.is_closing():
            return
        if now - since <= (HEAD_WITHIN_S if self._in_head else BODY_WITHIN_S):
            return
        if self._in_head and not self._head_bytes:
            self.transport.close()  # it asked nothing: words would be taken for the answer of what it asks next
        else:
            self._end(b"408 Request Timeout")

    def _end(self, status: bytes) -> None:
        self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


def put_whole(
    cycle: RequestResponseCycle, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> bool:
    """Write a whole answer at once: one call of the system instead of two, and half of the work of `send`.

    `headers` have names in lower case. Whether it was written: what does not say its length or could not be in a
    header, and a client that does not read, is gone, or asked with HEAD, is left to `send`.
    """
    if cycle.response_started or cycle.disconnected or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
        return False
    everything = (*cycle.default_headers, *headers)
    says_length = status == 204 or b"content-length" in [name for name, _ in headers]
    if not says_length or _CONTROL.search(b" ".join([value for _, value in everything])):
        return False
    lines = [b"%s: %s\r\n" % header for header in everything]
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", body)))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


async def end_late_requests(protocols: Iterable[object]) -> None:
    """Look every second for requests that do not arrive; cheaper than a timer for each."""
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        now = asyncio.get_running_loop().time()
        for protocol in [*protocols]:
            if isinstance(protocol, BoundedProtocol):
                protocol.end_if_late(now)
