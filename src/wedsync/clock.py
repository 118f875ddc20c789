"""The time of day and waiting, behind one small interface, so that tests own both."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What a service may ask of time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...

    async def sleep(self, pause: timedelta) -> None:
        """Return after `pause`."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, pause: timedelta) -> None:
        await asyncio.sleep(pause.total_seconds())
