"""A server that says exactly what a test tells it to, byte by byte.

Run as a module it is the venue of the tests with several processes: it logs when each request arrived, by the clock
that all processes of the machine share, and prints the log at the end of its input.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

Behaviour = bytes | Callable[[socket.socket], object]

OK = b'{"status":"ok"}'


def answer(body: bytes = OK, status: int = 200, length: int | None = None, **headers: str) -> bytes:
    """A whole HTTP answer. ``length`` lies about the body; header names have ``_`` for ``-``."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class LocalVenue:
    """Plays ``script``, one entry per request, then answers OK for ever. An entry that is called may talk as it likes;
    the connection is closed after it. ``heard`` are the requests, whole."""

    def __init__(self) -> None:
        self.script: deque[Behaviour] = deque()
        self.heard: list[str] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def _listen(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(peer)
            self._threads.append(thread := threading.Thread(target=self._talk, args=(peer,)))
            thread.start()

    def _talk(self, peer: socket.socket) -> None:
        heard = b""
        try:
            while piece := peer.recv(65536):
                heard += piece
                while b"\r\n\r\n" in heard:
                    request, _, heard = heard.partition(b"\r\n\r\n")
                    self.heard.append(request.decode())
                    behaviour = self.script.popleft() if self.script else answer()
                    if isinstance(behaviour, bytes):
                        peer.sendall(behaviour)
                    else:
                        behaviour(peer)
                        return
        except OSError:
            return
        finally:
            peer.close()

    def hang_up(self) -> None:
        """Closes every connection from our side, as venues do with idle ones."""
        for peer in self._open:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


def serve() -> None:
    """``argv[1]``: the number of the request that is answered 429 with ``Retry-After: 1``."""
    throttled = int(sys.argv[1])
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(sys.stdin, select.POLLIN)
    peers: dict[int, socket.socket] = {}
    log: list[tuple[float, str]] = []
    print(listener.getsockname()[1], flush=True)
    while True:
        for fd, _ in poll.poll():
            at = time.monotonic()
            if fd == sys.stdin.fileno():
                print(json.dumps(log))
                return
            if fd == listener.fileno():
                peer, _ = listener.accept()
                peers[peer.fileno()] = peer
                poll.register(peer, select.POLLIN)
                continue
            heard = peers[fd].recv(65536)
            if not heard:
                poll.unregister(fd)
                peers.pop(fd).close()
                continue
            log.append((at, heard.split(b" ", 2)[1].decode()))
            refuse = len(log) == throttled
            peers[fd].sendall(answer(b"", 429, Retry_After="1") if refuse else answer())


if __name__ == "__main__":
    serve()
