"""Delivers letters from the queue: none is lost, none holds a request up."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import msgspec

from wedsync.api.auth.letters import Content, letter
from wedsync.api.auth.post import Post
from wedsync.api.auth.store import Store
from wedsync.errors import LetterNotSent, WedsyncError
from wedsync.events import Event, observe

_LEASE = timedelta(minutes=2)
"""A letter that was taken up is left alone for so long; then its deliverer is thought dead."""
_LOOK_EVERY = timedelta(seconds=5)
_FIRST_PAUSE = timedelta(seconds=10)
_LONGEST_PAUSE = timedelta(minutes=30)
_TRIES = 12
"""Twelve tries with doubling pauses: three hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterDelivered(Event):
    """A letter was handed on."""

    kind: str
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterPutOff(Event):
    """A letter could not be handed on; it is tried again."""

    level: ClassVar[str] = "warning"
    kind: str
    tries: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGivenUp(Event):
    """A letter was not delivered, and is not tried again."""

    level: ClassVar[str] = "error"
    kind: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryWaits(Event):
    """The queue of letters could not be read; it is looked at again."""

    level: ClassVar[str] = "warning"
    error: str


def pause_after(tries: int) -> timedelta | None:
    """How long a letter waits after so many tries; `None`: it is given up."""
    if tries >= _TRIES:
        return None
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tries - 1))


class Delivery:
    """Looks after the queue `auth.letters`; any number of gateways may."""

    def __init__(self, store: Store, post: Post, *, sender: str) -> None:
        self._store = store
        self._post = post
        self._sender = sender
        self._due = asyncio.Event()

    def wake(self) -> None:
        """Look at once: there is a new letter."""
        self._due.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            try:
                while await self.deliver_due():
                    pass
            except WedsyncError as error:  # the database is away: letters wait in it
                observe(DeliveryWaits(error=error.in_one_line()))
            try:
                async with asyncio.timeout(_LOOK_EVERY.total_seconds()):
                    await self._due.wait()
            except TimeoutError:
                continue
            finally:
                self._due.clear()

    async def deliver_due(self) -> int:
        """Deliver what is due now, a few at a time; gives how many were taken up."""
        taken = (await self._store.run(self._store.statement("take_letters", _LEASE.total_seconds())))[0]
        rows = [
            {name: (value or b"").decode() for name, value in zip(taken.columns, row, strict=True)}
            for row in taken.rows
        ]
        for row in sorted(rows, key=lambda row: row["id"]):  # oldest first: ids sort by time
            await self._deliver(row)
        return len(taken.rows)

    async def _deliver(self, row: Mapping[str, str]) -> None:
        identity, kind, tries = row["id"], row["kind"], int(row["tries"])
        content = msgspec.json.decode(row["content"], type=Content)
        message = letter(kind, content, sender=self._sender, recipient=row["recipient"], identity=identity)
        try:
            await self._post.send(message, identity=identity)
        except LetterNotSent as error:
            pause = pause_after(tries)
            said = error.in_one_line()[:500]
            if pause is None:
                await self._store.run(self._store.statement("letter_given_up", identity, said))
                observe(LetterGivenUp(kind=kind, error=said))
            else:
                await self._store.run(
                    self._store.statement("letter_put_off", identity, pause.total_seconds(), said)
                )
                observe(LetterPutOff(kind=kind, tries=tries, error=said))
            return
        await self._store.run(self._store.statement("letter_delivered", identity))
        observe(LetterDelivered(kind=kind, tries=tries))
