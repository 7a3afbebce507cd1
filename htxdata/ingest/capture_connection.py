"""One connection of a capture, with the reel that it is written to: what it hears, when it stands, how it ends.

``capture_streams.py`` makes one after the other of them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from htxdata.errors import BadReply
from htxdata.ingest.capture_books import BookWatch
from htxdata.keys import Keys
from htxdata.market import ALL_SYMBOLS
from htxdata.protocol import backoff, pacing
from htxdata.protocol.session import Session
from htxdata.protocol.wire import Reply, Request
from htxdata.store.reel import Reel
from htxdata.store.tape import Record
from htxdata.transport.budget import Budget
from htxdata.transport.door import Door
from htxdata.transport.http import Client, named_host
from htxdata.transport.reels import Writer
from htxdata.transport.websocket import Ended, Line
from htxdata.venues.frames import unpack
from htxdata.venues.terms import Feed, Venue

READY_S = 30.0
"""A successor that does not speak by then is none; the connection before it goes on, and another is tried later."""

VERSION = 1
"""Of what a reel says of itself."""


@dataclass(frozen=True)
class Topics:
    """What one connection hears: topics of one feed, and the symbol of each.

    ``shared`` are the symbols of topics that tell of several, and do not name them.
    """

    feed: Feed
    symbols: Mapping[str, str]
    shared: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """All symbols, each once."""
        return list(dict.fromkeys([*self.symbols.values(), *chain.from_iterable(self.shared.values())]))

    def __str__(self) -> str:
        names = self.names
        return f"{self.feed.name} of {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"


@dataclass
class Hands:
    """What all connections of a capture share."""

    venue: Venue
    base: str
    """The address of the host, to which a feed's path is added."""

    tape: Path
    writer: Writer
    facts: Mapping[str, float]
    """Contract sizes."""

    rotate: float
    say: Callable[[str], None]
    limit: Budget
    """Of the host: while nobody on this machine is to ask it, nobody connects to it either (law 8)."""

    keys: Keys | None = None
    tell: Callable[[threading.Event], Client] | None = None
    """A client of the venue over REST that an event stops: for the keys of streams."""

    refused: dict[str, str] = field(default_factory=dict)
    """Topics that the venue does not give, and why."""

    instead: list[Topics] = field(default_factory=list)
    """What is to be heard in the place of refused topics, and is not yet."""


def begun(
    hands: Hands, feed: Feed, symbols: Mapping[str, str], records: Sequence[Record], *, takes_over: str | None = None,
    bridged: bool = True, shared: Mapping[str, Sequence[str]] | None = None, told: Iterable[str] = (),
) -> Reel:  # fmt: skip
    """A new reel that says what it is of (``symbols``: by topic; ``told``: of which others there are replies), with
    ``records`` at its head."""
    now = time.time_ns() // 1000
    reel = Reel(hands.tape, hands.venue.name, feed.name, now)
    said = {
        "event": "opened", "venue": hands.venue.name, "feed": feed.name, "path": feed.path, "topics": list(symbols),
        "bridge": bridged, "takes_over": takes_over, "version": VERSION,
        "facts": {s: hands.facts[s] for s in _meant(hands, symbols, told) if s in hands.facts},
    }  # fmt: skip
    if shared:
        said["shared"] = shared
    if feed.by:
        said["symbols"] = dict(symbols)
    reel.note(now, said)
    for record in records:
        reel.note(record.received_at, record.said, record.body)
    return reel


def _meant(hands: Hands, symbols: Mapping[str, str], told: Iterable[str]) -> Iterable[str]:
    """Of which symbols a reel may tell."""
    named = dict.fromkeys((*symbols.values(), *told))
    return hands.facts if ALL_SYMBOLS in named else named


def pause_for(venue: Venue, path: str, status: int, headers: Mapping[str, str], now: int) -> float:
    """For how many seconds nobody asks a host that refused a connection with this status. ``now`` is us UTC.

    How many connections in which time a venue bears is documented nowhere: where it says no time either, a 429 is worth
    a minute as a ban is (htx-api 2.1: "back off >= 60 s on 403/429"; hashkey-api 2).
    """
    fault = backoff.settle(status, venue.judge(Reply(Request(path), status, b"", now, headers)))
    if fault is not None and fault.kind == "throttled":
        fault = replace(fault, kind="banned")
    return pacing.pause_after(fault, headers, now, limits=venue.limit_headers)


def _sign_in(hands: Hands, feed: Feed) -> Callable[[int], tuple[str, str]] | None:
    sign_in, keys = feed.dialect.sign_in, hands.keys
    if sign_in is None or keys is None:
        return None
    host = named_host(hands.base)
    return lambda now: sign_in(host, feed.path, keys, now)


def _door(hands: Hands, feed: Feed) -> Door | None:
    if feed.lent is None or hands.tell is None:
        return None
    return Door(feed.lent, hands.tell)


class Connection:
    """One connection with its reel, under way since it was made."""

    def __init__(
        self, topics: Topics, hands: Hands, takes_over: str | None, bridged: bool, silence: float | None,
        records: Sequence[Record],
    ) -> None:  # fmt: skip
        """``records`` are replies that no reel has yet; they go to the head of this one, connected or not."""
        feed = topics.feed
        self._topics, self._feed = topics, feed
        reel = begun(
            hands, feed, topics.symbols, records, takes_over=takes_over, bridged=bridged, shared=topics.shared
        )
        self.name = reel.path.name
        self.opened = time.monotonic()
        self.books = BookWatch(feed.whole_by)
        self.line = Line(
            hands.base + feed.path,
            Session(feed.dialect, topics.symbols, silence=silence, whole_by=feed.whole_by),
            reel, hands.writer, unpack=unpack, sign_in=_sign_in(hands, feed), door=_door(hands, feed),
            on_frames=self._look if feed.watch is not None else None,
        )  # fmt: skip
        self.until = asyncio.Event()
        self.task: asyncio.Task[Ended] = asyncio.create_task(self.line.run(self.until))

    def _look(self, times: Sequence[int], bodies: Sequence[bytes]) -> None:
        """Of frames that are on the disk: does a book's message not follow? Called in the writer's thread."""
        assert self._feed.watch is not None
        for body in bodies:
            try:
                seen = self._feed.watch(unpack(body))
            except BadReply:
                continue  # distil says so
            why = self.books.look(seen) if seen is not None else None
            if seen is not None and why is not None:
                self.line.note({"event": "break", "topic": seen.topic, "why": why})
                self.line.renew(seen.topic)

    @property
    def stands(self) -> bool:
        """Whether every topic is heard that the venue gives, books from a whole one on."""
        session = self.line.session
        heard = session.acked.keys() | session.refused.keys()
        if not session.acked or heard < self._topics.symbols.keys():
            return False
        return not self._feed.whole_by or all(self.books.whole(topic) for topic in session.acked)

    async def ready(self, seconds: float = READY_S) -> bool:
        """Wait until it stands; false where it ended or took too long."""
        until = time.monotonic() + seconds
        while not self.task.done() and time.monotonic() < until:
            if self.stands:
                return True
            await asyncio.sleep(0.05)
        return False

    async def end(self, why: str = "asked") -> Ended:
        self.line.parting = why
        self.until.set()
        return await self.task
