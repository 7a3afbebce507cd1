"""The first step to a WebSocket: a connection to one of a host's addresses, and what is said where none takes one."""

from __future__ import annotations

import asyncio
import os
import socket


async def connected_to(host: str, port: int, made: list[socket.socket], connect_s: float) -> socket.socket:
    """A connection to the first address of ``host`` that takes one. Each of them gets its share of the time."""
    loop = asyncio.get_running_loop()
    failed: OSError = OSError(f"{host} has no address")
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, proto, _, address in addresses:
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(connect_s / len(addresses)):
                await loop.sock_connect(sock, address)
        except OSError as error:  # the time-out is one too
            sock.close()
            failed = error
        except BaseException:
            sock.close()
            raise
        else:
            made.append(sock)
            return sock
    raise failed


def words_of(error: OSError) -> str:
    """asyncio puts the address where the reason belongs."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
