"""One feed of some topics, heard for as long as somebody wants it: a connection, the next one, and so on.

A connection that ends by itself is followed by another after a while that grows (``protocol.backoff.reconnect_in``).
One that is old is replaced while it still speaks: its successor is heard beside it before it is let go of, so nothing
is lost at a rotation, and what both heard is one row.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Collection

from htxdata.errors import KeyRefused, StoreError
from htxdata.ingest.capture_bridge import Bridge
from htxdata.ingest.capture_connection import READY_S, Connection, Hands, Topics, pause_for
from htxdata.protocol.backoff import failures_after, reconnect_in
from htxdata.store.tape import Record
from htxdata.timeline import DAY, SECOND
from htxdata.transport.websocket import Ended

REFUSED_S = 60.0
"""Until the next try where the venue gives none of the topics."""

MOST_PATIENT_S, CALM_S = 3600.0, 600.0
"""Each connection that ends for silence makes the next one twice as patient, up to an hour; one that brought data for
ten minutes makes it as watchful as the feed says."""

SAY_AGAIN_S = 300.0
"""The same reason is not told again for so long."""


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
