"""The order books that are pushed over WebSocket: a pure function of seed, instrument and tick of the clock.

At each tick the best bid stands at the price around which the instrument trades then (`trades.fair_ticks`, which trades
follow too), the best ask one price step above, and on every step away from them something. What stands at a price is
renewed at known ticks, quickly near the best prices and slowly elsewhere, so that what changes from tick to tick is
found by looking at a few prices. There is no memory: a difference is that of two books, whoever asks and when.

A *place* is a price in price steps, a *tick* the number of a stretch of 50 ms since 1970.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .instruments import FUTURES, HASHKEY, INVERSE, LINEAR, SPOT, Instrument
from .noise import key_of
from .trades import fair_ticks

TICK = 50_000
"""Microseconds of a tick."""

DEEPEST = {SPOT: 400, LINEAR: 150, INVERSE: 150, FUTURES: 150, HASHKEY: 100}
"""How many levels a side has (htx-api 7.3, 7.4; hashkey-api 5)."""

BID, ASK = 1, 0
_NEAR = 4  # places from the best one that are renewed quickly
_LIVES = {
    True: (16, 256),
    False: (128, 4096),
}  # ticks for which near and far levels stay; of busy and quiet ones
_BUSY = 1.0  # trades a minute
_BLOCK = 256  # ticks whose best prices are worked out at once
_FIRST_SEQUENCE = 10**11  # so that numbers have twelve digits, as in the samples
_PER_TICK = 8

_MASK = (1 << 64) - 1
_GOLDEN, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

Change = tuple[int, int]
"""A place, and the lots that stand there now: 0 when it is out of the book."""


@dataclass(frozen=True)
class LiveBook:
    """A book as it is known on the wire. Bids from the best one down, asks from the best one up; price and size.

    Sizes are base units on spot, contracts on derivatives. `sequence` numbers the tick, `time` is its instant (us UTC).
    """

    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]
    sequence: int
    time: int


def _word(key: int, counter: int) -> int:
    """`noise.words` of one counter."""
    word = (counter * _GOLDEN + key) & _MASK
    word = (word ^ word >> 30) * _MIX_1 & _MASK
    word = (word ^ word >> 27) * _MIX_2 & _MASK
    return word ^ word >> 31


class LiveBooks:
    """The books of one instrument, at any tick. Not thread safe: it keeps the best prices it worked out last."""

    def __init__(self, seed: int, one: Instrument) -> None:
        self.one, self._seed = one, seed
        self._key = key_of("live book", seed, one.venue, one.symbol)
        self._fast, self._slow = _LIVES[one.trades_per_minute >= _BUSY]
        self._seventh = pow(7, -1, self._fast), pow(7, -1, self._slow)
        self._tops: dict[int, list[int]] = {}
        self._sessions = one.sessions()

    def top(self, tick: int) -> int | None:
        """The place of the best bid; None when the instrument does not trade."""
        block, place = divmod(tick, _BLOCK)
        tops = self._tops.get(block)
        if tops is None:
            if len(self._tops) > 3:
                self._tops.clear()
            tops = self._tops[block] = self._made(block)
        return tops[place] or None

    def _made(self, block: int) -> list[int]:
        times = np.arange(block * _BLOCK, (block + 1) * _BLOCK, dtype=np.int64) * (TICK // 1000)
        tops = np.maximum(np.rint(fair_ticks(self._seed, self.one, times)).astype(np.int64), 1)
        open_ = np.zeros(len(times), dtype=bool)
        for first, last in self._sessions:
            open_ |= (times * 1000 >= first) & (times * 1000 < last)
        made: list[int] = np.where(open_, tops, 0).tolist()
        return made

    def sequence(self, tick: int) -> int:
        """The number of the book at a tick: it grows with each."""
        return _FIRST_SEQUENCE + tick * _PER_TICK + (_word(self._key ^ 0x5EC, tick) & (_PER_TICK - 1))

    def tick_of(self, sequence: int) -> int:
        """The tick that a number belongs to; ValueError when it is nobody's."""
        tick = (sequence - _FIRST_SEQUENCE) // _PER_TICK
        if self.sequence(tick) != sequence:
            raise ValueError(f"{self.one.symbol} has no book of the number {sequence}")
        return tick

    def lots(self, side: int, place: int, tick: int, top: int) -> int:
        """What stands at a place of the book, which has its best bid at `top`."""
        near = place > top - _NEAR if side == BID else place <= top + _NEAR
        age = (tick + 7 * place) // (self._fast if near else self._slow)
        dice = _word(self._key, (place << 26) + ((age << 2 | near << 1 | side) & 0x3FFFFFF))
        if self.one.long_digits:
            return (dice >> 12) + 1
        size, halvings = dice >> 17 & 0xFFFFF, dice >> 37 & 7
        return (size * (self.one.typical_lots * 8) >> (18 + halvings)) + 1

    def side(self, side: int, tick: int, depth: int) -> dict[int, int]:
        """place -> lots of one side, the best first; nothing when the instrument does not trade."""
        top = self.top(tick)
        if top is None:
            return {}
        places = range(top, max(top - depth, 0), -1) if side == BID else range(top + 1, top + 1 + depth)
        return {place: self.lots(side, place, tick, top) for place in places}

    def changes(self, before: int, after: int, depth: int) -> tuple[list[Change], list[Change]]:
        """What turns the book of one tick into that of a later one: bids and asks, the best first."""
        was, now = self.top(before), self.top(after)
        steps = after - before
        if was is None or now is None or abs(was - now) >= depth or steps >= self._fast:
            return self._compared(before, after, depth, BID), self._compared(before, after, depth, ASK)
        if steps == 0:
            return [], []
        bids = (
            (
                place,
                self._change(BID, place, before, after, was, now, max(was - depth, 0), max(now - depth, 0)),
            )
            for place in sorted(self._suspects(BID, before, after, was, now, depth), reverse=True)
        )
        asks = (
            (place, self._change(ASK, place, before, after, was, now, was, now, depth))
            for place in sorted(self._suspects(ASK, before, after, was, now, depth))
        )
        return (
            [(place, lots) for place, lots in bids if lots is not None],
            [(place, lots) for place, lots in asks if lots is not None],
        )

    def _change(
        self,
        side: int,
        place: int,
        before: int,
        after: int,
        was: int,
        now: int,
        low: int,
        lower: int,
        depth: int = 0,
    ) -> int | None:
        """What stands at a place now, None if that is no news. Sides are the places above `low`, before and after."""
        there = low < place <= (was if side == BID else low + depth)
        here = lower < place <= (now if side == BID else lower + depth)
        old = self.lots(side, place, before, was) if there else 0
        new = self.lots(side, place, after, now) if here else 0
        return None if old == new else new

    def _suspects(self, side: int, before: int, after: int, was: int, now: int, depth: int) -> set[int]:
        """Places where something may have changed: those around the best prices, at the far ends, and at their turn."""
        lowest, highest = min(was, now), max(was, now)
        if side == BID:
            found = set(range(max(lowest - _NEAR + 1, 1), highest + 1))
            found.update(range(max(lowest - depth + 1, 1), max(highest - depth + 1, 1)))
            first, last = max(lowest - depth + 1, 1), highest + 1
        else:
            found = set(range(lowest + 1, highest + _NEAR + 1))
            found.update(range(lowest + depth + 1, highest + depth + 1))
            first, last = lowest + 1, highest + depth + 1
        # At tick t those places are renewed for which t + 7 x place is a multiple of the life: one in so many.
        for tick in range(before + 1, after + 1):
            turn = -tick * self._seventh[1] % self._slow
            found.update(range(first + (turn - first) % self._slow, last, self._slow))
        return found

    def _compared(self, before: int, after: int, depth: int, side: int) -> list[Change]:
        was, now = self.side(side, before, depth), self.side(side, after, depth)
        found = {place: 0 for place in was if place not in now}
        found.update((place, lots) for place, lots in now.items() if was.get(place) != lots)
        return sorted(found.items(), reverse=side == BID)

    def price(self, place: int) -> float:
        """A place in the venue's units."""
        return place * self.one.tick_units / 10.0**self.one.price_decimals

    def size(self, lots: int) -> float:
        """Lots in the venue's units: base units on spot, contracts on derivatives."""
        if self.one.derivative:
            return float(lots)
        units = lots if self.one.long_digits else lots * self.one.lot_units
        return units / 10.0**self.one.quantity_decimals

    def read(self, tick: int, depth: int) -> LiveBook:
        """The whole book of a tick, in the venue's units."""
        bids, asks = (
            [(self.price(place), self.size(lots)) for place, lots in self.side(side, tick, depth).items()]
            for side in (BID, ASK)
        )
        return LiveBook(bids, asks, self.sequence(tick), tick * TICK)

    def pushes(self, depth: int, every: int) -> Chain:
        """The chain of messages that tell the first so many levels, looked at each `every` ticks."""
        return Chain(self, depth, every)


_IDLE = 20  # looks at the book without a change after which a message without one is sent


@dataclass(frozen=True)
class Chain:
    """Which ticks are told in messages, and what comes before what (htx-api 7.3: seqNum, prevSeqNum).

    A message is sent when something changed, and now and then when nothing did.
    """

    books: LiveBooks
    depth: int
    every: int

    def told(self, tick: int) -> tuple[list[Change], list[Change]] | None:
        """The changes told at a tick, None if there is no message then."""
        if tick % self.every or self.books.top(tick) is None:
            return None
        changes = self.books.changes(tick - self.every, tick, self.depth)
        if changes[0] or changes[1] or tick // self.every % _IDLE == 0:
            return changes
        return None

    def last(self, tick: int) -> int | None:
        """The last tick up to this one that was told; None when it was not trading for a while."""
        start = tick - tick % self.every
        return next(
            (one for one in range(start, start - _IDLE * self.every, -self.every) if self.told(one)), None
        )

    def between(self, after: int, until: int) -> Iterator[tuple[int, tuple[list[Change], list[Change]]]]:
        """The ticks after one and up to another that are told, and what they tell."""
        for tick in range(after + 1, until + 1):
            found = self.told(tick)
            if found is not None:
                yield tick, found
