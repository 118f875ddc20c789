"""Sending a schedule of requests over many connections, each at its moment, whatever the answers do."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from wedsync.loadtest.connection import Connection
from wedsync.loadtest.figures import OK, Sample

_SWEEP_S = 0.1
_OPENING_AT_ONCE = 50


class Call(msgspec.Struct, frozen=True, array_like=True):
    """A request, whole, ready to be sent."""

    kind: str
    request: bytes
    is_safe: bool
    """May be sent again where a reused connection closed before a byte of the answer came (RFC 9110, 9.2.2)."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What one generator process does."""

    host: str
    port: int
    connections: int
    within_s: float
    calls: list[Call]
    schedule: list[tuple[float, int]]
    """When, in seconds from the begin, and which call; ordered."""


class _Error(msgspec.Struct):
    """An error of the data API."""

    code: str = ""


Told: TypeAlias = Callable[[Sample], None]


@dataclass(slots=True)
class _Flight:
    """A request that is under way, or waits for a connection."""

    call: Call
    at_s: float
    lag_ms: float
    was_used: bool = False
    """Whether its connection had answered before."""
    again: bool = False


class Generator:
    """Sends a job's requests and tells of each one's end."""

    def __init__(self, job: Job, *, told: Told) -> None:
        self._job = job
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()
        self._used: set[Connection] = set()
        """Those that have answered once."""
        self._waiting: deque[_Flight] = deque()
        self._flying: dict[Connection, _Flight] = {}
        self._slots = job.connections
        """How many more connections may be opened."""
        self._opening: set[asyncio.Task[None]] = set()
        self._begin = 0.0
        self._landed = asyncio.Event()

    async def open(self) -> int:
        """Open all connections, some at a time, until one fails; gives how many. The others wait for a need."""
        while self._slots:
            number = min(_OPENING_AT_ONCE, self._slots)
            self._slots -= number
            opened = await asyncio.gather(*(self._connect() for _ in range(number)))
            there = [each for each in opened if isinstance(each, Connection)]
            self._idle.extend(there)
            if len(there) < number:
                break
        return len(self._idle)

    async def run(self) -> None:
        """Send everything; returns when everything has ended, or is given up."""
        self._begin = self._loop.time()
        sweep = self._loop.create_task(self._sweep())
        try:
            for at_s, number in self._job.schedule:
                delay = self._begin + at_s - self._loop.time()
                if delay > 0:
                    await asyncio.sleep(delay)
                lag_ms = (self._loop.time() - self._begin - at_s) * 1000
                self._start(_Flight(self._job.calls[number], at_s, lag_ms))
            while self._flying or self._waiting or self._opening:
                self._landed.clear()
                await self._landed.wait()
        finally:
            sweep.cancel()
            for task in self._opening:
                task.cancel()
            for connection in [*self._idle, *self._flying]:
                connection.close()

    def _start(self, flight: _Flight) -> None:
        while self._idle:
            connection = self._idle.popleft()
            if connection.is_open:
                self._send(connection, flight)
                return
        self._waiting.append(flight)
        self._open_another()

    def _open_another(self) -> None:
        if self._waiting and self._slots > 0 and len(self._opening) < len(self._waiting):
            self._slots -= 1
            task = self._loop.create_task(self._open_one())
            self._opening.add(task)
            task.add_done_callback(self._opened)

    def _send(self, connection: Connection, flight: _Flight) -> None:
        flight.was_used = connection in self._used
        self._flying[connection] = flight
        connection.send(flight.call.request)

    async def _connect(self) -> Connection | str:
        """A connection, or why there is none; its slot was taken before, and is given back if there is none."""
        try:
            async with asyncio.timeout(self._job.within_s):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(answered=self._answered, lost=self._lost), self._job.host, self._job.port
                )
        except TimeoutError:
            self._slots += 1
            return "no connection in time"
        except OSError as error:
            self._slots += 1
            return "refused" if isinstance(error, ConnectionRefusedError) else f"no connection: {error.strerror}"
        return connection

    async def _open_one(self) -> None:
        found = await self._connect()
        if isinstance(found, Connection):
            self._free(found)
        elif self._waiting:
            self._end(self._waiting.popleft(), found)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._landed.set()
        if not task.cancelled():
            task.result()

    def _free(self, connection: Connection) -> None:
        if self._waiting and connection.is_open:
            self._send(connection, self._waiting.popleft())
        elif connection.is_open:
            self._idle.append(connection)

    def _answered(self, connection: Connection, status: int) -> None:
        flight = self._flying.pop(connection, None)
        self._used.add(connection)
        if flight is not None:
            self._end(flight, OK if 200 <= status < 300 else refusal(status, connection.body))
        self._free(connection)

    def _lost(self, connection: Connection, begun: bool) -> None:
        self._slots += 1
        self._used.discard(connection)
        flight = self._flying.pop(connection, None)
        if flight is None:  # an idle one: the next request opens another
            return
        if flight.was_used and flight.call.is_safe and not begun and not flight.again:
            flight.again = True
            self._start(flight)
        else:
            self._end(flight, "cut off" if begun else "closed without an answer")
        self._open_another()

    def _end(self, flight: _Flight, outcome: str) -> None:
        latency_ms = (self._loop.time() - self._begin - flight.at_s) * 1000
        self._told(Sample(flight.call.kind, flight.at_s, latency_ms, flight.lag_ms, outcome))
        self._landed.set()

    async def _sweep(self) -> None:
        """Give up what takes too long: its connection is closed, as a person does who reloads the page."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            oldest = self._loop.time() - self._begin - self._job.within_s
            for connection, flight in [*self._flying.items()]:
                if flight.at_s < oldest:
                    del self._flying[connection]
                    connection.close()
                    self._slots += 1
                    self._used.discard(connection)
                    self._end(flight, "timeout")
            while self._waiting and self._waiting[0].at_s < oldest:
                self._end(self._waiting.popleft(), "timeout")
            for _ in range(len(self._waiting)):
                self._open_another()


def refusal(status: int, body: bytes) -> str:
    """`status 503 PGRST003`: the status, and the code that the error's body names."""
    try:
        code = msgspec.json.decode(body, type=_Error).code
    except msgspec.DecodeError:
        code = ""
    return f"status {status} {code}" if code else f"status {status}"


def spread(schedule: Sequence[tuple[float, int]], parts: int) -> list[list[tuple[float, int]]]:
    """The same schedule for several processes, by turns."""
    return [list(schedule[part::parts]) for part in range(parts)]
