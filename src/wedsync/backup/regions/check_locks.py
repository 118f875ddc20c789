"""Ask the stores of all repositories about their locks, and remember what they said."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from wedsync.backup.configuration import repositories
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.regions.lock import LockState, LockVerdict, StoreLock, judge_lock, unknown
from wedsync.clock import Clock
from wedsync.cluster import Secrets
from wedsync.config import BackupConfig, Home, RepositoryConfig, RepositoryKind
from wedsync.errors import WedsyncError
from wedsync.events import Event, observe
from wedsync.state import StateStore, as_text

_EVERY = timedelta(hours=6)
_SOON = timedelta(minutes=15)
_ASKED = (RepositoryKind.S3, RepositoryKind.AZURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionNotLocked(Event):
    """What a repository holds can be deleted with our credentials."""

    level: ClassVar[str] = "warning"
    repo: int
    message: str


class LockCheck:
    """Asks stores whether what they hold can be deleted."""

    def __init__(
        self, *, config: BackupConfig, home: Home, secret: Callable[[str], str], state: StateStore, clock: Clock
    ) -> None:
        self._config = config
        self._home = home
        self._secret = secret
        self._state = state
        self._clock = clock

    async def run(self) -> None:
        """Ask four times a day, sooner again who did not answer, until cancelled."""
        while True:
            found = await self.check()
            for repo, verdict in found.items():
                if verdict.state in (LockState.OFF, LockState.SHORT):
                    observe(RegionNotLocked(repo=repo, message=verdict.words))
            all_known = all(verdict.state is not LockState.UNKNOWN for verdict in found.values())
            await self._clock.sleep(_EVERY if all_known else _SOON)

    async def check(self) -> dict[int, LockVerdict]:
        """Ask all now, and remember the answers."""
        chosen = repositories(self._config)
        verdicts = await asyncio.gather(*(self._verdict(item) for item in chosen.values()))
        found = dict(zip(chosen, verdicts, strict=True))
        for repo, verdict in found.items():
            self._state.write(
                "insert or replace into region_locks (repo, checked_at, state, words, next_step)"
                " values (?, ?, ?, ?, ?)",
                (repo, as_text(self._clock.now()), verdict.state, verdict.words, verdict.next_step),
            )
        return found

    async def _verdict(self, repository: RepositoryConfig) -> LockVerdict:
        window = self._config.recovery_window
        if repository.kind not in _ASKED:
            return judge_lock(repository.kind, None, window=window)
        try:
            lock = await asyncio.to_thread(self._ask, repository)
        except WedsyncError as error:
            return unknown(error.in_one_line())
        return judge_lock(repository.kind, lock, window=window)

    def _ask(self, repository: RepositoryConfig) -> StoreLock:
        # Libraries of two clouds, 0.3 s each: for whoever has a repository there.
        if repository.kind is RepositoryKind.S3:
            from wedsync.backup.regions.s3 import Bucket  # noqa: PLC0415

            return Bucket(repository.options, home=self._home, secret=self._secret).lock()
        from wedsync.backup.regions.azure import container_lock  # noqa: PLC0415

        return container_lock(repository.options, home=self._home, secret=self._secret)


def lock_check(pgbackrest: PgBackRest, state: StateStore, clock: Clock) -> LockCheck:
    """The check for the repositories of a home."""
    secrets = Secrets(pgbackrest.home)
    return LockCheck(
        config=pgbackrest.config,
        home=pgbackrest.home,
        secret=lambda name: secrets.read(name).strip(),
        state=state,
        clock=clock,
    )
