"""Listen on a port and answer until cancelled."""

import asyncio
import errno
import resource
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from wedsync.errors import ConfigProblem, PortTaken
from wedsync.web.bounded import BoundedProtocol, end_late_requests

_LAST_ANSWERS_S = 10
_KEEP_ALIVE_S = 75
"""Longer than proxies and clients keep a resting connection: they end it, and not we while a request comes."""
_BACKLOG = 2048


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever owns the process."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve(app: ASGIApp, host: str, port: int, *, on_listening: Callable[[], None] = lambda: None) -> None:
    """Answer on `host` and `port` until cancelled, then let the requests under way end.

    Raises `PortTaken` if something else listens there, `ConfigProblem` if there is no such address.
    """
    listening = _listen(host, port)
    _allow_many_connections()
    on_listening()
    with listening:
        server = _Server(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                timeout_keep_alive=_KEEP_ALIVE_S,
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,  # it would write the tokens of sign-in links
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_LAST_ANSWERS_S,
            )
        )
        answering = asyncio.create_task(server.serve(sockets=[listening]), name="gateway")
        ending = asyncio.create_task(end_late_requests(server.server_state.connections), name="late requests")
        try:
            await asyncio.shield(answering)
        except asyncio.CancelledError:
            server.should_exit = True
            await answering
            raise
        finally:
            ending.cancel()


def _allow_many_connections() -> None:
    """Each client is a file: take what the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _not_here(host, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port} is taken", detail=f"{host}:{port}", hint="choose another gateway.port"
            ) from error
        raise _not_here(host, error) from error
    return listening


def _not_here(host: str, error: OSError) -> ConfigProblem:
    return ConfigProblem(
        f"the gateway cannot listen on {host!r}",
        detail=str(error),
        hint="gateway.host is an address of this machine, such as 127.0.0.1",
    )
