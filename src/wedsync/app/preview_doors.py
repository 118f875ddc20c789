"""The data API over previews: `/api/recovery/previews/{id}/rest/v1`, a moment of the past in PostgREST's dialect.

Each preview that is asked gets a door. It is opened by the first request, and closed when nobody asks any more,
when the preview has moved to another moment, and when it is gone. Administrators only: it shows what was deleted.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol
from uuid import UUID

import msgspec
from starlette.types import Message, Receive, Scope, Send

from wedsync.api.callers import ADMINISTRATOR, Caller, Callers, address_of
from wedsync.api.operations import Trail, headers_of, problem_of, status_of
from wedsync.app.preview_door import Door, Exposed, PreviewAt, open_door
from wedsync.clock import Clock
from wedsync.errors import NotThere, PreviewAway, PreviewReadOnly, UsageProblem, WedsyncError
from wedsync.state import StateStore

AS_USER = b"wedsync-as-user"
"""Header that names a user of that moment: rows are seen as that user saw them."""
_SWEPT_EVERY = timedelta(seconds=1)
_IDLE_S = 60.0
_NOTED_EVERY_S = 10.0
_UNAVAILABLE = 503
_READS = frozenset({"GET", "HEAD"})


class Previews(Protocol):
    """The previews of a home."""

    def find(self, preview: str) -> PreviewAt:
        """Where it stands. Raises `NotThere`, and `PreviewAway` while it is made or moves."""
        ...

    async def wake(self, preview: str) -> None:
        """See that its server runs, and start it where it ended. Raises `PreviewAway`."""
        ...

    def used(self, preview: str) -> None:
        """Note that somebody uses it: it is not removed for being idle."""
        ...


class PreviewDoors:
    """Answers requests about previews; mounted where the path has an `id`."""

    def __init__(
        self,
        *,
        previews: Previews,
        callers: Callers,
        exposed: Exposed,
        state: StateStore,
        clock: Clock,
        idle: timedelta = timedelta(seconds=_IDLE_S),
    ) -> None:
        """`callers` are those of the live gateway; after `idle` without a request a door is closed."""
        self._previews = previews
        self._callers = callers
        self._exposed = exposed
        self._clock = clock
        self._trail = Trail(state)
        self._idle_s = idle.total_seconds()
        self._doors: dict[str, Door] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # kept: somebody may wait for one
        self._noted_at: dict[str, float] = {}

    @property
    def open(self) -> Mapping[str, Door]:
        """Previews that are served now."""
        return self._doors

    async def run(self) -> None:
        """Close what is not asked any more, has moved, or is gone; until cancelled, and then everything."""
        try:
            while True:
                await self._clock.sleep(_SWEPT_EVERY)
                for preview, door in list(self._doors.items()):
                    if door.idle_s > self._idle_s or self._standing(preview) != door.standing:
                        await self.close(preview)
        finally:
            for preview in list(self._doors):
                await self.close(preview)

    async def close(self, preview: str) -> None:
        """Close a preview's door, if it is open: before it is moved or removed."""
        async with self._locks[preview]:
            door = self._doors.pop(preview, None)
            self._noted_at.pop(preview, None)
            if door is not None:
                await door.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        preview: str = scope["path_params"]["id"]
        try:
            headers: dict[bytes, bytes] = dict(scope["headers"])
            administrator = await self._administrator(headers)
            _require_reading(scope, preview)
            door = await self._door(preview)
            caller = await self._caller(door, administrator, headers.get(AS_USER))
            self._write_down(scope, preview, administrator, caller)
        except WedsyncError as error:
            await _refuse(error, scope, send)
            return
        scope["headers_by_name"] = headers
        scope["caller"] = caller
        scope.setdefault("request_id", b"")
        scope.setdefault("forwarded_for", b"")
        exchange = _Exchange(send)
        door.under_way += 1
        try:
            await door.app(scope, receive, exchange.send)
        finally:
            door.under_way -= 1
            door.used_at = monotonic()
        if exchange.withheld is not None:
            await self._unavailable(preview, door, exchange, scope, send)

    async def _administrator(self, headers: Mapping[bytes, bytes]) -> Caller:
        return await self._callers.require_administrator(
            _text(headers.get(b"authorization")), _text(headers.get(b"apikey"))
        )

    async def _door(self, preview: str) -> Door:
        """The open door of a preview. Raises `NotThere`, `PreviewAway`."""
        standing = self._previews.find(preview)
        door = self._doors.get(preview)
        if door is None or door.standing != standing:
            async with self._locks[preview]:
                door = self._doors.get(preview)
                if door is not None and door.standing != standing:
                    await self._doors.pop(preview).close()
                    door = None
                if door is None:
                    await self._previews.wake(preview)
                    standing = self._previews.find(preview)  # waking may have brought a broken-off move to its end
                    if standing.moves:
                        raise PreviewAway(
                            f"preview {preview} moves to another moment", hint="come again in a moment"
                        )
                    door = await open_door(standing, self._exposed, callers=self._callers, clock=self._clock)
                    self._doors[preview] = door
        now = monotonic()
        if now - self._noted_at.get(preview, float("-inf")) > _NOTED_EVERY_S:
            self._noted_at[preview] = now
            self._previews.used(preview)
        return door

    async def _caller(self, door: Door, administrator: Caller, user: bytes | None) -> Caller:
        """As whom rows are read; nobody writes."""
        if user is None:
            return replace(administrator, may_write=False)
        try:
            named = UUID(user.decode("ascii"))
        except ValueError as error:
            raise UsageProblem(
                f"the header {AS_USER.decode()} takes the id of a user",
                hint="such as 0199f6b4-5c1e-7d3a-9b42-6f0c1d2e3f40",
            ) from error
        return await door.person(named)

    def _write_down(self, scope: Scope, preview: str, administrator: Caller, caller: Caller) -> None:
        person = f" ({administrator.counted_as})" if administrator.counted_as else ""
        who = f"{ADMINISTRATOR}{person} from {address_of(scope) or 'unknown'}"
        as_whom = f" as user {caller.claims['sub']}" if caller.role != administrator.role else ""
        self._trail.read(who, f"recover preview {preview}{as_whom}", at=self._clock.now())

    async def _unavailable(
        self, preview: str, door: Door, exchange: "_Exchange", scope: Scope, send: Send
    ) -> None:
        """The data API could not serve: say what became of the preview, and begin anew with the next request."""
        standing = self._standing(preview)
        if standing is not None and standing == door.standing and await _answers(standing):
            await exchange.let_go()  # it is there, and has too much to do
            return
        await self.close(preview)
        if standing is None:
            error: WedsyncError = NotThere(f"preview {preview} was removed meanwhile", hint="make another one")
        else:
            moved = "it moved to another moment" if standing != door.standing else "its server ended"
            error = PreviewAway(
                f"preview {preview} was lost while it was asked",
                detail=moved,
                hint="ask again: its server is started again; or remove it: DELETE /api/recovery/previews/{id}",
            )
        await _refuse(error, scope, send)

    def _standing(self, preview: str) -> PreviewAt | None:
        try:
            return self._previews.find(preview)
        except (NotThere, PreviewAway):
            return None


