"""One connection of a client: frames out, what was said, what is unanswered. What it means is in `websocket`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .faults import Rule
from .keys import ApiKey
from .websocket_feeds import Feed
from .websocket_messages import squeezed

_SLOW_READER = 32 << 20  # bytes that wait for a reader before it is cut (htx-api 7.7)


class Command(NamedTuple):
    """One text that came from a client. `time` is the monotonic clock, seconds; `at` the sandbox's own, us UTC."""

    time: float
    at: int
    socket: int
    host: str
    path: str
    text: str


@dataclass(frozen=True)
class Manners:
    """How the exchange treats its connections: whether limits hold, seconds between pings, topics of one connection,
    seconds between pushes of funding rates, how fast a recording is played (0: all at once)."""

    limits: bool = True
    ping_seconds: float = 5.0
    most_topics: int = 500
    funding_seconds: float = 60.0
    replay_speed: float = 1.0


@dataclass
class Socket:
    """A connection in the log. Times are the monotonic clock, seconds; `closed` is None while it lives.

    `why` it ended: client, unanswered pings, slow reader, a fault's kind, stopped; "refused handshake" where it never
    began. `topics` are those it has now; `frames` and `bytes` count what was sent, `data` the frames that were neither
    acks nor pings.
    """

    number: int
    host: str
    path: str
    opened: float
    closed: float | None = None
    why: str = ""
    topics: list[str] = field(default_factory=list)
    frames: int = 0
    bytes: int = 0
    data: int = 0


@dataclass
class Subscription:
    """A topic of a connection. `version` numbers its messages, where the connection does."""

    feed: Feed
    asked: str
    version: int


class Heartbeat(Protocol):
    """How a connection is kept alive, and taken leave of."""

    @property
    def patience(self) -> int:
        """How many pings may be unanswered."""

    def ping(self, ms: int) -> tuple[str, str | bytes] | None:
        """What a pong must hold, and the text of a ping; None where nobody is pinged."""

    def farewell(self, ms: int) -> bytes | None:
        """What is said before the connection is closed."""

    @property
    def plain(self) -> bool:
        """Whether frames are texts, and not gzip."""


class Line:
    """A connection, as the exchange sees it."""

    def __init__(self, log: Socket, transport: asyncio.Transport, heartbeat: Heartbeat) -> None:
        self.log, self._transport, self._heartbeat = log, transport, heartbeat
        self.topics: dict[tuple[str, str], Subscription] = {}
        self.unanswered: dict[str, None] = {}
        self.commands: dict[str, deque[float]] = {}
        self.silent: list[
            tuple[float, Rule]
        ] = []  # until when (seconds of run time) whom a rule says nothing
        self.held: bytes | None = None
        self.named = ""
        """The host that the client asked for, and `address` its own."""
        self.address = ""
        self.signed_in: ApiKey | None = None
        self.next_ping = self.beats = 0.0
        self._pack: Callable[[bytes], bytes] = getattr(heartbeat, "pack", bytes if heartbeat.plain else squeezed)
        self._out: list[bytes] = []

    @property
    def open(self) -> bool:
        return self.log.closed is None

    def frame(self, payload: bytes) -> None:
        """Queue a frame, binary unless the dialect is one of texts (RFC 6455, 5.2; a server does not mask)."""
        size, kind = len(payload), b"\x81" if self._heartbeat.plain else b"\x82"
        if size < 126:
            head = kind + bytes((size,))
        elif size < 65536:
            head = kind + b"\x7e" + size.to_bytes(2, "big")
        else:
            head = kind + b"\x7f" + size.to_bytes(8, "big")
        self._out += (head, payload)
        self.log.frames += 1
        self.log.bytes += size

    def say(self, text: bytes) -> None:
        """Send an ack, an error or a ping at once, behind what is queued."""
        self.frame(self._pack(text))
        self.flush()

    def flush(self) -> None:
        """Write what is queued; who does not read is cut."""
        if not self._out or not self.open:
            return
        self._transport.write(b"".join(self._out))
        self._out.clear()
        if self._transport.get_write_buffer_size() > _SLOW_READER:
            self.drop("slow reader")

    def beat(self, ms: int) -> None:
        """Ping, or end it when too many pings before are unanswered."""
        if len(self.unanswered) >= self._heartbeat.patience:
            farewell = self._heartbeat.farewell(ms)
            if farewell is not None:
                self.say(farewell)
            self.drop("unanswered pings", politely=True)
            return
        ping = self._heartbeat.ping(ms)
        if ping is not None:
            key, text = ping
            self.unanswered[key] = None
            self.say(text if isinstance(text, bytes) else text.encode())

    def answered(self, key: str) -> None:
        """A pong came: what was asked before it need not be answered any more."""
        if key in self.unanswered:
            for one in list(self.unanswered):
                del self.unanswered[one]
                if one == key:
                    break

    def drop(self, why: str, politely: bool = False) -> None:
        """End the connection, with a close frame or as if a cable were cut."""
        if not self.open:
            return
        if politely:
            self.flush()
        self.ended(why)  # before anybody can see it
        if politely:
            self._transport.write(b"\x88\x02\x03\xe8")
            self._transport.close()
        else:
            self._transport.abort()

    def ended(self, why: str) -> None:
        """Note that it is over."""
        if self.open:
            self.log.closed = asyncio.get_running_loop().time()
            self.log.why = why
            self._out.clear()
