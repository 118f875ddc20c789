"""Ports: whether one is free, who has it, which one is next."""

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from wedsync.errors import PortTaken

_TRIED = 200


def require_free_port(port: int, *, addresses: Sequence[str], setting: str) -> None:
    """Raise `PortTaken`, with the holder and the next free port, unless all `addresses` can be bound."""
    taken = [address for address in addresses if not is_free(port, address)]
    if taken:
        after = next_free_port(port + 1, addresses=addresses)
        raise PortTaken(
            f"port {port} is taken",
            detail=f"{holder_of(port) or 'a process of another user'} listens on {taken[0]}:{port}",
            hint=f"port {after} is free: set {setting} = {after}" if after else f"choose another {setting}",
        )


def is_free(port: int, address: str) -> bool:
    """Whether this address and port can be listened on now."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            None if address == "*" else address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)
    except socket.gaierror:
        return True  # no such name: PostgreSQL says so itself, and better
    except OSError as error:
        return error.errno not in {errno.EADDRINUSE, errno.EACCES}
    return True


def next_free_port(start: int, *, addresses: Sequence[str]) -> int | None:
    """The first port from `start` on that is free on all addresses."""
    for port in range(start, min(start + _TRIED, 65536)):
        if all(is_free(port, address) for address in addresses):
            return port
    return None


def holder_of(port: int) -> str | None:
    """Name and pid of the process that listens on the port; `None` if it is another user's."""
    sockets = {f"socket:[{number}]" for number in _listening(port)}
    if not sockets:
        return None
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) in sockets:
                        return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None


def _listening(port: int) -> set[str]:
    """Inodes of the sockets that listen on the port (proc_net_tcp of the kernel's documentation)."""
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(os.fspath(table)) as lines:  # noqa: PTH123 - procfs
            for line in lines:
                words = line.split()
                if len(words) > 9 and words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.add(words[9])
    return inodes
