"""Pass connections on between TCP ports and sockets in the file system, which cross network namespaces.

    python -m support.pass_on [--loopback] FROM=TO…     each FROM and TO: a port of 127.0.0.1, or a path

`--loopback` brings the loopback device up first: a new network namespace has it down.
"""

import asyncio
import fcntl
import socket
import struct
import sys
from contextlib import suppress

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


async def _connect(to: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if to.isdigit():
        return await asyncio.open_connection("127.0.0.1", int(to))
    return await asyncio.open_unix_connection(to)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()


async def _listen(at: str, to: str) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind_reader, behind = await _connect(to)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(_pass(reader, behind), _pass(behind_reader, writer))
        finally:
            behind.transport.abort()
            writer.transport.abort()

    if at.isdigit():
        return await asyncio.start_server(serve, "127.0.0.1", int(at))
    return await asyncio.start_unix_server(serve, at)


async def main(words: list[str]) -> None:
    """Serve until killed; says `ready` when all ports are open."""
    if words[0] == "--loopback":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            fcntl.ioctl(device, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
        words = words[1:]
    servers = [await _listen(*word.split("=", 1)) for word in words]
    print("ready", flush=True)  # noqa: T201
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
