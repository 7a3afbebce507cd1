"""One connection, one exchange of bytes: a GET goes out, and either a whole body comes back or `Failed` says why not.

A body may also be poured piece by piece into a `Sink`, so that a file of any size passes through bounded memory.

Built on ``http.client`` with isal: 1.6 times the pages per CPU-second of requests.Session with raw reads and isal, 2.7
times those of requests as it comes (engineering 6; measured again by tests/transport/test_speed.py). Connections are
made and kept by `lines`. Nothing here retries, waits for a budget or knows a venue.
"""

from __future__ import annotations

import io
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, RemoteDisconnected
from typing import Any, Protocol

from isal import isal_zlib

from htxdata.protocol.wire import Fault, FaultKind

_SPOILT: type[Exception] = isal_zlib.error  # type: ignore[assignment] # the stub calls it an instance


@dataclass(frozen=True, slots=True)
class Limits:
    """What one exchange may take. The longest honest page of any venue here is some megabytes and some seconds."""

    connect_s: float = 10.0
    silence_s: float = 20.0  # between two pieces of an answer
    total_s: float = 120.0  # from the first byte sent to the last one received: a trickle must end too
    body_bytes: int = 64 << 20  # on the wire, and again decompressed


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes
    wire_size: int  # of the body as it came


class Failed(Exception):
    """No whole answer. ``stale``: an idle connection turned out to be closed, which is nobody's fault."""

    def __init__(self, kind: FaultKind, message: str, *, stale: bool = False) -> None:
        super().__init__(message)
        self.fault = Fault(kind, message)
        self.stale = stale


class Sink(Protocol):
    """Where a body is poured. It outlives failed attempts, and so can ask for what is still missing."""

    def asks(self) -> Mapping[str, str]:
        """The headers of the next attempt, beside the usual ones (``Range``)."""

    def begins(self, status: int, headers: Mapping[str, str]) -> bool:
        """An answer begins. True: pour its body; False: it is no file, read it as any answer. May raise `Failed`."""

    def takes(self, piece: bytes) -> None:
        """The next bytes of the body. May raise `Failed`."""

    def held(self) -> int:
        """How many bytes are safe here: less than before if it had to begin anew."""


_NONE: Mapping[str, str] = {}

_PIECE = 1 << 18
"""The most that is poured at once; what one read of the socket gives is poured at once and never lost."""


