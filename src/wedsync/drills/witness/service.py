"""The keeper's witnesses: one after each backup and one each hour, until it is cancelled."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from psycopg import Error as DatabaseError

from wedsync.clock import Clock
from wedsync.drills.witness.model import Witness
from wedsync.drills.witness.records import forget_witnesses, newest_witness
from wedsync.drills.witness.taking import WitnessTaker
from wedsync.errors import WedsyncError, WitnessRefused
from wedsync.events import Event, observe
from wedsync.state import StateStore

_LOOK_EVERY = timedelta(seconds=30)
_AGAIN_AFTER = timedelta(minutes=5)
_REFUSED_AGAIN_AFTER = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSkipped(Event):
    """No witness was taken now, and why; the next try follows by itself."""

    level: ClassVar[str] = "warning"

    message: str


def why_due(
    newest: datetime | None, *, last_backup: datetime | None, now: datetime, every: timedelta
) -> str | None:
    """Why a witness is due, in a word; `None`: it is not.

    A drill compares at the last one on its way, and there is none before the first behind its backup.
    """
    if last_backup is not None and (newest is None or newest < last_backup):
        return "backup"
    if newest is None or now - newest >= every or newest > now:
        return "schedule"
    return None


async def witness_if_possible(taker: WitnessTaker, reason: str, *, say: Callable[[str], None]) -> Witness | None:
    """Take one; `None`: it could not be, which `say` and the log are told, and nobody is kept from going on."""
    try:
        return await taker.take(reason)
    except (WedsyncError, DatabaseError, OSError) as error:
        said = _words(error)
        say(f"no witness: {said}")
        observe(WitnessSkipped(message=said))
        return None


def _words(error: Exception) -> str:
    return error.in_one_line() if isinstance(error, WedsyncError) else " ".join(str(error).split())


class WitnessService:
    """Takes witnesses. What it knows is in the state file: it may die at any time."""

    def __init__(
        self,
        *,
        taker: WitnessTaker,
        state: StateStore,
        clock: Clock,
        every: timedelta,
        keep: timedelta,
        last_backup: Callable[[], datetime | None],
        must_wait: Callable[[], bool],
    ) -> None:
        """Those older than `keep` are forgotten. `must_wait`: whether a backup or a recovery is at work."""
        self._taker = taker
        self._state = state
        self._clock = clock
        self._every = every
        self._keep = keep
        self._last_backup = last_backup
        self._must_wait = must_wait
        self._not_before: datetime | None = None

    async def run(self) -> None:
        """Take each when it is due, until cancelled."""
        while True:
            await self.step()
            await self._clock.sleep(_LOOK_EVERY)

    async def step(self) -> Witness | None:
        """Look once; take one if it is due."""
        now = self._clock.now()
        if (self._not_before is not None and now < self._not_before) or self._must_wait():
            return None
        newest = newest_witness(self._state)
        reason = why_due(
            newest.at if newest else None, last_backup=self._last_backup(), now=now, every=self._every
        )
        if reason is None:
            return None
        try:
            witness = await self._taker.take(reason)
        except (WedsyncError, DatabaseError, OSError) as error:
            refused = isinstance(error, WitnessRefused)
            self._not_before = now + (_REFUSED_AGAIN_AFTER if refused else _AGAIN_AFTER)
            observe(WitnessSkipped(message=_words(error)))
            return None
        self._not_before = None
        forget_witnesses(self._state, before=now - self._keep)
        return witness