class _Exchange:
    """An answer on its way; one that says 503 is kept back."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.withheld: list[Message] | None = None

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start" and message["status"] == _UNAVAILABLE:
            self.withheld = []
        if self.withheld is not None:
            self.withheld.append(message)
            return
        await self._send(message)

    async def let_go(self) -> None:
        """Send what was kept back."""
        for message in self.withheld or ():
            await self._send(message)


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


async def _answers(standing: PreviewAt) -> bool:
    try:
        async with await standing.owner.connect(connect_timeout=timedelta(seconds=2)):
            return True
    except WedsyncError:
        return False


def _require_reading(scope: Scope, preview: str) -> None:
    """Raise `PreviewReadOnly` for a request that is there to change something."""
    method, path = scope["method"], scope["path"][len(scope["root_path"]) :]
    if method in _READS or (method == "POST" and path.startswith("/rpc/")):
        return
    raise PreviewReadOnly(
        f"preview {preview} shows the past: it is only read",
        detail=f"{method} {path[:100]}",
        hint="read rows with GET and HEAD, and call functions that only read with POST; to bring rows back:"
        " wedsync recover tenant, wedsync recover rows",
    )


async def _refuse(error: WedsyncError, scope: Scope, send: Send) -> None:
    """An error of ours in the form of the data API."""
    problem = problem_of(error)
    told: dict[str, Any] = {
        "code": "25006" if isinstance(error, PreviewReadOnly) else problem.code,
        "message": problem.message,
        "details": problem.detail,
        "hint": problem.hint,
    }
    body = msgspec.json.encode(told)
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in headers_of(error).items()]
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
