"""One connection, one exchange of bytes: a GET goes out, and either a whole body comes back or `Failed` says why not.

Built on ``http.client`` with isal: 1.6 times the pages per CPU-second of requests.Session with raw reads and isal, 2.7
times those of requests as it comes (engineering 6; measured again by tests/transport/test_speed.py). From requests we
take what it knows of the surroundings, proxies and certificates, once per client instead of once per request.

Nothing here retries, waits for a budget or knows a venue.
"""

from __future__ import annotations

import base64
import io
import os
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, RemoteDisconnected
from typing import Any
from urllib.parse import unquote, urlsplit

from isal import isal_zlib

from htxdata.errors import ConfigError
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
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        self._deadline = 0.0
        self.used = False
        self.reusable = True

    def _head(self, target: str) -> bytes:
        """The whole request. ``target`` is percent-encoded, so nothing in it can end a line."""
        return f"GET {self._origin}{target} HTTP/1.1\r\n{self._fixed}".encode("ascii")

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

    def ask(self, target: str) -> Answer:
        """``target`` is a percent-encoded path with its query. On `Failed` the line is closed."""
        self._deadline = time.monotonic() + self._limits.total_s
        seen = False
        try:
            self._connection.sock.settimeout(self._limits.silence_s)
            self._connection.sock.sendall(self._head(target))
            response = self._response(self._connection.sock, method="GET")
            response.begin()
            seen = True
            headers = _lower(response)
            raw = self._body(response)
            self.reusable = response.isclosed() and not response.will_close
            body = gunzip(raw, self._limits.body_bytes) if _is_gzip(headers) else raw
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
        return Answer(response.status, headers, body, len(raw))

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


class Lines:
    """The connections to one host: idle ones are used again, the last one first. Thread-safe."""

    def __init__(self, base_url: str, user_agent: str, limits: Limits) -> None:
        parts = urlsplit(base_url)
        self._scheme, self._host, self._port = parts.scheme, parts.hostname or "", parts.port
        self._limits = limits
        self._headers = {
            "Host": parts.netloc.rpartition("@")[2],
            "Accept": "application/json, */*;q=0.5",
            "Accept-Encoding": "gzip",
            "User-Agent": user_agent,
        }
        self._origin = ""
        self._tunnel: dict[str, str] | None = None
        self._idle: list[Line] = []
        self._pid = os.getpid()
        proxy, certificates = _surroundings(base_url)
        self._tls = _tls(certificates) if parts.scheme == "https" else None
        self._via = urlsplit(proxy) if proxy else None
        if self._via is not None:
            if self._via.scheme != "http" or not self._via.hostname:
                raise ConfigError(
                    f"the proxy for {self._host} must be http://host:port, not {self._via.scheme}://"
                )
            if self._via.username:
                pair = f"{unquote(self._via.username)}:{unquote(self._via.password or '')}"
                self._tunnel = {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
            if self._tls is None:  # a plain request names the whole URL to the proxy
                self._origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
                self._headers |= self._tunnel or {}

    def take(self) -> Line:
        """A line that is open. Raises `Failed`."""
        if self._pid != os.getpid():  # a fork: the parent talks on these
            self._idle, self._pid = [], os.getpid()
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                return self.fresh()
            if not line.dropped():
                return line
            line.close()

    def fresh(self) -> Line:
        """A new line. Raises `Failed`."""
        via = self._via
        host, port = (via.hostname or "", via.port or 80) if via is not None else (self._host, self._port)
        connection: HTTPConnection
        if self._tls is not None:
            connection = HTTPSConnection(host, port, timeout=self._limits.connect_s, context=self._tls)
            if via is not None:
                connection.set_tunnel(self._host, self._port or 443, self._tunnel)
        else:
            connection = HTTPConnection(host, port, timeout=self._limits.connect_s)
        try:
            connection.connect()
        except (OSError, HTTPException) as error:
            connection.close()
            raise Failed("network", f"cannot connect: {in_words(error)}") from error
        return Line(connection, self._limits, self._headers, self._origin)

    def give_back(self, line: Line) -> None:
        if line.reusable:
            self._idle.append(line)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


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


def _surroundings(url: str) -> tuple[str | None, str]:
    """The proxy for a URL, if any, and where the certificates are: as requests finds them."""
    import certifi  # with requests 60 ms, and only a client needs them
    import requests.utils

    with requests.Session() as session:
        found = session.merge_environment_settings(url, {}, None, None, None)
    verify = found["verify"]
    proxy = requests.utils.select_proxy(url, found["proxies"])
    return proxy, verify if isinstance(verify, str) else certifi.where()


def _tls(certificates: str) -> ssl.SSLContext:
    folder = os.path.isdir(certificates)
    context = ssl.create_default_context(
        cafile=None if folder else certificates, capath=certificates if folder else None
    )
    context.set_alpn_protocols(["http/1.1"])
    return context
