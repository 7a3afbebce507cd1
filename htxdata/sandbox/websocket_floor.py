"""What the feeds of all connections share: the tapes of trades, the books, and books kept up to date level by level."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from .bars import Columns
from .instruments import Instrument
from .live_books import ASK, BID, DEEPEST, LiveBooks
from .market import Market
from .noise import key_of
from .replay import Replay
from .websocket_messages import level

_AHEAD, _SPREAD = (
    45_000_000,
    30_000_000,
)  # us of trades made ahead; not the same for all, or all would be due at once
_FAR = 40  # ticks after which a book is made anew


class Tape:
    """The trades of one instrument as they come, made ahead. Instants are us UTC."""

    def __init__(self, market: Market, one: Instrument) -> None:
        self._market, self._one = market, one
        self._ahead = _AHEAD + key_of("ahead", one.venue, one.symbol) % _SPREAD
        self._from = self._until = 0
        self._rows: Columns = {}
        self._times: list[int] = []

    def _have(self, after: int, until: int) -> None:
        if after < self._from or until >= self._until:
            self._from, self._until = after, until + self._ahead
            self._rows = self._market.orders(self._one.venue, self._one.symbol, after, self._until)
            self._times = self._rows["trade_time"].tolist()

    def traded(self, after: int, until: int) -> bool:
        """Whether there was a trade with after < time <= until."""
        self._have(after, until)
        first = bisect_right(self._times, after)
        return first < len(self._times) and self._times[first] <= until

    def orders(self, after: int, until: int) -> Iterator[Columns]:
        """The trades with after < time <= until, order by order, as `Market.orders` has them."""
        self._have(after, until)
        first, last = bisect_right(self._times, after), bisect_right(self._times, until)
        if first < last:
            yield from by_order(cut(self._rows, first, last))


def cut(rows: Columns, first: int, last: int) -> Columns:
    """The rows from one place up to another."""
    return {name: None if column is None else column[first:last] for name, column in rows.items()}


def by_order(rows: Columns) -> Iterator[Columns]:
    """Trades, order by order."""
    order = rows["order"]
    edges = [0, *(np.flatnonzero(np.diff(order)) + 1).tolist(), len(order)]
    for first, last in pairwise(edges):
        if first < last:
            yield cut(rows, first, last)


class Walk:
    """A book whose levels are kept as texts from tick to tick."""

    def __init__(self, books: LiveBooks, depth: int) -> None:
        self._books, self._depth = books, depth
        self._tick: int | None = None
        self._bids: dict[int, bytes] = {}
        self._asks: dict[int, bytes] = {}

    def texts(self, tick: int, count: int) -> tuple[bytes, bytes]:
        """The first so many bids and asks as `[price,size],...`; empty when there is no trading."""
        self._go(tick)
        top = self._books.top(tick)
        if top is None:
            return b"", b""
        bids = range(top, max(top - count, 0), -1)
        asks = range(top + 1, top + 1 + count)
        return b",".join(map(self._bids.__getitem__, bids)), b",".join(map(self._asks.__getitem__, asks))

    def _go(self, tick: int) -> None:
        if tick == self._tick:
            return
        books = self._books
        if self._tick is None or not 0 < tick - self._tick < _FAR:
            self._bids, self._asks = (
                {
                    place: level(books, place, lots)
                    for place, lots in books.side(side, tick, self._depth).items()
                }
                for side in (BID, ASK)
            )
        else:
            for kept, changes in zip(
                (self._bids, self._asks), books.changes(self._tick, tick, self._depth), strict=True
            ):
                for place, lots in changes:
                    if lots:
                        kept[place] = level(books, place, lots)
                    else:
                        del kept[place]
        self._tick = tick


class Floor:
    """Where the feeds find what they tell. Used by the event loop alone, but for `market`, which all may ask."""

    def __init__(self, market: Market, replay: Replay | None) -> None:
        self.market, self.replay = market, replay
        self._tapes: dict[tuple[str, str], Tape] = {}
        self._books: dict[tuple[str, str], LiveBooks] = {}
        self._walks: dict[tuple[str, str, int], Walk] = {}

    def tape(self, one: Instrument) -> Tape:
        key = one.venue, one.symbol
        if key not in self._tapes:
            self._tapes[key] = Tape(self.market, one)
        return self._tapes[key]

    def books(self, one: Instrument) -> LiveBooks:
        key = one.venue, one.symbol
        if key not in self._books:
            self._books[key] = LiveBooks(self.market.seed, one)
        return self._books[key]

    def walk(self, one: Instrument, every: int = 1) -> Walk:
        """`every`: at which ticks it is asked; those who ask at the same ones share it."""
        key = one.venue, one.symbol, every
        if key not in self._walks:
            self._walks[key] = Walk(self.books(one), DEEPEST[one.venue])
        return self._walks[key]

    def source(self, one: Instrument) -> Market | Replay:
        """Who serves an instrument's candles: the recording where there is one (htx-api: `Replay`)."""
        if self.replay is not None and self.replay.covers(one.venue, one.symbol, "klines"):
            return self.replay
        return self.market
