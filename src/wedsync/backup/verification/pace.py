"""How fast files are read: never faster than allowed, whatever the disk or the line could do."""

from collections.abc import Awaitable, Callable
from time import monotonic


class Pace:
    """Spreads bytes over time; `None` bytes a second: as fast as it goes."""

    def __init__(
        self,
        bytes_per_second: int | None,
        *,
        sleep: Callable[[float], Awaitable[None]],
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._bytes_per_second = bytes_per_second
        self._sleep = sleep
        self._now = now
        self._free_at = now()

    async def took(self, size_bytes: int) -> None:
        """Wait until so many bytes may have been read since the last call. A pause before is not made up for."""
        if self._bytes_per_second is None:
            return
        self._free_at = max(self._free_at, self._now()) + size_bytes / self._bytes_per_second
        await self._sleep(max(self._free_at - self._now(), 0.0))