class _Timed(io.RawIOBase):
    """A socket to read from that obeys a deadline as well as a limit on silence."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, deadline: float, limits: Limits) -> None:
        self._sock, self._raw, self._deadline, self._limits = sock, raw, deadline, limits

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the answer took longer than {self._limits.total_s:g} s")
        self._sock.settimeout(min(left, self._limits.silence_s))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Line:
    """A connection that is open. One thread at a time. `ask` may be called again while `reusable`."""

    def __init__(
        self, connection: HTTPConnection, limits: Limits, headers: Mapping[str, str], origin: str
    ) -> None:
        self._connection, self._limits, self._origin = connection, limits, origin
        # The same lines every time, made once: http.client would put them together anew for every request.
        self._fixed = _lines(headers) + "\r\n"
        self._plain = _lines({**headers, "Accept": "*/*", "Accept-Encoding": "identity"})
        self._deadline = 0.0
        self.used = False
        self.reusable = True

    def _head(
        self, target: str, sink: Sink | None, body: bytes | None, method: str, headers: Mapping[str, str]
    ) -> bytes:
        """The whole request. ``target`` is percent-encoded, so nothing in it can end a line; a header must not."""
        if not all(value.isprintable() for value in headers.values()):
            raise ValueError("a header is one line of printable signs")
        if body is not None:
            said = _lines({"Content-Type": "application/json", **headers, "Content-Length": str(len(body))})
            return f"{method} {self._origin}{target} HTTP/1.1\r\n{said}{self._fixed}".encode("ascii") + body
        more = _lines(headers) if headers else ""
        lines = f"{more}{self._fixed}" if sink is None else f"{more}{self._plain}{_lines(sink.asks())}\r\n"
        return f"GET {self._origin}{target} HTTP/1.1\r\n{lines}".encode("ascii")

    def _response(self, sock: socket.socket, *args: Any, **kwargs: Any) -> HTTPResponse:
        response = HTTPResponse(sock, *args, **kwargs)
        raw = response.fp.detach()
        response.fp = io.BufferedReader(_Timed(sock, raw, self._deadline, self._limits), 1 << 14)
        return response

    def dropped(self) -> bool:
        """Has the other side hung up? An idle connection with something to read is closed, or off its step."""
        poll = select.poll()
        poll.register(self._connection.sock, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        self.reusable = False
        self._connection.close()

    def ask(
        self, target: str, sink: Sink | None = None, body: bytes | None = None, *, method: str = "POST",
        headers: Mapping[str, str] = _NONE,
    ) -> Answer:  # fmt: skip
        """``target`` is a percent-encoded path with its query. On `Failed` the line is closed. A ``body`` (JSON, unless
        ``headers`` say otherwise) makes it a POST, or what ``method`` says.

        What a ``sink`` took is not in the answer's body. Nothing is decompressed on its way there.
        """
        self._deadline = time.monotonic() + self._limits.total_s
        seen = False
        try:
            self._connection.sock.settimeout(self._limits.silence_s)
            self._connection.sock.sendall(self._head(target, sink, body, method, headers))
            response = self._response(self._connection.sock, method="GET" if body is None else method)
            response.begin()
            seen = True
            headers = _lower(response)
            if sink is not None and sink.begins(response.status, headers):
                body, size = b"", self._pour(response, headers, sink)
            else:
                raw = self._body(response)
                body, size = gunzip(raw, self._limits.body_bytes) if _is_gzip(headers) else raw, len(raw)
            self.reusable = response.isclosed() and not response.will_close
        except (OSError, HTTPException) as error:
            self.close()
            gone = isinstance(error, (RemoteDisconnected, ConnectionResetError, BrokenPipeError))
            raise Failed("network", in_words(error), stale=gone and self.used and not seen) from error
        except BaseException:
            self.close()
            raise
        if not self.reusable:
            self.close()
        self.used = True
        return Answer(response.status, headers, body, size)

    def _pour(self, response: HTTPResponse, headers: Mapping[str, str], sink: Sink) -> int:
        if _is_gzip(headers):
            raise Failed("garbled", "the file is encoded as gzip, which we did not ask for")
        size = 0
        while piece := response.read1(_PIECE):
            size += len(piece)
            sink.takes(piece)
        if response.length:  # read1 keeps silent about it
            raise Failed("network", f"the body was cut: {response.length} bytes are missing after {size}")
        response.close()  # read1 leaves that to us
        return size

    def _body(self, response: HTTPResponse) -> bytes:
        cap = self._limits.body_bytes
        if (response.length or 0) > cap:
            raise Failed("refused", f"the body has {response.length} bytes, more than the {cap} we take")
        raw = response.read(cap + 1)
        if len(raw) > cap:
            raise Failed("refused", f"the body has more than the {cap} bytes we take")
        if response.length:  # read(n) keeps silent about it
            raise Failed("network", f"the body was cut: {response.length} bytes are missing after {len(raw)}")
        return raw


def gunzip(data: bytes, cap: int) -> bytes:
    """The whole of a gzip body. Raises `Failed`: a cut or spoilt one is the network's fault, a bomb is refused."""
    if not data:
        return data
    size = int.from_bytes(data[-4:], "little")  # what the trailer says; a bomb lies
    try:
        # Deflate packs 1,032 times at most. Where even that is bearable, one call into a buffer of the right size is
        # 1.6 times as fast as a guarded one.
        if size <= cap and len(data) * 1032 <= 4 * cap:
            body: bytes = isal_zlib.decompress(data, 31, max(size, 1))
            if len(body) == size:
                return body
        pieces, room = [], cap
        while data:  # gzip members may follow each other
            stream = isal_zlib.decompressobj(31)
            piece = stream.decompress(data, room + 1)
            room -= len(piece)
            if room < 0:
                raise Failed("refused", f"the body decompresses to more than the {cap} bytes we take")
            if not stream.eof:
                raise Failed("network", f"the gzip body was cut after {len(data)} bytes")
            pieces.append(piece)
            data = stream.unused_data
    except _SPOILT as error:
        raise Failed("network", f"the gzip body is spoilt or cut: {error}") from error
    return b"".join(pieces)


def _is_gzip(headers: Mapping[str, str]) -> bool:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("gzip", "x-gzip"):
        return True
    if encoding in ("identity", ""):
        return False
    raise Failed("garbled", f"the body is encoded as {encoding[:40]!r}, which we did not ask for")


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _lower(response: HTTPResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.raw_items():  # items() would run each through e-mail's policies
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def in_words(error: Exception) -> str:
    """An exception of the network in a few words."""
    if isinstance(error, TimeoutError):
        return str(error) if "longer" in str(error) else "timed out"
    if isinstance(error, RemoteDisconnected):
        return "the connection was closed without an answer"
    text = str(error) or type(error).__name__
    return error.strerror or text if isinstance(error, OSError) else f"{type(error).__name__}: {text}"
