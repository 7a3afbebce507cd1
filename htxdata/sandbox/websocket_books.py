"""What is pushed of order books: differences, whole books of a few depths, and the best prices (htx-api 7.3, 7.4)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from .instruments import SPOT, Instrument
from .live_books import TICK, Chain
from .websocket_feeds import Feed, best_of
from .websocket_floor import Floor
from .websocket_messages import Message, Numbered, levels

_FAR = 100  # ticks: what was missed longer than this is told in one message


class BookFeed(Feed, ABC):
    """Any of them: moves on from tick to tick."""

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int) -> None:
        super().__init__(floor, text, one, now)
        self.books, self.at = floor.books(one), now // TICK

    def turn(self, now: int) -> list[Message]:
        tick, before = now // TICK, self.at
        if tick <= before:
            return []
        self.at = tick
        return self.between(before, tick)

    @abstractmethod
    def between(self, before: int, tick: int) -> list[Message]:
        """What is said of the ticks after one and up to another."""


class DiffFeed(BookFeed):
    """`mbp.N`: what changed, tick by tick for 5 and 20 levels, every 100 ms for 150 and 400."""

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int, depth: int) -> None:
        super().__init__(floor, text, one, now)
        self._chain = diffs(floor, one, depth)
        self._last = self._chain.last(self.at)

    def between(self, before: int, tick: int) -> list[Message]:
        if tick - before > _FAR:
            return self._leap(tick)
        return [self._said(at, *changes) for at, changes in self._chain.between(before, tick)]

    def _leap(self, tick: int) -> list[Message]:
        """The clock was put forward: one message tells it all."""
        last = self._chain.last(tick)
        if last is None or self._last is None:
            self._last = last
            return []
        return [self._said(last, *self.books.changes(self._last, last, self._chain.depth))]

    def _said(self, tick: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> Message:
        number = self.books.sequence(tick)
        before = number - 1 if self._last is None else self.books.sequence(self._last)
        self._last = tick
        text = b'{"ch":"%b","ts":%d,"tick":{"seqNum":%d,"prevSeqNum":%d,"bids":[%b],"asks":[%b]}}' % (
            self.topic, tick * TICK // 1000, number, before, levels(self.books, bids), levels(self.books, asks),
        )  # fmt: skip
        return Message(text, counted=True)


def diffs(floor: Floor, one: Instrument, depth: int) -> Chain:
    """The chain of messages of `mbp.N`."""
    return floor.books(one).pushes(depth, 1 if depth < 100 else 2)


class RefreshFeed(BookFeed):
    """`mbp.refresh.N`: the first N levels every 100 ms."""

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int, depth: int) -> None:
        super().__init__(floor, text, one, now)
        self._depth = depth

    def between(self, before: int, tick: int) -> list[Message]:
        at = tick - tick % 2
        if at <= before or self.books.top(at) is None:
            return []
        bids, asks = self.floor.walk(self.one, 2).texts(at, self._depth)
        text = b'{"ch":"%b","ts":%d,"tick":{"seqNum":%d,"bids":[%b],"asks":[%b]}}' % (
            self.topic, at * TICK // 1000, self.books.sequence(at), bids, asks,
        )  # fmt: skip
        return [Message(text)]


class StepFeed(BookFeed):
    """`depth.stepN`: whole books, every second on spot and every 100 ms on derivatives, the first at once."""

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int, step: int) -> None:
        super().__init__(floor, text, one, now)
        self._merge, self._depth = steps(one.venue, step)
        self._every = 20 if one.venue == SPOT else 2

    def first(self, now: int) -> list[Message]:
        return self._said(self.at)

    def between(self, before: int, tick: int) -> list[Message]:
        at = tick - tick % self._every
        return self._said(at) if at > before else []

    def _said(self, at: int) -> list[Message]:
        if self.books.top(at) is None:
            return []
        return [
            Message(b'{"ch":"%b","ts":%d,"tick":%b}' % (self.topic, at * TICK // 1000 + 1, self.tick(at)))
        ]

    def tick(self, at: int) -> bytes:
        """The book as the venue tells it."""
        if self._merge == 1:
            bids, asks = self.floor.walk(self.one, self._every).texts(at, self._depth)
        else:
            bids, asks = merged(self.floor, self.one, at, self._merge, self._depth)
        time, number = at * TICK // 1000, self.books.sequence(at)
        if self.one.venue == SPOT:
            return b'{"bids":[%b],"asks":[%b],"version":%d,"ts":%d}' % (bids, asks, number, time)
        second = time // 1000
        return b'{"mrid":%d,"id":%d,"bids":[%b],"asks":[%b],"ts":%d,"version":%d,"ch":"%b"}' % (
            number, second, bids, asks, time, second, self.topic,
        )  # fmt: skip


def steps(venue: str, step: int) -> tuple[int, int]:
    """How many places are one level at a step, and how many levels there are (150 unmerged, else 20 on spot)."""
    if venue == SPOT:
        return 10**step, 150 if step == 0 else 20
    twenty = 6 <= step <= 13 or step >= 18
    return 10 ** (step % 6 if step < 12 else 1), 20 if twenty else 150


def merged(floor: Floor, one: Instrument, tick: int, places: int, depth: int) -> tuple[bytes, bytes]:
    """Bids and asks with so many places to a level: bids are rounded down, asks up."""
    books = floor.books(one)
    texts = []
    for side in (1, 0):
        sums: dict[int, int] = {}
        for place, lots in books.side(side, tick, 400 if one.venue == SPOT else 150).items():
            to = place // places * places if side else -(-place // places) * places
            sums[to] = sums.get(to, 0) + lots
        texts.append(levels(books, list(sums.items())[:depth]))
    return texts[0], texts[1]


class FastFeed(BookFeed):
    """`depth.size_N.high_freq`: a whole book first, then what changed; numbered for each connection (htx-api 7.4)."""

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int, depth: int, whole: bool) -> None:
        super().__init__(floor, text, one, now)
        self._depth, self._whole = depth, whole

    def first(self, now: int) -> list[Message]:
        return [] if self.books.top(self.at) is None else [self._snapshot(self.at)]

    def between(self, before: int, tick: int) -> list[Message]:
        if tick - before > _FAR:
            return [self._snapshot(tick)] if self.books.top(tick) is not None else []
        said: list[Message] = []
        for at in range(before + 1, tick + 1):
            if self.books.top(at) is None:
                continue
            bids, asks = self.books.changes(at - 1, at, self._depth)
            if not bids and not asks:
                continue
            if self._whole or self.books.top(at - 1) is None:
                said.append(self._snapshot(at))
            else:
                said.append(self._numbered(at, b"update", levels(self.books, bids), levels(self.books, asks)))
        return said

    def _snapshot(self, tick: int) -> Message:
        bids, asks = self.floor.walk(self.one).texts(tick, self._depth)
        return self._numbered(tick, b"snapshot", bids, asks)

    def _numbered(self, tick: int, event: bytes, bids: bytes, asks: bytes) -> Message:
        time, match = tick * TICK // 1000, self.books.sequence(tick)
        before = (
            b'{"ch":"%b","tick":{"asks":[%b],"bids":[%b],"ch":"%b","event":"%b","id":%d,"mrid":%d,"ts":%d,"version":'
            % (self.topic, asks, bids, self.topic, event, match, match, time)
        )
        return Numbered(before, b'},"ts":%d}' % (time + 1))


class BestFeed(BookFeed):
    """`bbo`: the best prices, when they or their sizes change; the first at once."""

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int) -> None:
        super().__init__(floor, text, one, now)
        self._said = best_of(floor, one, self.at)

    def first(self, now: int) -> list[Message]:
        return [] if self._said is None else [self._message(self.at, self._said)]

    def between(self, before: int, tick: int) -> list[Message]:
        said = []
        for at in range(max(before + 1, tick - _FAR), tick + 1):
            best = best_of(self.floor, self.one, at)
            if best is not None and best != self._said:
                said.append(self._message(at, best))
            self._said = best
        return said

    def _message(self, tick: int, best: tuple[bytes, bytes, bytes, bytes]) -> Message:
        bid, bid_size, ask, ask_size = best
        time, number = tick * TICK // 1000, self.books.sequence(tick)
        if self.one.venue == SPOT:
            inside = b'{"seqId":%d,"ask":%b,"askSize":%b,"bid":%b,"bidSize":%b,"quoteTime":%d,"symbol":"%b"}' % (
                number, ask, ask_size, bid, bid_size, time, self.one.symbol.encode(),
            )  # fmt: skip
        else:
            inside = b'{"mrid":%d,"id":%d,"bid":[%b,%b],"ask":[%b,%b],"ts":%d,"version":%d,"ch":"%b"}' % (
                number, time // 1000, bid, bid_size, ask, ask_size, time, number, self.topic,
            )  # fmt: skip
        return Message(b'{"ch":"%b","ts":%d,"tick":%b}' % (self.topic, time + 1, inside))
