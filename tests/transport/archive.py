"""A small S3 of the tests: objects with ETags, ranges and conditions, and every way in which it can let one down."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from htxdata.errors import BadReply
from htxdata.protocol.wire import Request
from htxdata.venues.terms import Bucket, Listed

MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"


@dataclass(frozen=True)
class Thing:
    """One object. ``blocks`` make its body anew each time it is asked for."""

    size: int
    etag: str
    blocks: Callable[[], Iterable[bytes]]


@dataclass
class Asked:
    """One request as it was heard, and how many bytes of the object went out in answer so far."""

    key: str
    headers: dict[str, str]
    sent: int = 0


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer. ``cut`` bytes of the body are sent and then: ``drop``, ``stall``, or ``after``."""

    cut: int | None = None
    stall: float = 0.0
    after: Callable[[], object] | None = None
    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    whole: bool = False  # the range is ignored
    chunked: bool = False
    etag: str | None = None


class Archive:
    """Serves until closed. ``faults`` are used up one per request of a key; ``asked`` is what was heard."""

    def __init__(self, page: int = 1000) -> None:
        self.things: dict[str, Thing] = {}
        self.faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.asked: list[Asked] = []
        self.page = page
        self._gone = threading.Event()
        archive = self

        class Desk(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                archive._answer(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = False
            block_on_close = True

            def handle_error(self, *_: Any) -> None:
                """A client that was killed or has heard enough is what the tests are about."""

        self._server = Server(("127.0.0.1", 0), Desk)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._peers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._gone.set()
        self._server.shutdown()
        for peer in self._peers:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._server.server_close()
        self._thread.join(10)
        assert not self._thread.is_alive()

    # ------------------------------------------------------------------------------------------------------ its shelf

    def put(self, key: str, body: bytes, checksum: str | None = "right", ending: str = ".CHECKSUM") -> Listed:
        """An object and, unless ``checksum`` is None, what says that it hashes to that."""
        etag = hashlib.md5(body).hexdigest()
        self.things[key] = Thing(len(body), etag, lambda: [body])
        if checksum is not None:
            digest = hashlib.sha256(body).hexdigest() if checksum == "right" else checksum
            line = f"{digest}  {key.rpartition('/')[2]}\n".encode()
            self.things[key + ending] = Thing(len(line), hashlib.md5(line).hexdigest(), lambda: [line])
        return self.listed(key)

    def listed(self, key: str) -> Listed:
        thing = self.things[key]
        return Listed(key, thing.size, thing.etag, 784111777000000)

    def sent(self, key: str) -> int:
        return sum(asked.sent for asked in self.asked if asked.key == key)

    def connections(self) -> int:
        return len(self._peers)

    def times(self, key: str) -> int:
        return sum(asked.key == key for asked in self.asked)

    # --------------------------------------------------------------------------------------------------- its answers

    def _answer(self, desk: BaseHTTPRequestHandler) -> None:
        if desk.connection not in self._peers:
            self._peers.append(desk.connection)
        parts = urlsplit(desk.path)
        key = unquote(parts.path).lstrip("/")
        fault = self.faults[key].popleft() if self.faults[key] else Fault()
        headers = {name.lower(): value for name, value in desk.headers.items()}
        self.asked.append(asked := Asked(key, headers))
        if fault.status:
            self._say(desk, fault.status, fault.body, dict(fault.headers))
            if fault.after is not None:
                fault.after()
        elif not key:
            self._list(desk, parse_qs(parts.query))
        elif key not in self.things:
            self._say(desk, 404, b"<Error><Code>NoSuchKey</Code></Error>", {})
        else:
            self._send(desk, asked, fault)

    def _say(self, desk: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        desk.send_response(status)
        for name, value in headers.items():
            desk.send_header(name, value)
        desk.send_header("Content-Length", str(len(body)))
        desk.end_headers()
        desk.wfile.write(body)

    def _send(self, desk: BaseHTTPRequestHandler, asked: Asked, fault: Fault) -> None:
        thing, headers = self.things[asked.key], asked.headers
        start = 0
        if headers.get("if-match", f'"{thing.etag}"') != f'"{thing.etag}"':
            return self._say(desk, 412, b"<Error><Code>PreconditionFailed</Code></Error>", {})
        if "range" in headers and not fault.whole:
            start = int(headers["range"].removeprefix("bytes=").removesuffix("-"))
            if start >= thing.size:
                return self._say(desk, 416, b"<Error><Code>InvalidRange</Code></Error>", {})
        desk.send_response(206 if start else 200)
        if start:
            desk.send_header("Content-Range", f"bytes {start}-{thing.size - 1}/{thing.size}")
        etag = thing.etag if fault.etag is None else fault.etag
        if etag:
            desk.send_header("ETag", f'"{etag}"')
        desk.send_header("Last-Modified", MODIFIED)
        if fault.chunked:
            desk.send_header("Transfer-Encoding", "chunked")
        else:
            desk.send_header("Content-Length", str(thing.size - start))
        desk.end_headers()
        left = thing.size if fault.cut is None else fault.cut
        skip = start
        for block in thing.blocks():
            piece, skip = block[skip:], max(0, skip - len(block))
            piece = piece[:left]
            left -= len(piece)
            if piece:
                asked.sent += len(piece)
                desk.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if fault.chunked else piece)
        if fault.chunked and fault.cut is None:
            desk.wfile.write(b"0\r\n\r\n")
        if fault.after is not None:
            fault.after()
        if fault.stall:
            self._gone.wait(fault.stall)
        if fault.cut is not None:
            desk.close_connection = True

    def _list(self, desk: BaseHTTPRequestHandler, query: dict[str, list[str]]) -> None:
        prefix, after = query.get("prefix", [""])[0], query.get("after", [""])[0]
        keys = sorted(key for key in self.things if key.startswith(prefix) and key > after)
        page = keys[: self.page]
        lines = [f"{key}\t{self.things[key].size}\t{self.things[key].etag}" for key in page]
        token = page[-1] if len(keys) > len(page) else "-"
        self._say(desk, 200, "\n".join([token, *lines]).encode(), {})


def list_request(prefix: str, continuation: str | None) -> Request:
    return Request("/", (("prefix", prefix), *((("after", continuation),) if continuation else ())))


def listed(body: bytes) -> tuple[Sequence[Listed], str | None]:
    token, *lines = body.decode().split("\n")
    rows = [line.split("\t") for line in lines if line]
    return [Listed(key, int(size), etag, 0) for key, size, etag in rows], None if token == "-" else token


def sha256_of(body: bytes, key: str) -> str:
    digest = body.decode().split()[0] if body.split() else ""
    if len(digest) != 64:
        raise BadReply(f"the checksum of {key} is none: {body[:40]!r}")
    return digest


BUCKET = Bucket(
    list_request, listed, lambda key: (key.replace(".zip", ".CHECKSUM"), key + ".CHECKSUM"), sha256_of
)
