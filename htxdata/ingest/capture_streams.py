"""One feed of some topics, heard for as long as somebody wants it: a connection, the next one, and so on.

A connection that ends by itself is followed by another after a while that grows (``protocol.session.reconnect_in``).
One that is old is replaced while it still speaks: its successor is heard beside it before it is let go of, so nothing
is lost at a rotation, and what both heard is one row.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from htxdata.errors import BadReply, KeyRefused, StoreError
from htxdata.ingest.capture_books import BookWatch
from htxdata.ingest.capture_bridge import Bridge
from htxdata.keys import Keys
from htxdata.market import ALL_SYMBOLS
from htxdata.protocol import backoff, pacing
from htxdata.protocol.session import Session, failures_after, reconnect_in
from htxdata.protocol.wire import Reply, Request
from htxdata.store.reel import Reel
from htxdata.store.tape import Record
from htxdata.timeline import DAY, SECOND
from htxdata.transport.budget import Budget
from htxdata.transport.door import Door
from htxdata.transport.http import Client, named_host
from htxdata.transport.reels import Writer
from htxdata.transport.websocket import Ended, Line
from htxdata.venues.frames import unpack
from htxdata.venues.terms import Feed, Venue

READY_S = 30.0
"""A successor that does not speak by then is none; the connection before it goes on, and another is tried later."""

REFUSED_S = 60.0
"""Until the next try where the venue gives none of the topics."""

MOST_PATIENT_S, CALM_S = 3600.0, 600.0
"""Each connection that ends for silence makes the next one twice as patient, up to an hour; one that brought data for
ten minutes makes it as watchful as the feed says."""

SAY_AGAIN_S = 300.0
"""The same reason is not told again for so long."""

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


class Stream:
    """Topics of one feed, from connection to connection until ``stop``."""

    def __init__(self, topics: Topics, hands: Hands, bridge: Bridge | None) -> None:
        self.topics, self.reconnects, self.why = topics, 0, ""
        self.down = ""
        """Why nothing was heard when it ended; empty where it was."""
        self._hands, self._bridge = hands, bridge
        self._now: Connection | None = None
        self._counted = [0, 0]
        self._kept: list[Record] = []
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failures = 0
        self._patience = topics.feed.silence
        self._said = 0.0
        self._greeting: asyncio.Task[None] | None = None

    @property
    def bridged(self) -> bool:
        return self._bridge is not None

    @property
    def heard(self) -> tuple[int, int]:
        """Frames and their bytes, of all connections so far."""
        line = self._now.line if self._now is not None else None
        return self._counted[0] + (line.heard if line else 0), self._counted[1] + (line.size if line else 0)

    @property
    def stands(self) -> bool:
        return self._now is not None and not self._now.task.done() and self._now.stands

    def drop(self, symbols: Collection[str]) -> None:
        """From the next connection on, do not ask for these symbols any more: there is nothing more to come."""
        topics = self.topics
        shared = {name: [s for s in every if s not in symbols] for name, every in topics.shared.items()}
        kept = {name: s for name, s in topics.symbols.items() if shared.get(name, s not in symbols)}
        kept = {name: shared[name][0] if name in shared else symbol for name, symbol in kept.items()}
        self.topics = Topics(topics.feed, kept, {name: shared[name] for name in kept if name in shared})

    def note(self, record: Record) -> None:
        """Put a reply on the reel of the connection that stands, or of the next one. From any thread."""
        with self._lock:
            if self._loop is None:
                self._kept.append(record)
            else:
                self._loop.call_soon_threadsafe(self._put, record)

    def _put(self, record: Record) -> None:
        line = self._now.line if self._now is not None else None
        if line is None or not line.put(record.said, record.body, record.received_at):
            with self._lock:
                self._kept.append(record)

    def leftover(self) -> list[Record]:
        """The replies that no reel has yet."""
        with self._lock:
            kept, self._kept = self._kept, []
        return kept

    async def run(self, stop: asyncio.Event) -> None:
        stopped = asyncio.create_task(stop.wait())
        self._loop = asyncio.get_running_loop()
        try:
            while not stop.is_set():
                if not self.topics.symbols:  # all is heard by another stream instead, or was delivered
                    if self._now is not None:
                        await self._now.end()
                        self._count()
                        self._now = None
                    await stopped
                    continue
                pause = self._hands.limit.paused_for()
                if self._now is None and pause > 0:
                    self.why = self.why or f"the venue wants no connection for another {pause:.0f} s"
                    await _either(stopped, seconds=pause)
                    continue
                if self._now is None:
                    self._now = self._connect(None)
                    if self._now is None:
                        await _either(stopped, seconds=self._delay())
                        continue
                await _either(stopped, self._now.task, seconds=self._until_rotation(self._now))
                if self._now.task.done():
                    self._ended(self._now.task.result())
                    self._now = None
                    await _either(stopped, seconds=self._delay())
                elif not stop.is_set():
                    await self._rotate(self._now)
        finally:
            stopped.cancel()
            if not self.stands and self.topics.symbols:
                self.down = self.why or "its connection did not stand, or not with a whole book"
            if self._now is not None:
                await self._now.end()
                self._count()
                self._learn(self._now)
                self._now = None  # or what it heard would count twice
            if self._greeting is not None:
                self._greeting.cancel()
            with self._lock:
                self._loop = None

    def _connect(self, takes_over: str | None) -> Connection | None:
        records = self.leftover()
        try:
            connection = Connection(
                self.topics, self._hands, takes_over, self.bridged, self._patience, records
            )
        except StoreError as error:  # the disk: it may be full for a while
            with self._lock:
                self._kept[:0] = records
            self._failures += 1
            self._lost("disk", str(error))
            return None
        if takes_over is None:
            self._greeting = asyncio.create_task(self._greet(connection))
        return connection

    async def _greet(self, connection: Connection) -> None:
        """Once it stands: what happened before is asked for by another way."""
        await connection.ready(float("inf"))
        self._learn(connection)
        if connection.stands and self._bridge is not None:
            self._bridge.stands(self._symbols(connection))

    def _symbols(self, connection: Connection) -> list[str]:
        names = self.topics.symbols
        return list(dict.fromkeys(names[topic] for topic in connection.line.session.acked if topic in names))

    def _learn(self, connection: Connection) -> None:
        hands, feed, symbols = self._hands, self.topics.feed, self.topics.symbols
        refused = connection.line.session.refused
        other = feed.instead
        if other is None:
            for topic, why in refused.items():
                if topic not in hands.refused:
                    hands.say(f"{hands.venue.name}: {topic} is refused: {why}")
                hands.refused[topic] = why
        elif moved := sorted(refused.keys() & symbols.keys()):
            # For good: were they given later, two books of different depth would be one.
            self.topics = Topics(feed, {topic: symbols[topic] for topic in symbols if topic not in moved})
            heard = Topics(other, {other.topic(symbols[topic], None): symbols[topic] for topic in moved})
            hands.instead.append(heard)
            for topic, instead in zip(moved, heard.symbols, strict=True):
                hands.say(f"{hands.venue.name}: {topic} is refused: {refused[topic]}; {instead} is heard instead")

    def _ended(self, ended: Ended) -> None:
        assert self._now is not None
        self._learn(self._now)
        self._count()
        if barred := self._now.line.session.barred:
            raise KeyRefused(f"{self._hands.venue.name}: {self.topics}: the key is not taken: {barred}")
        self._heed(ended)
        self._failures = failures_after(self._failures, ended.data_seconds)
        if ended.why == "stale" and self._patience is not None:
            # Perhaps nobody trades: a quiet market is not to be connected to anew every minute.
            self._patience = min(MOST_PATIENT_S, self._patience * 2)
        elif ended.data_seconds > CALM_S:
            self._patience = self.topics.feed.silence
        if self.topics.symbols:
            self._lost(ended.why, ended.detail)

    def _heed(self, ended: Ended) -> None:
        """What the answer says that was no connection, everybody who asks that host obeys."""
        if ended.refusal is not None:
            now = time.time_ns() // 1000
            self._hands.limit.pause(pause_for(self._hands.venue, self.topics.feed.path, *ended.refusal, now))

    def _lost(self, why: str, detail: str) -> None:
        before, self.why = self.why, f"{why}: {detail}" if detail else why
        self.reconnects += 1
        now = time.monotonic()
        if self.why != before or now - self._said >= SAY_AGAIN_S:
            self._said = now
            self._hands.say(f"{self._hands.venue.name}: {self.topics}: {self.why}; connecting again")

    def _count(self) -> None:
        assert self._now is not None
        self._counted = [self._counted[0] + self._now.line.heard, self._counted[1] + self._now.line.size]

    def _delay(self) -> float:
        if self.why.startswith("refused"):
            return REFUSED_S
        return reconnect_in(self._failures, random.random())

    def _until_rotation(self, connection: Connection) -> float:
        """Seconds; at the latest a reel ends with the UTC day that its folder is named after."""
        old = self._hands.rotate - (time.monotonic() - connection.opened)
        midnight = (DAY - time.time_ns() // 1000 % DAY) / SECOND
        return max(0.0, min(old, midnight + 0.001))

    async def _rotate(self, before: Connection) -> None:
        successor = None if self._hands.limit.paused_for() > 0 else self._connect(before.name)
        if successor is None:
            before.opened = time.monotonic()  # the disk, or the venue: later, then
            return
        standing = asyncio.create_task(successor.ready())
        await _either(standing, before.task, seconds=READY_S)
        standing.cancel()
        if before.task.done():  # whenever that was: whether the successor heard all since then is not known
            self._ended(before.task.result())
            self._now = successor  # it may stand yet
            self._greeting = asyncio.create_task(self._greet(successor))
        elif successor.stands:
            await asyncio.sleep(self.topics.feed.dialect.overlap)
            await before.end("rotation")
            self._count()
            self._now = successor
        else:
            self._heed(await successor.end("asked"))
            before.opened = time.monotonic() - self._hands.rotate + min(REFUSED_S, self._hands.rotate)
            self._hands.say(
                f"{self._hands.venue.name}: {self.topics}: no successor at the rotation; later again"
            )


async def _either(*tasks: asyncio.Task[object], seconds: float) -> None:
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
