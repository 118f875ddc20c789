"""PostgreSQL as the supervisor sees it."""

from collections.abc import Callable
from datetime import timedelta

from wedsync.cluster.server import Server
from wedsync.process import Supervised

_START = timedelta(minutes=10)
_STOP = timedelta(minutes=1)


def supervised_server(
    server: Server, *, archive_command: Callable[[], str], may_start: Callable[[], str | None]
) -> Supervised:
    """The server to keep running; `archive_command` is asked at each start.

    A crash recovery that takes longer than ten minutes is recorded as a failed start, and then watched as
    the running server that it is.
    """

    async def start() -> int:
        return await server.start(archive_command=archive_command(), deadline=_START, hold=may_start)

    async def stop(_: int) -> None:
        await server.stop("fast", deadline=_STOP)

    return Supervised(
        name="postgresql",
        start=start,
        stop=stop,
        find_running=server.postmaster_pid,
        may_start=may_start,
    )
