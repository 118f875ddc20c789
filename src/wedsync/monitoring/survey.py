"""Asking the repositories takes longer than a page may: remember what they said, ask again when it is old."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import ClassVar, Self

from wedsync.clock import Clock
from wedsync.events import Event, observe
from wedsync.monitoring.facts import SurveyFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyFailed(Event):
    """The repositories could not be asked at all (one that does not answer is part of an answer)."""

    level: ClassVar[str] = "warning"
    error: str


class LatestSurvey:
    """The repositories' newest answer; asks them again when it is older than `fresh_for`, one call at a time.

    A call waits at most `wait` for the new answer and then gives the one before, which says its age; the new
    one is there for the next call. An error of the repositories is raised only where there is nothing older.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[SurveyFacts]],
        *,
        clock: Clock,
        fresh_for: timedelta = timedelta(seconds=15),
        wait: timedelta = timedelta(milliseconds=800),
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._fresh_for = fresh_for
        self._wait_s = wait.total_seconds()
        self._newest: SurveyFacts | None = None
        self._asking: asyncio.Task[SurveyFacts] | None = None

    async def __call__(self) -> SurveyFacts:
        if self._newest and self._clock.now() - self._newest.surveyed_at < self._fresh_for:
            return self._newest
        asking = self._asking
        if asking is None:
            asking = self._asking = asyncio.create_task(self._ask_now(), name="survey of the repositories")
        done, _ = await asyncio.wait({asking}, timeout=self._wait_s)
        if done and self._asking is asking:
            self._asking = None
        if done and (asking.exception() is None or self._newest is None):
            return asking.result()
        if self._newest is None:
            raise TimeoutError("the repositories are being read; ask again in some seconds")
        return self._newest

    async def _ask_now(self) -> SurveyFacts:
        try:
            self._newest = await self._ask()
        except Exception as error:
            observe(SurveyFailed(error=repr(error)))
            raise
        return self._newest

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the asking that still goes on."""
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._asking
